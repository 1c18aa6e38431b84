//! LeCun et al. 1998, on three colour planes; plain, and with what came later.

use super::layer::{ACT, Layer, conv};
use super::network::{Architecture, BuiltIn, Halve, Pool, channels, hidden, with_dense};
use crate::options::{Key, variant};

pub const NETWORK: Architecture = Architecture {
    variant: variant("lenet5", SIZES, "LeNet5", "LeCun et al. 1998 on three colour planes, average pooling, tanh"),
    activation: "tanh",
    pool: Pool::Avg,
    dropout: 0.0,
    hidden: layers,
};

pub const WITH_DROPOUT: Architecture = Architecture {
    variant: variant("lenet5_dropout", SIZES, "LeNet5Dropout", "with ReLU, max pooling and dropout 0.2"),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.2,
    hidden: layers,
};

const SIZES: &[Key] = &[channels(1, 2, "[6, 16]"), hidden("[120, 84]")];

fn layers(model: &BuiltIn, pool: Halve) -> Vec<Layer> {
    let mut layers = vec![];
    for &out in &model.channels {
        layers.extend([conv(out, 5), ACT, pool(2)]);
    }
    with_dense(layers, model)
}
