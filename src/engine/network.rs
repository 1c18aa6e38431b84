//! The tensors of a declared network and the forward pass over them.

use std::cell::Cell;

use anyhow::{Result, bail, ensure};
use tch::{Device, Kind, Tensor};

use crate::native::{self, no_grad};
use crate::networks::{INPUT_SHAPE, Layer, Weights, table};
use crate::spec::config::{Activation, Kernels};

/// PyTorch's convention for Keras' momentum 0.99.
pub(super) const BATCH_NORM_MOMENTUM: f64 = 0.01;
pub(super) const BATCH_NORM_EPSILON: f64 = 1e-3;

/// A state dict: PyTorch's names in the order of construction.
pub type State = Vec<(String, Tensor)>;

/// A network with its weights. `forward` maps float32 [N, 3, 32, 32] to logits [N, 10].
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

struct Running {
    mean: Tensor,
    var: Tensor,
    batches: Tensor,
}

impl Network {
    /// With unset kernels and biases: `train::init` fills them.
    /// On the CPU, so that a seed means the same weights on every device.
    pub fn new(layers: Vec<Layer>, activation: Activation) -> Network {
        let table = table(&layers, INPUT_SHAPE);
        let modules = table.rows.iter().filter_map(|row| Module::new(&row.name, row.weights)).collect();
        Network { layers, activation, modules }
    }

    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Its dropout's probability, 0 without; every dropout of a network has the same.
    pub fn dropout(&self) -> f64 {
        let probability = |layer: &Layer| if let Layer::Dropout(p) = layer { Some(*p) } else { None };
        self.layers.iter().find_map(probability).unwrap_or(0.0)
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
                running.mean = running.mean.to_device(device);
                running.var = running.var.to_device(device);
                running.batches = running.batches.to_device(device);
            }
        }
    }

    /// [N, 3, 32, 32] → [N, 10]. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let pass = Pass { network: self, images, train, next_module: Cell::new(0) };
        pass.through(&self.layers, images.shallow_clone())
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

    /// Takes over `state` if it has just this network's names, shapes and kinds and only finite values.
    /// `load_state_dict(state, strict=True)`, without broadcasting.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let own = self.state();
        for (name, _) in state {
            ensure!(own.iter().any(|(known, _)| known == name), "{name}: this model has no such tensor");
        }
        for (name, target) in own {
            let Some((_, source)) = state.iter().find(|(given, _)| *given == name) else {
                bail!("{name}: missing; this model needs it with shape {:?}", target.size());
            };
            ensure!(
                source.size() == target.size(),
                "{name}: shape {:?}, but this model needs {:?}",
                source.size(),
                target.size()
            );
            ensure!(
                source.kind() == target.kind(),
                "{name}: {:?}, but this model needs {:?}",
                source.kind(),
                target.kind()
            );
            ensure!(bool::try_from(source.isfinite().all())?, "{name}: holds a NaN or an infinity");
            // A detached tensor shares its memory with the live one.
            no_grad(|| { target }.copy_(source));
        }
        Ok(())
    }
}

/// Whether an L1 or L2 penalty on `which` kernels is one on a layer with `weights`.
pub(super) fn covers(which: Kernels, weights: Weights) -> bool {
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
        let running = matches!(weights, Weights::BatchNorm { .. }).then(|| Running {
            mean: Tensor::zeros([width], options),
            var: Tensor::ones([width], options),
            batches: Tensor::zeros([] as [i64; 0], (Kind::Int64, Device::Cpu)),
        });
        let weight = Tensor::zeros(shape, options).set_requires_grad(true);
        let bias = Tensor::zeros([width], options).set_requires_grad(true);
        Some(Module { name: name.to_owned(), weights, weight, bias, running })
    }
}

/// One forward pass: walks the layers in the order in which the modules were made.
struct Pass<'a> {
    network: &'a Network,
    images: &'a Tensor,
    train: bool,
    next_module: Cell<usize>,
}

impl<'a> Pass<'a> {
    fn through(&self, layers: &[Layer], input: Tensor) -> Tensor {
        layers.iter().fold(input, |x, layer| self.step(layer, x))
    }

    fn module(&self) -> &'a Module {
        let index = self.next_module.get();
        self.next_module.set(index + 1);
        &self.network.modules[index]
    }

    fn step(&self, layer: &Layer, x: Tensor) -> Tensor {
        match *layer {
            Layer::Conv { padding, .. } => {
                let module = self.module();
                x.conv2d(&module.weight, Some(&module.bias), [1, 1], [padding, padding], [1, 1], 1)
            }
            Layer::Dense(_) => {
                let module = self.module();
                x.linear(&module.weight, Some(&module.bias))
            }
            Layer::Act => activate(&x, self.network.activation),
            Layer::AvgPool(side) => x.avg_pool2d([side, side], [side, side], [0, 0], false, true, None),
            Layer::MaxPool(side) => x.max_pool2d([side, side], [side, side], [0, 0], [1, 1], false),
            Layer::Flatten => x.flatten(1, -1),
            // PyTorch's dropout draws random numbers even where p is 0; a network without dropout has no such layer.
            Layer::Dropout(p) if p > 0.0 => x.dropout(p, self.train),
            Layer::Dropout(_) => x,
            Layer::BatchNorm => self.batch_norm(&x),
            Layer::Sum { ref main, ref from_input, ref from_previous } => {
                let y = self.through(main, x.shallow_clone());
                let skip = self.through(from_input, self.images.shallow_clone());
                if from_previous.is_empty() { y + skip } else { y + (skip + self.through(from_previous, x)) }
            }
        }
    }

    fn batch_norm(&self, x: &Tensor) -> Tensor {
        let module = self.module();
        let running = module.running.as_ref().expect("a BatchNorm module has running statistics");
        if self.train {
            let _ = running.batches.shallow_clone().g_add_scalar_(1);
        }
        x.batch_norm(
            Some(&module.weight),
            Some(&module.bias),
            Some(&running.mean),
            Some(&running.var),
            self.train,
            BATCH_NORM_MOMENTUM,
            BATCH_NORM_EPSILON,
            true,
        )
    }
}

pub(super) fn activate(x: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.relu(),
        Activation::LeakyRelu { slope } => native::leaky_relu(x, slope),
        Activation::Sigmoid => x.sigmoid(),
        Activation::Elu => x.elu(),
        Activation::Gelu => x.gelu("none"),
        Activation::Silu => x.silu(),
    }
}
