//! One trial in the hands of a worker: what the sweep hears of it, its log, its checkpoints and its traced steps.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::channel::send;
use super::message::{Event, Progress};
use super::start::Start;
use crate::record::Epoch;
use crate::store::Claim;
use crate::train::{Observer, Step};

/// A checkpoint at least this often where epochs are longer.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Passes a trial's progress on and keeps its checkpoints.
pub struct Reporter<'a> {
    /// The trial's place in the job.
    pub index: usize,
    pub start: Start,
    claim: Claim,
    log: File,
    stop: &'a AtomicBool,
    last_checkpoint: Instant,
    last_progress: Instant,
    /// Since the last progress event.
    images: usize,
    val_accuracy: Option<f64>,
    /// How long its checkpoints have taken.
    pub storing: Duration,
}

impl<'a> Reporter<'a> {
    /// Of a trial that has just been claimed.
    pub fn new(index: usize, claim: Claim, wants_trace: bool, stop: &'a AtomicBool) -> Result<Reporter<'a>> {
        let (log, now) = (claim.log()?, Instant::now());
        let start = Start::find(&claim, wants_trace)?;
        Ok(Reporter {
            index,
            start,
            claim,
            log,
            stop,
            last_checkpoint: now,
            last_progress: now,
            images: 0,
            val_accuracy: None,
            storing: Duration::ZERO,
        })
    }

    /// Begins an attempt.
    pub fn begin(&mut self, about: &str) {
        self.say(about);
        let note = self.start.note.take();
        note.iter().for_each(|note| self.say(note));
        let reached = self.start.reached;
        send(
            self.index,
            Event::Started { finished_epochs: reached.epochs, midway: reached.order_seed.is_some(), note },
        );
    }

    /// A line in the trial's log, for which no trial is given up.
    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.log, "{line}");
    }

    pub fn log(&self) -> &File {
        &self.log
    }

    /// The trial is over. One that diverges has steps after its last checkpoint.
    pub fn into_claim(self) -> Result<Claim> {
        self.store_trace()?;
        Ok(self.claim)
    }

    fn store_trace(&self) -> Result<()> {
        self.start.trace.as_ref().map_or(Ok(()), |trace| self.claim.write_steps(trace.as_bytes()))
    }
}

impl Observer for Reporter<'_> {
    fn step(&mut self, step: &Step) {
        if let Some(trace) = &mut self.start.trace {
            writeln!(trace, "{},{:?},{},{:08x}", step.step, step.lr, step.loss, step.loss.to_bits())
                .expect("writing to a string succeeds");
        }
        self.images += step.images;
        let elapsed = self.last_progress.elapsed();
        if elapsed >= PROGRESS_INTERVAL {
            let (loss, rate) = (step.loss.is_finite().then_some(step.loss), self.images as f64 / elapsed.as_secs_f64());
            let (&Step { epoch, batch, batches, .. }, val_accuracy) = (step, self.val_accuracy);
            let progress = Progress { epoch, batch, batches, loss, images_per_second: rate, val_accuracy };
            send(self.index, Event::Progress(progress));
            self.images = 0;
            self.last_progress = Instant::now();
        }
    }

    fn evaluated_batch(&mut self) {
        send(self.index, Event::Evaluating);
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, history: &[Epoch]) -> Result<()> {
        let began = Instant::now();
        self.store_trace()?;
        self.claim.write_checkpoint(&bytes, history)?;
        self.last_checkpoint = Instant::now();
        self.storing += began.elapsed();
        Ok(())
    }

    fn epoch(&mut self, history: &[Epoch]) {
        let Some(epoch) = history.last() else { return };
        self.val_accuracy = Some(epoch.val_accuracy);
        self.say(&format!(
            "epoch {}: training loss {:.4}, validation loss {:.4}, validation accuracy {:.2} %, {:.1} s",
            epoch.epoch,
            epoch.train_loss,
            epoch.val_loss,
            100.0 * epoch.val_accuracy,
            epoch.seconds
        ));
        send(self.index, Event::Epoch(epoch.clone()));
    }

    fn wants_checkpoint(&mut self) -> bool {
        self.wants_stop() || self.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL
    }

    fn wants_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
