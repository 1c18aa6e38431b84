//! Workers that cannot be started, for want of processes, threads or descriptors: the sweep goes on with those that can.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::{Pending, Sweep};
use crate::sweep::pool::Process;

/// How long after a worker could not be started another one is tried, while some run.
const BETWEEN_TRIES: Duration = Duration::from_secs(60);

impl Sweep<'_> {
    /// Whether `slot` has a worker, which is started if there may be one.
    pub(super) fn has_worker(&mut self, slot: usize) -> Result<bool> {
        if self.slots[slot].process.is_some() {
            return Ok(true);
        }
        if !self.may_try() {
            return Ok(false);
        }
        let place = &mut self.slots[slot];
        match Process::start(&self.setup, slot, place.generation + 1, self.sender.clone()) {
            Ok(process) => {
                place.generation += 1;
                place.process = Some(process);
                place.alone = self.last_try.is_some();
                // The next one waits until this one is up.
                self.last_try = self.last_try.map(|_| Instant::now());
                Ok(true)
            }
            Err(error) => self.do_without(error, true).map(|()| false),
        }
    }

    /// Once a worker could not be started, the others are tried one by one, lest they take from each other what each needs.
    fn may_try(&self) -> bool {
        self.last_try.is_none_or(|tried| tried.elapsed() >= BETWEEN_TRIES) || !self.has_workers()
    }

    fn has_workers(&self) -> bool {
        self.slots.iter().any(|slot| slot.process.is_some())
    }

    /// A worker has found that it cannot work here. Its trials wait for another.
    pub(super) fn not_up(&mut self, slot: usize, error: String) -> Result<()> {
        let place = &mut self.slots[slot];
        let alone = place.alone;
        if let Some(process) = place.process.take() {
            process.wait()?;
        }
        if let Some(running) = place.running.take() {
            let (attempt, not_before) = (running.attempt, Instant::now());
            let waiting =
                running.members.iter().rev().map(|member| Pending { trial: member.trial, attempt, not_before });
            waiting.for_each(|pending| self.queue.push_front(pending));
        }
        self.do_without(anyhow!(error), alone)
    }

    /// An error if there is no worker and trying again is of no use: this one was tried `alone`.
    fn do_without(&mut self, error: anyhow::Error, alone: bool) -> Result<()> {
        if alone && !self.has_workers() {
            return Err(error).context("cannot start a worker");
        }
        if self.last_try.replace(Instant::now()).is_none() {
            self.display.say(&format!("cannot start a worker: {error:#}; the sweep goes on with fewer workers"));
        }
        Ok(())
    }
}
