//! Networks of one declaration computed as one, for `fast` mode: they see the same images, so each layer of all of them is
//! one operation. Convolutions run side by side as groups, dense layers as batched matrix products, and images and kernels
//! lie in memory as NHWC, which the CPU's convolutions like better. Wang et al. 2021, "HFTA".

use std::cell::OnceCell;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch_norm::Running;
use super::convolution::{Algorithm, Shape};
use super::network::{Network, covers};
use super::state::{self, State};
use super::walk::{Layers, activate, walk};
use crate::native::pooling::{Curve, Pooling, activate_and_pool};
use crate::native::{self, no_grad};
use crate::networks::{Layer, Weights};
use crate::spec::config::{Activation, Config, Kernels};

/// `K` networks that differ in nothing but their weights, their dropout and the slope of a LeakyReLU.
pub struct PackedNetwork {
    members: i64,
    /// With dropout wherever a member has it.
    layers: Vec<Layer>,
    activation: Activation,
    /// Each member's negative slope, float32 [K], where they differ.
    slopes: Option<Tensor>,
    /// Where an activation and the pooling after it have a kernel: the activation, and the slopes of all members.
    fused: Option<(Curve, Tensor)>,
    /// Each member's probability, float32 [K, 1, 1], where they differ.
    dropout: Option<Tensor>,
    modules: Vec<Module>,
    /// What the optimizer moves, float32 [K, P]: a row a member, in the order of `model.parameters()`, each convolution's
    /// kernel as it lies in memory, and zeros that fill the row.
    parameters: Tensor,
    /// Parameters of one network.
    width: i64,
}

/// Rows of parameters are multiples of so many numbers: a GPU's matrix units want them 16 bytes apart.
const ROW: i64 = 4;

/// One layer's tensors, of all members.
struct Module {
    name: String,
    weights: Weights,
    weight: Leaf,
    bias: Leaf,
    running: Option<Running>,
    /// How a convolution is computed on a GPU, once it has been measured.
    algorithm: OnceCell<Algorithm>,
}

/// A parameter as autograd sees it, and where its columns in `parameters` begin.
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
        let dropout = |config: &&Config| config.regularization.dropout;
        let probabilities: Vec<f64> = configs.iter().map(dropout).collect();
        let most = configs.iter().max_by(|one, two| dropout(one).total_cmp(&dropout(two))).expect("at least one");
        let slopes: Vec<f64> = configs.iter().map(|config| slope(config.activation)).collect();
        let width: i64 = networks[0].parameters().iter().map(|parameter| parameter.numel() as i64).sum();
        let parameters = Tensor::zeros([members, (width + ROW - 1) / ROW * ROW], (Kind::Float, device));
        let packed = PackedNetwork {
            members,
            layers: most.layers(),
            activation: configs[0].activation,
            slopes: differing(&slopes).map(|slopes| floats(slopes, &[members], device)),
            fused: curve(configs[0].activation).map(|curve| (curve, floats(&slopes, &[members], device))),
            dropout: differing(&probabilities).map(|those| floats(those, &[members, 1, 1], device)),
            modules: modules(&networks[0], &parameters),
            parameters,
            width,
        };
        for (member, network) in (0..).zip(networks) {
            packed.write(member, &network.state()).expect("a state dict of this declaration");
        }
        packed.refresh();
        packed
    }

    /// Parameters of one network: as many columns of [`PackedNetwork::parameters`] count.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// The parameters of all members, float32 [K, P]; [`PackedNetwork::refresh`] makes a change of them count.
    pub fn parameters(&self) -> Tensor {
        self.parameters.shallow_clone()
    }

    /// [K, P]: the gradient of `loss`, a scalar, in the order of [`PackedNetwork::parameters`].
    pub fn gradient(&self, loss: &Tensor) -> Tensor {
        let leaves: Vec<&Tensor> = self.leaves().map(|leaf| &leaf.tensor).collect();
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
            for leaf in self.leaves().filter(|leaf| leaf.copied) {
                let target = in_memory_order(&leaf.tensor.detach());
                target.view([self.members, -1]).copy_(&leaf.columns(&self.parameters));
            }
        });
    }

    /// float32 [P]: 1 where an L1 or L2 penalty on `which` kernels applies, else 0.
    pub fn mask(&self, which: Kernels) -> Tensor {
        let mask = self.parameters.get(0).zeros_like();
        for module in self.modules.iter().filter(|module| covers(which, module.weights)) {
            let _ = mask.narrow(0, module.weight.start, module.weight.width()).fill_(1.0);
        }
        mask
    }

    /// [N, 3, 32, 32] → [K, N, 10]. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let images = native::channels_last(images);
        walk(&self.layers, &images, train, self).transpose(1, 2)
    }

    /// One member's state dict, which shares memory with the network.
    pub fn state(&self, member: i64) -> State {
        let mut state = vec![];
        for module in &self.modules {
            let mut add = |field: &str, tensor: Tensor| state.push((format!("{}.{field}", module.name), tensor));
            for (field, leaf) in [("weight", &module.weight), ("bias", &module.bias)] {
                add(field, leaf.of_member(&self.parameters.get(member)));
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

    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.modules.iter().flat_map(|module| [&module.weight, &module.bias])
    }
}

impl Leaf {
    /// The next leaf of `shape` for one member; moves `start` behind its columns.
    fn new(parameters: &Tensor, start: &mut i64, shape: Vec<i64>, dense: bool) -> Leaf {
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
        leaf.tensor = tensor.detach().set_requires_grad(true);
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

fn modules(network: &Network, parameters: &Tensor) -> Vec<Module> {
    let (members, device) = (parameters.size()[0], parameters.device());
    let mut start = 0;
    let module = |module: &super::network::Module| {
        let dense = matches!(module.weights, Weights::Dense { .. });
        let mut leaf = |tensor: &Tensor| Leaf::new(parameters, &mut start, tensor.size(), dense);
        let (weight, bias) = (leaf(&module.weight), leaf(&module.bias));
        let running = match module.weights {
            Weights::BatchNorm { channels } => Some(Running::new(members * channels, device)),
            _ => None,
        };
        Module { name: module.name.clone(), weights: module.weights, weight, bias, running, algorithm: OnceCell::new() }
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
    fn convolve(&self, module: usize, x: &Tensor, padding: i64, train: bool) -> Tensor {
        let Module { weights, weight: Leaf { tensor: weight, .. }, bias: Leaf { tensor: bias, .. }, algorithm, .. } =
            &self.modules[module];
        let &Weights::Conv { input, kernel, .. } = weights else { unreachable!("made from this layer") };
        let shape = Shape { padding, groups: x.size()[1] / input };
        let algorithm = match x.device() {
            Device::Cpu => Algorithm::on_cpu(x, kernel),
            _ if train => *algorithm.get_or_init(|| Algorithm::quickest(x, weight, bias, shape)),
            _ => algorithm.get().copied().unwrap_or(Algorithm::ChannelsFirst),
        };
        algorithm.convolve(x, weight, bias, shape)
    }

    fn dense(&self, module: usize, x: &Tensor) -> Tensor {
        let Module { weight, bias, .. } = &self.modules[module];
        bias.tensor.baddbmm(&weight.tensor, x, 1.0, 1.0)
    }

    fn normalize(&self, module: usize, x: &Tensor, train: bool) -> Tensor {
        let Module { weight, bias, running, .. } = &self.modules[module];
        let running = running.as_ref().expect("a BatchNorm module has running statistics");
        running.normalize(x, &weight.tensor, &bias.tensor, train)
    }

    fn activate(&self, x: &Tensor) -> Tensor {
        let Some(slopes) = &self.slopes else { return activate(x, self.activation) };
        let slopes = slopes.to_kind(x.kind());
        let slopes = match x.dim() {
            4 => slopes.repeat_interleave_self_int(x.size()[1] / self.members, 0, None).view([1, -1, 1, 1]),
            _ => slopes.view([-1, 1, 1]),
        };
        x.where_self(&x.gt(0.0), &(x * slopes))
    }

    fn activate_and_pool(&self, x: &Tensor, pooling: Pooling, side: i64) -> Option<Tensor> {
        let (curve, slopes) = self.fused.as_ref()?;
        // A pooling for the largest takes a curve that never falls.
        let has_kernel = (*curve, pooling) != (Curve::Silu, Pooling::Largest);
        let fits = x.device() == Device::Cpu && x.kind() == Kind::Float && tch::get_num_threads() == 1;
        (has_kernel && fits).then(|| activate_and_pool(x, *curve, slopes, pooling, side))
    }

    fn flatten(&self, x: &Tensor) -> Tensor {
        x.contiguous().view([x.size()[0], self.members, -1]).permute([1, 2, 0])
    }

    fn drop_out(&self, x: &Tensor, p: f64) -> Tensor {
        let Some(probabilities) = &self.dropout else { return x.dropout(p, true) };
        // bfloat16 has too few numbers between 0 and 1 to draw from.
        let kept = x.to_kind(Kind::Float).rand_like().ge_tensor(probabilities).to_kind(Kind::Float);
        let scaled: Tensor = kept / (1.0 - probabilities);
        x * scaled.to_kind(x.kind())
    }
}
