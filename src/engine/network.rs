//! The tensors of one network, and its layers as PyTorch computes them.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch_norm::Running;
use super::state::{self, State};
use super::walk::{Layers, activate, walk};
use crate::networks::{Layer, Weights, table};
use crate::spec::config::{Activation, Config, Kernels};

/// A network with its weights. `forward` maps float32 [N, 3, 32, 32] to logits [N, C].
pub struct Network {
    layers: Vec<Layer>,
    activation: Activation,
    modules: Vec<Module>,
}

/// One layer that holds tensors.
pub struct Module {
    pub name: String,
    pub weights: Weights,
    /// [out, in, k, k], [out, in] or, for BatchNorm, [C].
    pub weight: Tensor,
    pub bias: Tensor,
    running: Option<Running>,
}

impl Network {
    /// The network of `config` with unset kernels and biases, on the CPU, so that a seed means the same weights on every device.
    pub fn new(config: &Config) -> Network {
        let (layers, activation) = (config.layers(), config.activation);
        let table = table(&layers);
        let modules = table.rows.iter().filter_map(|row| Module::new(&row.name, row.weights)).collect();
        Network { layers, activation, modules }
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
        self.modules.iter().flat_map(|module| [&module.weight, &module.bias]).collect()
    }

    /// The kernels that an L1 or L2 penalty covers.
    pub fn kernels(&self, which: Kernels) -> Vec<&Tensor> {
        self.modules.iter().filter(|module| covers(which, module.weights)).map(|module| &module.weight).collect()
    }

    /// Moves the tensors to `device`.
    pub fn move_to(&mut self, device: Device) {
        let leaf = |tensor: &Tensor| tensor.detach().to_device(device).set_requires_grad(true);
        for module in &mut self.modules {
            module.weight = leaf(&module.weight);
            module.bias = leaf(&module.bias);
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
            add("bias", &module.bias);
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

/// Whether a penalty on `which` kernels is one on a layer with `weights`.
pub fn covers(which: Kernels, weights: Weights) -> bool {
    match weights {
        Weights::Conv { kernel, .. } => match which {
            Kernels::All | Kernels::Conv => true,
            Kernels::Conv3x3 => kernel == 3,
            Kernels::Dense => false,
        },
        Weights::Dense { .. } => matches!(which, Kernels::All | Kernels::Dense),
        Weights::None | Weights::BatchNorm { .. } => false,
    }
}

impl Module {
    fn new(name: &str, weights: Weights) -> Option<Module> {
        let options = (Kind::Float, Device::Cpu);
        let (shape, width) = match weights {
            Weights::None => return None,
            Weights::Conv { input, output, kernel } => (vec![output, input, kernel, kernel], output),
            Weights::Dense { input, output } => (vec![output, input], output),
            Weights::BatchNorm { channels } => (vec![channels], channels),
        };
        let running = matches!(weights, Weights::BatchNorm { .. }).then(|| Running::new(width, Device::Cpu));
        let weight = Tensor::zeros(shape, options).set_requires_grad(true);
        let bias = Tensor::zeros([width], options).set_requires_grad(true);
        Some(Module { name: name.to_owned(), weights, weight, bias, running })
    }
}

impl Layers for Network {
    fn convolve(&self, module: usize, x: &Tensor, padding: i64, _: bool) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        x.conv2d(weight, Some(bias), [1, 1], [padding, padding], [1, 1], 1)
    }

    fn dense(&self, module: usize, x: &Tensor) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        x.linear(weight, Some(bias))
    }

    fn normalize(&self, module: usize, x: &Tensor, train: bool) -> Tensor {
        let Module { weight, bias, running, .. } = &self.modules[module];
        running.as_ref().expect("a BatchNorm module has running statistics").normalize(x, weight, bias, train)
    }

    fn activate(&self, x: &Tensor) -> Tensor {
        activate(x, self.activation)
    }

    fn flatten(&self, x: &Tensor) -> Tensor {
        x.flatten(1, -1)
    }

    fn drop_out(&self, x: &Tensor, p: f64) -> Tensor {
        x.dropout(p, true)
    }
}
