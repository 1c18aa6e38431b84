//! A trial that is stopped and resumed any number of times ends with the bits of one that never was.

use anyhow::Result;
use runner::data::batches::{Scaling, Split};
use runner::engine::{Network, State};
use runner::parity::bits::first_difference;
use runner::record::{Confusion, Epoch, Scores, Showcase, SplitScore};
use runner::spec::Experiment;
use runner::spec::config::Config;
use runner::train::course::stored_states;
use runner::train::evaluate::evaluate_one;
use runner::train::{self, Ended, Observer, Sets, Step};
use tch::Device;

use crate::watch::{sets, turn};

const SEED: u64 = 5;

/// Everything that carries state from step to step: dropout and augmentation (the generator), Adam's moments, a rate that
/// falls, BatchNorm's statistics, and the counters of plateau and early stopping. Six steps an epoch, the last one smaller.
const EXPERIMENT: &str = "
schema: 1
name: resume
data: {dataset: synthetic, train: 170, val: 100, scale: standardize}
base:
  model: {name: resnet, channels: [4, 8, 8, 8, 8], dense: [16]}
  epochs: 5
  batch_size: 32
  optimizer: {name: adam, lr: 0.003, amsgrad: true}
  schedule: {name: plateau, patience: 0, threshold: 0.2, factor: 0.5}
  regularization: {l2: 0.0001, dropout: 0.3}
  augment: {flip: true, rotation: 15, shift: 0.1, crop: 4, cutout: 8}
  clip: {norm: 1}
  early_stopping: {patience: 4}
blocks:
  - id: others
    include:
      - {optimizer: {name: rmsprop, lr: 0.001, momentum: 0.9, centered: true}, schedule: one_cycle}
      - {optimizer: {name: adagrad, lr_decay: 0.1}, schedule: {name: staged, stages: [{epochs: 2, lr: 0.01}, {epochs: 3, lr: 0.001}]}}
      - {optimizer: {name: sgd, lr: 0.01, momentum: 0.9, nesterov: true}, schedule: cosine, warmup: {epochs: 2}}
      - {optimizer: {name: sgd, lr: 0.3, momentum: 0.9}, early_stopping: {patience: 1}}
      - {freeze: [conv1, bn1, conv3, bn2, fc1]}
";

/// How a trial went: (step, bits of its rate, bits of its loss), and what it left.
#[derive(Default)]
struct Journey {
    steps: Vec<(usize, u64, u32)>,
    last_checkpoint: Vec<u8>,
    /// Of the last checkpoint.
    current: State,
    best: State,
    history: Vec<Epoch>,
    scores: Option<Scores>,
    predictions: Vec<u8>,
    showcase: Option<Showcase>,
    interruptions: usize,
}

/// Stops the trial after so many steps.
struct Watch<'a> {
    journey: &'a mut Journey,
    steps_left: usize,
    checkpoint: Vec<u8>,
}

impl Observer for Watch<'_> {
    fn step(&mut self, step: &Step) {
        self.journey.steps.push((step.step, step.lr.to_bits(), step.loss.to_bits()));
        self.steps_left = self.steps_left.saturating_sub(1);
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, _: &[Epoch]) -> Result<()> {
        self.checkpoint = bytes;
        Ok(())
    }

    fn wants_checkpoint(&mut self) -> bool {
        self.wants_stop()
    }

    fn wants_stop(&self) -> bool {
        self.steps_left == 0
    }
}

/// Trains to the end with a stop after every `stride` steps, from the checkpoint `resume` if given.
fn travel(config: &Config, sets: &Sets, stride: usize, mut resume: Option<Vec<u8>>) -> Journey {
    let mut journey = Journey::default();
    loop {
        let mut watch = Watch { journey: &mut journey, steps_left: stride, checkpoint: vec![] };
        let ended = train::run_one(config, SEED, sets, Device::Cpu, resume.clone(), &mut watch).unwrap();
        let checkpoint = watch.checkpoint;
        match ended {
            Ended::Interrupted => {
                // What another trial does to the generator in between must not matter.
                tch::manual_seed(journey.interruptions as i64);
                journey.interruptions += 1;
                resume = Some(checkpoint);
            }
            Ended::Done { scores, best, history, predictions, showcase } => {
                // One that was at its end already leaves no other.
                let checkpoint = if checkpoint.is_empty() { resume.unwrap() } else { checkpoint };
                journey.current = stored_states(&checkpoint).unwrap().0;
                let without_times = |epoch: Epoch| Epoch { train_seconds: 0.0, seconds: 0.0, ended: None, ..epoch };
                (journey.last_checkpoint, journey.predictions) = (checkpoint, predictions);
                journey.history = history.into_iter().map(without_times).collect();
                (journey.best, journey.scores, journey.showcase) = (best, Some(*scores), Some(showcase));
                return journey;
            }
            Ended::Diverged { reason, .. } => panic!("{reason}"),
        }
    }
}

/// What the weights after the last step score on the test images, and how the predictions are confused.
fn scored_by_hand(config: &Config, sets: &Sets, journey: &Journey) -> (SplitScore, Confusion) {
    let mut network = Network::new(config);
    network.load_state(&journey.current).unwrap();
    let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
    let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
    let (last, _) = evaluate_one(&network, &sets.test, &scaling, &sets.test.all());
    let truths = Vec::<i64>::try_from(&sets.test.labels).unwrap();
    let mut confusion = Confusion::new(10);
    truths.iter().zip(&journey.predictions).for_each(|(truth, class)| confusion[*truth as usize][*class as usize] += 1);
    (last, confusion)
}

#[test]
fn a_resumed_trial_ends_with_the_same_bits() {
    let _turn = turn();
    let sets = sets();
    let experiment = Experiment::parse("resume", EXPERIMENT, &Default::default()).unwrap();
    let (mut selected_before, mut stopped_later) = (0, 0);
    for variant in &experiment.blocks[0].variants {
        let whole = travel(&variant.config, &sets, usize::MAX, None);
        assert_eq!(whole.interruptions, 0);
        let scores = whole.scores.clone().unwrap();
        let by_hand = scored_by_hand(&variant.config, &sets, &whole);
        assert_eq!((scores.last_test.unwrap(), scores.confusion), by_hand, "{}", variant.label);
        if scores.best_epoch == whole.history.len() {
            assert_eq!(scores.last_test, Some(scores.test));
        } else {
            stopped_later += usize::from(whole.history.len() < variant.config.epochs);
            selected_before += 1;
        }
        let at_the_end = travel(&variant.config, &sets, usize::MAX, Some(whole.last_checkpoint.clone()));
        assert_eq!(
            (&at_the_end.scores, &at_the_end.predictions, &at_the_end.showcase),
            (&whole.scores, &whole.predictions, &whole.showcase)
        );
        // After every step, in the middle of epochs and now and then at an end, at every epoch's end.
        for stride in [1, 4, 6] {
            let parts = travel(&variant.config, &sets, stride, None);
            let about = format!("{}, stopped every {stride} steps", variant.label);
            assert_eq!(parts.interruptions, (whole.steps.len() - 1) / stride, "{about}");
            assert_eq!(parts.steps, whole.steps, "{about}");
            assert_eq!(parts.history, whole.history, "{about}");
            assert_eq!(
                (&parts.scores, &parts.predictions, &parts.showcase),
                (&whole.scores, &whole.predictions, &whole.showcase),
                "{about}"
            );
            assert_eq!(first_difference(&parts.current, &whole.current), None, "{about}: current weights");
            assert_eq!(first_difference(&parts.best, &whole.best), None, "{about}: best weights");
        }
    }
    assert!(selected_before >= 1 && stopped_later >= 1, "{selected_before}, of them {stopped_later} stopped early");
}
