//! The convolutional network of the Keras tutorials, with one more convolution.

use super::layer::{ACT, Layer, conv};
use super::network::{Architecture, BuiltIn, Halve, Pool, channels, hidden, with_dense};
use crate::options::{Key, variant};

pub const NETWORK: Architecture = Architecture {
    variant: variant("keras_cnn", SIZES, "KerasCnn", "three convolutions and a hidden dense layer, dropout 0.25"),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.25,
    hidden: layers,
};

const SIZES: &[Key] = &[channels(3, 3, "[32, 64, 128]"), hidden("[128]")];

fn layers(model: &BuiltIn, pool: Halve) -> Vec<Layer> {
    let channels = &model.channels;
    let mut layers = vec![conv(channels[0], 3), ACT, pool(2)];
    for &out in &channels[1..] {
        layers.extend([conv(out, 3), ACT]);
    }
    layers.push(pool(2));
    with_dense(layers, model)
}
