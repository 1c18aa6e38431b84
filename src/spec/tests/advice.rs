//! What a mistake is told to write instead.

use super::*;
use crate::options::{Key, Takes};
use crate::spec::keys::{BASE, BESIDE, IN_BLOCKS, ON_TOP};

#[test]
fn a_single_value_in_place_of_a_list_or_an_object_is_shown_how_that_is_written() {
    let cases = [
        ("seeds: 3", "seeds: expected a list of seeds, [0, 1, 2] for three of them, found `3`"),
        ("targets: 0.5", "targets: expected a list, found `0.5`; one value is written `[0.5]`"),
        ("data: cifar10", "data: expected an object such as {dataset: cifar10}, found `cifar10`"),
        ("settle: 10", "settle: expected an object such as {max_seeds: 10}, found `10`"),
    ];
    for (line, wanted) in cases {
        let text = HEAD.replace("seeds: [0, 1]\n", "");
        assert_among(
            &error_of(&format!("{text}{line}\n")),
            &format!("x.yaml:6:{}: {wanted}", line.find(": ").unwrap() + 3),
        );
    }
    let in_base = [
        ("clip: 1.0", "clip: expected none, {norm: 1.0} or {value: 1.0}, found `1.0`"),
        ("clip: high", "clip: expected none, {norm: 0.1} or {value: 0.1}, found `high`"),
        ("warmup: 1", "warmup: expected none or an object such as {epochs: 1}, found `1`"),
        ("early_stopping: [3]", "early_stopping: expected none or an object such as {patience: 5}, found `[3]`"),
        ("augment: true", "augment: expected none or an object such as {flip: true}, found `true`"),
        ("regularization: 0.2", "regularization: expected an object such as {l1: 0.2}, found `0.2`"),
    ];
    for (line, wanted) in in_base {
        let column = line.find(": ").unwrap() + 5;
        assert_eq!(error_with(&format!("  {line}\n")), format!("x.yaml:7:{column}: {wanted}"));
    }
}

/// Every key at once that takes an object: what its error shows is valid.
#[test]
fn the_form_that_an_error_shows_is_one_that_is_accepted() {
    let mut tried = 0;
    for Key { name, takes, .. } in BASE.iter().chain(BESIDE) {
        // The file that `start` shows would have to be there.
        if matches!(takes, Takes::Named(_)) || takes.fields().is_empty() || *name == "start" {
            continue;
        }
        let error = set(&[&format!("{name}=x")]).unwrap_err().to_string();
        let forms: Vec<&str> = error.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert!(!forms.is_empty(), "{error}");
        for form in forms {
            assert!(set(&[&format!("{name}={{{form}}}")]).is_ok(), "{error}");
            tried += 1;
        }
    }
    assert_eq!(tried, 8);
}

#[test]
fn a_known_key_at_the_wrong_place_is_told_the_right_one() {
    let in_base = [
        (
            "dropout: 0.2",
            "dropout: cannot be set here; it is a field of `regularization` in `base`: `regularization: {dropout: ...}`, or `regularization.dropout` for it alone",
        ),
        (
            "weight_decay: 0.1",
            "weight_decay: cannot be set here; it is a field of `optimizer` in `base`: `optimizer: {weight_decay: ...}`",
        ),
        ("lr: 0.1", "lr: cannot be set here; it is a field of `optimizer`"),
        (
            "patience: 3",
            "patience: cannot be set here; it is a field of `schedule` or `early_stopping` in `base`: `schedule: {patience: ...}`",
        ),
        ("dataset: synthetic", "dataset: cannot be set here; it is a field of `data`: "),
        ("seeds: [1]", "seeds: cannot be set here; it goes beside `base`"),
        ("axes: {}", "axes: cannot be set here; it goes into a block"),
    ];
    for (line, wanted) in in_base {
        assert_starts(&error_with(&format!("  {line}\n")), &format!("x.yaml:7:3: {wanted}"));
        if !wanted.contains("goes") {
            let axis = line.split(':').next().unwrap();
            let said = error_with(&format!("blocks:\n  - id: a\n    axes: {{{axis}: [1]}}\n"));
            assert_starts(&said, &format!("x.yaml:9:12: {wanted}"));
        }
    }
    let on_top = [
        ("epochs: 3", "epochs: there is no such key; it goes into `base`"),
        ("dropout: 0.2", "dropout: there is no such key; it is a field of `regularization`"),
        ("axes: {init: [keras]}", "axes: there is no such key; it goes into a block"),
        ("seed: 3", "seed: there is no such key; valid: "),
    ];
    for (line, wanted) in on_top {
        assert_starts(&error_with(&format!("{line}\n")), &format!("x.yaml:7:1: {wanted}"));
    }
    assert!(error_with("seed: 3\n").ends_with("did you mean `seeds`?"));
    let inside = set(&["optimizer={name: sgd, l2: 0.1}"]).unwrap_err().to_string();
    assert!(inside.contains("optimizer.l2: sgd has no such option; it is a field of `regularization`"), "{inside}");
    let block = error_with("blocks:\n  - {id: a, init: [keras]}\n");
    assert_starts(&block, "x.yaml:8:13: blocks[0].init: there is no such key; it goes into `base`");
    let option = set(&["dropout=0.2"]).unwrap_err().to_string();
    assert_starts(&option, "--set dropout=0.2: dropout: cannot be set here; it is a field of `regularization`");
    assert_starts(
        &set(&["margin=2"]).unwrap_err().to_string(),
        "--set margin=2: margin: cannot be set here; valid: model",
    );
}

#[test]
fn the_places_that_are_told_are_those_that_are_read() {
    let read = |text: &str| {
        let valid = text.split("valid: ").nth(1).unwrap_or_else(|| panic!("{text}")).trim_end();
        let mut names: Vec<String> = valid.split(", ").map(String::from).collect();
        names.sort();
        names
    };
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(read(&error_with("zzzzzzzz: 1\n")), sorted(ON_TOP));
    let block = error_with("blocks:\n  - {id: a, zzzzzzzz: 1}\n");
    assert_eq!(read(&block), sorted(&[IN_BLOCKS, &["base"]].concat()));
}

#[test]
fn names_are_suggested_whatever_their_case_and_hyphens() {
    let cases = [
        ("activation=ReLU", "relu"),
        ("activation=LeakyReLU", "leaky_relu"),
        ("activation=TANH", "tanh"),
        ("optimizer=Adam", "adam"),
        ("optimizer=AdamW", "adamw"),
        ("optimizer=SGD", "sgd"),
        ("optimizer=RMSProp", "rmsprop"),
        ("model=LeNet-5", "lenet5"),
        ("model=ResNet18", "resnet"),
        ("model=lenet", "lenet5"),
        ("schedule=OneCycle", "one_cycle"),
        ("schedule=one-cycle", "one_cycle"),
        ("init=XavierUniform", "xavier_uniform"),
        ("data.dataset=CIFAR-10", "cifar10"),
        ("select.metric=val-acuracy", "val_accuracy"),
        ("regularization.on=Conv", "conv"),
        ("Epochs=3", "epochs"),
        ("optimizer={name: sgd, weightDecay: 0.1}", "weight_decay"),
    ];
    for (option, wanted) in cases {
        let error = set(&[option]).expect_err(option).to_string();
        assert!(error.ends_with(&format!("did you mean `{wanted}`?")), "{error}");
    }
    assert!(!set(&["optimizer=lion"]).unwrap_err().to_string().contains("did you mean"));
}

#[test]
fn a_missing_space_after_a_colon_is_shown_where_it_is_missing() {
    for (text, place, wanted) in [
        (format!("{HEAD}  epochs:3\n  batch_size: 4\n"), "7:3", "epochs: 3"),
        (format!("{HEAD}  epochs:3\n"), "7:3", "epochs: 3"),
        (format!("{HEAD}  epochs:3\n\n  # more\n  batch_size: 4\n"), "7:3", "epochs: 3"),
        (HEAD.replace("name: t", "name:t"), "2:1", "name: t"),
        (HEAD.replace("lr: 0.01", "lr:0.01"), "6:26", "lr: 0.01"),
        (
            HEAD.replace("  model: lenet5\n  optimizer: {name: sgd, lr: 0.01}\n", "  model:lenet5\n"),
            "5:3",
            "model: lenet5",
        ),
        (format!("{HEAD}blocks:\n  - id:a\n    axes: {{init: [keras]}}\n"), "8:5", "id: a"),
    ] {
        let error = error_of(&text);
        let found = error.lines().find(|line| line.contains("a space is missing"));
        let found = found.unwrap_or_else(|| panic!("{text}\n{error}"));
        assert_starts(found, &format!("x.yaml:{place}: "));
        assert!(found.ends_with(&format!("a space is missing after the colon: `{wanted}`")), "{found}");
    }
    // What is wrong for another reason is not blamed on it.
    assert_starts(&error_of("a: \"b\nurl: http://x\n"), "x.yaml:1:4: not valid YAML");
}

#[test]
fn limits_say_why_they_are_there() {
    let copies = "; a seed of 2^32 or more draws what its lower 32 bits draw, so that replicates would be copies";
    let seed = set(&["seeds=[1, 4294967296]"]).unwrap_err().to_string();
    assert!(
        seed.contains("expected a whole number from 0 to 4294967295, found `4294967296`") && seed.ends_with(copies),
        "{seed}"
    );
    assert!(set(&["data.split_seed=4294967296"]).unwrap_err().to_string().ends_with(copies));
    let alone = Overrides { seed: Some(1 << 32), ..Overrides::default() };
    assert!(Experiment::parse("x", HEAD, &alone).unwrap_err().to_string().ends_with(copies));
    assert!(set(&["seeds=[-1]"]).unwrap_err().to_string().ends_with("found `-1`"));
    let same = "so that every step would be the same one, over all of them; at most 45000";
    assert!(set(&["batch_size=45001"]).unwrap_err().to_string().ends_with(same));
    assert!(set(&["batch_size=50001"]).unwrap_err().to_string().contains("every step would be the same one"));
    let rate = "schedule.min_lr: 0.1 is above 0.01, the optimizer's rate, from which it goes down";
    for schedule in ["cosine", "plateau"] {
        let error = set(&[&format!("schedule={{name: {schedule}, min_lr: 0.1}}")]).unwrap_err().to_string();
        assert!(error.ends_with(rate), "{error}");
        assert!(set(&[&format!("schedule={{name: {schedule}, min_lr: 0.01}}")]).is_ok());
    }
    // What an earlier version stored is read all the same.
    let mut stored = set(&["schedule={name: cosine, min_lr: 0.01}"]).unwrap().base;
    stored.schedule = Schedule::Cosine { min_lr: 0.1 };
    assert_eq!(check_stored(&stored), Ok(()));
}

#[test]
fn excludes_that_leave_nothing_are_refused() {
    let block = |mode: &str, rest: &str| {
        format!(
            "blocks:\n  - id: a\n    mode: {mode}\n    axes: {{init: [keras, orthogonal]}}\n    exclude: [{{init: keras}}, {{init: orthogonal}}]\n{rest}"
        )
    };
    for mode in ["ablate", "grid", "random\n    samples: 3"] {
        let error = error_with(&block(mode, ""));
        assert!(error.ends_with("exclude: leaves no combination of block `a` to compare"), "{error}");
        assert_eq!(labels(&with(&block(mode, "    include: [{epochs: 3}]\n")).blocks[0]), ["base", "epochs=3"]);
    }
}

#[test]
fn a_selector_that_names_nothing_is_told_the_blocks() {
    let only = |text: &str, selector: &str| with(text).only(&[selector.to_string()]).unwrap_err().to_string();
    let blocks = "blocks:\n  - {id: init, axes: {init: [keras]}}\n  - {id: rate, axes: {optimizer.lr: [1]}}\n";
    let said = only(blocks, "Inti");
    assert_eq!(
        said,
        "--only Inti: there is no such block or trial; blocks: init, rate; did you mean `init`?; `--plan` shows the trials"
    );
    assert!(
        only("", "init")
            .ends_with("there is no such trial, and the experiment has no blocks; `--plan` shows its trials")
    );
}
