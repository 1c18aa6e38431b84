//! What a file means, and what every bad one is told.

use std::time::Duration;

use super::config::*;
use super::*;
use crate::networks;

/// Line 1 to 6 of every experiment below.
const HEAD: &str = "schema: 1\nname: t\nseeds: [0, 1]\nbase:\n  model: lenet5\n  optimizer: {name: sgd, lr: 0.01}\n";

fn parse(text: &str) -> Result<Experiment> {
    Experiment::parse("x.yaml", text, &Overrides::default())
}

/// An experiment with more lines of `base` and of the top level.
fn with(rest: &str) -> Experiment {
    parse(&format!("{HEAD}{rest}")).unwrap_or_else(|error| panic!("{error}"))
}

fn error_with(rest: &str) -> String {
    error_of(&format!("{HEAD}{rest}"))
}

fn error_of(text: &str) -> String {
    parse(text).expect_err("should be refused").to_string()
}

fn set(options: &[&str]) -> Result<Experiment> {
    let set = options.iter().map(|option| option.to_string()).collect();
    Experiment::parse("x.yaml", HEAD, &Overrides { set, ..Overrides::default() })
}

fn lenet5(channels: &[i64], dense: &[i64]) -> Model {
    serde_json::from_value(serde_json::json!({"name": "lenet5", "channels": channels, "dense": dense})).unwrap()
}

fn labels(block: &Block) -> Vec<&str> {
    block.variants.iter().map(|variant| variant.label.as_str()).collect()
}

/// `0.001, 0.002, 0.003, ...`
fn numbers(count: usize) -> String {
    (1..=count).map(|i| format!("0.{i:03}")).collect::<Vec<_>>().join(", ")
}

/// What this thread has computed so far; other programs' work does not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[track_caller]
fn assert_starts(error: &str, wanted: &str) {
    assert!(error.starts_with(wanted), "got    {error}\nwanted {wanted}");
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = with("").base;
    assert_eq!(
        config.data,
        Data { dataset: DatasetName::Cifar10, train: None, val: 5000, split_seed: 0, scale: Scale::Unit }
    );
    assert_eq!(config.activation, Activation::Tanh);
    assert_eq!((config.epochs, config.batch_size, config.init), (20, 64, Init::Pytorch));
    assert_eq!(config.model, lenet5(&[6, 16], &[120, 84]));
    assert_eq!((config.clip, config.warmup, config.schedule), (Clip::None, None, Schedule::Constant));
    let sgd = Optimizer::Sgd { lr: 0.01, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
    assert_eq!(config.optimizer, sgd);
    assert_eq!(with("").targets, [0.4, 0.5, 0.6]);
}

#[test]
fn dropout_and_activation_default_to_the_architectures_own() {
    let own = |model: &str| {
        let base = set(&[&format!("model={model}")]).unwrap().base;
        (base.activation, base.regularization.dropout)
    };
    assert_eq!(own("lenet5"), (Activation::Tanh, 0.0));
    assert_eq!(own("lenet5_dropout"), (Activation::Relu, 0.2));
    assert_eq!(own("keras_cnn"), (Activation::Relu, 0.25));
    assert_eq!(own("leaky_cnn"), (Activation::Relu, 0.0));
    assert_eq!(own("resnet"), (Activation::Relu, 0.3));
    assert_eq!(own("{name: resnet, dense: []}"), (Activation::Relu, 0.0));
}

#[test]
fn every_key_in_its_long_form() {
    let config = with(concat!(
        "  activation: {name: leaky_relu, slope: 0.2}\n  init: keras\n  epochs: 35\n  batch_size: 4\n",
        "  schedule: {name: staged, stages: [{epochs: 20, lr: 3e-4}, {epochs: 15, lr: 1e-4}]}\n",
        "  regularization: {l1: 1e-5, l2: 1e-4, on: conv, dropout: 0.5}\n",
        "  augment: {flip: true, rotation: 15, shift: 0.1, crop: 4, cutout: 8}\n",
        "  label_smoothing: 0.1\n  clip: {norm: 1}\n  early_stopping: {patience: 3, min_delta: 0.001}\n  warmup: none\n",
        "data: {train: 1000, val: 500, split_seed: 7, scale: standardize}\nselect: {metric: val_accuracy, goal: max}\n",
    ))
    .base;
    assert_eq!(config.activation, Activation::LeakyRelu { slope: 0.2 });
    assert_eq!(config.clip, Clip::Norm(1.0));
    assert_eq!(config.early_stopping, Some(EarlyStopping { patience: 3, min_delta: 0.001 }));
    assert_eq!(config.augment, Augment { flip: true, rotation: 15.0, shift: 0.1, crop: 4, cutout: 8 });
    assert_eq!((config.data.train, config.select), (Some(1000), Select::ValAccuracy));
    let columns = flatten(&config);
    let column = |key: &str| columns.iter().find(|(name, _)| name == key).map(|(_, cell)| cell.text.as_str());
    assert_eq!(column("schedule.stages"), Some("20:0.0003 15:0.0001"));
    assert_eq!(column("model.channels"), Some("6 16"));
    assert_eq!(column("regularization.l1"), Some("1e-5"));
    assert_eq!(column("augment.rotation"), Some("15"));
    assert_eq!(column("clip.norm"), Some("1"));
    assert_eq!(column("warmup"), Some("none"));
    assert_eq!(columns[0], ("mode".to_string(), Cell::text("exact")));
    let kind = |key: &str| columns.iter().find(|(name, _)| name == key).map(|(_, cell)| cell.kind);
    let keys = ["augment.crop", "augment.flip", "model.channels", "warmup"].map(kind);
    assert_eq!(keys, [Kind::Number, Kind::Flag, Kind::Text, Kind::Text].map(Some));
}

#[test]
fn values_that_are_not_what_they_seem() {
    let cases = [
        ("epochs: 1.5", "7:11: epochs: expected a whole number from 1 to 10000, found `1.5`"),
        ("epochs: 1e3", "7:11: epochs: expected a whole number from 1 to 10000, found `1e3`"),
        ("epochs: 0", "7:11: epochs: expected a whole number from 1 to 10000, found `0`"),
        ("epochs: -1", "7:11: epochs: expected a whole number"),
        ("epochs: 99999999999999999999", "7:11: epochs: expected a whole number"),
        ("epochs: \"5\"", "7:11: epochs: expected a whole number from 1 to 10000, found `\"5\"`"),
        ("epochs:", "7:9: epochs: expected a whole number from 1 to 10000, found nothing"),
        ("batch_size: 0", "7:15: batch_size: expected a whole number from 1 to 50000, found `0`"),
        ("batch_size: 45001", "7:15: batch_size: 45001 is more than the 45000 images there are to train on"),
        ("label_smoothing: 0,1", "7:20: label_smoothing: expected a finite number at least 0 and below 1, found `0,1`"),
        ("label_smoothing: .nan", "7:20: label_smoothing: expected a finite number"),
        ("label_smoothing: nan", "7:20: label_smoothing: expected a finite number"),
        (
            "label_smoothing: 0.1000000000000000000000000000000000000000000000000000000000000000",
            "7:20: label_smoothing: more than 64 characters",
        ),
        ("label_smoothing: 1e999", "7:20: label_smoothing: expected a finite number"),
        ("label_smoothing: 1", "7:20: label_smoothing: expected a finite number at least 0 and below 1, found `1`"),
        ("augment: {flip: no}", "7:19: augment.flip: expected true or false, found `no`"),
        ("augment: yes", "7:12: augment: expected none or an object"),
        ("init: glorot", "7:9: init: there is no `glorot`; valid: pytorch, xavier_uniform"),
        ("init: xavier_unifrom", "7:9: init: there is no `xavier_unifrom`; valid: pytorch"),
        (
            "clip: {norm: 0}",
            "7:16: clip.norm: expected a finite number above 0 and at most 3.4028234663852886e38, found `0`",
        ),
        (
            "clip: {norm: 1e39}",
            "7:16: clip.norm: expected a finite number above 0 and at most 3.4028234663852886e38, found `1e39`",
        ),
        (
            "warmup: {epochs: 1, start_factor: 1e-310}",
            "7:37: warmup.start_factor: expected a finite number at least 1.1754943508222875e-38 and below 1, found `1e-310`",
        ),
        ("clip: {norm: 1, value: 1}", "7:9: clip: norm and value exclude each other"),
        ("clip: {}", "7:9: clip: expected none, {norm: x} or {value: x}"),
        ("clip: {nrm: 1}", "7:10: clip.nrm: there is no such key; valid: norm, value; did you mean `norm`?"),
    ];
    for (line, wanted) in cases {
        assert_starts(&error_with(&format!("  {line}\n")), &format!("x.yaml:{wanted}"));
    }
    assert!(error_with("  init: xavier_unifrom\n").ends_with("did you mean `xavier_uniform`?"));
}

#[test]
fn options_that_do_not_fit_are_named() {
    let cases = [
        (
            "optimizer={name: adam, momentum: 0.9}",
            "optimizer.momentum: adam has no such option; valid: lr, betas, eps, weight_decay, amsgrad",
        ),
        (
            "optimizer={name: adam, lrr: 0.9}",
            "optimizer.lrr: adam has no such option; valid: lr, betas, eps, weight_decay, amsgrad; did you mean `lr`?",
        ),
        (
            "optimizer=adma",
            "optimizer: there is no `adma`; valid: sgd, adam, adamw, rmsprop, adagrad; did you mean `adam`?",
        ),
        ("optimizer={lr: 1}", "optimizer.name: this key is missing"),
        ("optimizer={name: adam, betas: [0.9]}", "optimizer.betas: expected a list of 2 values, found 1"),
        (
            "optimizer={name: adam, betas: [0.9, 1]}",
            "optimizer.betas[1]: expected a finite number at least 0 and below 1",
        ),
        ("optimizer={name: sgd, nesterov: true}", "optimizer.nesterov: needs a momentum above 0 and dampening 0"),
        ("optimizer={name: sgd, momentum: 0.9, dampening: 0.1, nesterov: true}", "optimizer.nesterov: needs"),
        ("optimizer={name: sgd, dampening: 0.1}", "optimizer.dampening: does nothing without momentum"),
        ("optimizer={name: adam, lr: 1e38}", "optimizer: its first step is its rate / (1 - 0.9) = "),
        ("activation={name: tanh, slope: 0.1}", "activation.slope: tanh has no such option; it has none"),
        ("schedule=step", "schedule.every: this key is missing"),
        ("schedule={name: staged, stages: [{epochs: 5, lr: 0.1}]}", "schedule: its stages cover 5 of 20 epochs"),
        ("warmup={epochs: 20}", "warmup: 20 warm-up epochs leave none of 20 epochs"),
        ("model={name: lenet5, channels: [6, 16, 32]}", "model.channels: expected a list of 1 to 2 values, found 3"),
        ("model={name: keras_cnn, channels: [6]}", "model.channels: expected a list of 3 values, found 1"),
        ("model={name: leaky_cnn, convs_per_block: 5}", "model.convs_per_block: expected a whole number from 1 to 4"),
        ("model={name: lenet5, channels: [0]}", "model.channels[0]: expected a whole number from 1 to 4096"),
        (
            "model={name: lenet5, dense: [1, 1, 1, 1, 1, 1, 1]}",
            "model.dense: expected a list of 0 to 6 values, found 7",
        ),
        ("regularization={l2: 0.1, on: conv3x3}", "regularization.on: this model has no 3x3 kernel"),
        ("select={metric: val_loss, goal: max}", "select.goal: val_loss is to be min"),
        ("data={val: 50000}", "data.val: 50000 for validation and at least one to train on are more than the 50000"),
        ("data={train: 45001}", "data.train: 45001 to train on and 5000 for validation are more than"),
        ("epochs.x=1", "epochs.x: epochs is one value and has no fields"),
        ("name=x", "name: cannot be set here; valid: model, activation"),
        ("clip=", "there is nothing in it"),
        ("clip", "expected KEY=VALUE"),
        ("seeds=[1, 1]", "seeds[1]: 1 is there twice"),
        ("seeds=[4294967296]", "seeds[0]: expected a whole number from 0 to 4294967295"),
        ("targets=[0.5, 0.4]", "targets[1]: expected ascending accuracies"),
    ];
    for (option, wanted) in cases {
        let error = set(&[option]).expect_err(option).to_string();
        assert_starts(&error, &format!("--set {option}: {wanted}"));
    }
    let error = set(&["warmup={epochs: 2}", "schedule=plateau"]).unwrap_err().to_string();
    assert_starts(&error, "--set warmup={epochs: 2}: warmup: only goes with the schedules constant, step");
    let error = set(&["model={name: lenet5, dense: []}", "regularization.dropout=0.1"]).unwrap_err().to_string();
    assert_starts(&error, "--set regularization.dropout=0.1: regularization.dropout: follows hidden dense layers");
}

#[test]
fn the_top_level_is_checked() {
    let cases = [
        ("schema: 2\n", "x.yaml:1:9: schema: expected 1, the only schema there is, found `2`"),
        ("name: t\n", "x.yaml:1:1: schema: this key is missing"),
        ("shema: 1\n", "x.yaml:1:1: shema: there is no such key; did you mean `schema`?"),
        ("schema: 1\nname: ../../x\n", "x.yaml:2:7: name: expected 1 to 64 of a-z, 0-9, _ and -, found `../../x`"),
        ("schema: 1\nname: X\n", "x.yaml:2:7: name: expected 1 to 64"),
        ("schema: 1\nname: t\n", "x.yaml:1:1: base: this key is missing"),
        ("schema: 1\nname: t\nbase: {model: lenet5}\n", "x.yaml:3:7: optimizer: this key is missing"),
        ("[1]", "x.yaml:1:1: expected an object {key: value, ...}, found `[1]`"),
        ("", "x.yaml:1:1: there is nothing in it"),
    ];
    for (text, wanted) in cases {
        assert_starts(&error_of(text), wanted);
    }
    assert_starts(&error_with("sedes: [1]\n"), "x.yaml:7:1: sedes: there is no such key; valid: schema, name,");
    assert_starts(&error_with("  data: {val: 1}\n"), "x.yaml:7:3: data: cannot be set here; valid: model");
    assert_starts(&error_with("targets: [0.5, 1.0]\n"), "x.yaml:7:16: targets[1]: expected a finite number above 0");
}

#[test]
fn yaml_beyond_the_plain_core_is_refused() {
    let cases = [
        ("a: &x 1", "x.yaml:1:4: anchors"),
        ("a: &x {b: 1}", "x.yaml:1:4: anchors"),
        ("a: 1\nb: *x", "x.yaml:2:4: "),
        ("a: !!int 1", "x.yaml:1:4: tags"),
        ("<<: {a: 1}", "x.yaml:1:1: merge keys"),
        ("1: a", "x.yaml:1:1: expected a name as key, found `1`"),
        ("true: a", "x.yaml:1:1: expected a name as key"),
        ("[a]: b", "x.yaml:1:1: expected a name as key, found `[a]`"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: duplicate key `a`; it is already in line 1"),
        ("{a: {b: 1, b: 2}}", "x.yaml:1:12: duplicate key `b`"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document"),
        ("a: [1, 2", "x.yaml:2:1: not valid YAML"),
        ("a: \"b", "x.yaml:1:4: not valid YAML"),
        ("a: b: c", "x.yaml:1:5: not valid YAML"),
    ];
    for (text, wanted) in cases {
        assert_starts(&error_of(text), wanted);
    }
    assert_starts(&error_of(&"[".repeat(20)), "x.yaml:1:18: nested more than 16 deep");
    assert_starts(&error_of(&"- ".repeat(20)), "x.yaml:1:35: nested more than 16 deep");
    assert_starts(&error_of(&"- a\n".repeat(200_000)), "x.yaml:100000:3: more than 100000 values in one file");
}

#[test]
fn hostile_files_are_refused_within_a_second() {
    let megabyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let grid = |axis: &str, exclude: &str| {
        format!(
            "{HEAD}blocks:\n  - id: a\n    mode: grid\n    axes: {{optimizer.lr: [{}], label_smoothing: [{}], {axis}}}\n    exclude: [{exclude}]\n",
            numbers(99),
            numbers(100)
        )
    };
    let pattern = "{model: lenet5, optimizer.name: sgd, optimizer.lr: 0.001, model.name: lenet5, optimizer: sgd, label_smoothing: 0.9}";
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n".to_string();
    let texts = [
        bomb,
        megabyte("["),
        megabyte("{a: "),
        megabyte("- "),
        megabyte("? "),
        megabyte("a: \n "),
        megabyte("[]: "),
        megabyte("a,"),
        megabyte("- a\n"),
        megabyte("\"\\"),
        megabyte("#"),
        megabyte("%"),
        megabyte("\t"),
        megabyte("&a "),
        megabyte("!a "),
        megabyte("---\n"),
        format!("[{}", megabyte("a,")),
        format!("{{{}", megabyte("a: 1,")),
        format!("{}{}", "[".repeat(200), megabyte("a,")),
        format!("schema: 1\nname: {}", "a".repeat(1 << 19)),
        format!("{HEAD}  {}: 1\n", "optimizer".to_string() + &".x".repeat(1 << 18)),
        format!("{HEAD}  init: |\n{}", "    a\n".repeat(100_000)),
        "\u{0}".repeat(1000),
        "x".repeat(2 << 20),
        // Each of 9,900 labels would repeat the digits.
        grid(&format!("optimizer.weight_decay: [0.{}]", "1".repeat(1 << 19)), ""),
        // All of a pattern's keys agree but the last.
        grid("", &vec![pattern; 200].join(", ")),
        grid("", &vec![pattern; 1000].join(", ")),
    ];
    for text in texts {
        let start = processor_time();
        let error = error_of(&text);
        let head: String = text.chars().take(20).collect();
        let (limit, taken) = (if cfg!(debug_assertions) { 10 } else { 1 }, processor_time() - start);
        assert!(taken < Duration::from_secs(limit), "{head:?} took {taken:?}");
        assert!(error.len() < 1000, "{head:?}: an error of {} bytes", error.len());
    }
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = std::env::temp_dir().join(format!("runner-spec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x.yaml");
    let load = || Experiment::load(&path, &Overrides::default()).unwrap_err().to_string();
    let name = path.display().to_string();
    assert_starts(&load(), &format!("{name}: No such file"));
    std::fs::write(&path, b"schema: 1\nname: \xff\n").unwrap();
    assert_eq!(load(), format!("{name}:2:7: byte 16 is not UTF-8 text"));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    assert_starts(&load(), &format!("{name}: longer than 1048576 bytes"));
    std::fs::remove_dir_all(folder).unwrap();
}

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
    let sgd = |lr| Optimizer::Sgd { lr, momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
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

#[test]
fn a_short_form_takes_fields() {
    let base = set(&["optimizer=adam", "optimizer.lr=0.5", "augment.crop=4", "clip.value=2"]).unwrap().base;
    assert_eq!(
        base.optimizer,
        Optimizer::Adam { lr: 0.5, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    );
    assert_eq!((base.augment.crop, base.clip), (4, Clip::Value(2.0)));
}

#[test]
fn blocks_that_contradict_themselves_are_refused() {
    let block = |lines: &str| error_with(&format!("blocks:\n  - id: a\n{lines}"));
    let cases = [
        ("    axes: {init: keras}\n", "x.yaml:9:18: blocks[0].axes.init: expected a list, found `keras`"),
        ("    axes: {init: []}\n", "x.yaml:9:18: blocks[0].axes.init: expected a list of 1 to"),
        ("    axes: {seeds: [1]}\n", "x.yaml:9:12: seeds: cannot be set here; valid: model"),
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
            "    mode: grid\n    axes: {optimizer.lr: [1], optimizer: [adam]}\n",
            "x.yaml:10:12: optimizer.lr: optimizer already sets it in line 10, column 31",
        ),
        ("    include: [{optimizer: adam, optimizer.lr: 1}]\n", "x.yaml:9:33: optimizer.lr: optimizer already sets it"),
        ("    exclude: [{}]\n", "x.yaml:9:15: blocks[0].exclude[0]: expected 1 to 64 keys, found 0"),
        (
            "    mode: gird\n",
            "x.yaml:9:11: blocks[0].mode: there is no `gird`; valid: ablate, grid; did you mean `grid`?",
        ),
        (
            "    axis: {}\n",
            "x.yaml:9:5: blocks[0].axis: there is no such key; valid: id, title, mode, base, axes, zip, exclude, include; did you mean `axes`?",
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
fn too_many_trials_are_refused_before_they_are_made() {
    let ten = "[0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19]";
    let keys = [
        "label_smoothing",
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.weight_decay",
        "regularization.l1",
        "regularization.l2",
        "regularization.dropout",
        "augment.shift",
        "activation.slope",
    ];
    let axes: String = keys.iter().map(|key| format!("      {key}: {ten}\n")).collect();
    let start = processor_time();
    let error = error_with(&format!("blocks:\n  - id: a\n    mode: grid\n    axes:\n{axes}"));
    assert_eq!(error, "x.yaml:8:5: blocks[0]: with block `a` the plan has more than 10000 combinations");
    let seeds: Vec<String> = (0..1000).map(|seed| seed.to_string()).collect();
    let epochs: Vec<String> = (1..=11).map(|epochs| epochs.to_string()).collect();
    let text = format!("{HEAD}blocks:\n  - id: a\n    axes: {{epochs: [{}]}}\n", epochs.join(", "));
    let error = error_of(&text.replace("[0, 1]", &format!("[{}]", seeds.join(", "))));
    assert_eq!(error, "x.yaml:3:8: seeds: 12 configurations make 12000 trials, more than 10000");
    assert!(processor_time() - start < Duration::from_secs(1));
}

#[test]
fn ten_thousand_trials_are_planned_in_seconds() {
    let text = format!(
        "{}blocks:\n  - id: a\n    mode: grid\n    axes: {{optimizer.lr: [{}], label_smoothing: [{}]}}\n",
        HEAD.replace("[0, 1]", "[0]"),
        numbers(99),
        numbers(101)
    );
    let start = processor_time();
    let trials = parse(&text).unwrap().trials();
    assert_eq!(trials.len(), 99 * 101 + 1);
    let (limit, taken) = (if cfg!(debug_assertions) { 15 } else { 1 }, processor_time() - start);
    assert!(taken < Duration::from_secs(limit), "{taken:?}");
}

#[test]
fn blocks_share_their_trials() {
    let experiment = with(concat!(
        "blocks:\n  - id: a\n    axes: {init: [keras]}\n  - id: b\n    axes: {init: [keras, orthogonal]}\n",
        "  - id: c\n    base: {init: keras}\n",
    ));
    let trials = experiment.trials();
    let named: Vec<(String, u64)> = trials.iter().map(|trial| (trial.blocks.join(" "), trial.seed)).collect();
    let wanted = [("a b", 0), ("a b", 1), ("a b c", 0), ("a b c", 1), ("b", 0), ("b", 1)];
    assert_eq!(named, wanted.map(|(blocks, seed)| (blocks.to_string(), seed)));
    let chosen = |selector: &str| experiment.only(&[selector.to_string()]).map(|trials| trials.len());
    assert_eq!(chosen("c"), Ok(2));
    assert_eq!(chosen(&trials[4].id), Ok(1));
    assert_eq!(chosen(&trials[4].id[..6]), Ok(1));
    assert_eq!(experiment.only(&[]).unwrap().len(), 6);
    let error = chosen("d").unwrap_err().to_string();
    assert_eq!(error, "--only d: no block or trial; blocks: valid: a, b, c");
}

#[test]
fn without_blocks_the_base_is_the_experiment() {
    let trials = with("").trials();
    assert_eq!(trials.len(), 2);
    let own = with("").base;
    assert!(trials.iter().all(|trial| trial.config == own && trial.blocks.is_empty()));
}

#[test]
fn an_experiment_has_one_data_set() {
    let error = error_with("blocks:\n  - id: g\n    axes: {data.dataset: [synthetic]}\n    base: {data.val: 500}\n");
    assert!(error.starts_with("x.yaml:8:5: blocks[0]: block `g` has another data set than the base"), "{error}");
}

#[test]
fn one_cycle_needs_steps_to_rise_in() {
    let error = error_with(
        "blocks:\n  - id: g\n    base: {data.train: 100, batch_size: 100, epochs: 3}\n    axes: {schedule: [one_cycle]}\n",
    );
    assert!(error.starts_with("x.yaml:10:"), "{error}");
    assert!(error.contains("schedule: one_cycle needs more than one step before its peak"), "{error}");
}

/// A stored trial is found again by its id, so neither an update of a library nor a new notation may change it.
#[test]
fn ids_are_stable() {
    let base = with("").base;
    assert_eq!(trial_id(&base, 0), "81da5e7f1a99");
    assert_ne!(trial_id(&base, 1), trial_id(&base, 0));
    let same =
        set(&["optimizer={lr: 1e-2, name: sgd, momentum: -0.0}", "model={name: lenet5, dense: [120, 84]}"]).unwrap();
    assert_eq!(trial_id(&same.base, 0), trial_id(&base, 0));
    let stored = serde_json::to_string(&base).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&stored).unwrap(), base);
}

#[test]
fn a_stored_configuration_passes_the_same_checks() {
    let mut configs: Vec<Config> = networks::names().into_iter().map(|model| defaults(model).unwrap()).collect();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments")).unwrap() {
        let experiment = Experiment::load(&entry.unwrap().path(), &Overrides::default()).unwrap();
        configs.extend(experiment.trials().into_iter().map(|trial| trial.config));
    }
    for options in [
        ["clip.norm=1", "warmup={epochs: 2}", "data.train=100"],
        ["select={metric: val_accuracy}", "early_stopping={patience: 3}", "schedule={name: step, every: 2}"],
    ] {
        configs.push(set(&options).unwrap().base);
    }
    for config in &configs {
        assert_eq!(check_stored(config), Ok(()), "{config:?}");
    }
    let refused = |change: fn(&mut Config)| {
        let mut config = defaults("lenet5").unwrap();
        change(&mut config);
        check_stored(&config).expect_err("should be refused").to_string()
    };
    let batch = refused(|config| config.batch_size = 0);
    assert_starts(&batch, "the stored configuration: batch_size: expected a whole number from 1 to 50000, found `0`");
    assert_starts(&refused(|config| config.data.val = 60_000), "the stored configuration: data.val: expected");
}

#[test]
fn the_command_line_changes_the_base() {
    let experiment = set(&["epochs=2", "optimizer.lr=0.5", "seeds=[7]", "targets=[0.3]", "data.val=100"]).unwrap();
    assert_eq!((experiment.base.epochs, experiment.base.data.val), (2, 100));
    assert_eq!((experiment.seeds, experiment.targets), (vec![7], vec![0.3]));

    let overrides =
        Overrides { dataset: Some(DatasetName::Synthetic), mode: Mode::Fast, seed: Some(9), ..Overrides::default() };
    let experiment = Experiment::parse("x.yaml", HEAD, &overrides).unwrap();
    assert_eq!((experiment.base.data.dataset, experiment.base.data.val), (DatasetName::Synthetic, 500));
    assert_eq!((experiment.base.mode, experiment.seeds), (Mode::Fast, vec![9]));

    let text = format!("{HEAD}data: {{dataset: cifar10, val: 5000}}\n");
    let error = Experiment::parse("x.yaml", &text, &overrides).unwrap_err().to_string();
    let wanted = "x.yaml:7:31: data.val: 5000 for validation and at least one to train on are more than the 5000 training \
                  images of synthetic; --dataset synthetic chose it";
    assert_eq!(error, wanted);
    let overrides = Overrides { seed: Some(1 << 40), ..Overrides::default() };
    assert_starts(
        &Experiment::parse("x.yaml", HEAD, &overrides).unwrap_err().to_string(),
        "--seed 1099511627776: expected",
    );
}

#[test]
fn an_input_error_survives_anyhow() {
    let error: anyhow::Error = parse("a").unwrap_err().into();
    assert_eq!(error.downcast_ref::<InputError>().map(|error| (error.line, error.col)), Some((1, 1)));
}

#[test]
fn a_written_default_of_pooling_is_an_absent_one_and_the_other_is_another_configuration() {
    let plain = with("blocks: [{id: a, axes: {pool: [avg, max]}}]\n");
    assert_eq!(labels(&plain.blocks[0]), ["base", "pool=max"]);
    let trial = |text: &str| with(text).trials()[0].id.clone();
    assert_eq!(trial(""), trial("").as_str());
    assert!(!serde_json::to_string(&plain.base).unwrap().contains("pool"));
    let of = |config: &Config| flatten(config).into_iter().find(|(key, _)| key == "pool").unwrap().1.text;
    assert_eq!(plain.blocks[0].variants.iter().map(|variant| of(&variant.config)).collect::<Vec<_>>(), ["avg", "max"]);
    assert_eq!(of(&defaults("keras_cnn").unwrap()), "max");
    // exclude knows the value that is not written.
    let grid = "blocks:\n  - id: a\n    mode: grid\n    axes: {init: [keras, pytorch], pool: [avg, max]}\n    exclude: [{init: keras, pool: avg}]\n";
    assert_eq!(with(grid).blocks[0].variants.len(), 3);
    assert_starts(&error_with("  pool: mean\n"), "x.yaml:7:9: pool: there is no `mean`; valid: avg, max");
}
