//! Which trials run next, on which worker and together; when one is tried again, and when it is given up.
//!
//! Nothing here knows processes, clocks or files: it is told what has happened, at how long after the start, and says what is to be
//! done. A trial is named by its place in the order in which trials were taken on, a worker by its number.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::engine::fit_together;
use crate::spec::Trial;
use crate::spec::config::Mode;

/// A trial that fails so often is given up.
pub const MAX_ATTEMPTS: usize = 3;
/// How long to wait before asking again for a trial that another sweep runs.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Every trial of a sweep: it waits, or runs on one worker, or has ended.
pub struct Queue {
    trials: Vec<Trial>,
    /// The next ones first.
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    /// The experiment's, in its order.
    seeds: Vec<u64>,
    /// Nothing is given out any more after so many trials were given up.
    max_failures: Option<usize>,
    /// Whether trials that other sweeps run are asked for until they have ended.
    waits: bool,
    given_up: usize,
    stopped: bool,
}

struct Waiting {
    trial: usize,
    /// 1 for its first try.
    attempt: usize,
    not_before: Duration,
}

struct Running {
    trial: usize,
    attempt: usize,
    worker: usize,
    /// Its place in what the worker was given.
    index: usize,
}

/// What a worker is to do: one trial, or several that are computed together.
#[derive(Debug, PartialEq)]
pub struct Batch {
    pub trials: Vec<usize>,
    pub attempt: usize,
}

impl Queue {
    pub fn new(seeds: &[u64], max_failures: Option<usize>, waits: bool) -> Queue {
        Queue {
            trials: vec![],
            waiting: VecDeque::new(),
            running: vec![],
            seeds: seeds.to_vec(),
            max_failures,
            waits,
            given_up: 0,
            stopped: false,
        }
    }

    /// Takes on those of `needed` that are not known yet, each once, and returns which they are. Those that have not ended wait.
    pub fn take_on<'t>(
        &mut self,
        needed: impl Iterator<Item = &'t Trial>,
        has_ended: impl Fn(&Trial) -> bool,
    ) -> Range<usize> {
        let known = self.trials.len();
        let mut ids: HashSet<String> = self.trials.iter().map(|trial| trial.id.clone()).collect();
        let mut new: Vec<Trial> = needed.filter(|trial| ids.insert(trial.id.clone())).cloned().collect();
        // Every configuration once before any a second time: the first tables then cover the whole study.
        new.sort_by_key(|trial| self.seeds.iter().position(|&seed| seed == trial.seed));
        for trial in new {
            if !has_ended(&trial) {
                self.waiting.push_back(Waiting { trial: self.trials.len(), attempt: 1, not_before: Duration::ZERO });
            }
            self.trials.push(trial);
        }
        known..self.trials.len()
    }

    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    pub fn waiting(&self) -> impl ExactSizeIterator<Item = usize> {
        self.waiting.iter().map(|waiting| waiting.trial)
    }

    /// What a worker runs, in the order in which it was given.
    pub fn running(&self, worker: usize) -> Vec<usize> {
        self.running.iter().filter(|running| running.worker == worker).map(|running| running.trial).collect()
    }

    /// The trial at a place of what a worker was given, while it runs.
    pub fn running_at(&self, worker: usize, index: usize) -> Option<usize> {
        let mut running = self.running.iter();
        running.find(|running| (running.worker, running.index) == (worker, index)).map(|running| running.trial)
    }

    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether nothing runs and nothing is to be given out any more. Without waiting that is so too where others have been found
    /// to run all that is left, a moment ago.
    pub fn is_over(&self, now: Duration) -> bool {
        let is_left = || !self.waits && !self.has_work(now);
        !self.is_running() && (self.stopped || self.waiting.is_empty() || is_left())
    }

    /// How many trials each worker takes at most, or the others would have nothing to do at the end.
    pub fn share(&self, workers: usize) -> usize {
        self.waiting.len().div_ceil(workers.max(1))
    }

    /// Whether there is something to give out.
    pub fn has_work(&self, now: Duration) -> bool {
        self.next(now).is_some()
    }

    /// The place of the trial that is to be given out next.
    fn next(&self, now: Duration) -> Option<usize> {
        let next = self.waiting.iter().position(|waiting| waiting.not_before <= now);
        next.filter(|_| !self.stopped)
    }

    /// Gives an idle worker the next trial, with up to `most` in all that can be computed together.
    pub fn give(&mut self, worker: usize, most: usize, now: Duration) -> Option<Batch> {
        let first = self.waiting.remove(self.next(now)?)?;
        let trials = &self.trials;
        let mut batch = vec![first.trial];
        self.waiting.retain(|other| {
            let taken = batch.len() < most && other.not_before <= now && go_together(trials, &first, other);
            batch.extend(taken.then_some(other.trial));
            !taken
        });
        let attempt = first.attempt;
        let running = batch.iter().enumerate().map(|(index, &trial)| Running { trial, attempt, worker, index });
        self.running.extend(running);
        Some(Batch { trials: batch, attempt })
    }

    /// A trial that runs has ended, or cannot be run here. Returns its attempt.
    pub fn end(&mut self, trial: usize) -> usize {
        let place = self.running.iter().position(|running| running.trial == trial).expect("it runs");
        self.running.remove(place).attempt
    }

    /// Another sweep runs the trial: it is asked for again later, after all others.
    pub fn busy(&mut self, trial: usize, now: Duration) {
        let attempt = self.end(trial);
        self.waiting.push_back(Waiting { trial, attempt, not_before: now + BUSY_WAIT });
    }

    /// Nothing has become of these: they are the next ones, in this order.
    pub fn put_back(&mut self, trials: &[usize]) {
        for &trial in trials.iter().rev() {
            let attempt = self.end(trial);
            self.waiting.push_front(Waiting { trial, attempt, not_before: Duration::ZERO });
        }
    }

    /// An attempt of the trial, which is returned, has failed. It is tried again, before all others. None after the last one:
    /// then the trial is still the worker's, until [`Queue::give_up`] or [`Queue::busy`].
    pub fn fail(&mut self, trial: usize) -> Option<usize> {
        let running = self.running.iter_mut().find(|running| running.trial == trial).expect("it runs");
        let failed = running.attempt;
        if failed == MAX_ATTEMPTS {
            return None;
        }
        running.attempt += 1;
        self.put_back(&[trial]);
        Some(failed)
    }

    /// A trial is stored as failed. Whether so many have been by now that this stops the sweep.
    pub fn give_up(&mut self, trial: usize) -> bool {
        self.end(trial);
        self.given_up += 1;
        self.max_failures.is_some_and(|most| self.given_up >= most)
    }

    /// From here on nothing is given out.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// One that failed runs alone from then on, so that it fails alone.
fn go_together(trials: &[Trial], first: &Waiting, other: &Waiting) -> bool {
    let [one, two] = [first, other].map(|waiting| &trials[waiting.trial]);
    let untried = first.attempt == 1 && other.attempt == 1;
    untried && one.config.mode != Mode::Exact && one.seed == two.seed && fit_together(&one.config, &two.config)
}

#[cfg(test)]
mod tests;
