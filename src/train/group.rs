//! The one loop over the epochs of K trials, the members of a group.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tch::{Device, Tensor};

use super::course::{Course, Partial, Restored};
use super::evaluate::{evaluate, images_per_pass};
use super::evidence::{evidence, predictions};
use super::observer::{Ended, Observer, Sets, Step};
use super::showcase::showcase;
use super::start::started;
use crate::data::augment::{augment, draw};
use crate::data::batches::{Resident, Scaling, Split, draw_base_seed};
use crate::engine::{self, Arithmetic, Batch, Measured, Measures, State, copied};
use crate::native;
use crate::record::{Confusion, Scores, Showcase, SplitScore};
use crate::spec::config::{Config, Mode};

pub(super) struct Group<'a> {
    /// What all members have in common is read from the first one's.
    config: &'a Config,
    sets: &'a Sets,
    split: Split,
    scaling: Scaling,
    arithmetic: Box<dyn Arithmetic>,
    members: Vec<Member<'a>>,
}

/// One trial.
struct Member<'a> {
    course: Course<'a>,
    /// Why it diverged. It may still be computed, as a part of every operation, but nothing of it counts any more.
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
}

/// What a member's selected weights are worth.
struct Scored {
    scores: Scores,
    showcase: Showcase,
    predictions: Vec<u8>,
}

/// A step that was taken.
struct Taken {
    measures: Measures,
    rates: Vec<f64>,
    /// Counted from 1: over the whole trial, and of this epoch.
    step: usize,
    batch: usize,
    images: usize,
}

impl Taken {
    fn is_unread(&self) -> bool {
        self.measures.unread().is_some()
    }
}

/// So many steps of a GPU are read at a time: to read one is to wait for it, and the GPU then waits for the next.
pub const READ_AT_ONCE: usize = 32;

#[derive(PartialEq)]
enum Flow {
    Continue,
    Stop,
}

impl<'a> Group<'a> {
    pub fn new(configs: &[&'a Config], seed: u64, sets: &'a Sets, device: Device) -> Group<'a> {
        let config = configs[0];
        let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
        let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
        let arithmetic = engine::start(configs, seed, device);
        let steps = (split.train.size()[0] as usize).div_ceil(config.batch_size);
        let member = |&config| Member {
            course: Course::new(config, seed, steps, device),
            diverged: None,
            closed: false,
            last_state: vec![],
        };
        let members = configs.iter().map(member).collect();
        Group { config, sets, split, scaling, arithmetic, members }
    }

    /// From where the members are to how each of them ends.
    pub fn train(mut self, observers: &mut [&mut dyn Observer]) -> Result<Vec<Ended>> {
        while self.is_running() {
            if self.epoch(observers)? == Flow::Stop {
                return Ok(self.members.iter().map(|_| Ended::Interrupted).collect());
            }
        }
        self.end(observers)
    }

    fn is_running(&self) -> bool {
        self.members.iter().any(Member::is_running)
    }

    /// One epoch or the rest of one, with its validation.
    fn epoch(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Flow> {
        let mut clock = Instant::now();
        let mut partials = self.partials();
        let (order_seed, done) = (partials[0].order_seed, partials[0].batches);
        let count = self.split.train.size()[0];
        let order = self.split.train.index_select(0, &native::randperm(order_seed, count));
        let batches = order.split(self.config.batch_size as i64, 0);
        let mut taken = vec![];
        for (batch, index) in batches.iter().enumerate().skip(done) {
            taken.push(self.take_step(batch + 1, index));
            let is_last = batch + 1 == batches.len();
            if is_last || !taken.last().is_some_and(Taken::is_unread) || taken.len() == READ_AT_ONCE {
                self.book_steps(&mut partials, &mut taken, batches.len(), observers);
            }
            if !self.is_running() {
                return Ok(Flow::Continue);
            }
            if !is_last && self.wants_checkpoint(observers) {
                self.book_steps(&mut partials, &mut taken, batches.len(), observers);
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

    /// Each member's epoch under way; all have the same order of images.
    fn partials(&mut self) -> Vec<Partial> {
        let stored = self.members.iter_mut().map(|member| member.course.partial.take());
        if let Some(partials) = stored.collect::<Option<Vec<_>>>() {
            return partials;
        }
        let first = Partial::new(0.0);
        self.rates().into_iter().map(|lr| first.at(lr)).collect()
    }

    /// The learning rates of the next step.
    fn rates(&self) -> Vec<f64> {
        self.members.iter().map(|member| member.course.rate.position.lr).collect()
    }

    /// Takes the step of the `batch`-th batch, whose images are at `index`.
    fn take_step(&mut self, batch: usize, index: &Tensor) -> Taken {
        let rates = self.rates();
        let measures = self.step(index, &rates);
        let step = self.members[0].course.rate.position.step;
        Taken { measures, rates, step, batch, images: index.size()[0] as usize }
    }

    /// One optimizer step of every member on the images at `index`.
    fn step(&mut self, index: &Tensor, rates: &[f64]) -> Measures {
        let device = self.sets.train.images.device();
        let (rule, scaling, images) = (&self.config.augment, &self.scaling, &self.sets.train);
        // PyTorch draws where the images are; the input of a recorded step comes from outside.
        let drawn_on = if self.config.mode == Mode::Exact { device } else { index.device() };
        let drawn = draw(rule, index.size()[0], drawn_on);
        let prepare = |input: &[Tensor]| {
            let (images, labels) = images.select(&input[0]);
            (augment(scaling.apply(&images), rule, &input[1..]), labels)
        };
        let input = [index.shallow_clone()].into_iter().chain(drawn).collect();
        let measures = self.arithmetic.step(&Batch { device, input, images: &prepare }, rates);
        self.members.iter_mut().for_each(|member| member.course.rate.batch_done());
        measures
    }

    /// Adds steps of an epoch of `batches` to each member's epoch, and tells the observers of those that still run.
    fn book_steps(
        &mut self,
        partials: &mut [Partial],
        taken: &mut Vec<Taken>,
        batches: usize,
        observers: &mut [&mut dyn Observer],
    ) {
        let (measures, steps): (Vec<Measures>, Vec<_>) =
            taken.drain(..).map(|taken| (taken.measures, (taken.rates, taken.step, taken.batch, taken.images))).unzip();
        for (measured, (rates, step, batch, images)) in engine::read(measures).into_iter().zip(steps) {
            for (k, member) in self.members.iter_mut().enumerate() {
                let Measured { loss, penalty, correct } = measured[k];
                partials[k].add_batch(images as i64, loss.into(), penalty.into(), correct);
                if !member.is_running() {
                    continue;
                }
                let epoch = member.course.epoch();
                observers[k].step(&Step { step, batch, batches, epoch, images, lr: rates[k], loss });
                if !partials[k].is_finite() {
                    member.diverged = Some(format!("epoch {epoch}, step {step}: the training loss is {loss}"));
                }
            }
        }
    }

    /// Whether any member that is not over is to be stored.
    fn wants_checkpoint(&self, observers: &mut [&mut dyn Observer]) -> bool {
        let mut running = self.members.iter().zip(observers).filter(|(member, _)| member.is_running());
        running.any(|(_, observer)| observer.wants_checkpoint())
    }

    /// Validates, records and selects, moves the schedules and leaves checkpoints where they are due.
    fn close_epoch(
        &mut self,
        partials: &[Partial],
        clock: Instant,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Flow> {
        draw_base_seed();
        let scored = self.evaluate(&self.sets.train, &self.split.val, &mut |_| observers[0].evaluated_batch());
        let share = clock.elapsed().as_secs_f64() / self.members.len() as f64;
        let images = self.split.train.size()[0];
        let (mut afresh, mut closed) = (false, vec![]);
        for (k, member) in self.members.iter_mut().enumerate().filter(|(_, member)| member.is_running()) {
            let weights = || copied(self.arithmetic.state(k));
            match member.course.close_epoch(&partials[k], images, scored[k].0, share, weights) {
                Ok(restart) => {
                    afresh |= restart;
                    closed.push(k);
                }
                Err(reason) => member.diverged = Some(reason),
            }
            if member.course.finished() {
                member.last_state = weights();
            }
        }
        if afresh {
            self.arithmetic.restart();
        }
        if !self.stores_seldom() || self.wants_checkpoint(observers) || self.has_just_finished() {
            self.store(None, observers)?;
        }
        closed.into_iter().for_each(|k| observers[k].epoch(self.members[k].course.history()));
        let stop = observers.iter().any(|observer| observer.wants_stop());
        Ok(if stop && self.is_running() { Flow::Stop } else { Flow::Continue })
    }

    /// The epochs of a pack on a GPU take less time than the checkpoints of all its members.
    fn stores_seldom(&self) -> bool {
        self.members.len() > 1 && self.sets.train.images.device() != Device::Cpu
    }

    /// Whether a member has finished before the others, which would compute on what it has to keep.
    fn has_just_finished(&self) -> bool {
        let finished = |member: &Member| member.course.finished() && !member.closed && member.diverged.is_none();
        self.is_running() && self.members.iter().any(finished)
    }

    /// Hands each running member's checkpoint to its observer, and once that of one that has finished.
    fn store(&mut self, partials: Option<&[Partial]>, observers: &mut [&mut dyn Observer]) -> Result<()> {
        let stored = |member: &Member| member.diverged.is_none() && !member.closed;
        for (k, member) in self.members.iter_mut().enumerate().filter(|(_, member)| stored(member)) {
            member.course.partial = partials.map(|partials| partials[k].clone());
            let (steps, memory) = self.arithmetic.memory(k);
            let bytes = member.course.checkpoint(self.arithmetic.state(k), memory, steps)?;
            observers[k].checkpoint(bytes, member.course.history())?;
            member.closed = member.course.finished();
        }
        Ok(())
    }

    /// Takes over the weights that members start from, where those are in files.
    pub fn start(&mut self) -> Result<()> {
        for (k, member) in self.members.iter().enumerate() {
            if let Some(start) = &member.course.config().start {
                self.arithmetic.write(k, &started(self.arithmetic.state(k), start)?)?;
            }
        }
        self.arithmetic.refresh();
        Ok(())
    }

    /// Takes over a checkpoint of each member.
    pub fn restore(&mut self, checkpoints: &[Vec<u8>]) -> Result<()> {
        for (k, (member, bytes)) in self.members.iter_mut().zip(checkpoints).enumerate() {
            let Restored { model, optimizer, optimizer_steps } = member.course.restore(bytes)?;
            self.arithmetic.write(k, &model)?;
            self.arithmetic.remember(k, optimizer_steps, &optimizer)?;
            if member.course.finished() {
                (member.closed, member.last_state) = (true, model);
            }
        }
        let steps: Vec<usize> = self.members.iter().map(|member| member.course.rate.position.step).collect();
        ensure!(steps.iter().all(|step| *step == steps[0]), "the members of a pack are at different steps");
        self.arithmetic.refresh();
        Ok(())
    }

    /// How each member ended.
    fn end(mut self, observers: &mut [&mut dyn Observer]) -> Result<Vec<Ended>> {
        let any_done = self.members.iter().any(|member| member.diverged.is_none());
        let mut scored = if any_done { self.score(observers)? } else { vec![] }.into_iter();
        let end = |mut member: Member| match (member.diverged.take(), scored.next()) {
            (None, Some(Scored { scores, showcase, predictions })) => {
                let best = std::mem::take(&mut member.course.best_state);
                let history = member.course.into_history();
                Ended::Done { scores: Box::new(scores), showcase, predictions, best, history }
            }
            (reason, _) => {
                Ended::Diverged { reason: reason.unwrap_or_default(), history: member.course.into_history() }
            }
        };
        Ok(self.members.into_iter().map(end).collect())
    }

    /// Scores each member's selected weights on every split, and its last ones on the test images. What this says of a member
    /// that diverged means nothing.
    fn score(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Vec<Scored>> {
        let last = self.score_last(observers)?;
        self.take(|member| &member.course.best_state).context("the selected epoch's weights")?;
        let train = self.evaluate(&self.sets.train, &self.split.train, &mut |_| observers[0].evaluated_batch());
        let val = self.evaluate(&self.sets.train, &self.split.val, &mut |_| observers[0].evaluated_batch());
        let (set, mut logits) = (&self.sets.test, vec![]);
        let test = self.evaluate(set, &set.all(), &mut |batch| {
            logits.push(batch.shallow_clone());
            observers[0].evaluated_batch();
        });
        let logits = Tensor::cat(&logits, 1);
        let scored = |(k, member): (usize, &Member)| {
            let ((test, confusion), logits) = (test[k].clone(), logits.get(k as i64));
            let scores = Scores {
                best_epoch: member.course.best_epoch(),
                train: train[k].0,
                val: val[k].0,
                test,
                confusion,
                last_test: if member.course.selected_last() { Some(test) } else { last.get(k).copied() },
                evidence: Some(evidence(&set.labels, &logits)),
            };
            let showcase = showcase(&self.arithmetic.state(k), &set.labels, &logits);
            Scored { scores, showcase, predictions: predictions(&logits) }
        };
        Ok(self.members.iter().enumerate().map(scored).collect())
    }

    /// What each member's last weights score on the test images; nothing where all have selected them.
    fn score_last(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Vec<SplitScore>> {
        let mut done = self.members.iter().filter(|member| member.diverged.is_none());
        if done.all(|member| member.course.selected_last()) {
            return Ok(vec![]);
        }
        self.take(|member| &member.last_state).context("the last epoch's weights")?;
        let set = &self.sets.test;
        let scored = self.evaluate(set, &set.all(), &mut |_| observers[0].evaluated_batch());
        Ok(scored.into_iter().map(|(test, _)| test).collect())
    }

    /// Puts weights of each member that has not diverged into the network.
    fn take(&mut self, weights: impl for<'m> Fn(&'m Member<'a>) -> &'m State) -> Result<()> {
        for (k, member) in self.members.iter().enumerate().filter(|(_, member)| member.diverged.is_none()) {
            self.arithmetic.write(k, weights(member))?;
        }
        self.arithmetic.refresh();
        Ok(())
    }

    /// Each member's score on the images of `set` at `index`; `after_batch` sees the logits [K, N, C] of each batch.
    fn evaluate(
        &self,
        set: &Resident,
        index: &Tensor,
        after_batch: &mut dyn FnMut(&Tensor),
    ) -> Vec<(SplitScore, Confusion)> {
        let forward = |images: &Tensor| self.arithmetic.logits(images);
        let batch = images_per_pass(self.config, self.members.len(), set.images.device());
        evaluate(&forward, batch, set, &self.scaling, index, after_batch)
    }

    /// Places of the images that one training step takes.
    pub fn first_batch(&self) -> Tensor {
        self.split.train.narrow(0, 0, self.split.train.size()[0].min(self.config.batch_size as i64))
    }

    /// One step that nobody records, to its end.
    pub fn train_on(&mut self, index: &Tensor) {
        let rates = self.rates();
        let measures = self.step(index, &rates);
        engine::read(vec![measures]);
    }
}

/// Books each member's share of the time since the last reading.
fn book(partials: &mut [Partial], clock: &mut Instant, as_what: fn(&mut Partial, f64)) {
    let share = clock.elapsed().as_secs_f64() / partials.len() as f64;
    partials.iter_mut().for_each(|partial| as_what(partial, share));
    *clock = Instant::now();
}
