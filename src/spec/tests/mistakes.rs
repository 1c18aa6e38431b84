//! Every mistake of a file is told at once.

use super::*;

#[test]
fn every_independent_mistake_is_told_in_one_go() {
    let text = concat!(
        "schema: 2\nname: T\nsedes: [0]\nmargin: -1\ntargets: [0.5, 0.4]\nsettle: {max_seeds: 1}\n", // 1 to 6
        "data: {dataset: cifar, val: -5}\nselect: {metric: val_loss, gaol: min}\n",                  // 7, 8
        "base:\n  model: lenet6\n  dropout: 0.2\n  epochs: 0\n  optimizer: {name: sgd, lr: -1, momentom: 0.9}\n", // 9 to 13
        "  epochs: 3\n  clip: {norm: 0}\n",             // 14, 15
        "tune: {axes: {init: 3, lr: [1]}, seeds: 0}\n", // 16
        "blocks:\n  - id: a\n    mode: gird\n    axes: {init: [kers, keras], batch_size: [0, 4]}\n", // 17 to 20
        "  - id: b c\n    base: {pool: mean, lr: 3}\n    zip: [{label_smoothing: [1, 2], init: [keras]}]\n", // 21 to 23
        "    exclude: [{inti: keras}]\n    include: [{pool: min}]\n    tilte: x\n", // 24 to 26
    );
    let error = error_of(text);
    let mut wanted: Vec<String> = [
        "1:9", "2:7", "3:1", "4:9", "5:16", "6:21", "7:17", "7:29", "8:28", "10:10", "11:3", "12:11", "13:30", "13:34",
        "14:3", "15:16", "16:21", "16:24", "16:41", "19:11", "20:19", "20:46", "21:9", "22:18", "22:24", "23:40",
        "24:16", "25:22", "26:5",
    ]
    .map(|place| format!("x.yaml:{place}"))
    .to_vec();
    let more = wanted.split_off(20).len();
    wanted.push(format!("and {more} more"));
    assert_starts(&error, &format!("{} mistakes:\n", 20 + more));
    assert_eq!(places(&error), wanted, "{error}");
}

#[test]
fn one_mistake_is_told_once_and_what_follows_from_it_not_at_all() {
    // Every configuration has the base's, and every combination its values'.
    let grid =
        "  epochs: 0\nblocks:\n  - {id: a, mode: grid, axes: {init: [keras, kers], batch_size: [4, 8], pool: [max]}}\n";
    let error = error_with(grid);
    assert_eq!(places(&error), ["x.yaml:7:11", "x.yaml:9:46"], "{error}");
    assert!(
        error.contains("found `0`\n") && error.ends_with("(block `a`, init=kers · batch_size=4 · pool=max)"),
        "{error}"
    );
    // No images are left, so that no batch fits either.
    let error = error_with("data: {dataset: synthetic, val: 5000}\n");
    assert_eq!(places(&error), ["x.yaml:7:33"], "{error}");
    // A misspelled key is not also missing.
    let error = error_of("schema: 1\nnmae: t\nbase: {model: lenet5, optimzer: sgd}\n");
    assert_eq!(places(&error), ["x.yaml:2:1", "x.yaml:3:23"], "{error}");
    let error = error_with("blocks:\n  - {id: a, axes: {init: [keras]}, exclude: [{inti: keras}]}\n");
    assert_eq!(places(&error), ["x.yaml:8:47"], "{error}");
}

#[test]
fn mistakes_on_the_command_line_are_told_beside_those_of_the_file() {
    let set = ["epoch=3", "optimizer.lr=-1", "init", "seeds=[1, 1]"].map(String::from).to_vec();
    let text = format!("{HEAD}  batch_size: 0\n");
    let error = Experiment::parse("x.yaml", &text, &Overrides { set, ..Overrides::default() }).unwrap_err().to_string();
    let wanted =
        ["--set epoch=3", "--set init", "--set optimizer.lr=-1", "--set seeds=[1, 1]", "x.yaml:7:15"].map(String::from);
    assert_eq!(places(&error), wanted, "{error}");
}
