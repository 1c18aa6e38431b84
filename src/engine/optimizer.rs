//! The optimizers of `torch.optim` in the order in which PyTorch 2.11.0 computes them (foreach and single-tensor agree on
//! the CPU). libtorch's own C++ optimizers take other steps and differ from Python in the last bits.

use std::hint::black_box;

use anyhow::{Result, ensure};
use tch::Tensor;

use super::State;
use crate::native::{add_product, add_quotient, add_scaled, no_grad};
use crate::spec::config::Optimizer as Settings;

/// An optimizer's settings and what it remembers of past gradients.
pub struct Optimizer {
    settings: Settings,
    /// The rate of the next step; the schedule moves it.
    pub lr: f64,
    /// Steps taken so far.
    steps: u64,
    /// For each parameter, one tensor for each of `memory_names`.
    memory: Vec<Vec<Tensor>>,
}

impl Optimizer {
    pub fn new(settings: Settings, parameters: &[&Tensor]) -> Optimizer {
        let start = match settings {
            Settings::Adagrad { initial_accumulator_value, .. } => initial_accumulator_value,
            _ => 0.0,
        };
        let memory = parameters
            .iter()
            .map(|parameter| memory_names(settings).iter().map(|_| parameter.detach().full_like(start)).collect())
            .collect();
        Optimizer { settings, lr: settings.lr(), steps: 0, memory }
    }

    /// Moves each parameter by its gradient. `optimizer.step()`.
    pub fn step(&mut self, parameters: &[&Tensor], gradients: &[Tensor]) {
        self.steps += 1;
        no_grad(|| {
            for ((parameter, gradient), memory) in parameters.iter().zip(gradients).zip(&mut self.memory) {
                let mut parameter = parameter.shallow_clone();
                update(self.settings, self.lr, self.steps, &mut parameter, gradient, memory);
            }
        });
    }

    /// Steps taken, which Adam's and Adagrad's rates depend on.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What it remembers, under names such as `exp_avg.3` (the third parameter counted from 0).
    pub fn state(&self) -> State {
        let names = memory_names(self.settings);
        let of_parameter = |(index, memory): (usize, &Vec<Tensor>)| {
            names
                .iter()
                .zip(memory)
                .map(|(name, tensor)| (format!("{name}.{index}"), tensor.shallow_clone()))
                .collect::<Vec<_>>()
        };
        self.memory.iter().enumerate().flat_map(of_parameter).collect()
    }

    /// Takes back what `steps` and `state` gave.
    pub fn restore(&mut self, steps: u64, state: &State) -> Result<()> {
        self.steps = steps;
        for (name, target) in self.state() {
            let source = state.iter().find(|(given, _)| *given == name).map(|(_, tensor)| tensor);
            ensure!(source.is_some_and(|source| source.size() == target.size()), "{name}: missing or of another shape");
            no_grad(|| { target }.copy_(source.unwrap()));
        }
        Ok(())
    }
}

/// PyTorch's names of the tensors kept for each parameter.
pub fn memory_names(settings: Settings) -> &'static [&'static str] {
    match settings {
        Settings::Sgd { momentum: 0.0, .. } => &[],
        Settings::Sgd { .. } => &["momentum_buffer"],
        Settings::Adam { amsgrad: false, .. } | Settings::Adamw { amsgrad: false, .. } => &["exp_avg", "exp_avg_sq"],
        Settings::Adam { .. } | Settings::Adamw { .. } => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
        Settings::Rmsprop { .. } => &["square_avg", "momentum_buffer", "grad_avg"],
        Settings::Adagrad { .. } => &["sum"],
    }
}

fn update(settings: Settings, lr: f64, step: u64, parameter: &mut Tensor, gradient: &Tensor, memory: &mut [Tensor]) {
    match settings {
        Settings::Sgd { momentum, dampening, nesterov, weight_decay, .. } => {
            let gradient = decayed(gradient, parameter, weight_decay);
            sgd(parameter, gradient, memory, step, lr, momentum, dampening, nesterov);
        }
        Settings::Adam { betas, eps, weight_decay, amsgrad, .. } => {
            let gradient = decayed(gradient, parameter, weight_decay);
            adam(parameter, &gradient, memory, step, lr, betas, eps, amsgrad);
        }
        Settings::Adamw { betas, eps, weight_decay, amsgrad, .. } => {
            if weight_decay != 0.0 {
                let _ = parameter.g_mul_scalar_(1.0 - lr * weight_decay);
            }
            adam(parameter, gradient, memory, step, lr, betas, eps, amsgrad);
        }
        Settings::Rmsprop { alpha, eps, weight_decay, momentum, centered, .. } => {
            let gradient = decayed(gradient, parameter, weight_decay);
            rmsprop(parameter, &gradient, memory, lr, alpha, eps, momentum, centered);
        }
        Settings::Adagrad { lr_decay, weight_decay, eps, .. } => {
            let gradient = decayed(gradient, parameter, weight_decay);
            let rate = lr / (1.0 + (step - 1) as f64 * lr_decay);
            add_product(&mut memory[0], &gradient, &gradient, 1.0);
            add_quotient(parameter, &gradient, &memory[0].sqrt().g_add_scalar_(eps), -rate);
        }
    }
}

/// The gradient with PyTorch's `weight_decay`, that of an L2 penalty of half its weight.
fn decayed(gradient: &Tensor, parameter: &Tensor, weight_decay: f64) -> Tensor {
    if weight_decay == 0.0 {
        return gradient.shallow_clone();
    }
    let mut gradient = gradient.copy();
    add_scaled(&mut gradient, parameter, weight_decay);
    gradient
}

/// `torch.optim.sgd._single_tensor_sgd`. Sutskever et al. 2013 for Nesterov's form.
#[allow(clippy::too_many_arguments)]
fn sgd(
    parameter: &mut Tensor,
    mut gradient: Tensor,
    memory: &mut [Tensor],
    step: u64,
    lr: f64,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
) {
    if let [buffer] = memory {
        if step == 1 {
            buffer.copy_(&gradient);
        } else {
            let _ = buffer.g_mul_scalar_(momentum);
            add_scaled(buffer, &gradient, 1.0 - dampening);
        }
        if nesterov {
            gradient = gradient.copy();
            add_scaled(&mut gradient, buffer, momentum);
        } else {
            gradient = buffer.shallow_clone();
        }
    }
    add_scaled(parameter, &gradient, -lr);
}

/// `torch.optim.adam._single_tensor_adam`. Kingma and Ba 2015; AMSGrad: Reddi et al. 2018.
#[allow(clippy::too_many_arguments)]
fn adam(
    parameter: &mut Tensor,
    gradient: &Tensor,
    memory: &mut [Tensor],
    step: u64,
    lr: f64,
    [beta1, beta2]: [f64; 2],
    eps: f64,
    amsgrad: bool,
) {
    let _ = memory[0].lerp_(gradient, 1.0 - beta1);
    let _ = memory[1].g_mul_scalar_(beta2);
    add_product(&mut memory[1], gradient, gradient, 1.0 - beta2);
    let correction1 = 1.0 - beta1.powf(step as f64);
    let correction2 = 1.0 - beta2.powf(step as f64);
    // Python computes `** 0.5` with pow; black_box keeps the compiler from making a square root of it.
    let scale = correction2.powf(black_box(0.5));
    let square = if amsgrad {
        let largest = memory[2].maximum(&memory[1]);
        memory[2].copy_(&largest);
        &memory[2]
    } else {
        &memory[1]
    };
    let denominator = square.sqrt().g_div_scalar_(scale).g_add_scalar_(eps);
    add_quotient(parameter, &memory[0], &denominator, -(lr / correction1));
}

/// `torch.optim.rmsprop._single_tensor_rmsprop`. Hinton 2012; centered: Graves 2013.
#[allow(clippy::too_many_arguments)]
fn rmsprop(
    parameter: &mut Tensor,
    gradient: &Tensor,
    memory: &mut [Tensor],
    lr: f64,
    alpha: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
) {
    let _ = memory[0].g_mul_scalar_(alpha);
    add_product(&mut memory[0], gradient, gradient, 1.0 - alpha);
    let mut average = if centered {
        let _ = memory[2].lerp_(gradient, 1.0 - alpha);
        let mut variance = memory[0].copy();
        add_product(&mut variance, &memory[2], &memory[2], -1.0);
        variance.sqrt_()
    } else {
        memory[0].sqrt()
    };
    let average = average.g_add_scalar_(eps);
    if momentum > 0.0 {
        let _ = memory[1].g_mul_scalar_(momentum);
        add_quotient(&mut memory[1], gradient, &average, 1.0);
        add_scaled(parameter, &memory[1], -lr);
    } else {
        add_quotient(parameter, gradient, &average, -lr);
    }
}
