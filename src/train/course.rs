//! The course of one trial: its schedule, history and selected epoch, and the checkpoint that holds them with its tensors.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::Device;

use super::checkpoint::{self, Checkpoint};
use super::learning_rate::{LearningRate, Position};
use crate::data::batches::draw_order_seed;
use crate::engine::{State, find};
use crate::host::since_1970;
use crate::native;
use crate::record::{Epoch, SplitScore};
use crate::spec::config::{Config, Select};

/// Raised when the stored form changes in a way that older programs would misread.
const CHECKPOINT_FORMAT: u32 = 2;

/// Where each kind of tensor stands in a checkpoint.
pub const MODEL: &str = "model.";
const BEST: &str = "best.";
const OPTIMIZER: &str = "optimizer.";
const GENERATOR: &str = "generator";
/// What dropout draws from on a GPU.
const GPU_GENERATOR: &str = "gpu_generator";

pub struct Course<'a> {
    config: &'a Config,
    device: Device,
    pub rate: LearningRate,
    /// The selected epoch's weights; empty before the first epoch's end.
    pub best_state: State,
    /// The epoch under way, if it was stored in the middle.
    pub partial: Option<Partial>,
    progress: Progress,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Finished epochs and steps.
    pub epochs: usize,
    pub steps: usize,
    /// What the order of images was seeded with, in the middle of an epoch.
    pub order_seed: Option<u64>,
}

/// The tensors of a checkpoint that the network and the optimizer take over.
pub struct Restored {
    pub model: State,
    pub optimizer: State,
    pub optimizer_steps: u64,
}

/// Everything but tensors that a checkpoint holds.
#[derive(Clone, Serialize, Deserialize)]
struct Progress {
    format: u32,
    config: Config,
    seed: u64,
    position: Position,
    optimizer_steps: u64,
    /// The selected epoch so far (from 1; 0 before the first) and its metric, negated where higher is better.
    best_epoch: usize,
    best_metric: Option<f64>,
    /// Early stopping's own best and the epochs without improvement.
    stopper_best: Option<f64>,
    stale_epochs: usize,
    history: Vec<Epoch>,
    partial: Option<Partial>,
}

impl Progress {
    fn is_of(&self, config: &Config, seed: u64) -> Result<()> {
        let same = self.config == *config && self.seed == seed;
        ensure!(same, "the checkpoint belongs to another configuration or seed");
        Ok(())
    }
}

/// An epoch under way.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Partial {
    /// Seeds the order of the epoch's images.
    pub order_seed: u64,
    /// The rate of the epoch's first step.
    pub lr: f64,
    pub batches: usize,
    loss_sum: f64,
    penalty_sum: f64,
    correct: i64,
    pub train_seconds: f64,
    pub seconds: f64,
}

impl Partial {
    /// Draws the epoch's order.
    pub fn new(lr: f64) -> Partial {
        Partial { order_seed: draw_order_seed(), lr, ..Partial::default() }
    }

    /// The same epoch with another rate.
    pub fn at(&self, lr: f64) -> Partial {
        Partial { lr, ..self.clone() }
    }

    /// One batch of `images`, with the means over it of cross-entropy and penalty, and how many answers were right.
    pub fn add_batch(&mut self, images: i64, loss: f64, penalty: f64, correct: i64) {
        self.batches += 1;
        self.loss_sum += loss * images as f64;
        self.penalty_sum += penalty * images as f64;
        self.correct += correct;
    }

    /// Books `seconds` of training.
    pub fn train(&mut self, seconds: f64) {
        self.train_seconds += seconds;
        self.seconds += seconds;
    }

    /// Books `seconds` of something else, such as a checkpoint.
    pub fn pause(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    pub fn is_finite(&self) -> bool {
        self.loss_sum.is_finite() && self.penalty_sum.is_finite()
    }
}

impl<'a> Course<'a> {
    /// `steps_per_epoch` counts the last, smaller batch.
    pub fn new(config: &'a Config, seed: u64, steps_per_epoch: usize, device: Device) -> Course<'a> {
        let rate = LearningRate::new(config, steps_per_epoch);
        let progress = Progress {
            format: CHECKPOINT_FORMAT,
            config: config.clone(),
            seed,
            position: rate.position,
            optimizer_steps: 0,
            best_epoch: 0,
            best_metric: None,
            stopper_best: None,
            stale_epochs: 0,
            history: vec![],
            partial: None,
        };
        Course { config, device, rate, best_state: vec![], partial: None, progress }
    }

    /// All epochs are done, or as many as early stopping allows.
    pub fn finished(&self) -> bool {
        let stopped = self.config.early_stopping.is_some_and(|rule| self.progress.stale_epochs >= rule.patience);
        self.history().len() >= self.config.epochs || stopped
    }

    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// The finished epochs.
    pub fn history(&self) -> &[Epoch] {
        &self.progress.history
    }

    pub fn into_history(self) -> Vec<Epoch> {
        self.progress.history
    }

    /// Counted from 1; 0 before the first epoch's end.
    pub fn best_epoch(&self) -> usize {
        self.progress.best_epoch
    }

    /// Whether the selected epoch is the last one so far.
    pub fn selected_last(&self) -> bool {
        self.best_epoch() == self.history().len()
    }

    /// The epoch under way, counted from 1.
    pub fn epoch(&self) -> usize {
        self.history().len() + 1
    }

    /// Records an epoch of `images` with its validation, which took `seconds`; keeps `weights` if it is the best so far, and
    /// moves the schedule. True where the optimizer must start afresh; an error text where the loss is not finite.
    pub fn close_epoch(
        &mut self,
        partial: &Partial,
        images: i64,
        val: SplitScore,
        seconds: f64,
        weights: impl FnOnce() -> State,
    ) -> Result<bool, String> {
        let epoch = self.epoch();
        let images = images as f64;
        self.progress.history.push(Epoch {
            epoch,
            lr: partial.lr,
            train_loss: partial.loss_sum / images,
            train_accuracy: partial.correct as f64 / images,
            penalty: partial.penalty_sum / images,
            val_loss: val.loss,
            val_accuracy: val.accuracy,
            train_seconds: partial.train_seconds,
            seconds: partial.seconds + seconds,
            ended: since_1970(),
        });
        if !val.loss.is_finite() {
            return Err(format!("epoch {epoch}: the validation loss is {}", val.loss));
        }
        let metric = match self.config.select {
            Select::ValLoss => val.loss,
            Select::ValAccuracy => -val.accuracy,
        };
        if self.select(metric) {
            self.best_state = weights();
        }
        Ok(self.rate.epoch_done(val.loss))
    }

    /// Whether `metric` (lower is better) of the last epoch is the best so far. Counts stale epochs.
    fn select(&mut self, metric: f64) -> bool {
        let progress = &mut self.progress;
        let selected = progress.best_metric.is_none_or(|best| metric < best);
        if selected {
            progress.best_metric = Some(metric);
            progress.best_epoch = progress.history.len();
        }
        let min_delta = self.config.early_stopping.map_or(0.0, |rule| rule.min_delta);
        if progress.stopper_best.is_none_or(|best| metric < best - min_delta) {
            progress.stopper_best = Some(metric);
            progress.stale_epochs = 0;
        } else {
            progress.stale_epochs += 1;
        }
        selected
    }

    /// Bytes from which [`Course::restore`] goes on, with the default generators' states.
    pub fn checkpoint(&mut self, model: State, optimizer: State, optimizer_steps: u64) -> Result<Vec<u8>> {
        let best = self.best_state.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let mut state = prefixed(MODEL, model);
        state.extend(prefixed(BEST, best));
        state.extend(prefixed(OPTIMIZER, optimizer));
        state.push((GENERATOR.to_owned(), native::generator_state(Device::Cpu)));
        if self.device != Device::Cpu {
            state.push((GPU_GENERATOR.to_owned(), native::generator_state(self.device)));
        }
        self.progress.position = self.rate.position;
        self.progress.optimizer_steps = optimizer_steps;
        self.progress.partial = self.partial.clone();
        checkpoint::encode(&state, &self.progress)
    }

    /// Takes over a checkpoint of this very trial, and sets the default generators to what they were.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored> {
        let checkpoint = checkpoint::decode(bytes)?;
        let progress = progress(&checkpoint)?;
        progress.is_of(self.config, self.progress.seed)?;
        let state = checkpoint.state()?;
        native::set_generator_state(Device::Cpu, find(&state, GENERATOR).context("no generator state")?);
        // A trial that began on the CPU has drawn nothing on a GPU.
        if let Some(generator) = find(&state, GPU_GENERATOR).filter(|_| self.device != Device::Cpu) {
            native::set_generator_state(self.device, generator);
        }
        self.best_state = part(BEST, &state);
        self.rate.position = progress.position;
        self.partial = progress.partial.clone();
        let optimizer_steps = progress.optimizer_steps;
        self.progress = progress;
        Ok(Restored { model: part(MODEL, &state), optimizer: part(OPTIMIZER, &state), optimizer_steps })
    }
}

/// How far `checkpoint` of the trial of `config` and `seed` has come.
pub fn reached(checkpoint: &Checkpoint, config: &Config, seed: u64) -> Result<Reached> {
    let progress = progress(checkpoint)?;
    progress.is_of(config, seed)?;
    Ok(Reached {
        epochs: progress.history.len(),
        steps: progress.position.step,
        order_seed: progress.partial.map(|partial| partial.order_seed),
    })
}

/// The weights in a checkpoint: the current ones and those of the selected epoch, none before the first epoch's end.
pub fn stored_states(bytes: &[u8]) -> Result<(State, State)> {
    let state = checkpoint::decode(bytes)?.state()?;
    Ok((part(MODEL, &state), part(BEST, &state)))
}

/// Whether it holds a trial under way, rather than the weights of a selected epoch.
pub fn is_to_go_on_from(checkpoint: &Checkpoint) -> bool {
    let described = checkpoint.description::<serde_json::Value>();
    described.is_ok_and(|described| described.is_some_and(|described| described["position"].is_object()))
}

/// The format first: what another one holds need not be readable here.
fn progress(checkpoint: &Checkpoint) -> Result<Progress> {
    let described: Option<serde_json::Value> = checkpoint.description()?;
    let described = described.context("not a checkpoint of a trial (it has no description)")?;
    let format = &described["format"];
    ensure!(*format == CHECKPOINT_FORMAT, "checkpoint format {format} is not this program's {CHECKPOINT_FORMAT}");
    Ok(serde_json::from_value(described)?)
}

fn prefixed(prefix: &str, state: State) -> State {
    state.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

fn part(prefix: &str, state: &State) -> State {
    state
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone())))
        .collect()
}
