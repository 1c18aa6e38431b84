//! The optimizers of `optimizer.rs` for the members of a pack at once: the same formulas over one matrix of parameters, a
//! row a member, with a learning rate, momentum and weight decay of each row's own. Its last bits are its own, too.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::State;
use super::optimizer::memory_names;
use crate::native::{Adam, add_product, add_scaled, fused_adam, no_grad};
use crate::spec::config::Optimizer as Settings;

/// Numbers updated at a time: so many of each kind stay in a processor's cache from one operation to the next.
const BLOCK: i64 = 1 << 17;

pub struct PackedOptimizer {
    /// The first member's; all members have its kind and the numbers that are not columns here.
    settings: Settings,
    pace: Pace,
    momentum: Column,
    weight_decay: Column,
    /// Each member's learning rate of this step.
    rates: Vec<f64>,
    steps: u64,
    /// [K, P] for each of the optimizer's kinds of memory.
    memory: Vec<Tensor>,
}

/// The numbers that change from step to step: always the same tensors, so that a recorded step finds them.
struct Pace {
    /// float32 [K, 3], whose columns the others are, and what is in it.
    all: Tensor,
    values: Vec<f64>,
    /// The learning rate, with Adam's first correction or Adagrad's decay in it.
    rate: Tensor,
    /// The root of Adam's second correction.
    correction: Tensor,
    /// What AdamW's weight decay leaves of a parameter.
    kept: Tensor,
}

impl Pace {
    fn new(members: i64, device: Device) -> Pace {
        let all = Tensor::zeros([members, 3], (Kind::Float, device));
        let [rate, correction, kept] = [0, 1, 2].map(|column| all.narrow(1, column, 1));
        Pace { all, values: vec![], rate, correction, kept }
    }

    fn set(&mut self, values: Vec<f64>) {
        if values != self.values {
            self.all.copy_(&Tensor::from_slice(&values).to_kind(Kind::Float).view([-1, 3]));
            self.values = values;
        }
    }
}

/// One number a member.
struct Column {
    values: Vec<f64>,
    /// float32 [K, 1]
    tensor: Tensor,
    /// All are 0.
    zero: bool,
}

impl Column {
    fn new(values: Vec<f64>, device: Device) -> Column {
        let tensor = Tensor::from_slice(&values).to_kind(Kind::Float).view([-1, 1]).to_device(device);
        Column { tensor, zero: values.iter().all(|value| *value == 0.0), values }
    }
}

/// Where each block of the columns of `matrix` [K, P] begins and how wide it is. A GPU takes all at once.
pub fn blocks(matrix: &Tensor) -> impl Iterator<Item = (i64, i64)> + use<> {
    let (members, width) = matrix.size2().expect("[K, P]");
    let columns = if matrix.device() == Device::Cpu { (BLOCK / members).max(1) } else { width };
    (0..width).step_by(columns as usize).map(move |start| (start, columns.min(width - start)))
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
            pace: Pace::new(settings.len() as i64, device),
            momentum: Column::new(momenta, device),
            weight_decay: Column::new(decays, device),
            rates: vec![],
            steps: 0,
            memory,
        }
    }

    /// Begins the next step, with a learning rate for each member.
    pub fn begin_step(&mut self, rates: &[f64]) {
        self.steps += 1;
        self.rates = rates.to_vec();
        if self.takes_one_pass() {
            return;
        }
        let steps = self.steps as f64;
        let numbers = |(lr, weight_decay): (&f64, &f64)| {
            let (rate, correction) = match self.settings {
                Settings::Adam { betas: [beta1, beta2], .. } | Settings::Adamw { betas: [beta1, beta2], .. } => {
                    (lr / (1.0 - beta1.powf(steps)), (1.0 - beta2.powf(steps)).sqrt())
                }
                Settings::Adagrad { lr_decay, .. } => (lr / (1.0 + (steps - 1.0) * lr_decay), 1.0),
                Settings::Sgd { .. } | Settings::Rmsprop { .. } => (*lr, 1.0),
            };
            [rate, correction, 1.0 - lr * weight_decay]
        };
        let values = rates.iter().zip(&self.weight_decay.values).flat_map(numbers).collect();
        self.pace.set(values);
    }

    /// Ends it: moves `parameters` [K, P] by `gradient`. Does nothing but tensor operations, the same ones from the second
    /// step on.
    pub fn end_step(&self, parameters: &Tensor, gradient: &Tensor) {
        no_grad(|| {
            if self.takes_one_pass() {
                return self.update_in_one_pass(parameters, gradient);
            }
            for (start, width) in blocks(parameters) {
                let block = |tensor: &Tensor| tensor.narrow(1, start, width);
                let mut memory: Vec<Tensor> = self.memory.iter().map(block).collect();
                self.update(&mut block(parameters), block(gradient), &mut memory);
            }
        });
    }

    /// Whether the step is Adam's in libtorch's own loop, a third of the time that one operation after the other takes on a CPU.
    /// A GPU's recorded steps need the learning rates in a tensor.
    fn takes_one_pass(&self) -> bool {
        let is_adam = matches!(self.settings, Settings::Adam { .. } | Settings::Adamw { .. });
        is_adam && self.memory[0].device() == Device::Cpu
    }

    /// Adam, member by member.
    fn update_in_one_pass(&self, parameters: &Tensor, gradient: &Tensor) {
        let (Settings::Adam { betas, eps, .. } | Settings::Adamw { betas, eps, .. }) = self.settings else { return };
        let decoupled = matches!(self.settings, Settings::Adamw { .. });
        for (member, (&lr, &weight_decay)) in (0..).zip(self.rates.iter().zip(&self.weight_decay.values)) {
            let mut memory: Vec<Tensor> = self.memory.iter().map(|memory| memory.get(member)).collect();
            let adam = Adam { step: self.steps, lr, betas, eps, weight_decay, decoupled };
            fused_adam(&mut parameters.get(member), &gradient.get(member).contiguous(), &mut memory, &adam);
        }
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
        let Pace { rate, correction, kept, .. } = &self.pace;
        if !self.weight_decay.zero {
            if let Settings::Adamw { .. } = self.settings {
                let _ = parameters.g_mul_(kept);
            } else {
                let _ = gradient.g_add_(&(&*parameters * &self.weight_decay.tensor));
            }
        }
        match self.settings {
            Settings::Sgd { dampening, nesterov, .. } => {
                if let [buffer] = memory {
                    if self.steps == 1 {
                        buffer.copy_(&gradient);
                    } else {
                        let _ = buffer.g_mul_(&self.momentum.tensor);
                        add_scaled(buffer, &gradient, 1.0 - dampening);
                    }
                    gradient =
                        if nesterov { gradient + &*buffer * &self.momentum.tensor } else { buffer.shallow_clone() };
                }
                add_product(parameters, &gradient, rate, -1.0);
            }
            Settings::Adam { betas: [beta1, beta2], eps, amsgrad, .. }
            | Settings::Adamw { betas: [beta1, beta2], eps, amsgrad, .. } => {
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
                let denominator = square.sqrt().g_div_(correction).g_add_scalar_(eps);
                let _ = parameters.g_sub_(&((&memory[0] / denominator).g_mul_(rate)));
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
                    let _ = memory[1].g_mul_(&self.momentum.tensor).g_add_(&move_);
                    move_ = memory[1].shallow_clone();
                }
                let _ = parameters.g_sub_(&(move_ * rate));
            }
            Settings::Adagrad { eps, .. } => {
                add_product(&mut memory[0], &gradient, &gradient, 1.0);
                let _ = parameters.g_sub_(&(gradient / (memory[0].sqrt() + eps)).g_mul_(rate));
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
