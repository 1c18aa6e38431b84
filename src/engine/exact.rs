//! One trial, in PyTorch's order of operations and random draws.

use anyhow::Result;
use tch::{Device, Kind, Reduction, Tensor};

use super::arithmetic::{Arithmetic, Batch, IGNORE_INDEX, Measured, Measures};
use super::clip::clip;
use super::init::untrained;
use super::memory::Memory;
use super::network::Network;
use super::penalties::penalized;
use super::state::State;
use crate::native::{self, no_grad};
use crate::spec::config::Config;

pub struct Exact {
    config: Config,
    network: Network,
    memory: Memory,
}

impl Exact {
    pub fn new(config: &Config, seed: u64, device: Device) -> Exact {
        if device != Device::Cpu {
            native::make_gpu_repeatable(device);
        }
        let mut network = untrained(config, seed);
        network.move_to(device);
        let memory = Memory::new(config.optimizer, &network.parameters());
        Exact { config: config.clone(), network, memory }
    }
}

impl Arithmetic for Exact {
    fn step(&mut self, batch: &Batch, rates: &[f64]) -> Measures {
        let (images, labels) = (batch.images)(&batch.input);
        let logits = self.network.forward(&images, true);
        let smoothing = self.config.label_smoothing;
        let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, IGNORE_INDEX, smoothing);
        let (total, penalty) = penalized(&loss, &self.network, self.config.regularization);
        let parameters = self.network.parameters();
        let mut gradients = Tensor::run_backward(&[total], &parameters, false, false);
        clip(&mut gradients, self.config.clip);
        self.memory.step(&parameters, &gradients, rates[0]);

        let correct = logits.argmax(1, false).eq_tensor(&labels).sum(Kind::Int64).int64_value(&[]);
        Measures::Read(vec![Measured { loss: loss.double_value(&[]) as f32, penalty, correct }])
    }

    fn logits(&self, images: &Tensor) -> Tensor {
        no_grad(|| self.network.forward(images, false).unsqueeze(0))
    }

    fn state(&self, _: usize) -> State {
        self.network.state()
    }

    fn write(&mut self, _: usize, state: &State) -> Result<()> {
        self.network.load_state(state)
    }

    fn memory(&self, _: usize) -> (u64, State) {
        (self.memory.steps(), self.memory.state())
    }

    fn remember(&mut self, _: usize, steps: u64, state: &State) -> Result<()> {
        self.memory.restore(steps, state)
    }

    fn restart(&mut self) {
        self.memory = Memory::new(self.config.optimizer, &self.network.parameters());
    }
}
