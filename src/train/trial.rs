//! One trial from seed to scores. It computes and reports; storing and showing is the [`Observer`]'s.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Device, Reduction, Tensor};

use super::checkpoint;
use super::clip::clip;
use super::evaluate::{IGNORE_INDEX, evaluate};
use super::init::initialize;
use super::optimizer::Optimizer;
use super::record::{Epoch, Scores};
use super::schedule::{LearningRate, Position};
use crate::data::augment::augment;
use crate::data::batches::{Resident, Scaling, Split, draw_base_seed, draw_order_seed};
use crate::models::{Network, State, layers};
use crate::native;
use crate::spec::config::{Config, Mode, Select};

/// Raised when the stored form changes in a way that older programs would misread.
const CHECKPOINT_FORMAT: u32 = 1;

/// Where each kind of tensor stands in a checkpoint.
pub const MODEL: &str = "model.";
const BEST: &str = "best.";
const OPTIMIZER: &str = "optimizer.";
const GENERATOR: &str = "generator";

/// The training and the test images, loaded once a worker.
pub struct Sets {
    pub train: Resident,
    pub test: Resident,
}

/// Sees a trial's progress and decides whether it goes on.
pub trait Observer {
    /// After each step, before its weights change anything else.
    fn step(&mut self, step: &Step);
    /// After each epoch and, where [`Observer::wants_checkpoint`] says so, in between: bytes from which the trial goes on.
    fn checkpoint(&mut self, bytes: Vec<u8>, history: &[Epoch]) -> Result<()>;
    /// Asked after each step.
    fn wants_checkpoint(&mut self) -> bool;
    /// Asked after each checkpoint: true stops the trial there, to be resumed later.
    fn wants_stop(&self) -> bool;
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
    /// All epochs, or as many as early stopping allowed. `best` is the selected epoch's state dict.
    Done { scores: Box<Scores>, best: State, history: Vec<Epoch> },
    /// A loss became NaN or infinite; `reason` says where.
    Diverged { reason: String, history: Vec<Epoch> },
    /// The observer stopped it at a checkpoint.
    Interrupted,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// Finished epochs and steps.
    pub epochs: usize,
    pub steps: usize,
}

/// Reads how far the checkpoint in `bytes` has come.
pub fn reached(bytes: &[u8]) -> Result<Reached> {
    let progress: Progress = checkpoint::decode(bytes)?.description()?.context("the checkpoint has no description")?;
    Ok(Reached { epochs: progress.history.len(), steps: progress.position.step })
}

/// The weights in a checkpoint: the current ones and those of the selected epoch, none before the first epoch's end.
pub fn stored_states(bytes: &[u8]) -> Result<(State, State)> {
    let state = checkpoint::decode(bytes)?.state()?;
    Ok((part(MODEL, &state), part(BEST, &state)))
}

/// Trains `config` with `seed`, from `resume` (bytes that [`Observer::checkpoint`] got) if given.
///
/// Uses and reseeds the process's default generator, so one process runs one trial at a time.
pub fn run(
    config: &Config,
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<&[u8]>,
    observer: &mut dyn Observer,
) -> Result<Ended> {
    let mut trainer = Trainer::new(config, seed, sets, device)?;
    if let Some(bytes) = resume {
        trainer.restore(bytes)?;
    }
    while !trainer.finished() {
        match trainer.epoch(observer)? {
            Flow::Continue => {}
            Flow::Stop => return Ok(Ended::Interrupted),
            Flow::Diverged(reason) => return Ok(Ended::Diverged { reason, history: trainer.progress.history }),
        }
    }
    trainer.score()
}

/// The weights that [`run`] starts from. Reseeds the default generator.
pub fn initial_state(config: &Config, seed: u64) -> State {
    untrained(config, seed).state()
}

fn untrained(config: &Config, seed: u64) -> Network {
    tch::manual_seed(seed as i64);
    let mut network = Network::new(layers(&config.model, config.regularization.dropout), config.activation);
    initialize(&mut network, config.init, config.activation);
    network
}

enum Flow {
    Continue,
    Stop,
    Diverged(String),
}

struct Trainer<'a> {
    config: &'a Config,
    sets: &'a Sets,
    split: Split,
    scaling: Scaling,
    network: Network,
    optimizer: Optimizer,
    rate: LearningRate,
    best_state: State,
    progress: Progress,
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

/// An epoch under way.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Partial {
    /// Seeds the order of the epoch's images.
    order_seed: u64,
    /// The rate of the epoch's first step.
    lr: f64,
    batches: usize,
    loss_sum: f64,
    penalty_sum: f64,
    correct: i64,
    train_seconds: f64,
    seconds: f64,
}

impl<'a> Trainer<'a> {
    fn new(config: &'a Config, seed: u64, sets: &'a Sets, device: Device) -> Result<Trainer<'a>> {
        let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
        let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
        if config.mode == Mode::Exact && device != Device::Cpu {
            native::make_gpu_repeatable();
        }
        let mut network = untrained(config, seed);
        network.move_to(device, config.mode == Mode::Fast);
        let mut optimizer = Optimizer::new(config.optimizer, &network.parameters());
        let rate = LearningRate::new(config, (split.train.size()[0] as usize).div_ceil(config.batch_size))?;
        optimizer.lr = rate.position.lr;
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
        Ok(Trainer { config, sets, split, scaling, network, optimizer, rate, best_state: vec![], progress })
    }

    fn finished(&self) -> bool {
        let stopped = self.config.early_stopping.is_some_and(|rule| self.progress.stale_epochs >= rule.patience);
        self.progress.history.len() >= self.config.epochs || stopped
    }

    /// One epoch or the rest of one, with its validation.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<Flow> {
        let mut clock = Clock::start();
        let mut partial = self.progress.partial.take().unwrap_or_else(|| Partial::new(self.optimizer.lr));
        let count = self.split.train.size()[0];
        let order = self.split.train.index_select(0, &native::randperm(partial.order_seed, count));
        let batches = order.split(self.config.batch_size as i64, 0);
        for index in &batches[partial.batches..] {
            let lr = self.optimizer.lr;
            let (images, loss) = (index.size()[0] as usize, self.step(index, &mut partial));
            let (step, epoch) = (self.rate.position.step, self.progress.history.len() + 1);
            observer.step(&Step { step, batch: partial.batches, batches: batches.len(), epoch, images, lr, loss });
            if !partial.loss_sum.is_finite() || !partial.penalty_sum.is_finite() {
                return Ok(Flow::Diverged(format!("epoch {epoch}, step {step}: the training loss is {loss}")));
            }
            if partial.batches < batches.len() && observer.wants_checkpoint() {
                clock.train(&mut partial);
                self.progress.partial = Some(partial.clone());
                observer.checkpoint(self.checkpoint()?, &self.progress.history)?;
                if observer.wants_stop() {
                    return Ok(Flow::Stop);
                }
            }
        }
        clock.train(&mut partial);
        self.progress.partial = None;
        self.close_epoch(partial, clock, observer)
    }

    /// One optimizer step on the images at `index`; returns its cross-entropy.
    fn step(&mut self, index: &Tensor, partial: &mut Partial) -> f32 {
        let (images, labels) = self.sets.train.select(index);
        let images = augment(self.scaling.apply(&images), &self.config.augment);
        let logits = self.network.forward(&images, true);
        let smoothing = self.config.label_smoothing;
        let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, IGNORE_INDEX, smoothing);
        let (total, penalty) = self.penalized(&loss);
        let parameters = self.network.parameters();
        let mut gradients = Tensor::run_backward(&[total], &parameters, false, false);
        clip(&mut gradients, self.config.clip);
        self.optimizer.step(&parameters, &gradients);
        self.rate.batch_done();
        self.optimizer.lr = self.rate.position.lr;

        let count = index.size()[0];
        let loss = loss.double_value(&[]);
        partial.batches += 1;
        partial.loss_sum += loss * count as f64;
        partial.penalty_sum += penalty * count as f64;
        partial.correct += logits.argmax(1, false).eq_tensor(&labels).sum(tch::Kind::Int64).int64_value(&[]);
        loss as f32
    }

    /// The loss with its L1 and L2 terms, and these alone.
    fn penalized(&self, loss: &Tensor) -> (Tensor, f64) {
        let rule = self.config.regularization;
        if rule.l1 == 0.0 && rule.l2 == 0.0 {
            return (loss.shallow_clone(), 0.0);
        }
        let kernels = self.network.kernels(rule.on);
        let sum = |term: fn(&Tensor) -> Tensor| {
            let first = term(kernels[0]).sum(tch::Kind::Float);
            kernels[1..].iter().fold(first, |sum, kernel| sum + term(kernel).sum(tch::Kind::Float))
        };
        let mut terms = vec![];
        if rule.l1 > 0.0 {
            terms.push(sum(Tensor::abs) * rule.l1);
        }
        if rule.l2 > 0.0 {
            terms.push(sum(Tensor::square) * rule.l2);
        }
        let total = terms.iter().fold(loss.shallow_clone(), |total, term| total + term);
        let penalty = terms.into_iter().reduce(|left, right| left + right).expect("a penalty is on");
        (total, penalty.double_value(&[]))
    }

    /// Validates, records and selects, moves the schedule and leaves a checkpoint.
    fn close_epoch(&mut self, partial: Partial, clock: Clock, observer: &mut dyn Observer) -> Result<Flow> {
        draw_base_seed();
        let (val, _) = evaluate(&self.network, &self.sets.train, &self.scaling, &self.split.val);
        let epoch = self.progress.history.len() + 1;
        let images = self.split.train.size()[0] as f64;
        self.progress.history.push(Epoch {
            epoch,
            lr: partial.lr,
            train_loss: partial.loss_sum / images,
            train_accuracy: partial.correct as f64 / images,
            penalty: partial.penalty_sum / images,
            val_loss: val.loss,
            val_accuracy: val.accuracy,
            train_seconds: partial.train_seconds,
            seconds: partial.seconds + clock.seconds(),
        });
        if !val.loss.is_finite() {
            return Ok(Flow::Diverged(format!("epoch {epoch}: the validation loss is {}", val.loss)));
        }
        self.select(match self.config.select {
            Select::ValLoss => val.loss,
            Select::ValAccuracy => -val.accuracy,
        });
        if self.rate.epoch_done(val.loss) {
            self.optimizer = Optimizer::new(self.config.optimizer, &self.network.parameters());
        }
        self.optimizer.lr = self.rate.position.lr;
        observer.checkpoint(self.checkpoint()?, &self.progress.history)?;
        Ok(if observer.wants_stop() && !self.finished() { Flow::Stop } else { Flow::Continue })
    }

    /// Keeps the weights if `metric` (lower is better) is the best so far, and counts stale epochs.
    fn select(&mut self, metric: f64) {
        let progress = &mut self.progress;
        if progress.best_metric.is_none_or(|best| metric < best) {
            progress.best_metric = Some(metric);
            progress.best_epoch = progress.history.len();
            self.best_state = self.network.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        }
        let min_delta = self.config.early_stopping.map_or(0.0, |rule| rule.min_delta);
        if progress.stopper_best.is_none_or(|best| metric < best - min_delta) {
            progress.stopper_best = Some(metric);
            progress.stale_epochs = 0;
        } else {
            progress.stale_epochs += 1;
        }
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>> {
        self.progress.position = self.rate.position;
        self.progress.optimizer_steps = self.optimizer.steps();
        let mut state = prefixed(MODEL, self.network.state());
        state.extend(prefixed(
            BEST,
            self.best_state.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect(),
        ));
        state.extend(prefixed(OPTIMIZER, self.optimizer.state()));
        state.push((GENERATOR.to_owned(), native::generator_state()));
        checkpoint::encode(&state, &self.progress)
    }

    /// Takes over a checkpoint of this very trial.
    fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let checkpoint = checkpoint::decode(bytes)?;
        let progress: Progress =
            checkpoint.description()?.context("not a checkpoint of a trial (it has no description)")?;
        ensure!(
            progress.format == CHECKPOINT_FORMAT,
            "checkpoint format {} is not this program's {CHECKPOINT_FORMAT}",
            progress.format
        );
        ensure!(
            progress.config == self.progress.config && progress.seed == self.progress.seed,
            "the checkpoint belongs to another configuration or seed"
        );
        let state = checkpoint.state()?;
        self.network.load_state(&part(MODEL, &state))?;
        self.best_state = part(BEST, &state);
        self.optimizer.restore(progress.optimizer_steps, &part(OPTIMIZER, &state))?;
        let (_, generator) = state.iter().find(|(name, _)| name == GENERATOR).context("no generator state")?;
        native::set_generator_state(generator);
        self.rate.position = progress.position;
        self.optimizer.lr = progress.position.lr;
        self.progress = progress;
        Ok(())
    }

    /// Scores the selected epoch's weights on every split.
    fn score(mut self) -> Result<Ended> {
        self.network.load_state(&self.best_state).context("the selected epoch's weights")?;
        let (train, _) = evaluate(&self.network, &self.sets.train, &self.scaling, &self.split.train);
        let (val, _) = evaluate(&self.network, &self.sets.train, &self.scaling, &self.split.val);
        let all = self.sets.test.all();
        let (test, confusion) = evaluate(&self.network, &self.sets.test, &self.scaling, &all);
        let scores = Scores { best_epoch: self.progress.best_epoch, train, val, test, confusion };
        Ok(Ended::Done { scores: Box::new(scores), best: self.best_state, history: self.progress.history })
    }
}

impl Partial {
    /// Draws the epoch's order.
    fn new(lr: f64) -> Partial {
        let order_seed = draw_order_seed();
        Partial { order_seed, lr, ..Partial::default() }
    }
}

/// Wall time since the last reading.
struct Clock(Instant);

impl Clock {
    fn start() -> Clock {
        Clock(Instant::now())
    }

    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Books the time since the last reading as training.
    fn train(&mut self, partial: &mut Partial) {
        let seconds = self.seconds();
        partial.train_seconds += seconds;
        partial.seconds += seconds;
        self.0 = Instant::now();
    }
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
