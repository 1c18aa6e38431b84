//! What a block compares.

use super::*;

#[test]
fn an_ablation_changes_one_thing_at_a_time() {
    let experiment = with(concat!(
        "blocks:\n  - id: a\n    title: Starts\n    axes:\n      init: [pytorch, keras]\n      activation: [{name: leaky_relu, slope: 0.1}, tanh]\n",
        "    zip: [{batch_size: [4, 512], epochs: [10, 40]}]\n",
    ));
    let block = &experiment.blocks[0];
    // `pytorch` and `tanh` are the base's own, so they are the base.
    assert_eq!(
        labels(block),
        ["base", "init=keras", "leaky_relu 0.1", "batch_size=4 · epochs=10", "batch_size=512 · epochs=40"]
    );
    assert_eq!(block.keys, ["init", "activation", "batch_size", "epochs"]);
    assert_eq!(block.variants[0].settings, []);
    assert_eq!(block.variants[0].values, ["pytorch", "tanh", "64", "20"]);
    assert_eq!(block.variants[4].values, ["pytorch", "tanh", "512", "40"]);
    assert_eq!(block.variants[2].settings, [("activation".to_string(), "{name: leaky_relu, slope: 0.1}".to_string())]);
    assert_eq!(experiment.trials().len(), 10);
}

#[test]
fn equal_values_are_one_however_they_are_written() {
    let text = concat!(
        "blocks:\n  - id: g\n    mode: grid\n    axes: {optimizer.lr: [1e-3, 0.0010, 1.0e-5], batch_size: [4, 08]}\n",
        "    exclude: [{optimizer.lr: 0.00001, batch_size: 8, model.channels: [6, 16.0]}]\n",
        "    include: [{optimizer.lr: +.001, batch_size: 16}, {optimizer.lr: 1E-7, batch_size: 4}, {model.channels: [6, 17]}]\n",
        "  - id: a\n    base: {optimizer: {name: adam}}\n",
        "    axes: {activation: [{name: relu}, relu], optimizer.betas: [[0.90, 0.999], [8e-1, 0.999]]}\n",
    );
    let blocks = with(text).blocks;
    let values: Vec<String> = blocks[0].variants.iter().map(|variant| variant.values.join(" ")).collect();
    let wanted =
        ["0.01 64", "0.001 4", "0.001 8", "0.00001 4", "0.001 16", "1e-7 4"].map(|cell| format!("{cell} [6, 16]"));
    assert_eq!((&values[..6], values[6..].concat()), (&wanted[..], "0.01 64 [6, 17]".to_string()));
    assert_eq!(labels(&blocks[0])[1..3], ["lr=0.001 · batch_size=4", "lr=0.001 · batch_size=8"]);
    assert_eq!(labels(&blocks[1]), ["base", "relu", "betas=[0.8, 0.999]"]);
    assert_eq!(blocks[1].variants[1].settings, [("activation".to_string(), "relu".to_string())]);
    // Also from the command line.
    let set = |rate: &str| {
        let set = vec![format!("optimizer.lr={rate}")];
        Experiment::parse("x.yaml", &format!("{HEAD}{text}"), &Overrides { set, ..Overrides::default() }).unwrap()
    };
    assert_eq!(set("2E-2").blocks[0].variants[0].values[0], "0.02");
    assert_eq!(set("2E-2"), set("0.020"));
}

#[test]
fn a_grid_makes_every_combination_then_excludes_and_includes() {
    let experiment = with(concat!(
        "blocks:\n  - id: g\n    mode: grid\n    axes:\n      optimizer: [{name: sgd, lr: 1e-2}, {name: adam, lr: 0.001}, rmsprop]\n",
        "    zip: [{batch_size: [4, 64], epochs: [10, 20]}]\n",
        "    exclude: [{optimizer.name: rmsprop, batch_size: 4}]\n    include: [{optimizer: {name: adam, lr: 0.0003}, batch_size: 128}]\n",
    ));
    let block = &experiment.blocks[0];
    let wanted = [
        "base",
        "sgd, lr 0.01 · batch_size=4 · epochs=10",
        "adam, lr 0.001 · batch_size=4 · epochs=10",
        "adam, lr 0.001 · batch_size=64 · epochs=20",
        "rmsprop · batch_size=64 · epochs=20",
        "adam, lr 0.0003 · batch_size=128",
    ];
    assert_eq!(labels(block), wanted);
    // The base stands where the grid's equal cell was written.
    assert_eq!(block.variants[0].values, ["{name: sgd, lr: 0.01}", "64", "20"]);
    assert_eq!(block.variants[5].values, ["{name: adam, lr: 0.0003}", "128", "20"]);
}

#[test]
fn excludes_match_in_every_notation() {
    for pattern in [
        "optimizer: adam",
        "optimizer.name: adam",
        "optimizer: {name: adam}",
        "optimizer: {lr: 1e-3}",
        "optimizer.lr: 0.0010",
    ] {
        let experiment = with(&format!(
            "blocks:\n  - id: g\n    axes: {{optimizer: [{{name: adam, lr: 0.001}}, rmsprop]}}\n    exclude: [{{{pattern}}}]\n"
        ));
        assert_eq!(labels(&experiment.blocks[0]), ["base", "rmsprop"], "{pattern}");
    }
    // Also by what is left to its default.
    for (axis, pattern) in [
        ("optimizer: [adam, rmsprop]", "optimizer.lr: 0.001, optimizer.name: adam"),
        ("optimizer: [{name: adam, lr: 0.001}, rmsprop]", "optimizer.amsgrad: false"),
    ] {
        let experiment = with(&format!("blocks:\n  - id: g\n    axes: {{{axis}}}\n    exclude: [{{{pattern}}}]\n"));
        assert_eq!(labels(&experiment.blocks[0]), ["base", "rmsprop"], "{pattern}");
    }
    let error = error_with("blocks:\n  - id: g\n    axes: {epochs: [1, 2]}\n    exclude: [{epochs: 1}, {epochs: 3}]\n");
    assert_eq!(error, "x.yaml:10:28: exclude: matches no combination of block `g`");
}

#[test]
fn dotted_keys_change_one_field_and_objects_replace_all() {
    let experiment = with(concat!(
        "  regularization: {l2: 0.1, dropout: 0.5}\nblocks:\n  - id: a\n    base: {optimizer.momentum: 0.9}\n",
        "    axes:\n      optimizer.lr: [0.1]\n      regularization: [{l1: 0.2}]\n      augment.flip: [true]\n      data.train: [100]\n      model.dense: [[120]]\n",
    ));
    let variants = &experiment.blocks[0].variants;
    let sgd = |lr| {
        Optimizer::Sgd(crate::optimizers::Sgd { lr, momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 })
    };
    assert_eq!(variants[0].config.optimizer, sgd(0.01));
    assert_eq!(variants[1].config.optimizer, sgd(0.1));
    assert_eq!(variants[2].config.regularization, Regularization { l1: 0.2, l2: 0.0, on: Kernels::All, dropout: 0.0 });
    assert!(variants[3].config.augment.flip);
    assert_eq!(variants[4].config.data.train, Some(100));
    assert_eq!(variants[5].config.model, lenet5(&[6, 16], &[120]));
    assert_eq!(labels(&experiment.blocks[0])[1..], ["lr=0.1", "l1 0.2", "flip=true", "data.train=100", "dense=[120]"]);
    let values = ["0.01", "{l2: 0.1, dropout: 0.5}", "false", "all", "[120, 84]"];
    assert_eq!(variants[0].values, values);
}

const RATES: &str = "[0.001, 0.01, 0.1, 0.3]";

#[test]
fn each_object_of_an_axis_is_tried_with_each_value_of_its_field() {
    for axes in [
        format!("{{optimizer: [{{name: sgd, momentum: 0.9}}, adam], optimizer.lr: {RATES}}}"),
        // What an object says itself is overridden, and the order of the keys says nothing but which varies faster.
        format!(
            "{{optimizer: [{{name: sgd, lr: 0.5, momentum: 0.9}}, {{name: adam, lr: 0.7}}], optimizer.lr: {RATES}}}"
        ),
    ] {
        let experiment = with(&format!("blocks:\n  - {{id: g, mode: grid, axes: {axes}}}\n"));
        let block = &experiment.blocks[0];
        let cells: Vec<String> = block.variants.iter().map(|variant| variant.values.join(" at ")).collect();
        let sgd = "{name: sgd, momentum: 0.9}";
        let of = |name: &str| ["0.001", "0.01", "0.1", "0.3"].map(|lr| format!("{name} at {lr}")).to_vec();
        assert_eq!(cells, [vec!["sgd at 0.01".to_string()], of(sgd), of("adam")].concat(), "{axes}");
        let wanted = ["sgd, momentum 0.9 · lr=0.001", "sgd, momentum 0.9 · lr=0.01"];
        assert_eq!(labels(block)[1..3], wanted);
        assert_eq!(labels(block)[8], "adam · lr=0.3");
        assert_eq!(block.variants[8].config.optimizer.rule().common().lr, 0.3);
        assert_eq!(block.variants[1].settings[0], ("optimizer".to_string(), sgd.to_string()));
        assert_eq!(experiment.trials().len(), 2 * 9);
    }
    let turned =
        with(&format!("blocks:\n  - {{id: g, mode: grid, axes: {{optimizer.lr: {RATES}, optimizer: [adam]}}}}\n"));
    assert_eq!(labels(&turned.blocks[0])[1..3], ["lr=0.001 · adam", "lr=0.01 · adam"]);
}

#[test]
fn null_leaves_a_field_out_where_an_object_has_none() {
    let zip = with(concat!(
        "blocks:\n  - id: g\n    mode: grid\n    axes: {optimizer.lr: [0.1, 0.2]}\n",
        "    zip: [{optimizer: [sgd, adam, {name: sgd, momentum: 0.5}], optimizer.momentum: [0.9, null, null]}]\n",
    ));
    let wanted = ["lr=0.1 · sgd · momentum=0.9", "lr=0.1 · adam", "lr=0.1 · sgd · momentum=0"];
    assert_eq!(labels(&zip.blocks[0])[1..4], wanted);
    assert_eq!(zip.blocks[0].variants[2].values, ["0.1", "adam", "none"]);
    assert_eq!(zip.blocks[0].variants[3].values, ["0.1", "sgd", "0"]);

    let grid =
        "blocks:\n  - id: g\n    mode: grid\n    axes: {optimizer: [sgd, adam], optimizer.momentum: [null, 0.9]}\n";
    let said = error_with(grid);
    let wanted = "x.yaml:10:36: optimizer.momentum: adam has no such option; valid: lr, betas, eps, weight_decay, amsgrad; `null` leaves it \
                  out: `zip` both, or `exclude` this combination (block `g`, adam · momentum=0.9)";
    assert_eq!(said, wanted);
    let excluded = |pattern: &str| with(&format!("{grid}    exclude: [{{{pattern}}}]\n"));
    let without = excluded("optimizer: adam, optimizer.momentum: 0.9");
    assert_eq!(labels(&without.blocks[0])[1..], ["sgd · momentum=0", "sgd · momentum=0.9", "adam"]);
    let null = excluded("optimizer: adam, optimizer.momentum: 0.9}, {optimizer: adam, optimizer.momentum: null");
    assert_eq!(labels(&null.blocks[0])[1..], ["sgd · momentum=0", "sgd · momentum=0.9"]);

    let said = error_with("blocks:\n  - id: g\n    axes: {optimizer.momentm: [null]}\n");
    assert_starts(&said, "x.yaml:9:12: optimizer.momentm: there is no such key; valid: lr, momentum, dampening");
    assert!(said.contains("did you mean `momentum`?"), "{said}");
    assert_starts(
        &error_with("blocks:\n  - id: g\n    axes: {init: [null]}\n"),
        "x.yaml:9:19: init: there is no `null`",
    );
    let option = set(&["optimizer.lr=null"]).unwrap().base;
    assert_eq!(option.optimizer.rule().common().lr, 0.001);
}

#[test]
fn what_is_tuned_may_be_an_object_with_its_fields() {
    let tune = "tune: {axes: {optimizer: [sgd, adam], optimizer.lr: [0.1, 0.2]}}\n";
    let labels: Vec<String> = with(tune).candidates.into_iter().map(|candidate| candidate.label).collect();
    assert_eq!(labels, ["sgd · lr=0.1", "sgd · lr=0.2", "adam · lr=0.1", "adam · lr=0.2"]);
    assert_eq!(with(tune).candidates[3].values, ["adam", "0.2"]);
}

#[test]
fn blocks_that_contradict_themselves_are_refused() {
    let block = |lines: &str| error_with(&format!("blocks:\n  - id: a\n{lines}"));
    let cases = [
        (
            "    axes: {init: keras}\n",
            "x.yaml:9:18: blocks[0].axes.init: expected a list, found `keras`; one value is written `[keras]`",
        ),
        ("    axes: {init: []}\n", "x.yaml:9:18: blocks[0].axes.init: expected at least 1 value, found 0"),
        ("    axes: {seeds: [1]}\n", "x.yaml:9:12: seeds: cannot be set here; it goes beside `base`"),
        (
            "    axes: {epochs: [1, 0]}\n",
            "x.yaml:9:24: epochs: expected a whole number from 1 to 10000, found `0` (block `a`, epochs=0)",
        ),
        ("    axes: {optimizer.betas: [[0, 0]]}\n", "x.yaml:9:12: optimizer.betas: sgd has no such option"),
        (
            "    zip: [{epochs: [1, 2],\n      batch_size: [1]}]\n",
            "x.yaml:10:19: blocks[0].zip[0].batch_size: 1 values, but epochs has 2",
        ),
        (
            "    axes: {epochs: [1]}\n    zip: [{epochs: [2]}]\n",
            "x.yaml:10:12: epochs: already set in line 9, column 12",
        ),
        ("    axes: {epochs: [1], epochs: [2]}\n", "x.yaml:9:25: duplicate key `epochs`"),
        (
            "    include: [{optimizer: adam, optimizer.lr: 1}]\n",
            "x.yaml:9:33: optimizer.lr: optimizer already sets it in line 9, column 16; write it in there",
        ),
        ("    exclude: [{}]\n", "x.yaml:9:15: blocks[0].exclude[0]: expected 1 to 64 keys, found 0"),
        (
            "    mode: gird\n",
            "x.yaml:9:11: blocks[0].mode: there is no `gird`; valid: ablate, grid, random; did you mean `grid`?",
        ),
        (
            "    axis: {}\n",
            "x.yaml:9:5: blocks[0].axis: there is no such key; valid: id, title, mode, base, samples, seed, axes, zip, exclude, include; did you mean `axes`?",
        ),
        ("  - id: a\n", "x.yaml:9:5: blocks[1]: the id `a` is there twice"),
        ("  - id: A B\n", "x.yaml:9:9: blocks[1].id: expected 1 to 64 of"),
    ];
    for (lines, wanted) in cases {
        assert_starts(&block(lines), wanted);
    }
    // One at a time, the two cannot meet.
    with("blocks:\n  - id: a\n    axes: {optimizer.lr: [1], optimizer: [adam]}\n");
}

#[test]
fn an_experiment_has_one_data_set() {
    let error = error_with("blocks:\n  - id: g\n    axes: {data.dataset: [synthetic]}\n    base: {data.val: 500}\n");
    assert!(error.starts_with("x.yaml:8:5: blocks[0]: block `g` has another data set than the base"), "{error}");
}
