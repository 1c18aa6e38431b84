//! Step by step: each network and optimizer, and what members have of their own.

use runner::engine::{find, fit_together, untrained};
use runner::spec::config::{Config, Mode};
use runner::train::course::stored_states;
use runner::train::{self, Ended, Observer, Sets, Step, checkpoint};
use tch::{Device, Tensor};

use crate::watch::{LENET, SEED, Watch, alone, configs, exact, fast, sets, together, turn};

/// Checks `pack` member by member against each alone in exact mode, over 50 steps. The largest relative difference of a loss.
fn agree(about: &str, configs: &[Config], sets: &Sets, tolerance: f32) -> f32 {
    let mut worst_of_all = 0.0_f32;
    let (watches, ended) = together(configs, sets, None, None);
    for (k, config) in configs.iter().enumerate() {
        let (exact, exactly_ended) = alone(config, sets);
        assert_eq!(watches[k].losses.len(), 50, "{about}, member {k}");
        assert_eq!(watches[k].rates, exact.rates, "{about}, member {k}");
        let apart = watches[k].losses.iter().zip(&exact.losses).map(|(fast, exact)| (fast - exact).abs() / exact.abs());
        let worst = apart.fold(0.0, f32::max);
        println!("{about}, member {k}: {worst:.1e}");
        worst_of_all = worst_of_all.max(worst);
        assert!(worst < tolerance, "{about}, member {k}: losses {worst} apart");
        let (Ended::Done { scores: fast, history, .. }, Ended::Done { scores: exact, history: exact_history, .. }) =
            (&ended[k], &exactly_ended)
        else {
            panic!("{about}, member {k} did not finish");
        };
        assert!(
            (fast.test.loss - exact.test.loss).abs() < f64::from(tolerance) * exact.test.loss,
            "{about}, member {k}"
        );
        let (penalty, exact_penalty) = (history[0].penalty, exact_history[0].penalty);
        assert!((penalty - exact_penalty).abs() <= f64::from(tolerance) / 10.0 * exact_penalty, "{about}, member {k}");
    }
    worst_of_all
}

/// Each network, narrow, and three of a user's own, with the members of a pack of two without dropout.
fn networks() -> Vec<(&'static str, Vec<Config>)> {
    let models = [
        ("lenet5", "lenet5", 0.01),
        ("lenet5_dropout", "{name: lenet5_dropout}", 0.01),
        ("keras_cnn", "{name: keras_cnn, channels: [8, 8, 16], dense: [32]}", 0.01),
        ("leaky_cnn", "{name: leaky_cnn, channels: [8, 16], convs_per_block: 2, dense: [32]}", 0.01),
        ("resnet", "{name: resnet, channels: [4, 8, 8, 8, 8], dense: [16]}", 0.0005),
        (
            "own, plain",
            "{name: plain, layers: [{conv: {out: 8, kernel: 3, stride: 2, bias: false}}, batch_norm, act, \
             {conv: {out: 8, kernel: 3, groups: 4, padding: same}}, {act: tanh}, {avg_pool: {kernel: 3, stride: 2}}, \
             {conv: {out: 12, kernel: 3, padding: same}}, act, flatten, dropout, {dense: 32}, batch_norm, act, \
             {dense: {out: classes, bias: false}}]}",
            0.0005,
        ),
        (
            "own, residual",
            "{name: residual, layers: [{residual: {main: [batch_norm, {conv: {out: 8, kernel: 3, padding: same}}, act], \
             shortcut: [{conv: {out: 8, kernel: 1}}]}}, {max_pool: 2}, {residual: {main: [{conv: {out: 8, kernel: 3, \
             padding: same, groups: 8}}, batch_norm, act, {residual: {main: [{conv: {out: 8, kernel: 1}}]}}]}}, act, \
             {adaptive_avg_pool: 3}, flatten, {dense: classes}]}",
            0.002,
        ),
        (
            "own, no convolution",
            "{name: dense, layers: [{act: relu}, {max_pool: {kernel: 3, stride: 2, padding: 1}}, {avg_pool: 4}, flatten, \
             {residual: {main: [{dense: 48}, act]}}, {dense: classes}]}",
            0.01,
        ),
    ];
    let members = |(name, model, lr)| {
        let base = format!(
            "model: {model}, epochs: 1, batch_size: 16, optimizer: {{name: sgd, lr: {lr}, momentum: 0.9}}, \
             regularization: {{dropout: 0, l2: 0.001}}"
        );
        (name, configs(&base, &["optimizer: {name: sgd, lr: 0.002, momentum: 0.5}"]))
    };
    models.into_iter().map(members).collect()
}

#[test]
fn each_network_takes_the_same_first_50_steps() {
    let _turn = turn();
    let sets = sets();
    for (name, members) in networks() {
        agree(name, &members[..1], &sets, 1e-3);
        agree(name, &members, &sets, 1e-3);
    }
}

#[test]
fn what_is_frozen_stays_as_it_is_in_a_pack_too() {
    let _turn = turn();
    let sets = sets();
    let small = "{name: small, layers: [{conv: {out: 8, kernel: 3, stride: 2}}, batch_norm, act, {conv: {out: 8, kernel: 3}}, \
                 batch_norm, act, {max_pool: 3}, flatten, {dense: 32}, act, {dense: classes}]}";
    for freeze in ["[conv1]", "[bn1]", "[conv1, bn1, conv2]", "[conv2, fc1]", "[conv1, bn1, conv2, bn2, fc1]"] {
        let base = format!(
            "model: {small}, epochs: 1, batch_size: 16, optimizer: {{name: adamw, lr: 0.0005, weight_decay: 0.1}}, \
             regularization: {{l2: 0.001}}, freeze: {freeze}"
        );
        let members = configs(&base, &["optimizer: {name: adamw, lr: 0.0002, weight_decay: 0.01}"]);
        agree(freeze, &members[..1], &sets, 1e-3);
        agree(freeze, &members, &sets, 1e-3);
        let (watches, _) = together(&members, &sets, None, None);
        for (watch, config) in watches.iter().zip(&members) {
            let drawn = untrained(config, SEED).state();
            let trained = stored_states(&watch.checkpoint).unwrap().0;
            for (name, tensor) in &drawn {
                let is_frozen = config.freezes(name.rsplit_once('.').unwrap().0);
                assert_eq!(find(&trained, name).unwrap() == tensor, is_frozen, "{freeze}: {name}");
            }
        }
    }
}

#[test]
fn members_start_from_weights_of_their_own() {
    let _turn = turn();
    let (sets, folder) = (sets(), tempfile::tempdir().unwrap());
    let scratch = configs(LENET, &["init: keras"]);
    let file = |name: &str, seed: u64| {
        let path = folder.path().join(name);
        std::fs::write(&path, checkpoint::plain(&untrained(&scratch[0], seed).state()).unwrap()).unwrap();
        path.display().to_string()
    };
    let (first, second) = (file("first.safetensors", 90), file("second.safetensors", 91));
    let changes = [format!("start: {{weights: {first}}}"), format!("start: {{weights: {second}, except: [fc3]}}")];
    let members = configs(LENET, &changes.each_ref().map(String::as_str));
    assert!(fit_together(&members[0], &members[1]) && fit_together(&members[1], &members[2]));
    agree("start", &members, &sets, 1e-3);
    let (watches, _) = together(&members, &sets, None, Some(1));
    assert!(watches[0].losses != watches[1].losses && watches[1].losses != watches[2].losses);
}

#[test]
fn a_batch_that_is_computed_in_parts_gives_the_same_steps() {
    let _turn = turn();
    let sets = sets();
    // Two of it have 65,536 numbers an image after the first layer, so 160 images are five parts.
    let base = "model: {name: leaky_cnn, channels: [32], convs_per_block: 1, dense: [16]}, epochs: 2, batch_size: 160, \
                optimizer: {name: sgd, lr: 0.01, momentum: 0.9}, label_smoothing: 0.1";
    let members = configs(base, &["optimizer: {name: sgd, lr: 0.002, momentum: 0.5}"]);
    let (watches, _) = together(&members, &sets, None, None);
    for (watch, config) in watches.iter().zip(&members) {
        let (exact, _) = alone(config, &sets);
        assert_eq!(watch.losses.len(), 10);
        let apart = watch.losses.iter().zip(&exact.losses).map(|(fast, exact)| (fast - exact).abs() / exact.abs());
        assert!(apart.fold(0.0, f32::max) < 1e-4);
    }
}

#[test]
fn each_network_takes_nearly_the_same_first_50_steps_in_bfloat16() {
    let _turn = turn();
    let sets = sets();
    for (name, mut members) in networks() {
        members.iter_mut().for_each(|config| config.mode = Mode::FastBf16);
        let apart = agree(name, &members, &sets, 1e-2);
        assert!(apart > 1e-5, "{name}: {apart} is too near to be bfloat16's rounding");
    }
}

#[test]
fn each_optimizer_takes_the_same_first_50_steps() {
    let _turn = turn();
    let sets = sets();
    let optimizers = [
        ["name: sgd, lr: 0.05", "name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 0.01"],
        ["name: sgd, lr: 0.02, momentum: 0.9, nesterov: true", "name: sgd, lr: 0.02, momentum: 0.5, nesterov: true"],
        ["name: sgd, lr: 0.02, momentum: 0.9, dampening: 0.2", "name: sgd, lr: 0.05, momentum: 0.9, dampening: 0.2"],
        ["name: adam, lr: 0.001", "name: adam, lr: 0.0003, weight_decay: 0.01"],
        ["name: adam, lr: 0.001, amsgrad: true", "name: adam, lr: 0.0003, amsgrad: true"],
        ["name: adamw, lr: 0.001", "name: adamw, lr: 0.0003, weight_decay: 0.1"],
        ["name: rmsprop, lr: 0.0005", "name: rmsprop, lr: 0.0002, momentum: 0.9, weight_decay: 0.01"],
        ["name: rmsprop, lr: 0.0005, centered: true", "name: rmsprop, lr: 0.0002, centered: true"],
        ["name: adagrad, lr: 0.01, lr_decay: 0.01", "name: adagrad, lr: 0.002, lr_decay: 0.01, weight_decay: 0.01"],
    ];
    for [first, second] in optimizers {
        let base = format!("model: lenet5, epochs: 1, batch_size: 16, optimizer: {{{first}}}");
        let members = configs(&base, &[&format!("optimizer: {{{second}}}")]);
        agree(first, &members, &sets, 1e-3);
    }
}

#[test]
fn members_keep_penalties_slopes_and_schedules_of_their_own() {
    let _turn = turn();
    let sets = sets();
    let own = [
        "regularization: {l1: 0.0001}",
        "regularization: {l2: 0.001}",
        "regularization: {l1: 0.0001, l2: 0.001}, optimizer: {name: sgd, lr: 0.03, momentum: 0.8}",
    ];
    agree("penalties", &configs(LENET, &own), &sets, 1e-3);
    let leaky =
        format!("{LENET}, activation: {{name: leaky_relu, slope: 0.01}}, schedule: one_cycle, label_smoothing: 0.1");
    let slopes = ["activation: {name: leaky_relu, slope: 0.3}", "activation: {name: leaky_relu, slope: 0.1}"];
    agree("slopes", &configs(&leaky, &slopes), &sets, 1e-3);
    for limit in ["clip: {norm: 0.5}", "clip: {value: 0.01}"] {
        agree(limit, &configs(&format!("{LENET}, {limit}"), &["epochs: 2"])[..1], &sets, 1e-3);
    }
    let augmented = format!("{LENET}, augment: {{flip: true, rotation: 15, shift: 0.1, crop: 4}}");
    agree("augmentation", &configs(&augmented, &["optimizer: {name: sgd, lr: 0.02, momentum: 0.9}"]), &sets, 1e-3);
}

#[test]
fn members_drop_out_with_their_own_probability() {
    let _turn = turn();
    let sets = sets();
    let members = configs(LENET, &["regularization: {dropout: 0.5}", "regularization: {dropout: 0.9}"]);
    let (watches, _) = together(&members, &sets, None, None);
    let (exact, _) = alone(&members[0], &sets);
    let apart = |watch: &Watch| (watch.losses[20] - exact.losses[20]).abs();
    assert!(apart(&watches[0]) < 1e-3 && apart(&watches[1]) > 1e-3 && apart(&watches[2]) > 1e-3);
}

#[test]
fn only_fast_steps_take_denormals_as_zero() {
    /// The smallest of what each step's thread makes of 5e-39.
    struct Smallest(f64);
    impl Observer for Smallest {
        fn step(&mut self, _: &Step) {
            self.0 = self.0.min((Tensor::from_slice(&[2e-38f32]) * 0.25).double_value(&[0]));
        }
    }
    let _turn = turn();
    let (sets, config) = (sets(), &configs(LENET, &["activation: relu"])[0]);
    let smallest = |config: Config| {
        let mut smallest = Smallest(1.0);
        train::run_one(&config, SEED, &sets, Device::Cpu, None, &mut smallest).unwrap();
        smallest.0
    };
    assert_eq!(smallest(fast(config)), 0.0);
    assert!(smallest(exact(config)) > 0.0);
}

#[test]
fn only_what_members_may_have_of_their_own_differs_in_a_pack() {
    let fits = |change: &str| {
        let both = configs(LENET, &[change]);
        fit_together(&both[0], &both[1])
    };
    for change in ["optimizer: {name: sgd, lr: 0.5}", "regularization: {l1: 0.1, dropout: 0.3}", "init: kaiming_normal"]
    {
        assert!(fits(change), "{change}");
    }
    for change in [
        "optimizer: {name: adam, lr: 0.01}",
        "optimizer: {name: sgd, lr: 0.01, momentum: 0.9, nesterov: true}",
        "batch_size: 64",
        "epochs: 2",
        "activation: relu",
        "schedule: cosine",
        "augment: {flip: true}",
        "clip: {norm: 1}",
        "model: {name: lenet5, dense: [100, 84]}",
        "freeze: [conv1]",
    ] {
        assert!(!fits(change), "{change}");
    }
}
