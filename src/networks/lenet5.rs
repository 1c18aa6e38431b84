//! LeCun et al. 1998, on three colour planes.

use super::layer::{Layer, act, conv};
use super::network::{Halve, Network, Pool, Sizes, channels, hidden, with_classifier};
use crate::options::{Key, variant};

pub const NETWORK: Network = Network {
    variant: variant("lenet5", SIZES, "LeNet5", "LeCun et al. 1998 on three colour planes, average pooling, tanh"),
    activation: "tanh",
    pool: Pool::Avg,
    dropout: 0.0,
    layers,
};

pub const SIZES: &[Key] = &[channels(1, 2, "[6, 16]"), hidden("[120, 84]")];

pub fn layers(sizes: &Sizes, pool: Halve, dropout: f64) -> Vec<Layer> {
    let mut layers = vec![];
    for &out in sizes.many("channels") {
        layers.extend([conv(out, 5), act(), pool(2)]);
    }
    with_classifier(layers, sizes, dropout)
}
