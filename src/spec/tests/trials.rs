//! The trials that an experiment asks for, their ids, and what is stored of them.

use super::*;

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
    assert_eq!(error, "--only d: there is no such block or trial; blocks: a, b, c; `--plan` shows the trials");
}

#[test]
fn without_blocks_the_base_is_the_experiment() {
    let trials = with("").trials();
    assert_eq!(trials.len(), 2);
    let own = with("").base;
    assert!(trials.iter().all(|trial| trial.config == own && trial.blocks.is_empty()));
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
    let (_folder, paths) = experiments();
    for path in &paths {
        let experiment = Experiment::load(path, &Overrides::default()).unwrap();
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
    assert_starts(
        &batch,
        "the stored configuration: batch_size: expected a whole number from 1 to 2147483647, found `0`",
    );
    let val = refused(|config| config.data.val = 60_000);
    let wanted = "60000 for validation and at least one to train on are more than the 50000 training images of cifar10";
    assert_eq!(val, format!("the stored configuration: data.val: {wanted}"));
}

#[test]
fn the_command_line_changes_the_base() {
    let experiment = set(&["epochs=2", "optimizer.lr=0.5", "seeds=[7]", "targets=[0.3]", "data.val=100"]).unwrap();
    assert_eq!((experiment.base.epochs, experiment.base.data.val), (2, 100));
    assert_eq!((experiment.seeds, experiment.targets), (vec![7], vec![0.3]));

    let overrides =
        Overrides { dataset: Some("synthetic".to_owned()), mode: Mode::Fast, seed: Some(9), ..Overrides::default() };
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

/// A key that came later is not stored where it has its default.
#[test]
fn what_a_stored_form_leaves_out_has_its_default_in_its_place() {
    let whole = label::resolved(&defaults("keras_cnn").unwrap());
    let mut stored = whole.clone();
    let mut leave_out = |place: &str, key: &str| {
        let object = stored.pointer_mut(place).unwrap().as_object_mut().unwrap();
        assert!(object.shift_remove(key).is_some());
    };
    leave_out("", "label_smoothing");
    leave_out("", "clip");
    leave_out("/augment", "crop");
    leave_out("/optimizer", "momentum");
    leave_out("/model", "channels");
    for keys in [keys::BESIDE, keys::BASE] {
        label::complete(&mut stored, crate::options::Takes::Object(keys));
    }
    assert_eq!(stored.to_string(), whole.to_string());
}
