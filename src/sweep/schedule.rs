//! Gives trials to workers, hears from them, tries failed trials again, and stops in good order.

mod shortage;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::estimate::Estimate;
use super::looks;
use super::message::{Event, Job, Progress, Said};
use super::patience::Patience;
use super::pool::{Content, Message, Process, Setup};
use super::progress::{Display, Standing};
use super::{Options, Report, Stopped, signals};
use crate::engine::fit_together;
use crate::host;
use crate::native;
use crate::publish::study::{ask_with, grows, labels, stored_outcomes};
use crate::publish::{Publisher, publish_epochs};
use crate::record::{Epoch, Outcome, Status, total};
use crate::spec::config::Mode;
use crate::spec::{Experiment, Trial};
use crate::store::files::is_refused;
use crate::store::{Identity, Store};
use crate::train::pack_size::most;
use crate::verdict::asked::Asked;
use crate::verdict::looks::Judgement;
use crate::words::rounded_duration;

/// A trial that fails so often is given up.
const MAX_ATTEMPTS: usize = 3;
/// How often timeouts and the display are looked after.
const TICK: Duration = Duration::from_millis(250);
/// How long to wait before asking again for a trial that another sweep runs.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// What the scheduling loop waits for.
#[derive(Debug)]
pub enum Input {
    Worker(Message),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

pub struct Sweep<'a> {
    experiment: &'a Experiment,
    /// Which of the experiment's trials may run here.
    may_run: HashSet<String>,
    /// What is needed by now, ended or not; it grows where seeds are added or values tried first.
    trials: Vec<Trial>,
    /// Every trial that has ended, by id.
    outcomes: HashMap<String, Outcome>,
    judgement: Judgement,
    options: &'a Options,
    store: Store,
    setup: Setup,
    publisher: Publisher,
    display: Display,
    labels: HashMap<String, String>,
    queue: VecDeque<Pending>,
    slots: Vec<Slot>,
    inputs: Receiver<Input>,
    sender: Sender<Input>,
    estimate: Estimate,
    last_tick: Instant,
    /// All trials that have ended so far, whoever ran them.
    report: Report,
    /// Of those, how many failed in this sweep.
    new_failures: usize,
    stopping: bool,
    /// Whether it has been said that another sweep runs trials of this one.
    said_busy: bool,
    /// Once a worker could not be started: when it was last tried.
    last_try: Option<Instant>,
}

/// A trial that waits for a worker.
struct Pending {
    trial: usize,
    /// 1 for its first try.
    attempt: usize,
    not_before: Instant,
}

/// A place for one worker, whose process is started when first needed and again when it died.
#[derive(Default)]
struct Slot {
    process: Option<Process>,
    generation: usize,
    /// It was started while no other was, because there may be no room for two.
    alone: bool,
    running: Option<Running>,
}

/// One trial, or several that are computed together.
struct Running {
    /// Those that have not ended.
    members: Vec<Member>,
    attempt: usize,
    patience: Patience,
    progress: Option<Progress>,
    /// Set when the sweep itself killed the worker, and why.
    killed: Option<String>,
}

struct Member {
    /// Which trial of the worker's job.
    of: usize,
    trial: usize,
    val_accuracy: Option<f64>,
}

impl<'a> Sweep<'a> {
    pub fn new(
        experiment: &'a Experiment,
        trials: &[Trial],
        options: &'a Options,
        store: Store,
        setup: Setup,
        publisher: Publisher,
    ) -> Result<Sweep<'a>> {
        let mut report = Report::default();
        let mut may_run: HashSet<String> = trials.iter().map(|trial| trial.id.clone()).collect();
        let outcomes = stored_outcomes(experiment, &store, |id, error| match is_refused(&error) {
            true if may_run.remove(id) => {
                report.undone.push(format!("{error:#}"));
                Ok(())
            }
            false if may_run.contains(id) => Err(error),
            _ => Ok(()),
        })?;
        let asked = ask_with(experiment, &outcomes);
        let (sender, inputs) = channel();
        signals::listen(sender.clone())?;
        let mut sweep = Sweep {
            experiment,
            may_run,
            trials: vec![],
            outcomes,
            judgement: asked.judgement.clone(),
            options,
            store,
            setup,
            publisher,
            display: Display::new(0, false),
            labels: labels(experiment),
            queue: VecDeque::new(),
            slots: vec![],
            inputs,
            sender,
            estimate: Estimate::default(),
            last_tick: Instant::now(),
            report,
            new_failures: 0,
            stopping: false,
            said_busy: false,
            last_try: None,
        };
        sweep.take_on(&asked);
        let most = if grows(experiment) && !sweep.queue.is_empty() { trials.len() } else { sweep.queue.len() };
        let workers = options.jobs.min(most);
        sweep.slots = (0..workers).map(|_| Slot::default()).collect();
        sweep.display = Display::new(workers, options.progress);
        Ok(sweep)
    }

    /// Queues those of the trials that are needed by now which are not known yet, and counts those that have ended.
    fn take_on(&mut self, asked: &Asked) {
        let known: HashSet<&str> = self.trials.iter().map(|trial| trial.id.as_str()).collect();
        let wanted = |trial: &&Trial| self.may_run.contains(&trial.id) && !known.contains(trial.id.as_str());
        let mut new: Vec<Trial> = asked.trials().filter(wanted).cloned().collect();
        // Every configuration once before any a second time: the first tables then cover the whole study.
        new.sort_by_key(|trial| self.experiment.seeds.iter().position(|&seed| seed == trial.seed));
        let mut seen = HashSet::new();
        for trial in new.into_iter().filter(|trial| seen.insert(trial.id.clone())) {
            let place = self.trials.len();
            self.estimate.add(&trial.config);
            let outcome = self.outcomes.get(&trial.id).cloned();
            self.trials.push(trial);
            match outcome {
                Some(outcome) => self.count(place, &outcome),
                None => self.queue.push_back(Pending { trial: place, attempt: 1, not_before: Instant::now() }),
            }
        }
    }

    /// A trial has ended, here or elsewhere: what the study says now may need others.
    fn learn(&mut self, trial: usize, outcome: &Outcome) {
        self.outcomes.insert(self.trials[trial].id.clone(), outcome.clone());
        if grows(self.experiment) {
            let asked = ask_with(self.experiment, &self.outcomes);
            for line in looks::describe(self.experiment, &self.judgement, &asked) {
                self.display.say(&line);
            }
            self.judgement = asked.judgement.clone();
            self.take_on(&asked);
        }
    }

    pub fn run(mut self) -> Result<Report> {
        self.say_stored();
        let result = self.work();
        if result.is_err() {
            self.stop();
        }
        let began = self.slots.iter().any(|slot| slot.generation > 0);
        for mut process in self.slots.iter_mut().filter_map(|slot| slot.process.take()) {
            // Without a trial there is nothing to wait for, and a worker that hangs would hold up the end.
            if result.is_ok() {
                process.kill();
            }
            process.wait().context(Stopped)?;
        }
        self.display.finish();
        result.map_err(|error| if began { error.context(Stopped) } else { error })?;
        match self.publisher.finish() {
            Ok(study) => self.report.undone.extend(study.unreadable().map(str::to_owned)),
            Err(error) => self.report.undone.push(format!("the tables and plots: {error:#}")),
        }
        // A signal that came when there was nothing left to stop has interrupted nothing.
        self.report.interrupted &= self.report.ended() < self.trials.len();
        Ok(self.report)
    }

    fn say_stored(&self) {
        let stored = self.trials.len() - self.queue.len();
        if stored > 0 {
            self.display.say(&format!("{stored} of {} trials are stored already", self.trials.len()));
        }
        let failed = self.report.failures.len();
        if failed > 0 {
            self.display.say(&format!("{failed} of them failed; --rerun failed runs them again"));
        }
    }

    fn work(&mut self) -> Result<()> {
        loop {
            self.give_work()?;
            let idle = self.slots.iter().all(|slot| slot.running.is_none());
            if idle && (self.stopping || self.queue.is_empty()) {
                return Ok(());
            }
            match self.inputs.recv_timeout(TICK) {
                Ok(Input::Worker(message)) => self.hear(message)?,
                Ok(Input::Signal) => self.signal(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the sweep keeps a sender"),
            }
            // Not only when nothing is heard: busy workers are heard all the time.
            let passed = self.last_tick.elapsed();
            if passed >= TICK {
                self.last_tick = Instant::now();
                self.kill_overdue(passed);
                self.show();
            }
        }
    }

    fn give_work(&mut self) -> Result<()> {
        // No worker takes more at once than its share of what waits, or the others would have nothing to do at the end.
        let share = self.queue.len().div_ceil(self.slots.len().max(1));
        for slot in 0..self.slots.len() {
            if self.stopping || self.slots[slot].running.is_some() {
                continue;
            }
            let now = Instant::now();
            let Some(place) = self.queue.iter().position(|pending| pending.not_before <= now) else { return Ok(()) };
            if !self.has_worker(slot)? {
                continue;
            }
            let first = self.queue.remove(place).expect("just found");
            let devices = &self.options.devices;
            let most = share.min(most(devices[slot % devices.len()]));
            let others = self.take_fitting(&first, most - 1, now);
            self.start(slot, first, others);
        }
        Ok(())
    }

    /// Takes up to `most` trials from the queue that can be computed together with `first`. One that failed runs alone from
    /// then on, so that it fails alone.
    fn take_fitting(&mut self, first: &Pending, most: usize, now: Instant) -> Vec<usize> {
        let Trial { config, seed, .. } = &self.trials[first.trial];
        if config.mode == Mode::Exact || first.attempt > 1 {
            return vec![];
        }
        let fits = |pending: &Pending| {
            let other = &self.trials[pending.trial];
            pending.attempt == 1
                && pending.not_before <= now
                && other.seed == *seed
                && fit_together(config, &other.config)
        };
        let places: Vec<usize> = (0..self.queue.len()).filter(|place| fits(&self.queue[*place])).take(most).collect();
        let mut taken: Vec<usize> =
            places.iter().rev().map(|place| self.queue.remove(*place).expect("just found").trial).collect();
        taken.reverse();
        taken
    }

    fn start(&mut self, slot: usize, first: Pending, others: Vec<usize>) {
        let place = &mut self.slots[slot];
        let trials = [vec![first.trial], others].concat();
        let identities = trials.iter().map(|trial| identity(&self.trials[*trial])).collect();
        let job = Job { trials: identities, attempt: first.attempt, trace: self.options.trace };
        place.process.as_mut().expect("it has a worker").send(&job);
        let member = |(of, trial)| Member { of, trial, val_accuracy: None };
        place.running = Some(Running {
            members: trials.into_iter().enumerate().map(member).collect(),
            attempt: first.attempt,
            patience: Patience::new(self.options.timeout),
            progress: None,
            killed: None,
        });
    }

    fn hear(&mut self, Message { slot, generation, content }: Message) -> Result<()> {
        if self.slots[slot].generation != generation {
            return Ok(());
        }
        match content {
            Content::Said(said) => self.said(slot, said),
            Content::Gone => self.gone(slot),
        }
    }

    fn said(&mut self, slot: usize, Said { of, event }: Said) -> Result<()> {
        let Some(running) = &mut self.slots[slot].running else { return Ok(()) };
        running.patience.heard();
        let Some(place) = running.members.iter().position(|member| member.of == of) else { return Ok(()) };
        let (trial, attempt) = (running.members[place].trial, running.attempt);
        match event {
            Event::Started { finished_epochs, midway, note } => {
                running.patience.started();
                if let Some(words) = note.or_else(|| self.goes_on(trial, finished_epochs, midway)) {
                    self.display.say(&format!("{}: {words}", self.name(trial)));
                }
            }
            Event::NotUp { error } => self.not_up(slot, error)?,
            Event::Progress(progress) => {
                running.progress = Some(progress);
                self.show_worker(slot);
            }
            Event::Evaluating => {}
            Event::Epoch(epoch) => {
                running.members[place].val_accuracy = Some(epoch.val_accuracy);
                self.estimate.record(trial, epoch.seconds);
                self.show_epochs(trial);
            }
            Event::Ended { outcome } => {
                self.free(slot, place)?;
                self.ended(trial, &outcome);
            }
            Event::Busy => {
                self.free(slot, place)?;
                self.busy(trial, attempt);
            }
            Event::Refused { error } => {
                self.free(slot, place)?;
                self.refused(trial, attempt, error);
            }
            Event::Left => {
                self.free(slot, place)?;
                self.queue.push_front(Pending { trial, attempt, not_before: Instant::now() });
            }
            Event::Failed { error } => {
                self.free(slot, place)?;
                self.failed(trial, attempt, error)?;
            }
            Event::Interrupted => {
                self.free(slot, place)?;
                self.interrupted(slot, trial, attempt)?;
            }
        }
        Ok(())
    }

    /// Where a trial goes on; None for one that starts afresh.
    fn goes_on(&self, trial: usize, finished_epochs: usize, midway: bool) -> Option<String> {
        let next = finished_epochs + 1;
        match (finished_epochs, midway) {
            (0, false) => None,
            (0, true) => Some("goes on in the middle of epoch 1".to_owned()),
            (_, true) => Some(format!("goes on after epoch {finished_epochs}, in the middle of epoch {next}")),
            _ if finished_epochs >= self.trials[trial].config.epochs => {
                Some("all its epochs are trained; its scores are what is left".to_owned())
            }
            _ => Some(format!("goes on after epoch {finished_epochs}")),
        }
    }

    fn show_worker(&self, slot: usize) {
        let Some(Running { members, progress: Some(progress), .. }) = &self.slots[slot].running else { return };
        let Member { trial, val_accuracy, .. } = members[0];
        let name = match members.len() {
            1 => self.name(trial),
            more => format!("{} and {} more", self.name(trial), more - 1),
        };
        let rate = progress.images_per_second * members.len() as f64;
        let progress = Progress { images_per_second: rate, ..*progress };
        self.display.worker(slot, &name, self.trials[trial].config.epochs, &progress, val_accuracy);
    }

    /// A worker's process has ended. If it was running trials, that is one failed attempt of each.
    fn gone(&mut self, slot: usize) -> Result<()> {
        let Some(process) = self.slots[slot].process.take() else { return Ok(()) };
        let status = process.wait().context("cannot learn how a worker ended")?;
        let Some(running) = self.slots[slot].running.take() else { return Ok(()) };
        self.display.idle(slot);
        if self.stopping {
            return Ok(());
        }
        let error = running.killed.unwrap_or_else(|| format!("its worker died: {status}"));
        running.members.iter().try_for_each(|member| self.failed(member.trial, running.attempt, error.clone()))
    }

    /// One of the trials that a worker ran has ended; with the last one it is free.
    fn free(&mut self, slot: usize, member: usize) -> Result<()> {
        let place = &mut self.slots[slot];
        let members = place.running.as_mut().map(|running| &mut running.members).expect("it runs a trial");
        members.remove(member);
        if !members.is_empty() {
            return Ok(());
        }
        self.display.idle(slot);
        let running = place.running.take();
        if running.is_some_and(|running| running.killed.is_some())
            && let Some(process) = place.process.take()
        {
            // It finished just before the kill reached it; the next trial must not go to a dying worker.
            process.wait()?;
        }
        Ok(())
    }

    /// A worker has left its trial at a checkpoint and ends. If the sweep goes on, somebody else told it to.
    fn interrupted(&mut self, slot: usize, trial: usize, attempt: usize) -> Result<()> {
        if self.stopping {
            return Ok(());
        }
        let place = &mut self.slots[slot];
        if place.running.is_none()
            && let Some(process) = place.process.take()
        {
            process.wait()?;
        }
        self.failed(trial, attempt, "its worker was told to stop by a signal".to_owned())
    }

    fn ended(&mut self, trial: usize, outcome: &Outcome) {
        let name = self.name(trial);
        match &outcome.scores {
            Some(scores) => self.display.say(&format!(
                "{name}: test accuracy {:.2} % (epoch {} of {}), {}",
                100.0 * scores.test.accuracy,
                scores.best_epoch,
                outcome.epochs,
                rounded_duration(outcome.seconds)
            )),
            None => self.display.say(&format!("{name}: diverged: {}", outcome.error.as_deref().unwrap_or(""))),
        }
        self.count(trial, outcome);
        self.learn(trial, outcome);
        self.publish();
    }

    fn count(&mut self, trial: usize, outcome: &Outcome) {
        match outcome.status {
            Status::Done => self.report.done += 1,
            Status::Diverged => self.report.diverged += 1,
            Status::Failed => {
                let error = outcome.error.clone().unwrap_or_default();
                self.report.failures.push((self.name(trial), error, self.store.log_path(&self.trials[trial].id)));
            }
        }
    }

    /// Tables can wait: what keeps them from being written now is an error only at the end.
    fn publish(&mut self) {
        if let Err(error) = self.publisher.trial_stored() {
            self.display.say(&format!("warning: {error:#}; the sweep goes on"));
        }
    }

    /// Nobody needs the epochs of a trial under way but TensorBoard, so they can wait as tables can.
    fn show_epochs(&self, trial: usize) {
        let trial = &self.trials[trial];
        if let Err(error) = publish_epochs(&self.store, trial, &self.labels[&trial.id]) {
            self.display.say(&format!("warning: {error:#}; the sweep goes on"));
        }
    }

    /// Another sweep holds this trial, or has just stored it.
    fn busy(&mut self, trial: usize, attempt: usize) {
        match self.store.load(&self.trials[trial].id) {
            Ok(Some(finished)) => {
                self.count(trial, &finished.outcome);
                return self.learn(trial, &finished.outcome);
            }
            Ok(None) => {}
            Err(error) => return self.undone(trial, &format!("{error:#}")),
        }
        if !self.said_busy {
            self.said_busy = true;
            self.display.say("another sweep on this folder runs some of the trials; waiting for those");
        }
        self.queue.push_back(Pending { trial, attempt, not_before: Instant::now() + BUSY_WAIT });
    }

    /// Another user has begun this trial. If nobody runs it now, nobody may before the sweep ends.
    fn refused(&mut self, trial: usize, attempt: usize, error: String) {
        let id = &self.trials[trial].id;
        if self.store.is_stored(id) || self.store.is_running(id) {
            self.busy(trial, attempt);
        } else {
            self.undone(trial, &error);
        }
    }

    fn undone(&mut self, trial: usize, error: &str) {
        let line = format!("{}: {error}", self.name(trial));
        self.display.say(&line);
        self.report.undone.push(line);
    }

    fn failed(&mut self, trial: usize, attempt: usize, error: String) -> Result<()> {
        let name = self.name(trial);
        if attempt < MAX_ATTEMPTS {
            self.display.say(&format!("{name}: attempt {attempt} of {MAX_ATTEMPTS} failed: {error}"));
            self.queue.push_front(Pending { trial, attempt: attempt + 1, not_before: Instant::now() });
            return Ok(());
        }
        let words = format!("failed after {attempt} attempts: {error}");
        if !self.store_failure(trial, &error, &words)? {
            self.busy(trial, attempt);
            return Ok(());
        }
        let log = self.store.log_path(&self.trials[trial].id);
        self.display.say(&format!("{name}: {words} (log: {})", log.display()));
        self.new_failures += 1;
        self.report.failures.push((name, error, log));
        if self.options.max_failures.is_some_and(|most| self.new_failures >= most) {
            self.display.say("the most failures allowed are reached; the sweep stops");
            self.stop();
        }
        self.publish();
        Ok(())
    }

    /// False where another sweep has taken the trial meanwhile. `last_words` end its log, which it has even if none of its
    /// workers got so far.
    fn store_failure(&mut self, trial: usize, error: &str, last_words: &str) -> Result<bool> {
        let identity = identity(&self.trials[trial]);
        let outcome = Outcome {
            attempts: MAX_ATTEMPTS,
            libtorch: native::libtorch_version().to_owned(),
            device: self.setup.devices.join(","),
            threads: self.setup.threads,
            processor: host::processor(),
            git: env!("RUNNER_GIT").to_owned(),
            ..Outcome::failed(error.to_owned())
        };
        let Some(claim) = self.store.claim(&identity)? else { return Ok(false) };
        // For its sake the failure itself is not given up.
        let _ = claim.log().map(|mut log| writeln!(log, "{last_words}"));
        let history: Vec<Epoch> = claim.history();
        claim.finish(&Outcome { epochs: history.len(), ..outcome.clone() }, &history, None)?;
        self.learn(trial, &outcome);
        Ok(true)
    }

    /// `passed` is the time since this was last done.
    fn kill_overdue(&mut self, passed: Duration) {
        for slot in &mut self.slots {
            if let (Some(running), Some(process)) = (&mut slot.running, &mut slot.process)
                && running.killed.is_none()
            {
                running.killed = running.patience.look(passed);
                if running.killed.is_some() {
                    process.kill();
                }
            }
        }
    }

    /// The first signal stops after checkpoints, the second at once.
    fn signal(&mut self) {
        self.report.interrupted = true;
        if self.stopping {
            self.display.finish();
            for process in self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()) {
                process.kill();
            }
            for process in self.slots.iter_mut().filter_map(|slot| slot.process.take()) {
                let _ = process.wait();
            }
            signals::stopped_at_once();
        }
        if self.slots.iter().any(|slot| slot.running.is_some()) {
            self.display.say("stopping after a checkpoint of each running trial or its end; once more stops at once");
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()).for_each(Process::stop);
    }

    /// Brings the line of the whole sweep up to date.
    fn show(&mut self) {
        let seconds = |trial: usize, epochs: f64| self.estimate.epoch_seconds(trial) * epochs;
        let whole = |trial: usize| seconds(trial, self.trials[trial].config.epochs as f64);
        let mut left = total(self.queue.iter().map(|pending| whole(pending.trial)));
        for running in self.slots.iter().filter_map(|slot| slot.running.as_ref()) {
            let done = running
                .progress
                .map_or(0.0, |progress| progress.epoch as f64 - 1.0 + progress.batch as f64 / progress.batches as f64);
            left += total(running.members.iter().map(|member| whole(member.trial) - seconds(member.trial, done)));
        }
        let all = total((0..self.trials.len()).map(whole));
        self.display.sweep(&Standing {
            done: self.report.done,
            failed: self.report.failures.len(),
            diverged: self.report.diverged,
            total: self.trials.len(),
            share: 1.0 - left / all,
            seconds_left: self.estimate.is_measured().then(|| left / self.slots.len().max(1) as f64),
            goal: looks::goal(&self.judgement),
        });
    }

    fn name(&self, trial: usize) -> String {
        let Trial { id, seed, .. } = &self.trials[trial];
        format!("{}, seed {seed} ({id})", self.labels[id])
    }
}

fn identity(trial: &Trial) -> Identity {
    Identity { id: trial.id.clone(), seed: trial.seed, config: trial.config.clone() }
}
