//! The convolutional network of the Keras tutorials, with one more convolution.

use super::layer::{Layer, act, conv};
use super::network::{Halve, Network, Pool, Sizes, channels, hidden, with_classifier};
use crate::options::{Key, variant};

pub const NETWORK: Network = Network {
    variant: variant(
        "keras_cnn",
        SIZES,
        "KerasCnn",
        "three convolutions and a hidden dense layer of 128, dropout 0.25",
    ),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.25,
    layers,
};

const SIZES: &[Key] = &[channels(3, 3, "[32, 64, 128]"), hidden("[128]")];

fn layers(sizes: &Sizes, pool: Halve, dropout: f64) -> Vec<Layer> {
    let channels = sizes.many("channels");
    let mut layers = vec![conv(channels[0], 3), act(), pool(2)];
    for &out in &channels[1..] {
        layers.extend([conv(out, 3), act()]);
    }
    layers.push(pool(2));
    with_classifier(layers, sizes, dropout)
}
