//! Keys: what each takes, what it is by default, what a bad one is told.

use super::*;
use crate::options::{Fallback, Key, Takes, Variant};

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
    let sgd = Optimizer::Sgd(crate::optimizers::Sgd {
        lr: 0.01,
        momentum: 0.0,
        dampening: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    });
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
    assert_eq!(keys, [Kind::Number, Kind::Flag, Kind::List, Kind::Text].map(Some));
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
        ("batch_size: 0", "7:15: batch_size: expected a whole number from 1 to 2147483647, found `0`"),
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
        ("clip: {}", "7:9: clip: expected none, {norm: 0.1} or {value: 0.1}"),
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
        assert_among(&error_of(text), wanted);
    }
    assert_starts(&error_with("sedes: [1]\n"), "x.yaml:7:1: sedes: there is no such key; valid: schema, name,");
    assert_starts(&error_with("  data: {val: 1}\n"), "x.yaml:7:3: data: cannot be set here; it goes beside `base`");
    assert_starts(&error_with("targets: [0.5, 1.0]\n"), "x.yaml:7:16: targets[1]: expected a finite number above 0");
}

#[test]
fn a_short_form_takes_fields() {
    let base = set(&["optimizer=adam", "optimizer.lr=0.5", "augment.crop=4", "clip.value=2"]).unwrap().base;
    assert_eq!(
        base.optimizer,
        Optimizer::Adam(crate::optimizers::Adam {
            lr: 0.5,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false
        })
    );
    assert_eq!((base.augment.crop, base.clip), (4, Clip::Value(2.0)));
}

#[test]
fn one_cycle_needs_steps_to_rise_in() {
    let error = error_with(
        "blocks:\n  - id: g\n    base: {data.train: 100, batch_size: 100, epochs: 3}\n    axes: {schedule: [one_cycle]}\n",
    );
    assert!(error.starts_with("x.yaml:10:"), "{error}");
    assert!(error.contains("schedule: one_cycle needs more than one step before its peak"), "{error}");
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
    // A block's base has the value that is not written.
    let only = with("blocks: [{id: a, axes: {pool: [max]}}]\n");
    assert_eq!(only.blocks[0].variants.iter().map(|variant| &variant.values[0]).collect::<Vec<_>>(), ["avg", "max"]);
    // exclude knows the value that is not written.
    let grid = "blocks:\n  - id: a\n    mode: grid\n    axes: {init: [keras, pytorch], pool: [avg, max]}\n    exclude: [{init: keras, pool: avg}]\n";
    assert_eq!(with(grid).blocks[0].variants.len(), 3);
    assert_starts(&error_with("  pool: mean\n"), "x.yaml:7:9: pool: there is no `mean`; valid: avg, max");
}

/// A value that `takes` has.
fn example(takes: Takes) -> String {
    match takes {
        Takes::Integer(..) => "20".to_string(),
        Takes::Number(_) => "0.5".to_string(),
        Takes::List(of, ..) => format!("[{}]", example(*of)),
        Takes::Object(keys) => format!("{{{}}}", required(keys)),
        other => panic!("no example of {other:?}"),
    }
}

fn required(keys: &[Key]) -> String {
    let keys = keys.iter().filter(|key| matches!(key.default, Fallback::Required));
    keys.map(|key| format!("{}: {}", key.name, example(key.takes))).collect::<Vec<_>>().join(", ")
}

/// Everything that may be named at a key and under it, each as an option of the command line.
fn named(path: &str, key: &Key) -> Vec<String> {
    match key.takes {
        Takes::Choice(names) => names.iter().map(|name| format!("{path}={name}")).collect(),
        Takes::Named(variants) => {
            let option = |variant: &Variant| format!("{path}={{name: {}, {}}}", variant.name, required(variant.keys));
            variants.iter().filter(|variant| !variant.is_own).map(option).collect()
        }
        Takes::Object(keys) => keys.iter().flat_map(|key| named(&format!("{path}.{}", key.name), key)).collect(),
        _ => vec![],
    }
}

#[test]
fn the_program_knows_every_name_in_the_tables_of_keys() {
    let all = keys::BASE.iter().chain(keys::BESIDE).flat_map(|key| named(key.name, key));
    let options: Vec<String> = all.filter(|option| !option.starts_with("select.goal")).collect();
    assert!(options.len() > 40, "{options:?}");
    for option in &options {
        assert!(set(&["model=keras_cnn", option]).is_ok(), "{option}");
    }
}
