//! What two keys of a configuration must have in common.

use super::config::{Config, Kernels, Model, Schedule};
use super::error::Result;
use super::fields::Slot;
use super::keys::MODEL;
use super::read::{typed, written};
use crate::networks::{self, Weights};

/// Each refuses keys that are right by themselves and wrong together.
const RULES: [fn(&Config, &Slot) -> Result<()>; 8] = [
    images_for_both_parts,
    what_the_optimizer_can_compute,
    dense_layers_for_dropout,
    kernels_to_penalize,
    images_for_a_batch,
    stages_for_every_epoch,
    steps_for_a_peak,
    epochs_after_the_warmup,
];

pub fn agree(config: &Config, root: &Slot) -> Result<()> {
    RULES.iter().try_for_each(|rule| rule(config, root))
}

/// Training and validation images must come from one training part, which `--dataset` may have made smaller.
fn images_for_both_parts(config: &Config, root: &Slot) -> Result<()> {
    let data = &config.data;
    let (there, val) = (data.dataset.training_part(), data.val);
    if data.train.unwrap_or(1) + val <= there {
        return Ok(());
    }
    let written = |key| root.node.field("data").and_then(|data| data.field(key));
    let chosen = written("dataset").filter(|node| node.at.is_option());
    let chosen = chosen.map_or(String::new(), |node| format!("; {} chose it", node.at.source));
    let wanted = match data.train {
        Some(train) => format!("{train} to train on and {val} for validation"),
        None => format!("{val} for validation and at least one to train on"),
    };
    let problem = format!("{wanted} are more than the {there} training images of {}{chosen}", data.dataset.as_str());
    let key = if data.train.is_some() && written("val").is_none() { "data.train" } else { "data.val" };
    Err(root.blame(key, problem))
}

fn dense_layers_for_dropout(config: &Config, root: &Slot) -> Result<()> {
    let holds = config.regularization.dropout == 0.0 || config.model.has_hidden_dense();
    root.ensure(holds, "regularization.dropout", "follows hidden dense layers, and model.dense has none")
}

fn kernels_to_penalize(config: &Config, root: &Slot) -> Result<()> {
    if config.regularization.on != Kernels::Conv3x3 || has_3x3(&config.model) {
        return Ok(());
    }
    let mut have: Vec<&str> = networks::names();
    have.retain(|name| has_3x3(&typed(written(&MODEL, name))));
    let last = have.pop().unwrap_or_default();
    let problem = format!("this model has no 3x3 kernel; {} and {last} have", have.join(", "));
    Err(root.blame("regularization.on", problem))
}

fn has_3x3(model: &Model) -> bool {
    model.weights().iter().any(|weights| matches!(weights, Weights::Conv { kernel: 3, .. }))
}

fn images_for_a_batch(config: &Config, root: &Slot) -> Result<()> {
    let (images, batch) = (config.data.training_images(), config.batch_size);
    let problem = format!("{batch} is more than the {images} images there are to train on");
    root.ensure(batch <= images, "batch_size", problem)
}

fn stages_for_every_epoch(config: &Config, root: &Slot) -> Result<()> {
    let Schedule::Staged { stages } = &config.schedule else { return Ok(()) };
    let covered: usize = stages.iter().map(|stage| stage.epochs).sum();
    let problem = format!("its stages cover {covered} of {} epochs", config.epochs);
    root.ensure(covered >= config.epochs, "schedule", problem)
}

fn what_the_optimizer_can_compute(config: &Config, root: &Slot) -> Result<()> {
    match config.optimizer.rule().objection(highest_rate(config)) {
        Some((key, problem)) => Err(root.blame(&format!("optimizer{key}"), problem)),
        None => Ok(()),
    }
}

/// The highest rate that an epoch has.
fn highest_rate(config: &Config) -> f64 {
    let own = config.optimizer.rule().common().lr;
    match &config.schedule {
        Schedule::Staged { stages } => stages.iter().map(|stage| stage.lr).fold(0.0, f64::max),
        Schedule::Cosine { min_lr } => own.max(*min_lr),
        _ => own,
    }
}

fn steps_for_a_peak(config: &Config, root: &Slot) -> Result<()> {
    let Schedule::OneCycle { pct_start, .. } = config.schedule else { return Ok(()) };
    let steps = config.epochs * config.data.training_images().div_ceil(config.batch_size);
    let rising = pct_start * steps as f64;
    let needs = "one_cycle needs more than one step before its peak";
    root.ensure(rising > 1.0, "schedule", format!("{needs}, but {pct_start} of {steps} steps is {rising}"))
}

fn epochs_after_the_warmup(config: &Config, root: &Slot) -> Result<()> {
    let Some(warmup) = config.warmup else { return Ok(()) };
    let problem = format!("{} warm-up epochs leave none of {} epochs", warmup.epochs, config.epochs);
    root.ensure(warmup.epochs < config.epochs, "warmup", problem)?;
    use Schedule::*;
    let goes = matches!(config.schedule, Constant | Step { .. } | Exponential { .. } | Cosine { .. });
    root.ensure(goes, "warmup", "only goes with the schedules constant, step, exponential and cosine")
}
