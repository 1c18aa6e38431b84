//! Whole trials: members that end apart, what is stored and scored of them, and their final accuracies.

use runner::data::batches::Scaling;
use runner::engine::Network;
use runner::record::{Confusion, Scores, SplitScore};
use runner::report::statistics::spread;
use runner::spec::config::{Config, Select};
use runner::train::course::stored_states;
use runner::train::evaluate::evaluate_one;
use runner::train::{self, Ended, Observer, Sets};
use tch::Device;

use crate::watch::{LENET, Watch, alone, configs, exact, fast, sets, together, turn, watched};

#[test]
fn a_member_that_diverges_leaves_the_others_alone() {
    let _turn = turn();
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
    let _turn = turn();
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
    let _turn = turn();
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
    let scaling = Scaling::fixed(config.data.scale, Device::Cpu).unwrap();
    evaluate_one(&network, &sets.test, &scaling, &sets.test.all()).0
}

fn done(ended: &Ended) -> (&Scores, &[u8], usize) {
    let Ended::Done { scores, predictions, history, .. } = ended else { panic!("it did not finish") };
    (scores, predictions, history.len())
}

#[test]
fn the_last_epoch_of_each_member_is_scored_whatever_the_others_do_after_it() {
    let _turn = turn();
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
        let mut confusion = Confusion::new(10);
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
    let _turn = turn();
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

/// With dropout, which draws other numbers in fast mode, and more steps than rounding stays small for.
#[test]
fn final_accuracies_agree_over_seeds_within_their_noise() {
    let _turn = turn();
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
