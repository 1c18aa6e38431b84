//! The networks: a file that describes each built-in one, and a line in the list of them; users write their own as layers.

mod keras_cnn;
mod layer;
mod leaky_cnn;
mod lenet5;
mod network;
mod resnet;
mod table;

#[cfg(test)]
mod tests;

pub use layer::{Activation, BatchNorm, Conv, Dense, Layer, Window, shape_text, tiles};
pub use network::{Architecture, BuiltIn, Model, Own, Pool};
pub use table::{INPUT_SHAPE, Names, Table, TableRow, Weights, table};

use crate::options::Variant;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// Every built-in network.
const NETWORKS: &[Architecture] = &[
    // As `runner models` lists them.
    lenet5::NETWORK,
    lenet5::WITH_DROPOUT,
    keras_cnn::NETWORK,
    leaky_cnn::NETWORK,
    resnet::NETWORK,
];

/// As the table of keys has them.
pub const VARIANTS: [Variant; NETWORKS.len()] = {
    let mut variants = [NETWORKS[0].variant; NETWORKS.len()];
    let mut index = 0;
    while index < variants.len() {
        variants[index] = NETWORKS[index].variant;
        index += 1;
    }
    variants
};

/// Of every built-in network, as users write them.
pub fn names() -> Vec<&'static str> {
    VARIANTS.iter().map(|network| network.name).collect()
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.variant.name)
    }
}

impl<'de> Deserialize<'de> for &'static Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<&'static Architecture, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = NETWORKS.iter().find(|network| network.variant.name == name);
        found.ok_or_else(|| D::Error::custom(format!("there is no network `{name}`; valid: {}", names().join(", "))))
    }
}
