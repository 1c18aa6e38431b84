//! The tensors of one network, and its layers as PyTorch computes them.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch_norm::Running;
use super::state::{self, State};
use super::walk::{self, Layers, walk};
use crate::networks::{Activation, BatchNorm, Conv, Layer, Weights};
use crate::spec::config::{Config, Kernels};

/// A network with its weights. `forward` maps float32 [N, 3, 32, 32] to logits [N, 10].
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
}

impl Network {
    /// The network of `config` with unset kernels and biases, on the CPU, so that a seed means the same weights on every device.
    pub fn new(config: &Config) -> Network {
        let rows = config.table().rows;
        let modules = rows.iter().filter_map(|row| Module::new(&row.name, row.weights)).collect();
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
        self.modules.iter().flat_map(|module| [Some(&module.weight), module.bias.as_ref()]).flatten().collect()
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
            module.bias = module.bias.as_ref().map(leaf);
            if let Some(running) = &mut module.running {
                running.move_to(device);
            }
        }
    }

    /// [N, 3, 32, 32] → [N, 10]. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
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
        let (shape, width, has_bias) = match weights {
            Weights::None => return None,
            Weights::Conv { input, output, kernel, bias } => (vec![output, input, kernel, kernel], output, bias),
            Weights::Dense { input, output, bias } => (vec![output, input], output, bias),
            Weights::BatchNorm { channels } => (vec![channels], channels, true),
        };
        let running = matches!(weights, Weights::BatchNorm { .. }).then(|| Running::new(width, Device::Cpu));
        let weight = Tensor::zeros(shape, options).set_requires_grad(true);
        let bias = has_bias.then(|| Tensor::zeros([width], options).set_requires_grad(true));
        Some(Module { name: name.to_owned(), weights, weight, bias, running })
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
        let Module { weight, bias: Some(bias), running: Some(running), .. } = &self.modules[module] else {
            unreachable!("a BatchNorm module has a bias and running statistics")
        };
        running.normalize(x, [weight, bias], norm, train)
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
