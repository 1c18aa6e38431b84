//! What a sweep and its workers say to each other, one JSON line each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::record::{Epoch, Outcome};
use crate::store::Identity;

/// From the sweep to a worker's standard input. The end of input means: stop after the next checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// One, or several that can be computed together. The worker takes the first, and of the others as many as make it quicker.
    pub trials: Vec<Identity>,
    /// The files with the weights that each starts from, of which its configuration has only the digests.
    pub weights: Vec<Option<PathBuf>>,
    /// 1 for the first try of this sweep.
    pub attempt: usize,
    /// Also write `steps.csv`.
    pub trace: bool,
}

impl Job {
    /// With the files of weights where they are looked for.
    pub fn with_weights(mut self) -> Job {
        for (trial, file) in self.trials.iter_mut().zip(&self.weights) {
            if let Some(start) = &mut trial.config.start {
                start.weights.file = file.clone();
            }
        }
        self
    }
}

/// From a worker's standard output: the trial's place in the job, from 0, and what happens to it.
pub type Said = (usize, Event);

/// What happens to a trial. Each of a job ends with one of the last seven.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The worker cannot work for want of something that the system refuses. Nothing has become of any trial of the job.
    CannotStart(String),
    /// `finished_epochs` were found finished in a checkpoint, which is `midway` in another; `note` says why a checkpoint was
    /// refused.
    Started {
        finished_epochs: usize,
        midway: bool,
        note: Option<String>,
    },
    /// Some times a second.
    Progress(Progress),
    /// An evaluation goes on.
    Evaluating,
    Epoch(Epoch),
    /// The trial is stored.
    Ended(Box<Outcome>),
    /// Another sweep runs this trial.
    Busy,
    /// Its files are not for this user.
    Refused(String),
    /// Given back untouched: it is for another worker, or for later.
    Released,
    /// As all others of the job, untouched since its last checkpoint: its steps cannot be recorded, and the worker ends. Another
    /// worker runs them one operation at a time.
    CannotRecord,
    /// The trial failed in a way that its worker survived.
    Failed(String),
    /// Stopped at a checkpoint as asked.
    Interrupted,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub epoch: usize,
    pub batch: usize,
    pub batches: usize,
    /// None where it is not finite.
    pub loss: Option<f32>,
    pub images_per_second: f64,
    /// Of the last epoch of this attempt.
    pub val_accuracy: Option<f64>,
}

impl Progress {
    /// How many epochs are trained, a part of the present one included.
    pub fn epochs(self) -> f64 {
        self.epoch as f64 - 1.0 + self.batch as f64 / self.batches as f64
    }
}
