//! `fast` mode against `exact`: packs of trials take the same steps within rounding, whatever their members have of their own.
//!
//! libtorch's default generator belongs to the whole process, so the tests here take turns.

use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use runner::data;
use runner::data::batches::{Resident, Scaling};
use runner::engine::{Network, fit_together};
use runner::record::{Confusion, Epoch, Scores, SplitScore};
use runner::report::statistics::spread;
use runner::spec::Experiment;
use runner::spec::config::{Config, DatasetName, Mode, Select};
use runner::train::course::stored_states;
use runner::train::evaluate::evaluate_one;
use runner::train::{self, Ended, Observer, Sets, Step};
use tch::{Device, Tensor};

static TURN: Mutex<()> = Mutex::new(());

const SEED: u64 = 3;

fn sets() -> Sets {
    tch::set_num_threads(1);
    let set = data::load(DatasetName::Synthetic, Path::new("")).unwrap();
    Sets { train: Resident::new(&set.train, Device::Cpu), test: Resident::new(&set.test, Device::Cpu) }
}

/// The base, then each included change of it.
fn configs(base: &str, changes: &[&str]) -> Vec<Config> {
    let include: String = changes.iter().map(|change| format!("      - {{{change}}}\n")).collect();
    let text = format!(
        "schema: 1\nname: pack\ndata: {{dataset: synthetic, train: 800, val: 100}}\nbase: {{{base}}}\nblocks:\n  \
         - id: others\n    include:\n{include}"
    );
    let experiment = Experiment::parse("pack", &text, &Default::default()).unwrap();
    experiment.blocks[0].variants.iter().map(|variant| variant.config.clone()).collect()
}

/// Losses and rates step by step; stops after so many steps.
#[derive(Default)]
struct Watch {
    losses: Vec<f32>,
    rates: Vec<f64>,
    stop_after: Option<usize>,
    /// Wants a checkpoint after every step.
    impatient: bool,
    checkpoint: Vec<u8>,
    checkpoints: usize,
}

impl Observer for Watch {
    fn step(&mut self, step: &Step) {
        self.losses.push(step.loss);
        self.rates.push(step.lr);
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, _: &[Epoch]) -> Result<()> {
        self.checkpoint = bytes;
        self.checkpoints += 1;
        Ok(())
    }

    fn wants_checkpoint(&mut self) -> bool {
        self.wants_stop() || self.impatient
    }

    fn wants_stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.losses.len() >= steps)
    }
}

fn exact(config: &Config) -> Config {
    Config { mode: Mode::Exact, ..config.clone() }
}

/// Its own fast mode where it has one.
fn fast(config: &Config) -> Config {
    let mode = if config.mode == Mode::Exact { Mode::Fast } else { config.mode };
    Config { mode, ..config.clone() }
}

fn alone(config: &Config, sets: &Sets) -> (Watch, Ended) {
    let mut watch = Watch::default();
    let ended = train::run_one(&exact(config), SEED, sets, Device::Cpu, None, &mut watch).unwrap();
    (watch, ended)
}

fn together(
    configs: &[Config],
    sets: &Sets,
    resume: Option<&[Vec<u8>]>,
    stop_after: Option<usize>,
) -> (Vec<Watch>, Vec<Ended>) {
    let mut watches: Vec<Watch> = configs.iter().map(|_| Watch { stop_after, ..Watch::default() }).collect();
    let ended = watched(configs, sets, resume, &mut watches);
    (watches, ended)
}

fn watched(configs: &[Config], sets: &Sets, resume: Option<&[Vec<u8>]>, watches: &mut [Watch]) -> Vec<Ended> {
    let mut observers: Vec<&mut dyn Observer> = watches.iter_mut().map(|watch| watch as &mut dyn Observer).collect();
    let configs: Vec<Config> = configs.iter().map(fast).collect();
    train::run(&configs.iter().collect::<Vec<_>>(), SEED, sets, Device::Cpu, resume, &mut observers).unwrap()
}

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

/// 800 images in batches of 16 are 50 steps.
const LENET: &str = "model: lenet5, epochs: 1, batch_size: 16, optimizer: {name: sgd, lr: 0.01, momentum: 0.9}";

/// Each network, narrow, with the members of a pack of two without dropout.
fn networks() -> Vec<(&'static str, Vec<Config>)> {
    let models = [
        ("lenet5", "lenet5", 0.01),
        ("lenet5_dropout", "{name: lenet5_dropout}", 0.01),
        ("keras_cnn", "{name: keras_cnn, channels: [8, 8, 16], dense: [32]}", 0.01),
        ("leaky_cnn", "{name: leaky_cnn, channels: [8, 16], convs_per_block: 2, dense: [32]}", 0.01),
        ("resnet", "{name: resnet, channels: [4, 8, 8, 8, 8], dense: [16]}", 0.0005),
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
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    for (name, members) in networks() {
        agree(name, &members[..1], &sets, 1e-3);
        agree(name, &members, &sets, 1e-3);
    }
}

#[test]
fn each_network_takes_nearly_the_same_first_50_steps_in_bfloat16() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    for (name, mut members) in networks() {
        members.iter_mut().for_each(|config| config.mode = Mode::FastBf16);
        let apart = agree(name, &members, &sets, 1e-2);
        assert!(apart > 1e-5, "{name}: {apart} is too near to be bfloat16's rounding");
    }
}

#[test]
fn each_optimizer_takes_the_same_first_50_steps() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
fn a_member_that_diverges_leaves_the_others_alone() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    let relu = format!("{LENET}, activation: relu");
    let members = configs(&relu, &["optimizer: {name: sgd, lr: 1.0e+30, momentum: 0.9}"]);
    let (watches, ended) = together(&members, &sets, None, None);
    assert!(matches!(&ended[1], Ended::Diverged { reason, .. } if reason.contains("the training loss is")));
    let (exact, _) = alone(&members[0], &sets);
    assert!((watches[0].losses[49] - exact.losses[49]).abs() < 1e-3);
}

#[test]
fn only_trials_under_way_are_stored() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    // The second one does not learn, so it stops after its second epoch.
    let base = "model: lenet5, epochs: 4, batch_size: 16, early_stopping: {patience: 1}, \
                optimizer: {name: sgd, lr: 0.01, momentum: 0.9}";
    let members = configs(base, &["optimizer: {name: sgd, lr: 1.0e-30, momentum: 0.9}"]);
    let (watches, ended) = together(&members, &sets, None, None);
    let epochs = |ended: &Ended| match ended {
        Ended::Done { history, .. } => history.len(),
        _ => panic!("it did not finish"),
    };
    assert_eq!((epochs(&ended[0]), watches[0].checkpoints), (4, 4));
    assert_eq!((epochs(&ended[1]), watches[1].checkpoints), (2, 2));

    let relu = format!("{LENET}, activation: relu");
    let members = configs(&relu, &["optimizer: {name: sgd, lr: 1.0e+30, momentum: 0.9}"]);
    let mut watches = [Watch::default(), Watch { impatient: true, ..Watch::default() }];
    let ended = watched(&members, &sets, None, &mut watches);
    assert!(matches!(ended[1], Ended::Diverged { .. }));
    assert!(watches[0].checkpoints < 5, "{} checkpoints for one that is over", watches[0].checkpoints);
}

#[test]
fn what_was_stored_after_the_last_step_is_scored() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    let members = configs(LENET, &["optimizer: {name: sgd, lr: 0.02, momentum: 0.9}"]);
    let (whole, ended) = together(&members, &sets, None, None);
    let checkpoints: Vec<Vec<u8>> = whole.iter().map(|watch| watch.checkpoint.clone()).collect();
    let (again, ended_again) = together(&members, &sets, Some(&checkpoints), None);
    for k in 0..members.len() {
        assert!(again[k].losses.is_empty());
        let (Ended::Done { scores, .. }, Ended::Done { scores: scores_again, .. }) = (&ended[k], &ended_again[k])
        else {
            panic!("member {k} did not finish");
        };
        assert_eq!(scores_again, scores, "member {k}");
    }
}

/// What the current weights of a checkpoint score on the test images, in exact mode.
fn current_score(config: &Config, sets: &Sets, checkpoint: &[u8]) -> SplitScore {
    let mut network = Network::new(config);
    network.load_state(&stored_states(checkpoint).unwrap().0).unwrap();
    let scaling = Scaling::fixed(config.data.scale, Device::Cpu);
    evaluate_one(&network, &sets.test, &scaling, &sets.test.all()).0
}

fn done(ended: &Ended) -> (&Scores, &[u8], usize) {
    let Ended::Done { scores, predictions, history, .. } = ended else { panic!("it did not finish") };
    (scores, predictions, history.len())
}

#[test]
fn the_last_epoch_of_each_member_is_scored_whatever_the_others_do_after_it() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    // The second one's answers never change, so its first epoch is selected, and it stops after its third one.
    let base = "model: lenet5, epochs: 5, batch_size: 16, early_stopping: {patience: 2}, \
                optimizer: {name: sgd, lr: 0.02, momentum: 0.9}";
    let mut members = configs(base, &["optimizer: {name: sgd, lr: 0.00001, momentum: 0.9}"]);
    members.iter_mut().for_each(|config| config.select = Select::ValAccuracy);
    let (whole, ended) = together(&members, &sets, None, None);
    let near = |found: SplitScore, expected: SplitScore| (found.loss - expected.loss).abs() < 1e-6;
    for (k, config) in members.iter().enumerate() {
        let (scores, predictions, _) = done(&ended[k]);
        let (last, by_hand) = (scores.last_test.unwrap(), current_score(config, &sets, &whole[k].checkpoint));
        assert!(near(last, by_hand), "member {k}: {last:?}, by hand {by_hand:?}");
        let mut confusion = Confusion::default();
        let truths = Vec::<i64>::try_from(&sets.test.labels).unwrap();
        truths.iter().zip(predictions).for_each(|(truth, class)| confusion[*truth as usize][usize::from(*class)] += 1);
        assert_eq!(confusion, scores.confusion, "member {k}");
    }
    let (slow, _, epochs) = done(&ended[1]);
    assert_eq!((slow.best_epoch, epochs), (1, 3));
    assert!(slow.last_test.unwrap() != slow.test && done(&ended[0]).2 > epochs);

    // Stopped where the second one ends, then once more later: its last checkpoint stays as it is.
    let (first, _) = together(&members, &sets, None, Some(150));
    let checkpoints: Vec<Vec<u8>> = first.iter().map(|watch| watch.checkpoint.clone()).collect();
    let (second, interrupted) = together(&members, &sets, Some(&checkpoints), Some(20));
    assert!(interrupted.iter().all(|ended| matches!(ended, Ended::Interrupted)));
    assert_eq!([0, 1].map(|k: usize| second[k].checkpoints), [1, 0]);
    let (_, ended) = together(&members, &sets, Some(&checkpoints), None);
    assert!(near(done(&ended[1]).0.last_test.unwrap(), slow.last_test.unwrap()));
}

#[test]
fn a_pack_resumes_with_the_same_bits() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    let base = "model: {name: resnet, channels: [4, 8, 8, 8, 8], dense: [16]}, epochs: 2, batch_size: 100, \
                optimizer: {name: adam, lr: 0.003}, regularization: {dropout: 0.2}, augment: {flip: true}";
    let members = configs(base, &["regularization: {dropout: 0.5}", "optimizer: {name: adam, lr: 0.001}"]);
    let (whole, whole_ended) = together(&members, &sets, None, None);
    let (first, interrupted) = together(&members, &sets, None, Some(11));
    assert!(interrupted.iter().all(|ended| matches!(ended, Ended::Interrupted)));
    let checkpoints: Vec<Vec<u8>> = first.iter().map(|watch| watch.checkpoint.clone()).collect();
    tch::manual_seed(99);
    let (second, resumed_ended) = together(&members, &sets, Some(&checkpoints), None);
    for k in 0..members.len() {
        let losses: Vec<f32> = first[k].losses.iter().chain(&second[k].losses).copied().collect();
        assert_eq!(losses, whole[k].losses, "member {k}");
        let (Ended::Done { scores: resumed, .. }, Ended::Done { scores, .. }) = (&resumed_ended[k], &whole_ended[k])
        else {
            panic!("member {k} did not finish");
        };
        assert_eq!(resumed, scores, "member {k}");
    }
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
    ] {
        assert!(!fits(change), "{change}");
    }
}

/// With dropout, which draws other numbers in fast mode, and more steps than rounding stays small for.
#[test]
fn final_accuracies_agree_over_seeds_within_their_noise() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sets = sets();
    let base = "model: lenet5_dropout, epochs: 12, batch_size: 16, optimizer: {name: adam, lr: 0.002}";
    let members: Vec<Config> = configs(base, &["regularization: {dropout: 0.3}"]).iter().map(fast).collect();
    let (pair, alone): (Vec<&Config>, Config) = (members.iter().collect(), exact(&members[0]));
    let accuracy = |ended: &Ended| match ended {
        Ended::Done { scores, .. } => scores.test.accuracy,
        _ => panic!("it did not finish"),
    };
    let (mut exact, mut fast) = (vec![], vec![]);
    for seed in 0..6 {
        let (mut silent, mut other) = (Watch::default(), Watch::default());
        exact.push(accuracy(&train::run_one(&alone, seed, &sets, Device::Cpu, None, &mut silent).unwrap()));
        let mut observers: [&mut dyn Observer; 2] = [&mut silent, &mut other];
        fast.push(accuracy(&train::run(&pair, seed, &sets, Device::Cpu, None, &mut observers).unwrap()[0]));
    }
    println!("exact {exact:?}, fast {fast:?}");
    let (exact, fast) = (spread(&exact).unwrap(), spread(&fast).unwrap());
    assert!(exact.mean > 0.3 && fast.mean > 0.3, "the networks have learnt something");
    let noise = ((exact.std.unwrap().powi(2) + fast.std.unwrap().powi(2)) / 6.0).sqrt();
    assert!((exact.mean - fast.mean).abs() < 3.0 * noise + 0.01, "{} and {} ± {noise}", exact.mean, fast.mean);
}
