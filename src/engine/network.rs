//! The tensors of one network, and its layers as PyTorch computes them.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch_norm::Running;
use super::state::{self, State};
use super::walk::{self, Layers, walk};
use crate::networks::{Activation, BatchNorm, Conv, Layer, TableRow, Weights};
use crate::spec::config::{Config, Kernels};

/// A network with its weights. `forward` maps float32 [N, 3, 32, 32] to logits [N, C].
pub struct Network {
    layers: Vec<Layer>,
    activation: Activation,
    dropout: f64,
    modules: Vec<Module>,
}

/// One layer that holds tensors.
pub struct Module {
    pub name: String,
    pub weights: Weights,
    /// [out, in, k, k], [out, in] or, for BatchNorm, [C].
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    running: Option<Running>,
    /// Training leaves it as it is.
    pub is_frozen: bool,
}

impl Network {
    /// The network of `config` with unset kernels and biases, on the CPU, so that a seed means the same weights on every device.
    pub fn new(config: &Config) -> Network {
        let rows = config.table().rows;
        let module = |row: &TableRow| Module::new(&row.name, row.weights, config.freezes(&row.name));
        let modules = rows.iter().filter_map(module).collect();
        let (activation, dropout) = (config.activation, config.regularization.dropout);
        Network { layers: config.layers(), activation, dropout, modules }
    }

    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// In the order of construction, which is the order of random draws.
    pub fn modules_mut(&mut self) -> &mut [Module] {
        &mut self.modules
    }

    /// What the optimizer moves: each module's weight, then its bias. `model.parameters()`.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.learning().flat_map(Module::tensors).collect()
    }

    /// The kernels that an L1 or L2 penalty covers.
    pub fn kernels(&self, which: Kernels) -> Vec<&Tensor> {
        self.learning().filter(|module| which.covers(module.weights)).map(|module| &module.weight).collect()
    }

    fn learning(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|module| !module.is_frozen)
    }

    /// How many numbers of kernels, biases and BatchNorm's factors training leaves as they are.
    pub fn frozen_numbers(&self) -> i64 {
        let frozen = self.modules.iter().filter(|module| module.is_frozen);
        frozen.flat_map(Module::tensors).map(|tensor| tensor.numel() as i64).sum()
    }

    /// Moves the tensors to `device`.
    pub fn move_to(&mut self, device: Device) {
        for module in &mut self.modules {
            let tensors = [Some(&mut module.weight), module.bias.as_mut()].into_iter().flatten();
            tensors.for_each(|tensor| {
                *tensor = tensor.detach().to_device(device).set_requires_grad(!module.is_frozen);
            });
            if let Some(running) = &mut module.running {
                running.move_to(device);
            }
        }
    }

    /// [N, 3, 32, 32] → [N, C]. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        walk(&self.layers, images, train, self)
    }

    /// Copies of nothing: the live tensors under PyTorch's names, `num_batches_tracked` included.
    pub fn state(&self) -> State {
        let mut state = vec![];
        for module in &self.modules {
            let mut add = |field: &str, tensor: &Tensor| {
                state.push((format!("{}.{field}", module.name), tensor.detach()));
            };
            add("weight", &module.weight);
            module.bias.iter().for_each(|bias| add("bias", bias));
            if let Some(running) = &module.running {
                add("running_mean", &running.mean);
                add("running_var", &running.var);
                add("num_batches_tracked", &running.batches);
            }
        }
        state
    }

    /// Takes over `state` if it fits: see [`state::load`].
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        state::load(self.state(), state)
    }
}

impl Module {
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    fn new(name: &str, weights: Weights, is_frozen: bool) -> Option<Module> {
        let options = (Kind::Float, Device::Cpu);
        let (shape, bias) = weights.shapes()?;
        let running = matches!(weights, Weights::BatchNorm { .. }).then(|| Running::new(shape[0], Device::Cpu));
        let leaf = |shape: &[i64]| Tensor::zeros(shape, options).set_requires_grad(!is_frozen);
        let (weight, bias) = (leaf(&shape), bias.map(|width| leaf(&[width])));
        Some(Module { name: name.to_owned(), weights, weight, bias, running, is_frozen })
    }
}

impl Layers for Network {
    fn convolve(&self, module: usize, x: &Tensor, conv: &Conv, _: bool) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        let &Conv { stride, padding, groups, .. } = conv;
        x.conv2d(weight, bias.as_ref(), [stride, stride], [padding, padding], [1, 1], groups)
    }

    fn dense(&self, module: usize, x: &Tensor) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        x.linear(weight, bias.as_ref())
    }

    fn normalize(&self, module: usize, x: &Tensor, norm: &BatchNorm, train: bool) -> Tensor {
        let Module { weight, bias: Some(bias), running: Some(running), is_frozen, .. } = &self.modules[module] else {
            unreachable!("a BatchNorm module has a bias and running statistics")
        };
        running.normalize(x, [weight, bias], norm, train && !is_frozen)
    }

    fn activate(&self, x: &Tensor) -> Tensor {
        walk::activate(x, self.activation)
    }

    fn flatten(&self, x: &Tensor) -> Tensor {
        x.flatten(1, -1)
    }

    fn drop_out(&self, x: &Tensor) -> Tensor {
        walk::drop_out(x, self.dropout)
    }
}
