//! Networks of one declaration computed as one, for `fast` mode: they see the same images, so each layer of all of them is
//! one operation. Convolutions run side by side as groups, dense layers as batched matrix products, and images and kernels
//! lie in memory as NHWC, which the CPU's convolutions like better. Wang et al. 2021, "HFTA".

use std::cell::OnceCell;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch_norm::Running;
use super::convolution::{Algorithm, Shape};
use super::network::Network;
use super::state::{self, State};
use super::walk::{self, Layers, activate, walk};
use crate::native::pooling::{Curve, Pooling, activate_and_pool};
use crate::native::{self, no_grad};
use crate::networks::{Activation, BatchNorm, Conv, Layer, Weights};
use crate::spec::config::{Config, Kernels};

/// `K` networks that differ in nothing but their weights, their dropout and the slope of a LeakyReLU.
pub struct PackedNetwork {
    members: i64,
    layers: Vec<Layer>,
    activation: Activation,
    /// What a LeakyReLU multiplies negative numbers by, float32: [K] of each member where they differ, else [1].
    slopes: Tensor,
    /// The configured probability, and float32 [K] that of each member where they differ.
    dropout: f64,
    dropouts: Option<Tensor>,
    modules: Vec<Module>,
    /// What the optimizer moves, float32 [K, P]: a row a member, in the order of `model.parameters()`, each convolution's
    /// kernel as it lies in memory, and zeros that fill the row.
    parameters: Tensor,
    /// What it leaves as it is, in the same form.
    frozen: Tensor,
    /// Parameters of one network that the optimizer moves.
    width: i64,
}

/// Rows of parameters are multiples of so many numbers: a GPU's matrix units want them 16 bytes apart.
const ROW: i64 = 4;

/// One layer's tensors, of all members.
struct Module {
    name: String,
    weights: Weights,
    weight: Leaf,
    bias: Option<Leaf>,
    running: Option<Running>,
    is_frozen: bool,
    /// How a convolution is computed on a GPU, once it has been measured.
    algorithm: OnceCell<Algorithm>,
}

/// A parameter as autograd sees it, and where its columns in `parameters` or `frozen` begin.
struct Leaf {
    /// [K·out, in, k, k], [K·out], [K, out, in] or [K, out, 1].
    tensor: Tensor,
    /// One member's shape.
    shape: Vec<i64>,
    start: i64,
    /// Dense leaves and those of a single member are the columns themselves; the others are copies of them.
    copied: bool,
}

impl PackedNetwork {
    /// Of trials with these configurations, with the weights of `networks`.
    pub fn new(configs: &[&Config], networks: &[Network], device: Device) -> PackedNetwork {
        let members = networks.len() as i64;
        let probabilities: Vec<f64> = configs.iter().map(|config| config.regularization.dropout).collect();
        let slopes: Vec<f64> = configs.iter().map(|config| slope(config.activation)).collect();
        let slopes = differing(&slopes).unwrap_or(&slopes[..1]);
        let width: i64 = networks[0].parameters().iter().map(|parameter| parameter.numel() as i64).sum();
        let rows = |width: i64| Tensor::zeros([members, (width + ROW - 1) / ROW * ROW], (Kind::Float, device));
        let (parameters, frozen) = (rows(width), rows(networks[0].frozen_numbers()));
        let packed = PackedNetwork {
            members,
            layers: configs[0].layers(),
            activation: configs[0].activation,
            slopes: floats(slopes, &[slopes.len() as i64], device),
            dropout: probabilities[0],
            dropouts: differing(&probabilities).map(|those| floats(those, &[members], device)),
            modules: modules(&networks[0], [&parameters, &frozen]),
            parameters,
            frozen,
            width,
        };
        for (member, network) in (0..).zip(networks) {
            packed.write(member, &network.state()).expect("a state dict of this declaration");
        }
        packed.refresh();
        packed
    }

    /// Parameters of one network that the optimizer moves: as many columns of [`PackedNetwork::parameters`] count.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// The parameters of all members, float32 [K, P]; [`PackedNetwork::refresh`] makes a change of them count.
    pub fn parameters(&self) -> Tensor {
        self.parameters.shallow_clone()
    }

    /// [K, P]: the gradient of `loss`, a scalar, in the order of [`PackedNetwork::parameters`].
    pub fn gradient(&self, loss: &Tensor) -> Tensor {
        let leaves = self.modules.iter().filter(|module| !module.is_frozen).flat_map(Module::leaves);
        let leaves: Vec<&Tensor> = leaves.map(|leaf| &leaf.tensor).collect();
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        let mut rows: Vec<Tensor> =
            gradients.iter().map(|gradient| in_memory_order(gradient).reshape([self.members, -1])).collect();
        let padding = self.parameters.size()[1] - self.width;
        if padding > 0 {
            rows.push(Tensor::zeros([self.members, padding], (Kind::Float, self.parameters.device())));
        }
        Tensor::cat(&rows, 1)
    }

    /// Takes over changed parameters.
    pub fn refresh(&self) {
        no_grad(|| {
            for module in &self.modules {
                for leaf in module.leaves().filter(|leaf| leaf.copied) {
                    let target = in_memory_order(&leaf.tensor.detach());
                    target.view([self.members, -1]).copy_(&leaf.columns(self.matrix(module)));
                }
            }
        });
    }

    /// float32 [P]: 1 where an L1 or L2 penalty on `which` kernels applies, else 0.
    pub fn mask(&self, which: Kernels) -> Tensor {
        let mask = self.parameters.get(0).zeros_like();
        let is_covered = |module: &&Module| !module.is_frozen && which.covers(module.weights);
        for module in self.modules.iter().filter(is_covered) {
            let _ = mask.narrow(0, module.weight.start, module.weight.width()).fill_(1.0);
        }
        mask
    }

    /// [N, 3, 32, 32] → [K, N, C]. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let images = match self.layers[0] {
            // Every member's kernels see the same images.
            Layer::Conv(Conv { groups: 1, .. }) | Layer::Sum { .. } => images.shallow_clone(),
            _ => images.repeat([1, self.members, 1, 1]),
        };
        let images = native::channels_last(&images);
        walk(&self.layers, &images, train, self).transpose(1, 2)
    }

    /// One member's state dict, which shares memory with the network.
    pub fn state(&self, member: i64) -> State {
        let mut state = vec![];
        for module in &self.modules {
            let mut add = |field: &str, tensor: Tensor| state.push((format!("{}.{field}", module.name), tensor));
            for (field, leaf) in [("weight", Some(&module.weight)), ("bias", module.bias.as_ref())] {
                leaf.into_iter().for_each(|leaf| add(field, leaf.of_member(&self.matrix(module).get(member))));
            }
            if let Some(running) = &module.running {
                add("running_mean", running.mean.view([self.members, -1]).get(member));
                add("running_var", running.var.view([self.members, -1]).get(member));
                add("num_batches_tracked", running.batches.shallow_clone());
            }
        }
        state
    }

    /// Writes a state dict over one member's if it fits: see [`state::load`]. [`PackedNetwork::refresh`] makes it count.
    pub fn write(&self, member: i64, state: &State) -> Result<()> {
        state::load(self.state(member), state)
    }

    /// One number a member, [K], as it meets images or vectors.
    fn beside(&self, x: &Tensor, numbers: &Tensor) -> Tensor {
        match x.dim() {
            4 => numbers.repeat_interleave_self_int(x.size()[1] / self.members, 0, None).view([1, -1, 1, 1]),
            _ => numbers.view([-1, 1, 1]),
        }
    }

    /// Where the parameters of `module` lie.
    fn matrix(&self, module: &Module) -> &Tensor {
        if module.is_frozen { &self.frozen } else { &self.parameters }
    }
}

impl Module {
    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        [Some(&self.weight), self.bias.as_ref()].into_iter().flatten()
    }
}

impl Leaf {
    /// The next leaf of `shape` for one member; moves `start` behind its columns.
    fn new(parameters: &Tensor, start: &mut i64, shape: Vec<i64>, dense: bool, learns: bool) -> Leaf {
        let members = parameters.size()[0];
        let mut leaf = Leaf { tensor: Tensor::new(), shape, start: *start, copied: !dense && members > 1 };
        *start += leaf.width();
        let columns = leaf.columns(parameters);
        let tensor = match *leaf.shape {
            [out, input] => columns.view([members, out, input]),
            [out] if dense => columns.view([members, out, 1]),
            [out] => columns.reshape([members * out]),
            [out, input, height, width] => columns.reshape([members * out, height, width, input]).permute([0, 3, 1, 2]),
            _ => unreachable!("a kernel or a bias"),
        };
        leaf.tensor = tensor.detach().set_requires_grad(learns);
        leaf
    }

    /// Elements of one member.
    fn width(&self) -> i64 {
        self.shape.iter().product()
    }

    /// [K, width]
    fn columns(&self, parameters: &Tensor) -> Tensor {
        parameters.narrow(1, self.start, self.width())
    }

    /// The parameter of one member, whose row [P] this is; shares memory with it.
    fn of_member(&self, row: &Tensor) -> Tensor {
        let columns = row.narrow(0, self.start, self.width());
        match *self.shape {
            [out, input, height, width] => columns.view([out, height, width, input]).permute([0, 3, 1, 2]),
            _ => columns.view(&*self.shape),
        }
    }
}

/// [N, C, H, W] as [N, H, W, C], as kernels lie in memory; others as they are.
fn in_memory_order(tensor: &Tensor) -> Tensor {
    if tensor.dim() == 4 { tensor.permute([0, 2, 3, 1]) } else { tensor.shallow_clone() }
}

/// `matrices` are for the parameters that the optimizer moves, and for the frozen ones.
fn modules(network: &Network, matrices: [&Tensor; 2]) -> Vec<Module> {
    let (members, device) = (matrices[0].size()[0], matrices[0].device());
    let mut starts = [0; 2];
    let module = |module: &super::network::Module| {
        let (dense, is_frozen) = (matches!(module.weights, Weights::Dense { .. }), module.is_frozen);
        let (matrix, start) = (matrices[usize::from(is_frozen)], &mut starts[usize::from(is_frozen)]);
        let mut leaf = |tensor: &Tensor| Leaf::new(matrix, start, tensor.size(), dense, !is_frozen);
        let (weight, bias) = (leaf(&module.weight), module.bias.as_ref().map(leaf));
        let running = match module.weights {
            Weights::BatchNorm { channels } => Some(Running::new(members * channels, device)),
            _ => None,
        };
        let (name, weights, algorithm) = (module.name.clone(), module.weights, OnceCell::new());
        Module { name, weights, weight, bias, running, is_frozen, algorithm }
    };
    network.modules().iter().map(module).collect()
}

/// What the activation multiplies negative numbers by, 0 where that is not all it does to them.
fn slope(activation: Activation) -> f64 {
    match activation {
        Activation::LeakyRelu { slope } => slope,
        _ => 0.0,
    }
}

fn differing(values: &[f64]) -> Option<&[f64]> {
    values.iter().any(|value| *value != values[0]).then_some(values)
}

fn curve(activation: Activation) -> Option<Curve> {
    match activation {
        Activation::Tanh => Some(Curve::Tanh),
        Activation::Relu => Some(Curve::Relu),
        Activation::LeakyRelu { .. } => Some(Curve::LeakyRelu),
        Activation::Sigmoid => Some(Curve::Sigmoid),
        Activation::Elu => Some(Curve::Elu),
        Activation::Silu => Some(Curve::Silu),
        Activation::Gelu => None,
    }
}

fn floats(values: &[f64], shape: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).view(shape).to_device(device)
}

/// Images are [N, K·C, H, W], or [N, C, H, W] while all members see the same. Vectors are columns, [K, F, N]: so the gradient of
/// a dense kernel lies in memory as the kernel does.
impl Layers for PackedNetwork {
    fn convolve(&self, module: usize, x: &Tensor, conv: &Conv, train: bool) -> Tensor {
        let Module { weights, weight: Leaf { tensor: weight, .. }, bias, algorithm, .. } = &self.modules[module];
        let &Weights::Conv { input, .. } = weights else { unreachable!("made from this layer") };
        let &Conv { stride, padding, .. } = conv;
        let bias = bias.as_ref().map(|bias| &bias.tensor);
        let shape = Shape { stride, padding, groups: x.size()[1] / input };
        let algorithm = match x.device() {
            Device::Cpu => Algorithm::on_cpu(x, weight, stride),
            _ if train => *algorithm.get_or_init(|| Algorithm::quickest(x, weight, bias, shape)),
            _ => algorithm.get().copied().unwrap_or(Algorithm::ChannelsFirst),
        };
        algorithm.convolve(x, weight, bias, shape)
    }

    fn dense(&self, module: usize, x: &Tensor) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        match bias {
            Some(bias) => bias.tensor.baddbmm(&weight.tensor, x, 1.0, 1.0),
            None => weight.tensor.bmm(x),
        }
    }

    fn normalize(&self, module: usize, x: &Tensor, norm: &BatchNorm, train: bool) -> Tensor {
        let Module { weight, bias: Some(bias), running: Some(running), is_frozen, .. } = &self.modules[module] else {
            unreachable!("a BatchNorm module has a bias and running statistics")
        };
        let normalize = |x: &Tensor| running.normalize(x, [&weight.tensor, &bias.tensor], norm, train && !is_frozen);
        match x.size()[..] {
            [members, width, count] => {
                normalize(&x.reshape([members * width, count]).tr()).tr().reshape([members, width, count])
            }
            _ => normalize(x),
        }
    }

    fn activate(&self, x: &Tensor) -> Tensor {
        if self.slopes.numel() == 1 {
            return activate(x, self.activation);
        }
        let slopes = self.beside(x, &self.slopes.to_kind(x.kind()));
        x.where_self(&x.gt(0.0), &(x * slopes))
    }

    fn activate_and_pool(&self, x: &Tensor, pooling: Pooling, side: i64) -> Option<Tensor> {
        let curve = curve(self.activation).filter(|curve| curve.has(pooling))?;
        let fits = x.device() == Device::Cpu && tch::get_num_threads() == 1;
        fits.then(|| activate_and_pool(x, curve, &self.slopes, pooling, side))
    }

    fn flatten(&self, x: &Tensor) -> Tensor {
        x.contiguous().view([x.size()[0], self.members, -1]).permute([1, 2, 0])
    }

    fn drop_out(&self, x: &Tensor) -> Tensor {
        let Some(probabilities) = &self.dropouts else { return walk::drop_out(x, self.dropout) };
        let probabilities = self.beside(x, probabilities);
        // bfloat16 has too few numbers between 0 and 1 to draw from.
        let kept = x.to_kind(Kind::Float).rand_like().ge_tensor(&probabilities).to_kind(Kind::Float);
        let scaled: Tensor = kept / (1.0 - probabilities);
        x * scaled.to_kind(x.kind())
    }
}
