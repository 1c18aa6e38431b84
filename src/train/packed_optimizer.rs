//! The optimizers of `optimizer.rs` for the members of a pack at once: the same formulas over one matrix of parameters, a
//! row a member, with a learning rate, momentum and weight decay of each row's own. Its last bits are its own, too.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::optimizer::memory_names;
use crate::models::State;
use crate::native::{add_product, add_scaled, no_grad};
use crate::spec::config::Optimizer as Settings;

/// Numbers updated at a time: so many of each kind stay in a processor's cache from one operation to the next.
const BLOCK: i64 = 1 << 17;

pub struct PackedOptimizer {
    /// The first member's; all members have its kind and the numbers that are not columns here.
    settings: Settings,
    /// float32 [K, 1] of the next step, and the numbers it was made of.
    lr: Tensor,
    lr_values: Vec<f64>,
    momentum: Column,
    weight_decay: Column,
    steps: u64,
    /// [K, P] for each of the optimizer's kinds of memory.
    memory: Vec<Tensor>,
}

/// One number a member, float32 [K, 1].
struct Column {
    values: Tensor,
    /// All are 0.
    zero: bool,
}

impl Column {
    fn new(values: &[f64], device: Device) -> Column {
        Column { values: column(values, device), zero: values.iter().all(|value| *value == 0.0) }
    }
}

fn column(values: &[f64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).view([-1, 1]).to_device(device)
}

impl PackedOptimizer {
    /// For `parameters` [K, P], a row for each of `settings`.
    pub fn new(settings: &[Settings], parameters: &Tensor) -> PackedOptimizer {
        let device = parameters.device();
        let start = match settings[0] {
            Settings::Adagrad { initial_accumulator_value, .. } => initial_accumulator_value,
            _ => 0.0,
        };
        let momenta: Vec<f64> = settings.iter().map(|settings| momentum(*settings)).collect();
        let decays: Vec<f64> = settings.iter().map(|settings| weight_decay(*settings)).collect();
        // The member with the highest momentum knows whether there is any to remember.
        let names = settings.iter().map(|settings| memory_names(*settings)).max_by_key(|names| names.len());
        let memory = names.unwrap_or_default().iter().map(|_| parameters.full_like(start)).collect();
        PackedOptimizer {
            settings: settings[0],
            lr: column(&vec![0.0; settings.len()], device),
            lr_values: vec![0.0; settings.len()],
            momentum: Column::new(&momenta, device),
            weight_decay: Column::new(&decays, device),
            steps: 0,
            memory,
        }
    }

    /// Moves `parameters` [K, P] by `gradient`, each row by its own rate.
    pub fn step(&mut self, parameters: &Tensor, gradient: Tensor, rates: &[f64]) {
        self.steps += 1;
        if self.lr_values != rates {
            self.lr = column(rates, parameters.device());
            self.lr_values = rates.to_vec();
        }
        let (members, width) = parameters.size2().expect("[K, P]");
        let columns = (BLOCK / members).max(1);
        no_grad(|| {
            for start in (0..width).step_by(columns as usize) {
                let block = |tensor: &Tensor| tensor.narrow(1, start, columns.min(width - start));
                let mut memory: Vec<Tensor> = self.memory.iter().map(block).collect();
                self.update(&mut block(parameters), block(&gradient), &mut memory);
            }
        });
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What it remembers of one member, which shares memory with it.
    pub fn state(&self, member: i64) -> State {
        let names = (0..self.memory.len()).map(|index| format!("memory.{index}"));
        names.zip(&self.memory).map(|(name, memory)| (name, memory.get(member))).collect()
    }

    /// Takes back what `steps` and `state` gave.
    pub fn restore(&mut self, member: i64, steps: u64, state: &State) -> Result<()> {
        self.steps = steps;
        for (name, mut target) in self.state(member) {
            let source = state.iter().find(|(given, _)| *given == name).map(|(_, tensor)| tensor);
            let Some(source) = source.filter(|source| source.size() == target.size()) else {
                // A member whose momentum is 0 may have been alone, without any memory.
                ensure!(source.is_none() && state.is_empty(), "{name}: missing or of another shape");
                continue;
            };
            no_grad(|| target.copy_(source));
        }
        Ok(())
    }

    /// Some columns of the parameters, the gradient and the memory.
    fn update(&self, parameters: &mut Tensor, mut gradient: Tensor, memory: &mut [Tensor]) {
        let lr = &self.lr;
        if !self.weight_decay.zero {
            if let Settings::Adamw { .. } = self.settings {
                let _ = parameters.g_mul_(&(1.0 - lr * &self.weight_decay.values));
            } else {
                let _ = gradient.g_add_(&(&*parameters * &self.weight_decay.values));
            }
        }
        match self.settings {
            Settings::Sgd { dampening, nesterov, .. } => {
                if let [buffer] = memory {
                    if self.steps == 1 {
                        buffer.copy_(&gradient);
                    } else {
                        let _ = buffer.g_mul_(&self.momentum.values);
                        add_scaled(buffer, &gradient, 1.0 - dampening);
                    }
                    gradient =
                        if nesterov { gradient + &*buffer * &self.momentum.values } else { buffer.shallow_clone() };
                }
                add_product(parameters, &gradient, lr, -1.0);
            }
            Settings::Adam { betas: [beta1, beta2], eps, amsgrad, .. }
            | Settings::Adamw { betas: [beta1, beta2], eps, amsgrad, .. } => {
                let correction1 = 1.0 - beta1.powf(self.steps as f64);
                let correction2 = 1.0 - beta2.powf(self.steps as f64);
                let _ = memory[0].lerp_(&gradient, 1.0 - beta1);
                let _ = memory[1].g_mul_scalar_(beta2);
                add_product(&mut memory[1], &gradient, &gradient, 1.0 - beta2);
                let square = if amsgrad {
                    let largest = memory[2].maximum(&memory[1]);
                    memory[2].copy_(&largest);
                    largest
                } else {
                    memory[1].shallow_clone()
                };
                let denominator = square.sqrt().g_div_scalar_(correction2.sqrt()).g_add_scalar_(eps);
                let _ = parameters.g_sub_(&((&memory[0] / denominator).g_mul_(&(lr / correction1))));
            }
            Settings::Rmsprop { alpha, eps, centered, .. } => {
                let _ = memory[0].g_mul_scalar_(alpha);
                add_product(&mut memory[0], &gradient, &gradient, 1.0 - alpha);
                let average = if centered {
                    let _ = memory[2].lerp_(&gradient, 1.0 - alpha);
                    (&memory[0] - memory[2].square()).sqrt_()
                } else {
                    memory[0].sqrt()
                };
                let mut move_ = gradient / (average + eps);
                if !self.momentum.zero {
                    let _ = memory[1].g_mul_(&self.momentum.values).g_add_(&move_);
                    move_ = memory[1].shallow_clone();
                }
                let _ = parameters.g_sub_(&(move_ * lr));
            }
            Settings::Adagrad { lr_decay, eps, .. } => {
                add_product(&mut memory[0], &gradient, &gradient, 1.0);
                let rate = lr / (1.0 + (self.steps - 1) as f64 * lr_decay);
                let _ = parameters.g_sub_(&(gradient / (memory[0].sqrt() + eps)).g_mul_(&rate));
            }
        }
    }
}

fn momentum(settings: Settings) -> f64 {
    match settings {
        Settings::Sgd { momentum, .. } | Settings::Rmsprop { momentum, .. } => momentum,
        _ => 0.0,
    }
}

fn weight_decay(settings: Settings) -> f64 {
    match settings {
        Settings::Sgd { weight_decay, .. }
        | Settings::Adam { weight_decay, .. }
        | Settings::Adamw { weight_decay, .. }
        | Settings::Rmsprop { weight_decay, .. }
        | Settings::Adagrad { weight_decay, .. } => weight_decay,
    }
}
