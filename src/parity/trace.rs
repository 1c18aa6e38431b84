//! What one side computed, and how this program's side is recorded.

use anyhow::{Context, Result, bail};
use safetensors::SafeTensors;

use super::cases::Case;
use crate::data::sha256;
use crate::engine::State;
use crate::engine::untrained;
use crate::record::{Epoch, Scores};
use crate::train::course::{MODEL, stored_states};
use crate::train::{self, Ended, Observer, Sets, Step};

/// Hex digits kept of a digest of weights.
const DIGEST_DIGITS: usize = 16;

/// All of an epoch but its number and its wall times, in the order of [`EPOCH_COLUMNS`].
pub type EpochNumbers = [f64; EPOCH_COLUMNS.len()];

/// As in Python's `history.csv`, after the epoch's number.
pub const EPOCH_COLUMNS: [&str; 6] = ["lr", "train_loss", "train_accuracy", "penalty", "val_loss", "val_accuracy"];

fn numbers(epoch: &Epoch) -> EpochNumbers {
    [epoch.lr, epoch.train_loss, epoch.train_accuracy, epoch.penalty, epoch.val_loss, epoch.val_accuracy]
}

/// Everything of a trial that has to be equal.
pub struct Trace {
    pub initial: State,
    pub steps: Vec<StepTrace>,
    pub history: Vec<EpochNumbers>,
    /// The trial ended because a loss was not finite.
    pub diverged: bool,
    /// Weights and buffers after the last step; None after a divergence.
    pub last: Option<State>,
    /// The selected epoch's weights and scores; None before the first epoch's end and after a divergence.
    pub best: Option<State>,
    /// None where the trial was cut short.
    pub scores: Option<Scores>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StepTrace {
    pub lr: f64,
    pub loss: f32,
    /// Digest of all weights and buffers after the step; None where a divergence kept it from being seen.
    pub weights: Option<String>,
}

/// Runs `case` in this process, whose default generator it reseeds, on the device on which `sets` lie.
pub fn ours(case: &Case, sets: &Sets) -> Result<Trace> {
    let drawn = untrained(&case.config, case.seed).state();
    let initial = match &case.config.start {
        Some(start) => train::started(drawn, start)?,
        None => drawn,
    };
    let mut recorder = Recorder { max_steps: case.max_steps, steps: vec![], history: vec![], checkpoint: vec![] };
    let ended = train::run_one(&case.config, case.seed, sets, sets.train.images.device(), None, &mut recorder)?;
    let Recorder { steps, history, checkpoint, .. } = recorder;
    let history = history.iter().map(numbers).collect();
    let trace = Trace { initial, steps, history, diverged: false, last: None, best: None, scores: None };
    let stored = || stored_states(&checkpoint).context("the last checkpoint");
    Ok(match ended {
        Ended::Done { scores, best, .. } => {
            Trace { last: Some(stored()?.0), best: Some(best), scores: Some(*scores), ..trace }
        }
        Ended::Diverged { history, .. } => {
            Trace { history: history.iter().map(numbers).collect(), diverged: true, ..trace }
        }
        Ended::Interrupted => {
            let (last, best) = stored()?;
            Trace { last: Some(last), best: Some(best).filter(|best| !best.is_empty()), ..trace }
        }
    })
}

/// Asks for a checkpoint after every step, to see the weights in it.
struct Recorder {
    max_steps: Option<usize>,
    steps: Vec<StepTrace>,
    history: Vec<Epoch>,
    checkpoint: Vec<u8>,
}

impl Observer for Recorder {
    fn step(&mut self, step: &Step) {
        self.steps.push(StepTrace { lr: step.lr, loss: step.loss, weights: None });
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, history: &[Epoch]) -> Result<()> {
        let Some(step) = self.steps.last_mut() else { bail!("a checkpoint before the first step") };
        step.weights = Some(digest(&bytes)?);
        self.history = history.to_vec();
        self.checkpoint = bytes;
        Ok(())
    }

    fn wants_checkpoint(&mut self) -> bool {
        true
    }

    fn wants_stop(&self) -> bool {
        self.max_steps == Some(self.steps.len())
    }
}

/// The SHA-256 of the bytes of all the network's tensors in the order of their names, as `parity.py` computes it.
fn digest(checkpoint: &[u8]) -> Result<String> {
    let file = SafeTensors::deserialize(checkpoint)?;
    let mut tensors: Vec<_> = file.iter().filter(|(name, _)| name.starts_with(MODEL)).collect();
    tensors.sort_by_key(|(name, _)| *name);
    Ok(sha256(tensors.iter().map(|(_, tensor)| tensor.data()))[..DIGEST_DIGITS].to_owned())
}
