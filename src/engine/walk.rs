//! The one walk over a network's layers, whichever arithmetic computes them.

use std::cell::Cell;

use tch::Tensor;

use crate::native;
use crate::native::pooling::Pooling;
use crate::networks::{Activation, BatchNorm, Conv, Layer, Window, tiles};

/// What the layers with tensors of their own, and those that treat the members of a pack apart, compute. `module` counts the layers
/// that hold tensors, in the order of construction.
pub trait Layers {
    fn convolve(&self, module: usize, x: &Tensor, conv: &Conv, train: bool) -> Tensor;
    fn dense(&self, module: usize, x: &Tensor) -> Tensor;
    fn normalize(&self, module: usize, x: &Tensor, norm: &BatchNorm, train: bool) -> Tensor;
    /// With the configured activation.
    fn activate(&self, x: &Tensor) -> Tensor;
    /// [`Layers::activate`] and the pooling of windows of `side` x `side` after it, where both are quicker as one.
    fn activate_and_pool(&self, _x: &Tensor, _pooling: Pooling, _side: i64) -> Option<Tensor> {
        None
    }
    fn flatten(&self, x: &Tensor) -> Tensor;
    /// With the configured probability. Called in training only.
    fn drop_out(&self, x: &Tensor) -> Tensor;
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
            [Layer::Act(None), pool, rest @ ..] if let Some(pooled) = self.activate_and_pool(&input, pool) => {
                self.through(rest, pooled)
            }
            [layer, rest @ ..] => self.through(rest, self.step(layer, input)),
        }
    }

    fn activate_and_pool(&self, x: &Tensor, pool: &Layer) -> Option<Tensor> {
        let (window, pooling) = match pool {
            Layer::AvgPool(window) => (window, Pooling::Average),
            Layer::MaxPool(window) => (window, Pooling::Largest),
            _ => return None,
        };
        let side = window.kernel;
        if *window == tiles(side) { self.network.activate_and_pool(x, pooling, side) } else { None }
    }

    fn next_module(&self) -> usize {
        self.modules.replace(self.modules.get() + 1)
    }

    fn step(&self, layer: &Layer, x: Tensor) -> Tensor {
        match layer {
            Layer::Conv(conv) => self.network.convolve(self.next_module(), &x, conv, self.train),
            Layer::Dense(_) => self.network.dense(self.next_module(), &x),
            Layer::BatchNorm(norm) => self.network.normalize(self.next_module(), &x, norm, self.train),
            Layer::Act(None) => self.network.activate(&x),
            Layer::Act(Some(own)) => activate(&x, *own),
            Layer::AvgPool(Window { kernel, stride, padding }) => {
                x.avg_pool2d([*kernel; 2], [*stride; 2], [*padding; 2], false, true, None)
            }
            Layer::MaxPool(Window { kernel, stride, padding }) => {
                x.max_pool2d([*kernel; 2], [*stride; 2], [*padding; 2], [1, 1], false)
            }
            Layer::GlobalAvgPool => x.adaptive_avg_pool2d([1, 1]),
            Layer::AdaptiveAvgPool { out } => x.adaptive_avg_pool2d([*out; 2]),
            Layer::Flatten => self.network.flatten(&x),
            Layer::Dropout(_) if !self.train => x,
            Layer::Dropout(None) => self.network.drop_out(&x),
            Layer::Dropout(Some(p)) => drop_out(&x, *p),
            Layer::Residual { main, shortcut } => {
                let y = self.through(main, x.shallow_clone());
                y + self.through(shortcut, x)
            }
            Layer::Sum { main, from_input, from_previous } => {
                let y = self.through(main, x.shallow_clone());
                let skip = self.through(from_input, self.images.shallow_clone());
                if from_previous.is_empty() { y + skip } else { y + (skip + self.through(from_previous, x)) }
            }
        }
    }
}

/// PyTorch's dropout draws random numbers even where `p` is 0; a network without dropout has no such layer.
pub fn drop_out(x: &Tensor, p: f64) -> Tensor {
    if p > 0.0 { x.dropout(p, true) } else { x.shallow_clone() }
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
