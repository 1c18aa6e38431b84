//! The learning rate over time, by the recurrences of `torch.optim.lr_scheduler` (2.11.0) in float64.
//!
//! PyTorch multiplies the current rate rather than computing it from the start, so the last bits depend on the path;
//! hence the state here is the current rate.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::spec::config::{Config, Schedule, Warmup};

/// `ReduceLROnPlateau(eps=1e-8)`: a smaller change of the rate is not made.
const PLATEAU_EPSILON: f64 = 1e-8;

/// A schedule and where it stands.
pub struct LearningRate {
    schedule: Schedule,
    warmup: Option<Warmup>,
    /// The optimizer's rate as configured: PyTorch's `initial_lr`.
    base: f64,
    epochs: usize,
    total_steps: usize,
    pub position: Position,
}

/// What moves; stored in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The rate of the next step.
    pub lr: f64,
    /// Finished epochs and steps.
    pub epoch: usize,
    pub step: usize,
    /// For the plateau rule: the best validation loss (none yet: null) and the epochs since.
    pub best: Option<f64>,
    pub bad_epochs: usize,
}

impl LearningRate {
    /// `steps_per_epoch` counts the last, smaller batch.
    pub fn new(config: &Config, steps_per_epoch: usize) -> LearningRate {
        let base = config.optimizer.rule().common().lr;
        let position = Position { lr: base, epoch: 0, step: 0, best: None, bad_epochs: 0 };
        let total_steps = config.epochs * steps_per_epoch;
        let (schedule, warmup, epochs) = (config.schedule.clone(), config.warmup, config.epochs);
        let mut rate = LearningRate { schedule, warmup, base, epochs, total_steps, position };
        rate.position.lr = match (&rate.schedule, rate.warmup) {
            (_, Some(warmup)) => base * warmup.start_factor,
            (Schedule::Staged { stages }, _) => stages[0].lr,
            (Schedule::OneCycle { .. }, _) => rate.one_cycle(0),
            _ => base,
        };
        rate
    }

    /// After each batch.
    pub fn batch_done(&mut self) {
        self.position.step += 1;
        if let Schedule::OneCycle { .. } = self.schedule {
            self.position.lr = self.one_cycle(self.position.step);
        }
    }

    /// After each epoch's validation. True where the optimizer must start afresh.
    pub fn epoch_done(&mut self, val_loss: f64) -> bool {
        self.position.epoch += 1;
        let epoch = self.position.epoch;
        if let Some(warmup) = self.warmup {
            if epoch < warmup.epochs {
                self.position.lr *= warmup_factor(warmup, epoch);
                return false;
            }
            if epoch == warmup.epochs {
                self.position.lr = self.first_after_warmup();
                return false;
            }
        }
        let since_warmup = epoch - self.warmup.map_or(0, |warmup| warmup.epochs);
        self.move_on(since_warmup, val_loss)
    }

    /// The main schedule's own step, `epoch` counted from its start.
    fn move_on(&mut self, epoch: usize, val_loss: f64) -> bool {
        let lr = self.position.lr;
        match self.schedule {
            Schedule::Constant | Schedule::OneCycle { .. } => {}
            Schedule::Step { every, factor } if epoch.is_multiple_of(every) => self.position.lr = lr * factor,
            Schedule::Step { .. } => {}
            Schedule::Exponential { factor } => self.position.lr = lr * factor,
            Schedule::Cosine { min_lr } => self.position.lr = self.cosine(epoch, lr, min_lr),
            Schedule::Plateau { factor, patience, threshold, min_lr } => {
                self.plateau(val_loss, factor, patience, threshold, min_lr)
            }
            Schedule::Staged { ref stages } => {
                let mut end = 0;
                for (stage, next) in stages.iter().zip(&stages[1..]) {
                    end += stage.epochs;
                    if epoch == end {
                        self.position.lr = next.lr;
                        return true;
                    }
                }
            }
        }
        false
    }

    /// `SequentialLR` starts the second schedule by its closed form at 0.
    fn first_after_warmup(&self) -> f64 {
        match self.schedule {
            Schedule::Cosine { min_lr } => min_lr + (self.base - min_lr) * (1.0 + 0f64.cos()) / 2.0,
            _ => self.base,
        }
    }

    /// `CosineAnnealingLR.get_lr`. Loshchilov and Hutter 2017, without restarts.
    fn cosine(&self, epoch: usize, lr: f64, min_lr: f64) -> f64 {
        let last = (self.epochs - self.warmup.map_or(0, |warmup| warmup.epochs)) as f64;
        let now = 1.0 + (PI * epoch as f64 / last).cos();
        let before = 1.0 + (PI * (epoch as f64 - 1.0) / last).cos();
        now / before * (lr - min_lr) + min_lr
    }

    /// `OneCycleLR.get_lr` with cosine annealing and two phases. Smith and Topin 2017.
    fn one_cycle(&self, step: usize) -> f64 {
        let Schedule::OneCycle { pct_start, div_factor, final_div_factor } = self.schedule else {
            unreachable!("called for one_cycle only");
        };
        let initial = self.base / div_factor;
        let lowest = initial / final_div_factor;
        let peak_step = pct_start * self.total_steps as f64 - 1.0;
        let last_step = self.total_steps as f64 - 1.0;
        let step = step as f64;
        let anneal = |start: f64, end: f64, done: f64| end + (start - end) / 2.0 * ((PI * done).cos() + 1.0);
        if step <= peak_step {
            anneal(initial, self.base, step / peak_step)
        } else {
            anneal(self.base, lowest, (step - peak_step) / (last_step - peak_step))
        }
    }

    /// `ReduceLROnPlateau(mode="min", threshold_mode="rel").step`
    fn plateau(&mut self, val_loss: f64, factor: f64, patience: usize, threshold: f64, min_lr: f64) {
        let position = &mut self.position;
        // From a threshold of 1 on this is no number or below 0 for the first epoch: none is better than none.
        if val_loss < position.best.unwrap_or(f64::INFINITY) * (1.0 - threshold) {
            position.best = Some(val_loss);
            position.bad_epochs = 0;
        } else {
            position.bad_epochs += 1;
        }
        if position.bad_epochs > patience {
            position.bad_epochs = 0;
            let reduced = (position.lr * factor).max(min_lr);
            if position.lr - reduced > PLATEAU_EPSILON {
                position.lr = reduced;
            }
        }
    }
}

/// `LinearLR.get_lr` over the rate of the epoch before.
fn warmup_factor(warmup: Warmup, epoch: usize) -> f64 {
    let rise = 1.0 - warmup.start_factor;
    1.0 + rise / (warmup.epochs as f64 * warmup.start_factor + (epoch as f64 - 1.0) * rise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Experiment;

    /// The rates of three epochs with falling losses, after each of which the trial is stored and taken up again.
    fn rates(threshold: f64) -> Vec<f64> {
        let text = format!(
            "{{schema: 1, name: test, base: {{model: lenet5, optimizer: {{name: sgd, lr: 1}}, \
             schedule: {{name: plateau, patience: 0, threshold: {threshold:e}}}}}}}"
        );
        let config = Experiment::parse("test", &text, &Default::default()).unwrap().base;
        let mut stored = serde_json::to_string(&LearningRate::new(&config, 10).position).unwrap();
        let epoch = |val_loss: f64| {
            let mut rate = LearningRate::new(&config, 10);
            rate.position = serde_json::from_str(&stored).unwrap();
            rate.epoch_done(val_loss);
            stored = serde_json::to_string(&rate.position).unwrap();
            rate.position.lr
        };
        [2.0, 1.0, 0.5].map(epoch).to_vec()
    }

    /// `ReduceLROnPlateau` begins with an infinite best loss: times 0 it is no number, and times less than 0 below all.
    #[test]
    fn from_a_threshold_of_1_on_no_loss_is_better() {
        assert_eq!(rates(0.4), [1.0, 1.0, 1.0]);
        assert_eq!(rates(0.9), [1.0, 0.1, 0.1 * 0.1]);
        for threshold in [1.0, 1.0f64.next_up(), 3.0, f64::MAX] {
            assert_eq!(rates(threshold), [0.1, 0.1 * 0.1, 0.1 * 0.1 * 0.1], "{threshold}");
        }
    }
}
