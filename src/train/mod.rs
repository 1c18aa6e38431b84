//! Trains a group of trials from one seed to their scores, whichever arithmetic `engine` computes them in. It computes and
//! reports; storing and showing is the [`Observer`]'s.

pub mod checkpoint;
pub mod course;
pub mod evaluate;
pub mod evidence;
mod group;
mod learning_rate;
pub mod pack_size;
mod showcase;

use anyhow::Result;
use tch::Device;

use crate::data::Dataset;
use crate::data::batches::Resident;
use crate::engine::State;
use crate::native;
use crate::record::{Epoch, Scores, Showcase};
use crate::spec::config::{Config, Mode};
use group::Group;

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
    /// After each epoch and, where [`Observer::wants_checkpoint`] says so, in between: bytes from which the trial goes on.
    fn checkpoint(&mut self, _bytes: Vec<u8>, _history: &[Epoch]) -> Result<()> {
        Ok(())
    }
    /// Asked after each step.
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

/// Trains `configs` with one seed, from `resume` if given: bytes that [`Observer::checkpoint`] got, of each and all of the same
/// step. How each ended, in order. Of exact mode there is one, of others there are such as
/// [`fit_together`](crate::engine::fit_together).
///
/// Uses and reseeds the process's default generator, so one process runs one group at a time.
pub fn run(
    configs: &[&Config],
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<&[Vec<u8>]>,
    observers: &mut [&mut dyn Observer],
) -> Result<Vec<Ended>> {
    let mut group = Group::new(configs, seed, sets, device)?;
    if let Some(checkpoints) = resume {
        group.restore(checkpoints)?;
    }
    let train = || group.train(observers);
    match configs[0].mode {
        Mode::Exact => train(),
        // The averages of Adam and RMSprop sink there wherever a unit gets no gradient any more, and would stay.
        _ => native::without_denormals(train),
    }
}

/// [`run`] for one trial alone.
pub fn run_one(
    config: &Config,
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<Vec<u8>>,
    observer: &mut dyn Observer,
) -> Result<Ended> {
    let resume = resume.map(|bytes| [bytes]);
    let resume = resume.as_ref().map(|bytes| bytes.as_slice());
    Ok(run(&[config], seed, sets, device, resume, &mut [observer])?.remove(0))
}
