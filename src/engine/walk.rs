//! The one walk over a network's layers, whichever arithmetic computes them.

use std::cell::Cell;

use tch::Tensor;

use crate::native;
use crate::native::pooling::Pooling;
use crate::networks::Layer;
use crate::spec::config::Activation;

/// What the layers with tensors of their own, and those that treat the members of a pack apart, compute. `module` counts the layers
/// that hold tensors, in the order of construction.
pub trait Layers {
    fn convolve(&self, module: usize, x: &Tensor, padding: i64, train: bool) -> Tensor;
    fn dense(&self, module: usize, x: &Tensor) -> Tensor;
    fn normalize(&self, module: usize, x: &Tensor, train: bool) -> Tensor;
    fn activate(&self, x: &Tensor) -> Tensor;
    /// [`Layers::activate`] and the pooling of windows of `side` x `side` after it, where both are quicker as one.
    fn activate_and_pool(&self, _x: &Tensor, _pooling: Pooling, _side: i64) -> Option<Tensor> {
        None
    }
    fn flatten(&self, x: &Tensor) -> Tensor;
    /// Called in training only, with `p` above 0.
    fn drop_out(&self, x: &Tensor, p: f64) -> Tensor;
}

/// What `layers` make of `images`. `train` switches dropout on and lets BatchNorm use and track the batch's statistics.
pub fn walk(layers: &[Layer], images: &Tensor, train: bool, network: &dyn Layers) -> Tensor {
    let walk = Walk { network, images, train, modules: Cell::new(0) };
    walk.through(layers, images.shallow_clone())
}

struct Walk<'a> {
    network: &'a dyn Layers,
    images: &'a Tensor,
    train: bool,
    /// So many layers with tensors lie behind.
    modules: Cell<usize>,
}

impl Walk<'_> {
    fn through(&self, layers: &[Layer], input: Tensor) -> Tensor {
        match layers {
            [] => input,
            [Layer::Act, pool, rest @ ..] if let Some(pooled) = self.activate_and_pool(&input, pool) => {
                self.through(rest, pooled)
            }
            [layer, rest @ ..] => self.through(rest, self.step(layer, input)),
        }
    }

    fn activate_and_pool(&self, x: &Tensor, pool: &Layer) -> Option<Tensor> {
        match *pool {
            Layer::AvgPool(side) => self.network.activate_and_pool(x, Pooling::Average, side),
            Layer::MaxPool(side) => self.network.activate_and_pool(x, Pooling::Largest, side),
            _ => None,
        }
    }

    fn next_module(&self) -> usize {
        self.modules.replace(self.modules.get() + 1)
    }

    fn step(&self, layer: &Layer, x: Tensor) -> Tensor {
        match *layer {
            Layer::Conv { padding, .. } => self.network.convolve(self.next_module(), &x, padding, self.train),
            Layer::Dense(_) => self.network.dense(self.next_module(), &x),
            Layer::BatchNorm => self.network.normalize(self.next_module(), &x, self.train),
            Layer::Act => self.network.activate(&x),
            Layer::AvgPool(side) => x.avg_pool2d([side, side], [side, side], [0, 0], false, true, None),
            Layer::MaxPool(side) => x.max_pool2d([side, side], [side, side], [0, 0], [1, 1], false),
            Layer::Flatten => self.network.flatten(&x),
            // PyTorch's dropout draws random numbers even where p is 0; a network without dropout has no such layer.
            Layer::Dropout(p) if p > 0.0 && self.train => self.network.drop_out(&x, p),
            Layer::Dropout(_) => x,
            Layer::Sum { ref main, ref from_input, ref from_previous } => {
                let y = self.through(main, x.shallow_clone());
                let skip = self.through(from_input, self.images.shallow_clone());
                if from_previous.is_empty() { y + skip } else { y + (skip + self.through(from_previous, x)) }
            }
        }
    }
}

pub fn activate(x: &Tensor, activation: Activation) -> Tensor {
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
