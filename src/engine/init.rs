//! How kernels and biases start, drawn from the default generator in the order in which PyTorch draws.

use tch::{Kind, Tensor};

use super::network::Network;
use crate::native::no_grad;
use crate::networks::Weights;
use crate::spec::config::{Activation, Config, Init};

/// The network of `config` as a trial with `seed` starts. Reseeds the default generator.
pub fn untrained(config: &Config, seed: u64) -> Network {
    tch::manual_seed(seed as i64);
    let mut network = Network::new(config);
    initialize(&mut network, config.init, config.activation);
    network
}

/// Builds the weights as PyTorch's constructors do, then redraws the kernels if `init` asks for it.
fn initialize(network: &mut Network, init: Init, activation: Activation) {
    no_grad(|| {
        for module in network.modules_mut() {
            match fans(module.weights) {
                Some((fan_in, _)) => {
                    uniform(&mut module.weight, kaiming_gain(5f64.sqrt()) / (fan_in as f64).sqrt() * 3f64.sqrt());
                    if let Some(bias) = &mut module.bias {
                        uniform(bias, 1.0 / (fan_in as f64).sqrt());
                    }
                }
                None => {
                    let _ = module.weight.fill_(1.0);
                }
            }
        }
        for module in network.modules_mut() {
            if let Some(fans) = fans(module.weights) {
                redraw(&mut module.weight, fans, init, activation);
                if let Some(bias) = module.bias.as_mut().filter(|_| init == Init::Keras) {
                    let _ = bias.zero_();
                }
            }
        }
    });
}

/// `nn.init._calculate_fan_in_and_fan_out`; none for BatchNorm.
fn fans(weights: Weights) -> Option<(i64, i64)> {
    match weights {
        Weights::Conv { input, output, kernel, .. } => Some((input * kernel * kernel, output * kernel * kernel)),
        Weights::Dense { input, output, .. } => Some((input, output)),
        Weights::None | Weights::BatchNorm { .. } => None,
    }
}

fn redraw(kernel: &mut Tensor, (fan_in, fan_out): (i64, i64), init: Init, activation: Activation) {
    let xavier = || (2.0 / (fan_in + fan_out) as f64).sqrt();
    let kaiming = || {
        let slope = if let Activation::LeakyRelu { slope } = activation { slope } else { 0.0 };
        kaiming_gain(slope) / (fan_in as f64).sqrt()
    };
    match init {
        Init::Pytorch => {}
        Init::XavierUniform | Init::Keras => uniform(kernel, 3f64.sqrt() * xavier()),
        Init::XavierNormal => drop(kernel.normal_(0.0, xavier())),
        Init::KaimingUniform => uniform(kernel, 3f64.sqrt() * kaiming()),
        Init::KaimingNormal => drop(kernel.normal_(0.0, kaiming())),
        Init::Orthogonal => orthogonal(kernel),
    }
}

/// `nn.init.calculate_gain("leaky_relu", slope)`; slope 0 is the gain of ReLU.
fn kaiming_gain(slope: f64) -> f64 {
    (2.0 / (1.0 + slope * slope)).sqrt()
}

fn uniform(tensor: &mut Tensor, bound: f64) {
    let _ = tensor.uniform_(-bound, bound);
}

/// `nn.init.orthogonal_`: the Q of a normal matrix, with the signs that make it uniformly distributed. Saxe et al. 2013.
fn orthogonal(kernel: &mut Tensor) {
    let rows = kernel.size()[0];
    let mut flat = Tensor::empty([rows, kernel.numel() as i64 / rows], (Kind::Float, kernel.device()));
    let _ = flat.normal_(0.0, 1.0);
    let wide = flat.size()[0] < flat.size()[1];
    if wide {
        flat = flat.tr();
    }
    let (q, r) = Tensor::linalg_qr(&flat, "reduced");
    let q = q * r.diag(0).sign();
    let q = if wide { q.tr() } else { q };
    kernel.copy_(&q.reshape(kernel.size()));
}
