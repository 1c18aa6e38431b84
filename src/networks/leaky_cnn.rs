//! Blocks of padded 3×3 convolutions.

use super::layer::{ACT, Layer, conv_padded};
use super::network::{Architecture, BuiltIn, Halve, Pool, channels, hidden, with_dense};
use crate::options::{Key, Takes, key, variant};

pub const NETWORK: Architecture = Architecture {
    variant: variant("leaky_cnn", SIZES, "LeakyCnn", "blocks of padded 3×3 convolutions, widths and depth free"),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.0,
    hidden: layers,
};

/// Five poolings take 32 pixels to one.
const MAX_BLOCKS: usize = 5;
const MAX_CONVS_PER_BLOCK: i64 = 4;
const SIZES: &[Key] = &[
    channels(1, MAX_BLOCKS, "[32, 64]"),
    key("convs_per_block", Takes::Integer(1, MAX_CONVS_PER_BLOCK), "convolutions before each pooling").or("1"),
    hidden("[128]"),
];

fn layers(model: &BuiltIn, pool: Halve) -> Vec<Layer> {
    let mut layers = vec![];
    for &out in &model.channels {
        for _ in 0..model.convs_per_block.unwrap_or(1) {
            layers.extend([conv_padded(out, 3), ACT]);
        }
        layers.push(pool(2));
    }
    with_dense(layers, model)
}
