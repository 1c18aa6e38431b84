//! How long trials will take, learned while they run.

use std::collections::HashMap;

use crate::spec::config::Config;

/// What one optimizer step costs besides its arithmetic, in multiply-adds: about 1.5 ms at 10 G/s.
const STEP_OVERHEAD: f64 = 15e6;
/// Forward and backward against forward alone.
const TRAINING_FACTOR: f64 = 3.0;
/// Multiply-adds a second, until the first epoch has been measured.
const FIRST_GUESS: f64 = 10e9;

/// Seconds an epoch of each trial. Trials of one kind differ only in what hardly changes their speed.
#[derive(Default)]
pub struct Estimate {
    /// By what trials of a kind have in common, its place in `kinds`.
    places: HashMap<String, usize>,
    /// Each trial's place in `kinds`.
    kind_of: Vec<usize>,
    kinds: Vec<Kind>,
    /// Measured seconds over guessed seconds, for kinds not yet seen.
    ratio: Mean,
}

struct Kind {
    guess: f64,
    measured: Mean,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn get(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.sum / self.count)
    }
}

impl Estimate {
    /// One more trial, whose place is the number of those before it.
    pub fn add(&mut self, config: &Config) {
        let next = self.kinds.len();
        let place = *self.places.entry(describe(config)).or_insert(next);
        if place == next {
            self.kinds.push(Kind { guess: guess(config), measured: Mean::default() });
        }
        self.kind_of.push(place);
    }

    /// One epoch of `trial` (its place) has been measured.
    pub fn record(&mut self, trial: usize, epoch_seconds: f64) {
        let kind = &mut self.kinds[self.kind_of[trial]];
        kind.measured.add(epoch_seconds);
        self.ratio.add(epoch_seconds / kind.guess);
    }

    pub fn is_measured(&self) -> bool {
        self.ratio.count > 0.0
    }

    /// Seconds that one epoch of `trial` takes on one worker.
    pub fn epoch_seconds(&self, trial: usize) -> f64 {
        let kind = &self.kinds[self.kind_of[trial]];
        kind.measured.get().unwrap_or_else(|| kind.guess * self.ratio.get().unwrap_or(1.0))
    }
}

fn describe(config: &Config) -> String {
    let penalties = (config.regularization.l1 > 0.0, config.regularization.l2 > 0.0);
    let Config { mode, data, model, activation, batch_size, augment, .. } = config;
    let optimizer = std::mem::discriminant(&config.optimizer);
    format!("{mode:?} {data:?} {model:?} {activation:?} {batch_size} {optimizer:?} {augment:?} {penalties:?}")
}

fn guess(config: &Config) -> f64 {
    let multiply_adds = config.table().multiply_adds() as f64;
    let images = config.data.training_images() as f64;
    let steps = (images / config.batch_size as f64).ceil();
    let validation = config.data.val as f64;
    (steps * STEP_OVERHEAD + multiply_adds * (TRAINING_FACTOR * images + validation)) / FIRST_GUESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Experiment, Overrides};

    #[test]
    fn an_epoch_of_another_kind_is_scaled_by_what_was_measured() {
        let text = "schema: 1\nname: a\nbase: {model: lenet5, optimizer: sgd}\nseeds: [0]\n\
                    blocks: [{id: b, axes: {batch_size: [4], init: [orthogonal]}}]";
        let trials = Experiment::parse("a", text, &Overrides::default()).unwrap().trials();
        let mut estimate = Estimate::default();
        trials.iter().for_each(|trial| estimate.add(&trial.config));
        let before = estimate.epoch_seconds(1);
        estimate.record(0, 2.0 * estimate.epoch_seconds(0));
        assert!(estimate.is_measured());
        assert_eq!(estimate.epoch_seconds(1), 2.0 * before);
        // Another start of the weights costs the same as the base.
        assert_eq!(estimate.epoch_seconds(2), estimate.epoch_seconds(0));
    }

    #[test]
    fn after_a_tenth_of_the_work_the_rest_is_known_within_a_quarter() {
        let text = "schema: 1\nname: a\nbase: {model: lenet5, optimizer: sgd, epochs: 5}\nseeds: [0, 1]\n\
                    blocks: [{id: b, axes: {init: [orthogonal, keras, xavier_normal, kaiming_normal]}}]";
        let trials = Experiment::parse("a", text, &Overrides::default()).unwrap().trials();
        let mut estimate = Estimate::default();
        trials.iter().for_each(|trial| estimate.add(&trial.config));
        // The first epoch of a worker is slow, and others come and go by a tenth.
        let seconds = [4.4, 2.8, 3.3, 3.0, 2.7];
        seconds.iter().for_each(|&seconds| estimate.record(0, seconds));
        let left: f64 = (1..trials.len()).map(|trial| 5.0 * estimate.epoch_seconds(trial)).sum();
        let truth = (trials.len() - 1) as f64 * 15.2;
        assert!((left / truth - 1.0).abs() < 0.25, "{left} s estimated, {truth} s true");
    }
}
