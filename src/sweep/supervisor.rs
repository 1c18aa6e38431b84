//! Conducts a sweep: gives what the queue says to the workers, tells the queue what they say, keeps the terminal and the tables up
//! to date, and stops in good order.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::estimate::Estimate;
use super::failure;
use super::looks;
use super::message::{Event, Job, Progress};
use super::needs::Needs;
use super::options::{Options, Report, Stopped};
use super::progress::{self, Display};
use super::queue::{Batch, MAX_ATTEMPTS, Queue};
use super::signals;
use super::workers::{Input, Setup, Workers};
use crate::publish::study::{grows, labels};
use crate::publish::{Publisher, publish_epochs};
use crate::record::{Outcome, total};
use crate::spec::Trial;
use crate::store::{Identity, Store};
use crate::train::pack_size::largest;
use crate::words::trial_name;

/// How often timeouts and the display are looked after.
const TICK: Duration = Duration::from_millis(250);

pub struct Supervisor<'a> {
    options: &'a Options,
    store: Store,
    needs: Needs<'a>,
    queue: Queue,
    workers: Workers,
    inputs: Receiver<Input>,
    publisher: Publisher,
    display: Display,
    /// By the trials' ids.
    labels: HashMap<String, String>,
    estimate: Estimate,
    start: Instant,
    last_tick: Instant,
    /// All trials that have ended so far, whoever ran them.
    report: Report,
    /// Whether it has been said that another sweep runs trials of this one.
    said_busy: bool,
}

impl<'a> Supervisor<'a> {
    pub fn new(
        needs: Needs<'a>,
        options: &'a Options,
        store: Store,
        setup: Setup,
        publisher: Publisher,
    ) -> Result<Supervisor<'a>> {
        let (sender, inputs) = channel();
        signals::listen(sender.clone())?;
        let (now, workers) = (Instant::now(), options.jobs.min(needs.most_at_once()));
        let mut supervisor = Supervisor {
            options,
            store,
            queue: Queue::new(&needs.experiment.seeds, options.max_failures, options.waits),
            workers: Workers::new(workers, setup, options.timeout, sender),
            inputs,
            publisher,
            display: Display::new(workers, options.progress),
            labels: labels(needs.experiment),
            estimate: Estimate::default(),
            start: now,
            last_tick: now,
            report: Report { undone: needs.refused.clone(), ..Report::default() },
            said_busy: false,
            needs,
        };
        supervisor.take_on();
        Ok(supervisor)
    }

    /// Queues what is needed by now, and counts what of it has ended.
    fn take_on(&mut self) {
        for trial in self.queue.take_on(self.needs.trials(), |trial| self.needs.outcomes.contains_key(&trial.id)) {
            let Trial { id, config, .. } = &self.queue.trials()[trial];
            self.estimate.add(config);
            if let Some(outcome) = self.needs.outcomes.get(id) {
                self.report.count(outcome, self.name(trial), self.store.log_path(id));
            }
        }
    }

    /// A trial has ended, here or elsewhere.
    fn learn(&mut self, trial: usize, outcome: &Outcome) {
        let id = &self.queue.trials()[trial].id;
        self.report.count(outcome, self.name(trial), self.store.log_path(id));
        self.needs.learn(id, outcome.clone()).iter().for_each(|line| self.display.say(line));
        // Who leaves the rest to others does not begin the next look alone either.
        if grows(self.needs.experiment) && self.options.waits {
            self.take_on();
        }
    }

    pub fn run(mut self) -> Result<Report> {
        self.say_stored();
        let result = self.work();
        // Without a trial there is nothing to wait for, and a worker that hangs would hold up the end.
        if result.is_ok() {
            self.workers.kill()
        } else {
            self.stop()
        }
        self.workers.wait_for_all().context(Stopped)?;
        self.display.finish();
        result.map_err(|error| if self.workers.started > 0 { error.context(Stopped) } else { error })?;
        let left = self.queue.trials().len() - self.report.ended();
        self.report.left = if self.queue.is_stopped() { 0 } else { left };
        // Whoever runs the rest makes the tables too.
        if self.options.waits || left == 0 {
            match self.publisher.finish() {
                Ok(study) => self.report.undone.extend(study.unreadable().map(str::to_owned)),
                Err(error) => self.report.undone.push(format!("the tables and plots: {error:#}")),
            }
        }
        // A signal that came when there was nothing left to stop has interrupted nothing.
        self.report.interrupted &= self.report.ended() < self.queue.trials().len();
        Ok(self.report)
    }

    fn say_stored(&self) {
        let all = self.queue.trials().len();
        let stored = all - self.queue.waiting().len();
        if stored > 0 {
            self.display.say(&format!("{stored} of {all} trials are stored already"));
        }
        let failed = self.report.failures.len();
        if failed > 0 {
            self.display.say(&format!("{failed} of them failed; --rerun failed runs them again"));
        }
    }

    fn work(&mut self) -> Result<()> {
        loop {
            self.give_work()?;
            if self.queue.is_over(self.start.elapsed()) {
                return Ok(());
            }
            match self.inputs.recv_timeout(TICK) {
                Ok(input) => self.hear(input)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the workers keep a sender"),
            }
            // Not only when nothing is heard: busy workers are heard all the time.
            let passed = self.last_tick.elapsed();
            if passed >= TICK {
                self.last_tick = Instant::now();
                self.workers.kill_overdue(passed);
                self.show();
            }
        }
    }

    fn give_work(&mut self) -> Result<()> {
        let share = self.queue.share(self.workers.count());
        for worker in 0..self.workers.count() {
            if !self.queue.has_work(self.start.elapsed()) {
                return Ok(());
            }
            if !self.queue.running(worker).is_empty() || !self.workers.is_up(worker, |line| self.display.say(line))? {
                continue;
            }
            let devices = &self.options.devices;
            let most = share.min(largest(devices[worker % devices.len()]));
            let Some(Batch { trials, attempt }) = self.queue.give(worker, most, self.start.elapsed()) else { continue };
            let trials: Vec<_> = trials.into_iter().map(|trial| Identity::from(&self.queue.trials()[trial])).collect();
            let weights = trials.iter().map(|trial| trial.config.start.as_ref()?.weights.file.clone()).collect();
            self.workers.start(worker, &Job { trials, weights, attempt, trace: self.options.trace });
        }
        Ok(())
    }

    fn hear(&mut self, input: Input) -> Result<()> {
        let (process, said) = match input {
            Input::Signal => {
                self.signal();
                return Ok(());
            }
            Input::Said(process, said) => (process, Some(said)),
            Input::Closed(process) => (process, None),
        };
        // What is said of a process or a trial that has ended is of no interest.
        let Some(worker) = self.workers.with_process(process) else { return Ok(()) };
        let Some((index, event)) = said else { return self.closed(worker) };
        self.workers.heard(worker, &event);
        self.queue.running_at(worker, index).map_or(Ok(()), |trial| self.said(worker, trial, event))
    }

    fn said(&mut self, worker: usize, trial: usize, event: Event) -> Result<()> {
        match event {
            Event::CannotStart(error) => {
                // Its trials wait for another.
                self.queue.put_back(&self.queue.running(worker));
                return self.workers.cannot_start(worker, anyhow!(error), |line| self.display.say(line));
            }
            Event::Started { finished_epochs, midway, note } => {
                let epochs = self.queue.trials()[trial].config.epochs;
                let words = note.or_else(|| progress::start(finished_epochs, midway, epochs));
                words.iter().for_each(|words| self.say_of(trial, words));
            }
            Event::Progress(progress) => self.show_worker(worker, progress),
            Event::Evaluating => {}
            Event::Epoch(epoch) => {
                self.estimate.record(trial, epoch.seconds);
                // Nobody needs the epochs of a trial under way but TensorBoard, so they can wait as tables can.
                let trial = &self.queue.trials()[trial];
                self.warn(publish_epochs(&self.store, trial, &self.labels[&trial.id]));
            }
            Event::Ended(outcome) => self.ended(trial, &outcome),
            Event::Busy => self.busy(trial),
            Event::Refused(error) => self.refused(trial, &error),
            Event::Released => self.queue.put_back(&[trial]),
            Event::CannotRecord => {
                self.say_of(trial, "its steps cannot be recorded as a CUDA graph; another worker does without");
                self.queue.put_back(&self.queue.running(worker));
                self.workers.cannot_record(worker)?;
            }
            Event::Failed(error) => self.failed(trial, error)?,
            Event::Interrupted => self.interrupted(worker, trial)?,
        }
        if self.queue.running(worker).is_empty() {
            self.display.idle(worker);
            self.workers.rest(worker)?;
        }
        Ok(())
    }

    /// A worker's process has ended. If it was running trials, that is one failed attempt of each.
    fn closed(&mut self, worker: usize) -> Result<()> {
        let Some(error) = self.workers.wait(worker)? else { return Ok(()) };
        let trials = self.queue.running(worker);
        self.display.idle(worker);
        if self.queue.is_stopped() {
            self.queue.put_back(&trials);
            return Ok(());
        }
        trials.into_iter().try_for_each(|trial| self.failed(trial, error.clone()))
    }

    /// A worker has left its trial at a checkpoint and ends. If the sweep goes on, somebody else told it to.
    fn interrupted(&mut self, worker: usize, trial: usize) -> Result<()> {
        if self.queue.is_stopped() {
            self.queue.put_back(&[trial]);
            return Ok(());
        }
        if self.queue.running(worker) == [trial] {
            self.workers.wait(worker)?;
        }
        self.failed(trial, "its worker was told to stop by a signal".to_owned())
    }

    fn ended(&mut self, trial: usize, outcome: &Outcome) {
        self.queue.end(trial);
        self.say_of(trial, &progress::end(outcome));
        self.learn(trial, outcome);
        self.publish();
    }

    /// Another sweep holds this trial, or has just stored it.
    fn busy(&mut self, trial: usize) {
        match self.store.load(&self.queue.trials()[trial].id) {
            Ok(None) => {}
            Ok(Some(finished)) => {
                self.queue.end(trial);
                return self.learn(trial, &finished.outcome);
            }
            Err(error) => return self.undone(trial, &format!("{error:#}")),
        }
        if !self.said_busy {
            self.said_busy = true;
            let then = if self.options.waits { "waiting for those" } else { "they are left to it" };
            self.display.say(&format!("another sweep on this folder runs some of the trials; {then}"));
        }
        self.queue.busy(trial, self.start.elapsed());
    }

    /// Another user has begun this trial. If nobody runs it now, nobody may before the sweep ends.
    fn refused(&mut self, trial: usize, error: &str) {
        let id = &self.queue.trials()[trial].id;
        if self.store.is_stored(id) || self.store.is_running(id) {
            self.busy(trial);
        } else {
            self.undone(trial, error);
        }
    }

    fn undone(&mut self, trial: usize, error: &str) {
        self.queue.end(trial);
        self.say_of(trial, error);
        self.report.undone.push(format!("{}: {error}", self.name(trial)));
    }

    fn failed(&mut self, trial: usize, error: String) -> Result<()> {
        if let Some(attempt) = self.queue.fail(trial) {
            self.say_of(trial, &format!("attempt {attempt} of {MAX_ATTEMPTS} failed: {error}"));
            return Ok(());
        }
        let words = format!("failed after {MAX_ATTEMPTS} attempts: {error}");
        let identity = Identity::from(&self.queue.trials()[trial]);
        let Some(outcome) = failure::store(&self.store, &identity, &self.workers.setup, error, &words)? else {
            self.busy(trial);
            return Ok(());
        };
        let log = self.store.log_path(&self.queue.trials()[trial].id);
        self.say_of(trial, &format!("{words} (log: {})", log.display()));
        let too_many = self.queue.give_up(trial);
        self.learn(trial, &outcome);
        if too_many {
            self.display.say("the most failures allowed are reached; the sweep stops");
            self.stop();
        }
        self.publish();
        Ok(())
    }

    /// The first signal stops after checkpoints, the second at once.
    fn signal(&mut self) {
        self.report.interrupted = true;
        if self.queue.is_stopped() {
            self.display.finish();
            self.workers.kill();
            let _ = self.workers.wait_for_all();
            signals::stopped_at_once();
        }
        if self.queue.is_running() {
            self.display.say("stopping after a checkpoint of each running trial or its end; once more stops at once");
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.queue.stop();
        self.workers.stop();
    }

    /// Tables can wait: what keeps them from being written now is an error only at the end.
    fn publish(&mut self) {
        let published = self.publisher.trial_stored();
        self.warn(published);
    }

    fn warn(&self, done: Result<()>) {
        if let Err(error) = done {
            self.display.say(&format!("warning: {error:#}; the sweep goes on"));
        }
    }

    fn show_worker(&self, worker: usize, progress: Progress) {
        let trials = self.queue.running(worker);
        let Trial { id, seed, .. } = &self.queue.trials()[trials[0]];
        let name = match trials.len() {
            1 => format!("{}, seed {seed}", self.labels[id]),
            more => format!("{} trials from {}, seed {seed}", more, self.labels[id]),
        };
        let images_per_second = progress.images_per_second * trials.len() as f64;
        let epochs = self.queue.trials()[trials[0]].config.epochs;
        self.display.worker(worker, (&name, id), epochs, &Progress { images_per_second, ..progress });
    }

    /// Brings the line of the whole sweep up to date.
    fn show(&mut self) {
        let seconds = |trial: usize, epochs: f64| self.estimate.epoch_seconds(trial) * epochs;
        let whole = |trial: usize| seconds(trial, self.queue.trials()[trial].config.epochs as f64);
        let mut left = total(self.queue.waiting().map(whole));
        for worker in 0..self.workers.count() {
            let done = self.workers.progress(worker).map_or(0.0, Progress::epochs);
            left += total(self.queue.running(worker).into_iter().map(|trial| whole(trial) - seconds(trial, done)));
        }
        let trials = self.queue.trials().len();
        let share = 1.0 - left / total((0..trials).map(whole));
        let seconds_left = self.estimate.is_measured().then(|| left / self.workers.count().max(1) as f64);
        let goal = looks::goal(&self.needs.asked.judgement);
        self.display.sweep(&progress::totals(&self.report, trials, share, seconds_left, goal), share);
    }

    fn say_of(&self, trial: usize, words: &str) {
        self.display.say(&format!("{}: {words}", self.name(trial)));
    }

    fn name(&self, trial: usize) -> String {
        let Trial { id, seed, .. } = &self.queue.trials()[trial];
        trial_name(&self.labels[id], *seed, id)
    }
}
