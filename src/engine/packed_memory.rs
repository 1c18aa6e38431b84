//! What an optimizer remembers of the members of a pack: one matrix a kind of memory, a row a member, with a learning rate,
//! momentum and weight decay of each row's own.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::state::{State, find};
use crate::native::{copy_without_waiting, fused_adam, no_grad};
use crate::optimizers::{Common, Members, Optimizer};

/// Numbers updated at a time: so many of each kind stay in a processor's cache from one operation to the next.
const BLOCK: i64 = 1 << 17;

pub struct PackedMemory {
    /// The first member's; all members have its kind and the numbers that are not columns here.
    optimizer: Optimizer,
    rates: Rates,
    momentum: Column,
    weight_decay: Column,
    /// Each member's learning rate of this step.
    lrs: Vec<f64>,
    steps: u64,
    /// So many columns are those of parameters; the others fill the rows.
    width: i64,
    /// [K, P] for each of the optimizer's kinds of memory.
    tensors: Vec<Tensor>,
}

/// The numbers that change from step to step: always the same tensors, so that a recorded step finds them.
struct Rates {
    /// float32 [K, 3], whose columns the others are, and what is in it.
    all: Tensor,
    values: Vec<f64>,
    /// See [`crate::optimizers::Rule::rates`].
    rate: Tensor,
    second: Tensor,
    /// What a decoupled weight decay leaves of a parameter.
    kept: Tensor,
}

impl Rates {
    fn new(members: i64, device: Device) -> Rates {
        let all = Tensor::zeros([members, 3], (Kind::Float, device));
        let [rate, second, kept] = [0, 1, 2].map(|column| all.narrow(1, column, 1));
        Rates { all, values: vec![], rate, second, kept }
    }

    fn set(&mut self, values: Vec<f64>) {
        if values != self.values {
            let rates = Tensor::from_slice(&values).to_kind(Kind::Float).view([-1, 3]);
            match self.all.device() {
                Device::Cpu => self.all.copy_(&rates),
                _ => copy_without_waiting(&self.all, &rates),
            }
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

impl PackedMemory {
    /// For `parameters` [K, P], a row for each of `optimizers`, of whose columns the first `width` count.
    pub fn new(optimizers: &[Optimizer], parameters: &Tensor, width: i64) -> PackedMemory {
        let device = parameters.device();
        let numbers = |of: fn(Common) -> f64| optimizers.iter().map(|own| of(own.rule().common())).collect();
        // The member with the highest momentum knows whether there is any to remember.
        let names = optimizers.iter().map(|optimizer| optimizer.rule().memory()).max_by_key(|names| names.len());
        let initial = optimizers[0].rule().initial();
        PackedMemory {
            optimizer: optimizers[0],
            rates: Rates::new(optimizers.len() as i64, device),
            momentum: Column::new(numbers(|own| own.momentum), device),
            weight_decay: Column::new(numbers(|own| own.weight_decay), device),
            lrs: vec![],
            steps: 0,
            width,
            tensors: names.unwrap_or_default().iter().map(|_| parameters.full_like(initial)).collect(),
        }
    }

    /// Begins the next step, with a learning rate for each member.
    pub fn begin_step(&mut self, lrs: &[f64]) {
        self.steps += 1;
        self.lrs = lrs.to_vec();
        if self.takes_one_pass() {
            return;
        }
        let rule = self.optimizer.rule();
        let numbers = |(lr, weight_decay): (&f64, &f64)| {
            let [rate, second] = rule.rates(*lr, self.steps);
            [rate, second, 1.0 - lr * weight_decay]
        };
        let values = lrs.iter().zip(&self.weight_decay.values).flat_map(numbers).collect();
        self.rates.set(values);
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
                let mut memory: Vec<Tensor> = self.tensors.iter().map(block).collect();
                self.update(&mut block(parameters), block(gradient), &mut memory);
            }
        });
    }

    /// Whether libtorch has a loop of its own for the step: a third of the time that one operation after the other takes on a
    /// CPU. A GPU's recorded steps need the learning rates in a tensor.
    fn takes_one_pass(&self) -> bool {
        let on_cpu = self.tensors.first().is_some_and(|memory| memory.device() == Device::Cpu);
        on_cpu && self.optimizer.rule().fused(0.0, 0.0, 1).is_some()
    }

    /// Member by member.
    fn update_in_one_pass(&self, parameters: &Tensor, gradient: &Tensor) {
        for (member, (&lr, &weight_decay)) in (0..).zip(self.lrs.iter().zip(&self.weight_decay.values)) {
            let mut memory: Vec<Tensor> = self.tensors.iter().map(|memory| memory.get(member)).collect();
            let adam = self.optimizer.rule().fused(lr, weight_decay, self.steps).expect("it has such a loop");
            fused_adam(&mut parameters.get(member), &gradient.get(member).contiguous(), &mut memory, &adam);
        }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What it remembers of one member, which shares memory with it.
    pub fn state(&self, member: i64) -> State {
        let names = (0..self.tensors.len()).map(|index| format!("memory.{index}"));
        let row = |memory: &Tensor| memory.get(member).narrow(0, 0, self.width);
        names.zip(&self.tensors).map(|(name, memory)| (name, row(memory))).collect()
    }

    /// Takes back what `steps` and `state` gave.
    pub fn restore(&mut self, member: i64, steps: u64, state: &State) -> Result<()> {
        self.steps = steps;
        for (name, mut target) in self.state(member) {
            let source = find(state, &name);
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
        let rule = self.optimizer.rule();
        if !self.weight_decay.zero && !rule.is_decoupled() {
            let _ = gradient.g_add_(&(&*parameters * &self.weight_decay.tensor));
        }
        let members = Members {
            rate: &self.rates.rate,
            second: &self.rates.second,
            momentum: &self.momentum.tensor,
            no_momentum: self.momentum.zero,
            kept: &self.rates.kept,
            no_weight_decay: self.weight_decay.zero,
            is_first_step: self.steps == 1,
        };
        rule.packed(parameters, gradient, memory, &members);
    }
}
