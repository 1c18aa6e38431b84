//! What an optimizer remembers of one network's gradients, tensor by tensor as PyTorch keeps it.

use anyhow::{Result, ensure};
use tch::Tensor;

use super::state::{State, find};
use crate::native::no_grad;
use crate::optimizers::{self, Optimizer};

pub struct Memory {
    optimizer: Optimizer,
    steps: u64,
    /// For each parameter, one tensor for each of the names that the optimizer gives them.
    tensors: Vec<Vec<Tensor>>,
}

impl Memory {
    pub fn new(optimizer: Optimizer, parameters: &[&Tensor]) -> Memory {
        let (names, initial) = (optimizer.rule().memory(), optimizer.rule().initial());
        let of_parameter = |parameter: &&Tensor| names.iter().map(|_| parameter.detach().full_like(initial)).collect();
        Memory { optimizer, steps: 0, tensors: parameters.iter().map(of_parameter).collect() }
    }

    /// Moves each parameter by its gradient at rate `lr`. `optimizer.step()`.
    pub fn step(&mut self, parameters: &[&Tensor], gradients: &[Tensor], lr: f64) {
        self.steps += 1;
        no_grad(|| {
            for ((parameter, gradient), memory) in parameters.iter().zip(gradients).zip(&mut self.tensors) {
                let mut parameter = parameter.shallow_clone();
                optimizers::step(self.optimizer.rule(), &mut parameter, gradient, memory, lr, self.steps);
            }
        });
    }

    /// Steps taken, which Adam's and Adagrad's rates depend on.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The tensors under names such as `exp_avg.3` (the third parameter counted from 0).
    pub fn state(&self) -> State {
        let names = self.optimizer.rule().memory();
        let of_parameter = |(index, memory): (usize, &Vec<Tensor>)| {
            let named =
                names.iter().zip(memory).map(|(name, tensor)| (format!("{name}.{index}"), tensor.shallow_clone()));
            named.collect::<Vec<_>>()
        };
        self.tensors.iter().enumerate().flat_map(of_parameter).collect()
    }

    /// Takes back what `steps` and `state` gave.
    pub fn restore(&mut self, steps: u64, state: &State) -> Result<()> {
        self.steps = steps;
        for (name, target) in self.state() {
            let source = find(state, &name);
            ensure!(source.is_some_and(|source| source.size() == target.size()), "{name}: missing or of another shape");
            no_grad(|| { target }.copy_(source.unwrap()));
        }
        Ok(())
    }
}
