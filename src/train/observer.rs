//! What a trial is given, what is seen of it while it runs, and how it ends.

use anyhow::Result;
use tch::Device;

use crate::data::Dataset;
use crate::data::batches::Resident;
use crate::engine::State;
use crate::record::{Epoch, Scores, Showcase};

/// The training and the test images, loaded once a worker.
pub struct Sets {
    pub train: Resident,
    pub test: Resident,
}

impl Sets {
    pub fn new(set: &Dataset, device: Device) -> Sets {
        Sets { train: Resident::new(&set.train, device), test: Resident::new(&set.test, device) }
    }
}

/// Sees a trial's progress and decides whether it goes on.
pub trait Observer {
    /// After each step, before its weights change anything else.
    fn step(&mut self, step: &Step);
    /// After each batch of an evaluation, which can take longer than all steps of an epoch.
    fn evaluated_batch(&mut self) {}
    /// Bytes from which the trial goes on, after each epoch and, where [`Observer::wants_checkpoint`] says so, in between. A pack
    /// on a GPU has them only where that says so.
    fn checkpoint(&mut self, _bytes: Vec<u8>, _history: &[Epoch]) -> Result<()> {
        Ok(())
    }
    /// After each epoch and its checkpoint: all epochs so far.
    fn epoch(&mut self, _history: &[Epoch]) {}
    /// Asked after each step and epoch.
    fn wants_checkpoint(&mut self) -> bool {
        false
    }
    /// Asked after each checkpoint: true stops the trial there, to be resumed later.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// One optimizer step.
pub struct Step {
    /// Counted from 1 over the whole trial.
    pub step: usize,
    /// Of this epoch, counted from 1, of `batches`.
    pub batch: usize,
    pub batches: usize,
    /// Epoch counted from 1.
    pub epoch: usize,
    pub images: usize,
    pub lr: f64,
    /// The batch's cross-entropy with label smoothing, without penalties, before the step.
    pub loss: f32,
}

pub enum Ended {
    /// All epochs, or as many as early stopping allowed. `best` is the selected epoch's state dict, `predictions` the class
    /// that it gives each test image.
    Done { scores: Box<Scores>, showcase: Showcase, predictions: Vec<u8>, best: State, history: Vec<Epoch> },
    /// A loss became NaN or infinite; `reason` says where.
    Diverged { reason: String, history: Vec<Epoch> },
    /// The observer stopped it at a checkpoint.
    Interrupted,
}
