//! The workers of a sweep: each has a process, which is started when first needed and again when it died. Where one cannot be
//! started, for want of processes, threads or descriptors, the sweep goes on with those that can.

use std::process::ExitStatus;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::message::{Job, Progress};
use super::process::{Input, Process, Setup};
use super::watchdog::Watchdog;

/// How long after a worker could not be started another one is tried, while some run.
const BETWEEN_TRIES: Duration = Duration::from_secs(60);

pub struct Workers {
    setup: Setup,
    /// For one attempt of one trial.
    timeout: Option<Duration>,
    slots: Vec<Slot>,
    sender: Sender<Input>,
    /// Once a worker could not be started: when it was last tried.
    last_try: Option<Instant>,
}

/// A place for one worker.
#[derive(Default)]
struct Slot {
    process: Option<Process>,
    generation: usize,
    /// It was started while no other was, because there may be no room for two.
    alone: bool,
    /// What it does now.
    job: Option<Running>,
}

struct Running {
    watchdog: Watchdog,
    progress: Option<Progress>,
    /// Set when the sweep itself killed the worker, and why.
    killed: Option<String>,
}

/// How a worker's process has ended.
pub struct End {
    pub status: ExitStatus,
    /// Why the sweep killed it, if it did.
    pub killed: Option<String>,
}

impl Workers {
    pub fn new(count: usize, setup: Setup, timeout: Option<Duration>, sender: Sender<Input>) -> Workers {
        let slots = (0..count).map(|_| Slot::default()).collect();
        Workers { setup, timeout, slots, sender, last_try: None }
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Whether any was ever started.
    pub fn have_begun(&self) -> bool {
        self.slots.iter().any(|slot| slot.generation > 0)
    }

    /// Whether what a process says is still of interest: its worker has no later one.
    pub fn is_current(&self, worker: usize, generation: usize) -> bool {
        self.slots[worker].generation == generation
    }

    /// Whether the worker has a process, which is started if there may be one. `say` hears of a shortage.
    pub fn is_up(&mut self, worker: usize, say: impl Fn(&str)) -> Result<bool> {
        if self.slots[worker].process.is_some() {
            return Ok(true);
        }
        // Once one could not be started, the others are tried one by one, lest they take from each other what each needs.
        if self.last_try.is_some_and(|tried| tried.elapsed() < BETWEEN_TRIES) && self.has_any() {
            return Ok(false);
        }
        let slot = &mut self.slots[worker];
        match Process::start(&self.setup, worker, slot.generation + 1, self.sender.clone()) {
            Ok(process) => {
                slot.generation += 1;
                slot.process = Some(process);
                slot.alone = self.last_try.is_some();
                // The next one waits until this one is up.
                self.last_try = self.last_try.map(|_| Instant::now());
                Ok(true)
            }
            Err(error) => self.do_without(error, true, say).map(|()| false),
        }
    }

    fn has_any(&self) -> bool {
        self.slots.iter().any(|slot| slot.process.is_some())
    }

    /// A worker has found that it cannot work here.
    pub fn cannot_start(&mut self, worker: usize, error: anyhow::Error, say: impl Fn(&str)) -> Result<()> {
        let alone = self.slots[worker].alone;
        self.wait(worker)?;
        self.do_without(error, alone, say)
    }

    /// An error if there is no worker and trying again is of no use: this one was tried `alone`.
    fn do_without(&mut self, error: anyhow::Error, alone: bool, say: impl Fn(&str)) -> Result<()> {
        if alone && !self.has_any() {
            return Err(error).context("cannot start a worker");
        }
        if self.last_try.replace(Instant::now()).is_none() {
            say(&format!("cannot start a worker: {error:#}; the sweep goes on with fewer workers"));
        }
        Ok(())
    }

    /// Gives a worker that is up something to do.
    pub fn start(&mut self, worker: usize, job: &Job) {
        let slot = &mut self.slots[worker];
        slot.process.as_mut().expect("it is up").send(job);
        slot.job = Some(Running { watchdog: Watchdog::new(self.timeout), progress: None, killed: None });
    }

    /// A worker has said something while it is at work.
    pub fn heard(&mut self, worker: usize) {
        self.at_work(worker, |job| job.watchdog.heard());
    }

    /// A worker has begun one of its trials.
    pub fn began(&mut self, worker: usize) {
        self.at_work(worker, |job| job.watchdog.started());
    }

    pub fn set_progress(&mut self, worker: usize, progress: Progress) {
        self.at_work(worker, |job| job.progress = Some(progress));
    }

    pub fn progress(&self, worker: usize) -> Option<Progress> {
        self.slots[worker].job.as_ref()?.progress
    }

    fn at_work(&mut self, worker: usize, change: impl FnOnce(&mut Running)) {
        self.slots[worker].job.as_mut().map(change);
    }

    /// A worker has nothing left to do.
    pub fn rest(&mut self, worker: usize) -> Result<()> {
        match &self.slots[worker].job {
            // It finished just before the kill reached it; the next trial must not go to a dying worker.
            Some(Running { killed: Some(_), .. }) => self.wait(worker).map(drop),
            _ => {
                self.slots[worker].job = None;
                Ok(())
            }
        }
    }

    /// Waits for the end of a worker that ends by itself; None if that was done before.
    pub fn wait(&mut self, worker: usize) -> Result<Option<End>> {
        let slot = &mut self.slots[worker];
        let killed = slot.job.take().and_then(|job| job.killed);
        let Some(process) = slot.process.take() else { return Ok(None) };
        let status = process.wait().context("cannot learn how a worker ended")?;
        Ok(Some(End { status, killed }))
    }

    /// Kills workers that take too long or are silent. `passed` is the time since this was last done.
    pub fn kill_overdue(&mut self, passed: Duration) {
        for slot in &mut self.slots {
            if let (Some(job), Some(process)) = (&mut slot.job, &mut slot.process)
                && job.killed.is_none()
            {
                job.killed = job.watchdog.look(passed);
                if job.killed.is_some() {
                    process.kill();
                }
            }
        }
    }

    /// Asks each for a checkpoint and the end.
    pub fn stop(&mut self) {
        self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()).for_each(Process::stop);
    }

    /// Ends them all at once.
    pub fn kill(&mut self) {
        self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()).for_each(Process::kill);
    }

    /// Waits until they have ended.
    pub fn wait_for_all(&mut self) -> Result<()> {
        (0..self.count()).try_for_each(|worker| self.wait(worker).map(drop))
    }
}
