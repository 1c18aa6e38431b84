//! Trials of one seed computed together, for `fast` mode: their networks are one [`PackedNetwork`], every other step is that
//! of `trial.rs`. A trial alone is a pack of one.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Reduction, Tensor};

use super::course::{Course, Partial, Restored};
use super::evaluate::{IGNORE_INDEX, evaluate_members};
use super::evidence::{evidence, predictions};
use super::showcase::showcase;
use super::trial::{Ended, Observer, Sets, Step, copied, declared, untrained};
use crate::data::augment::{augment, draw};
use crate::data::batches::{Scaling, Split, draw_base_seed};
use crate::engine::PackedOptimizer;
use crate::engine::Penalties;
use crate::engine::Recorder;
use crate::engine::clip;
use crate::engine::{PackedNetwork, State};
use crate::native;
use crate::record::{Scores, SplitScore};
use crate::spec::config::{Activation, Clip, Config, Init, Mode, Optimizer, Regularization};

/// Whether two configurations can be computed together with one seed: what is left of both is the same once everything that
/// each member has of its own is taken out.
pub fn fit_together(left: &Config, right: &Config) -> bool {
    shared(left).is_some_and(|left| Some(left) == shared(right))
}

/// `config` without what members may differ in; none where it must be computed alone.
fn shared(config: &Config) -> Option<Config> {
    let mut config = config.clone();
    config.init = Init::Pytorch;
    if let Activation::LeakyRelu { slope } = &mut config.activation {
        *slope = 0.0;
    }
    let rule = &mut config.regularization;
    (rule.l1, rule.l2, rule.dropout) = (0.0, 0.0, 0.0);
    match &mut config.optimizer {
        // A momentum of 0 has no dampening, whatever it is set to.
        Optimizer::Sgd { lr, momentum, dampening, weight_decay, .. } => {
            (*lr, *weight_decay) = (0.0, 0.0);
            if *dampening == 0.0 {
                *momentum = 0.0;
            }
        }
        Optimizer::Rmsprop { lr, momentum, weight_decay, .. } => (*lr, *momentum, *weight_decay) = (0.0, 0.0, 0.0),
        Optimizer::Adam { lr, weight_decay, .. }
        | Optimizer::Adamw { lr, weight_decay, .. }
        | Optimizer::Adagrad { lr, weight_decay, .. } => (*lr, *weight_decay) = (0.0, 0.0),
    }
    (config.clip == Clip::None).then_some(config)
}

/// Trains `configs`, which [`fit_together`], with one seed, from `resume` if given: a checkpoint of each, all of the same step.
/// How each ended, in order.
///
/// Uses and reseeds the process's default generator, so one process runs one pack at a time.
pub fn run(
    configs: &[&Config],
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<&[Vec<u8>]>,
    observers: &mut [&mut dyn Observer],
) -> Result<Vec<Ended>> {
    let mut pack = Pack::new(configs, seed, sets, device)?;
    if let Some(checkpoints) = resume {
        pack.restore(checkpoints)?;
    }
    // The averages of Adam and RMSprop sink there wherever a unit gets no gradient any more, and would stay.
    native::without_denormals(|| {
        while pack.members.iter().any(Member::is_running) {
            if pack.epoch(observers)? == Flow::Stop {
                return Ok(configs.iter().map(|_| Ended::Interrupted).collect());
            }
        }
        pack.score(observers)
    })
}

#[derive(PartialEq)]
enum Flow {
    Continue,
    Stop,
}

/// One trial of a pack.
struct Member<'a> {
    config: &'a Config,
    course: Course<'a>,
    /// Why it diverged. It is still computed, for it is part of every operation, but nothing of it counts any more.
    diverged: Option<String>,
    /// Its last checkpoint is stored; it is computed on like a diverged one.
    closed: bool,
    /// The weights after its last epoch, once it has finished: those in the network are computed on.
    last_state: State,
}

impl Member<'_> {
    fn is_running(&self) -> bool {
        self.diverged.is_none() && !self.course.finished()
    }

    /// How it ended; `scores` count where it has not diverged. `logits` are of the test images with these `labels`.
    fn end(mut self, scores: Scores, labels: &Tensor, logits: &Tensor) -> Result<Ended> {
        if let Some(reason) = self.diverged {
            return Ok(Ended::Diverged { reason, history: self.course.into_history() });
        }
        let best = std::mem::take(&mut self.course.best_state);
        let mut network = declared(self.config);
        network.load_state(&best).context("the selected epoch's weights")?;
        let (showcase, predictions) = (showcase(&network, labels, logits), predictions(logits));
        Ok(Ended::Done { scores: Box::new(scores), showcase, predictions, best, history: self.course.into_history() })
    }
}

pub(super) struct Pack<'a> {
    /// What all members have in common is read from the first one's.
    config: &'a Config,
    sets: &'a Sets,
    split: Split,
    scaling: Scaling,
    network: PackedNetwork,
    optimizer: PackedOptimizer,
    penalties: Option<Penalties>,
    recorder: Recorder,
    members: Vec<Member<'a>>,
}

/// What one step says of one member.
struct Measured {
    loss: f32,
    penalty: f32,
    correct: i64,
}

impl<'a> Pack<'a> {
    pub(super) fn new(configs: &[&'a Config], seed: u64, sets: &'a Sets, device: Device) -> Result<Pack<'a>> {
        let config = configs[0];
        if device != Device::Cpu {
            native::make_gpu_quick(config.mode == Mode::FastTf32);
        }
        let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
        let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
        let networks: Vec<_> = configs.iter().map(|config| untrained(config, seed)).collect();
        // The order of images is the one that follows PyTorch's own starting weights, whatever the members' are.
        untrained(&Config { init: Init::Pytorch, ..config.clone() }, seed);
        let network = PackedNetwork::new(&networks.iter().collect::<Vec<_>>(), device);
        let steps = (split.train.size()[0] as usize).div_ceil(config.batch_size);
        let member = |&config| Member {
            config,
            course: Course::new(config, seed, steps, device),
            diverged: None,
            closed: false,
            last_state: vec![],
        };
        let members: Vec<Member> = configs.iter().map(member).collect();
        let rules: Vec<Regularization> = configs.iter().map(|config| config.regularization).collect();
        let (optimizer, penalties) = (optimizer(&members, &network), Penalties::new(&rules, &network));
        let recorder = Recorder::default();
        Ok(Pack { config, sets, split, scaling, network, optimizer, penalties, recorder, members })
    }

    /// Places of the images that one training step takes.
    pub(super) fn first_batch(&self) -> Tensor {
        self.split.train.narrow(0, 0, self.split.train.size()[0].min(self.config.batch_size as i64))
    }

    /// One step that nobody records.
    pub(super) fn train_on(&mut self, index: &Tensor) {
        let rates = self.rates();
        self.step(index, &rates);
    }

    /// One epoch or the rest of one, with its validation.
    fn epoch(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Flow> {
        let mut clock = Instant::now();
        let mut partials = self.partials();
        let (order_seed, done) = (partials[0].order_seed, partials[0].batches);
        let count = self.split.train.size()[0];
        let order = self.split.train.index_select(0, &native::randperm(order_seed, count));
        let batches = order.split(self.config.batch_size as i64, 0);
        for (batch, index) in batches.iter().enumerate().skip(done) {
            let rates = self.rates();
            let measured = self.step(index, &rates);
            let images = index.size()[0];
            for (k, member) in self.members.iter_mut().enumerate() {
                let Measured { loss, penalty, correct } = measured[k];
                partials[k].add_batch(images, loss.into(), penalty.into(), correct);
                if !member.is_running() {
                    continue;
                }
                let (step, epoch) = (member.course.rate.position.step, member.course.epoch());
                let (batches, images, lr) = (batches.len(), images as usize, rates[k]);
                observers[k].step(&Step { step, batch: batch + 1, batches, epoch, images, lr, loss });
                if !partials[k].is_finite() {
                    member.diverged = Some(format!("epoch {epoch}, step {step}: the training loss is {loss}"));
                }
            }
            if !self.members.iter().any(Member::is_running) {
                return Ok(Flow::Continue);
            }
            if batch + 1 < batches.len() && self.wants_checkpoint(observers) {
                book(&mut partials, &mut clock, Partial::train);
                self.store(Some(&partials), observers)?;
                if observers.iter().any(|observer| observer.wants_stop()) {
                    return Ok(Flow::Stop);
                }
                book(&mut partials, &mut clock, Partial::pause);
            }
        }
        book(&mut partials, &mut clock, Partial::train);
        self.close_epoch(&partials, clock, observers)
    }

    /// Whether any member that is not over is to be stored.
    fn wants_checkpoint(&self, observers: &mut [&mut dyn Observer]) -> bool {
        let mut running = self.members.iter().zip(observers).filter(|(member, _)| member.is_running());
        running.any(|(_, observer)| observer.wants_checkpoint())
    }

    /// Each member's epoch under way; all have the same order of images.
    fn partials(&mut self) -> Vec<Partial> {
        let stored = self.members.iter_mut().map(|member| member.course.partial.take());
        if let Some(partials) = stored.collect::<Option<Vec<_>>>() {
            return partials;
        }
        let first = Partial::new(0.0);
        self.rates().into_iter().map(|lr| first.at(lr)).collect()
    }

    fn rates(&self) -> Vec<f64> {
        self.members.iter().map(|member| member.course.rate.position.lr).collect()
    }

    /// One optimizer step of every member on the images at `index`.
    fn step(&mut self, index: &Tensor, rates: &[f64]) -> Vec<Measured> {
        self.optimizer.begin_step(rates);
        let device = self.sets.train.images.device();
        let drawn = draw(&self.config.augment, index.size()[0], index.device());
        let input: Vec<Tensor> = [index.shallow_clone()].into_iter().chain(drawn).collect();
        let mut recorder = std::mem::take(&mut self.recorder);
        let output = recorder.run(device, &input, |input| self.compute(&input[0], &input[1..]));
        self.recorder = recorder;
        self.members.iter_mut().for_each(|member| member.course.rate.batch_done());
        let rows = Vec::<Vec<f32>>::try_from(output).expect("float32 [K, 3]");
        let measured = |row: Vec<f32>| Measured { loss: row[0], penalty: row[1], correct: row[2] as i64 };
        rows.into_iter().map(measured).collect()
    }

    /// The tensor operations of a step: always the same ones for as many images, from the second step on. float32 [K, 3]:
    /// each member's loss, penalty and count of right answers, before the step.
    fn compute(&self, index: &Tensor, drawn: &[Tensor]) -> Tensor {
        let (images, labels) = self.sets.train.select(index);
        let images = augment(self.scaling.apply(&images), &self.config.augment, drawn);
        let logits = self.forward(&images);
        let (members, count) = (self.members.len() as i64, labels.size()[0]);
        let repeated = labels.repeat([members]);
        let smoothing = self.config.label_smoothing;
        let flat = logits.reshape([members * count, -1]);
        let losses = flat.cross_entropy_loss::<Tensor>(&repeated, None, Reduction::None, IGNORE_INDEX, smoothing);
        let losses = losses.view([members, count]).mean_dim(1, false, Kind::Float);
        let mut gradient = self.network.gradient(&losses.sum(Kind::Float));
        let parameters = self.network.parameters();
        let penalties = self.penalties.as_ref().map(|penalties| penalties.add(&gradient, &parameters));
        // One with a limit is alone, so the norm is its own.
        clip(std::slice::from_mut(&mut gradient), self.config.clip);
        self.optimizer.end_step(&parameters, &gradient);
        self.network.refresh();

        // No batch has so many images that float32 could not count them.
        let correct = logits.argmax(2, false).eq_tensor(&labels).sum_dim_intlist(1, false, Kind::Float);
        let losses = losses.detach();
        Tensor::stack(&[&losses, &penalties.unwrap_or_else(|| losses.zeros_like()), &correct], 1)
    }

    /// float32 [K, N, 10], with gradients.
    fn forward(&self, images: &Tensor) -> Tensor {
        let forward = || self.network.forward(images, true);
        match self.config.mode {
            Mode::FastBf16 => native::in_bfloat16(images.device(), forward).to_kind(Kind::Float),
            _ => forward(),
        }
    }

    /// Validates, records and selects, moves the schedules and leaves checkpoints.
    fn close_epoch(
        &mut self,
        partials: &[Partial],
        clock: Instant,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Flow> {
        draw_base_seed();
        let mut after_batch = |_: &Tensor| observers[0].evaluated_batch();
        let scored =
            evaluate_members(&self.network, &self.sets.train, &self.scaling, &self.split.val, &mut after_batch);
        let share = clock.elapsed().as_secs_f64() / self.members.len() as f64;
        let images = self.split.train.size()[0];
        let mut afresh = false;
        for (k, member) in self.members.iter_mut().enumerate().filter(|(_, member)| member.is_running()) {
            let weights = || copied(self.network.state(k as i64));
            match member.course.close_epoch(&partials[k], images, scored[k].0, share, weights) {
                Ok(restart) => afresh |= restart,
                Err(reason) => member.diverged = Some(reason),
            }
            if member.course.finished() {
                member.last_state = weights();
            }
        }
        if afresh {
            self.optimizer = optimizer(&self.members, &self.network);
            self.recorder = Recorder::default();
        }
        self.store(None, observers)?;
        let stop = observers.iter().any(|observer| observer.wants_stop());
        Ok(if stop && self.members.iter().any(Member::is_running) { Flow::Stop } else { Flow::Continue })
    }

    /// Hands each running member's checkpoint to its observer, and once that of one that has finished.
    fn store(&mut self, partials: Option<&[Partial]>, observers: &mut [&mut dyn Observer]) -> Result<()> {
        let stored = |member: &Member| member.diverged.is_none() && !member.closed;
        for (k, member) in self.members.iter_mut().enumerate().filter(|(_, member)| stored(member)) {
            member.course.partial = partials.map(|partials| partials[k].clone());
            let (model, memory) = (self.network.state(k as i64), self.optimizer.state(k as i64));
            let bytes = member.course.checkpoint(model, memory, self.optimizer.steps())?;
            observers[k].checkpoint(bytes, member.course.history())?;
            member.closed = member.course.finished();
        }
        Ok(())
    }

    fn restore(&mut self, checkpoints: &[Vec<u8>]) -> Result<()> {
        for (k, (member, bytes)) in self.members.iter_mut().zip(checkpoints).enumerate() {
            let Restored { model, optimizer, optimizer_steps } = member.course.restore(bytes)?;
            let mut network = declared(member.config);
            network.load_state(&model)?;
            self.network.write(k as i64, &network.state());
            self.optimizer.restore(k as i64, optimizer_steps, &optimizer)?;
            if member.course.finished() {
                (member.closed, member.last_state) = (true, model);
            }
        }
        let steps: Vec<usize> = self.members.iter().map(|member| member.course.rate.position.step).collect();
        ensure!(steps.iter().all(|step| *step == steps[0]), "the members of a pack are at different steps");
        self.network.refresh();
        Ok(())
    }

    /// Scores each member's selected weights on every split, and its last ones on the test images.
    fn score(mut self, observers: &mut [&mut dyn Observer]) -> Result<Vec<Ended>> {
        let last = self.score_last(observers);
        self.take(|member| &member.course.best_state);
        let mut logits = vec![];
        let mut on = |set, index: &Tensor| {
            logits.clear();
            evaluate_members(&self.network, set, &self.scaling, index, &mut |batch| {
                logits.push(batch.shallow_clone());
                observers[0].evaluated_batch();
            })
        };
        let (train, val) = (on(&self.sets.train, &self.split.train), on(&self.sets.train, &self.split.val));
        let labels = &self.sets.test.labels;
        let test = on(&self.sets.test, &self.sets.test.all());
        let logits = Tensor::cat(&logits, 1);
        let ended = self.members.into_iter().enumerate().map(|(k, member)| {
            let ((test, confusion), logits) = (test[k], logits.get(k as i64));
            let last_test = if member.course.selected_last() { Some(test) } else { last.get(k).copied() };
            let evidence = Some(evidence(labels, &logits));
            let best_epoch = member.course.best_epoch();
            let (train, val) = (train[k].0, val[k].0);
            member.end(Scores { best_epoch, train, val, test, confusion, last_test, evidence }, labels, &logits)
        });
        ended.collect()
    }

    /// What each member's last weights score on the test images; nothing where all have selected them.
    fn score_last(&mut self, observers: &mut [&mut dyn Observer]) -> Vec<SplitScore> {
        let mut done = self.members.iter().filter(|member| member.diverged.is_none());
        if done.all(|member| member.course.selected_last()) {
            return vec![];
        }
        self.take(|member| &member.last_state);
        let (set, mut after_batch) = (&self.sets.test, |_: &Tensor| observers[0].evaluated_batch());
        let scored = evaluate_members(&self.network, set, &self.scaling, &set.all(), &mut after_batch);
        scored.into_iter().map(|(test, _)| test).collect()
    }

    /// Puts weights of each member that has not diverged into the network.
    fn take(&mut self, weights: impl for<'m> Fn(&'m Member<'a>) -> &'m State) {
        for (k, member) in self.members.iter().enumerate().filter(|(_, member)| member.diverged.is_none()) {
            self.network.write(k as i64, weights(member));
        }
        self.network.refresh();
    }
}

fn optimizer(members: &[Member], network: &PackedNetwork) -> PackedOptimizer {
    let settings: Vec<Optimizer> = members.iter().map(|member| member.config.optimizer).collect();
    PackedOptimizer::new(&settings, &network.parameters())
}

/// Books each member's share of the time since the last reading.
fn book(partials: &mut [Partial], clock: &mut Instant, as_what: fn(&mut Partial, f64)) {
    let share = clock.elapsed().as_secs_f64() / partials.len() as f64;
    partials.iter_mut().for_each(|partial| as_what(partial, share));
    *clock = Instant::now();
}
