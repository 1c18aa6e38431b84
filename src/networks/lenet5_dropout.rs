//! LeNet-5 with ReLU, max pooling and dropout.

use super::lenet5;
use super::network::{Network, Pool};
use crate::options::variant;

pub const NETWORK: Network = Network {
    variant: variant("lenet5_dropout", lenet5::SIZES, "LeNet5Dropout", "with ReLU, max pooling and dropout 0.2"),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.2,
    layers: lenet5::layers,
};
