//! One trial from seed to scores. It computes and reports; storing and showing is the [`Observer`]'s.

use std::time::Instant;

use anyhow::{Context, Result};
use tch::{Device, Reduction, Tensor};

use super::course::{Course, Partial, Restored};
use super::evaluate::{IGNORE_INDEX, evaluate};
use super::evidence::{evidence, predictions};
use super::showcase::showcase;
use crate::data::Dataset;
use crate::data::augment::{augment, draw};
use crate::data::batches::{Resident, Scaling, Split, draw_base_seed};
use crate::engine::Optimizer;
use crate::engine::clip;
use crate::engine::initialize;
use crate::engine::{Network, State};
use crate::native;
use crate::networks::layers;
use crate::record::{Confusion, Epoch, Scores, Showcase, SplitScore};
use crate::spec::config::Config;

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
    while !trainer.course.finished() {
        match trainer.epoch(observer)? {
            Flow::Continue => {}
            Flow::Stop => return Ok(Ended::Interrupted),
            Flow::Diverged(reason) => return Ok(Ended::Diverged { reason, history: trainer.course.into_history() }),
        }
    }
    trainer.score(observer)
}

/// The network as [`run`] starts with it. Reseeds the default generator.
pub fn untrained(config: &Config, seed: u64) -> Network {
    tch::manual_seed(seed as i64);
    let mut network = declared(config);
    initialize(&mut network, config.init, config.activation);
    network
}

/// The network of `config` without weights.
pub fn declared(config: &Config) -> Network {
    Network::new(layers(config), config.activation)
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
    course: Course<'a>,
}

impl<'a> Trainer<'a> {
    fn new(config: &'a Config, seed: u64, sets: &'a Sets, device: Device) -> Result<Trainer<'a>> {
        let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
        let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
        if device != Device::Cpu {
            native::make_gpu_repeatable();
        }
        let mut network = untrained(config, seed);
        network.move_to(device);
        let mut optimizer = Optimizer::new(config.optimizer, &network.parameters());
        let course = Course::new(config, seed, (split.train.size()[0] as usize).div_ceil(config.batch_size), device);
        optimizer.lr = course.rate.position.lr;
        Ok(Trainer { config, sets, split, scaling, network, optimizer, course })
    }

    /// One epoch or the rest of one, with its validation.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<Flow> {
        let mut clock = Clock::start();
        let mut partial = self.course.partial.take().unwrap_or_else(|| Partial::new(self.optimizer.lr));
        let count = self.split.train.size()[0];
        let order = self.split.train.index_select(0, &native::randperm(partial.order_seed, count));
        let batches = order.split(self.config.batch_size as i64, 0);
        for index in &batches[partial.batches..] {
            let lr = self.optimizer.lr;
            let (images, loss) = (index.size()[0] as usize, self.step(index, &mut partial));
            let (step, epoch) = (self.course.rate.position.step, self.course.epoch());
            observer.step(&Step { step, batch: partial.batches, batches: batches.len(), epoch, images, lr, loss });
            if !partial.is_finite() {
                return Ok(Flow::Diverged(format!("epoch {epoch}, step {step}: the training loss is {loss}")));
            }
            if partial.batches < batches.len() && observer.wants_checkpoint() {
                partial.train(clock.lap());
                self.course.partial = Some(partial.clone());
                observer.checkpoint(self.checkpoint()?, self.course.history())?;
                if observer.wants_stop() {
                    return Ok(Flow::Stop);
                }
                partial.pause(clock.lap());
            }
        }
        partial.train(clock.lap());
        self.course.partial = None;
        self.close_epoch(&partial, clock, observer)
    }

    /// One optimizer step on the images at `index`; returns its cross-entropy.
    fn step(&mut self, index: &Tensor, partial: &mut Partial) -> f32 {
        let (images, labels) = self.sets.train.select(index);
        let drawn = draw(&self.config.augment, index.size()[0], images.device());
        let images = augment(self.scaling.apply(&images), &self.config.augment, &drawn);
        let logits = self.network.forward(&images, true);
        let smoothing = self.config.label_smoothing;
        let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, IGNORE_INDEX, smoothing);
        let (total, penalty) = self.penalized(&loss);
        let parameters = self.network.parameters();
        let mut gradients = Tensor::run_backward(&[total], &parameters, false, false);
        clip(&mut gradients, self.config.clip);
        self.optimizer.step(&parameters, &gradients);
        self.course.rate.batch_done();
        self.optimizer.lr = self.course.rate.position.lr;

        let loss = loss.double_value(&[]);
        let correct = logits.argmax(1, false).eq_tensor(&labels).sum(tch::Kind::Int64).int64_value(&[]);
        partial.add_batch(index.size()[0], loss, penalty, correct);
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
    fn close_epoch(&mut self, partial: &Partial, clock: Clock, observer: &mut dyn Observer) -> Result<Flow> {
        draw_base_seed();
        let (val, _) = self.evaluate(&self.sets.train, &self.split.val, observer);
        let (images, weights) = (self.split.train.size()[0], || copied(self.network.state()));
        match self.course.close_epoch(partial, images, val, clock.seconds(), weights) {
            Err(reason) => return Ok(Flow::Diverged(reason)),
            Ok(true) => self.optimizer = Optimizer::new(self.config.optimizer, &self.network.parameters()),
            Ok(false) => {}
        }
        self.optimizer.lr = self.course.rate.position.lr;
        observer.checkpoint(self.checkpoint()?, self.course.history())?;
        Ok(if observer.wants_stop() && !self.course.finished() { Flow::Stop } else { Flow::Continue })
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>> {
        self.course.checkpoint(self.network.state(), self.optimizer.state(), self.optimizer.steps())
    }

    /// Takes over a checkpoint of this very trial.
    fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let Restored { model, optimizer, optimizer_steps } = self.course.restore(bytes)?;
        self.network.load_state(&model)?;
        self.optimizer.restore(optimizer_steps, &optimizer)?;
        self.optimizer.lr = self.course.rate.position.lr;
        Ok(())
    }

    /// Scores the selected epoch's weights on every split, and the last epoch's on the test images.
    fn score(mut self, observer: &mut dyn Observer) -> Result<Ended> {
        let set = &self.sets.test;
        let last = (!self.course.selected_last()).then(|| self.evaluate(set, &set.all(), observer).0);
        self.network.load_state(&self.course.best_state).context("the selected epoch's weights")?;
        let (train, _) = self.evaluate(&self.sets.train, &self.split.train, observer);
        let (val, _) = self.evaluate(&self.sets.train, &self.split.val, observer);
        let mut logits = vec![];
        let (test, confusion) = evaluate(&self.network, set, &self.scaling, &set.all(), &mut |batch| {
            logits.push(batch.shallow_clone());
            observer.evaluated_batch();
        });
        let logits = Tensor::cat(&logits, 0);
        let scores = Scores {
            best_epoch: self.course.best_epoch(),
            train,
            val,
            test,
            confusion,
            last_test: last.or(Some(test)),
            evidence: Some(evidence(&set.labels, &logits)),
        };
        let showcase = showcase(&self.network, &set.labels, &logits);
        let predictions = predictions(&logits);
        let best = std::mem::take(&mut self.course.best_state);
        Ok(Ended::Done { scores: Box::new(scores), showcase, predictions, best, history: self.course.into_history() })
    }

    fn evaluate(&self, set: &Resident, index: &Tensor, observer: &mut dyn Observer) -> (SplitScore, Confusion) {
        evaluate(&self.network, set, &self.scaling, index, &mut |_| observer.evaluated_batch())
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

    /// The seconds since the last reading; reads anew.
    fn lap(&mut self) -> f64 {
        let seconds = self.seconds();
        self.0 = Instant::now();
        seconds
    }
}

/// A state dict that later steps leave alone.
pub fn copied(state: State) -> State {
    state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}
