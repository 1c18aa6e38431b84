//! What two keys of a configuration must have in common.

use super::check::FLOAT32_MAX;
use super::config::{Config, Optimizer, Schedule};
use super::error::Result;
use super::fields::Fields;
use crate::optimizers::{Adam, Adamw};

/// Refuses keys that are right by themselves and wrong together.
pub fn agree(config: &Config, fields: &Fields) -> Result<()> {
    let images = config.data.training_images();
    if config.batch_size > images {
        let problem = format!("{} is more than the {images} images there are to train on", config.batch_size);
        return Err(fields.blame("batch_size", problem));
    }
    if let Schedule::Staged { stages } = &config.schedule {
        let covered: usize = stages.iter().map(|stage| stage.epochs).sum();
        if covered < config.epochs {
            let problem = format!("its stages cover {covered} of {} epochs", config.epochs);
            return Err(fields.blame("schedule", problem));
        }
    }
    if let Optimizer::Adam(Adam { betas, .. }) | Optimizer::Adamw(Adamw(Adam { betas, .. })) = config.optimizer {
        let first = highest_rate(config) / (1.0 - betas[0]);
        if first > FLOAT32_MAX {
            let problem = format!(
                "its first step is its rate / (1 - {}) = {first:e}, but float32 ends at {FLOAT32_MAX:e}",
                betas[0]
            );
            return Err(fields.blame("optimizer", problem));
        }
    }
    if let Schedule::OneCycle { pct_start, .. } = config.schedule {
        let steps = config.epochs * images.div_ceil(config.batch_size);
        let rising = pct_start * steps as f64;
        if rising <= 1.0 {
            let problem = format!(
                "one_cycle needs more than one step before its peak, but {pct_start} of {steps} steps is {rising}"
            );
            return Err(fields.blame("schedule", problem));
        }
    }
    let Some(warmup) = config.warmup else { return Ok(()) };
    if warmup.epochs >= config.epochs {
        let problem = format!("{} warm-up epochs leave none of {} epochs", warmup.epochs, config.epochs);
        return Err(fields.blame("warmup", problem));
    }
    match config.schedule {
        Schedule::Constant | Schedule::Step { .. } | Schedule::Exponential { .. } | Schedule::Cosine { .. } => Ok(()),
        _ => Err(fields.blame("warmup", "only goes with the schedules constant, step, exponential and cosine")),
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
