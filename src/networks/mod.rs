//! The networks: a file that describes each, and a line in the list of them.

mod keras_cnn;
mod layer;
mod leaky_cnn;
mod lenet5;
mod lenet5_dropout;
mod network;
mod resnet;

pub use layer::{Layer, Table, TableRow, Weights, table};
pub use network::{Network, Pool};

use crate::options::Variant;
use layer::{avg_pool, max_pool};
use network::Sizes;
use serde::{Deserialize, Serialize};

/// Every network there is.
pub const NETWORKS: &[Network] = &[
    lenet5::NETWORK,
    lenet5_dropout::NETWORK,
    keras_cnn::NETWORK,
    leaky_cnn::NETWORK,
    resnet::NETWORK,
    // One line a network.
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

/// Channels and sides of an image.
pub const INPUT_SHAPE: [i64; 3] = [3, 32, 32];

/// A network of certain sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Model {
    pub network: &'static Network,
    sizes: Sizes,
}

/// `{"name":"lenet5","channels":[6,16],"dense":[120,84]}`
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    #[serde(flatten)]
    sizes: Sizes,
}

impl TryFrom<Written> for Model {
    type Error = String;

    fn try_from(Written { name, mut sizes }: Written) -> Result<Model, String> {
        let network = NETWORKS.iter().find(|network| network.variant.name == name);
        let network = network.ok_or_else(|| format!("there is no network `{name}`; valid: {}", names().join(", ")))?;
        let keys = network.variant.keys;
        sizes.0.retain(|size, _| keys.iter().any(|key| key.name == size));
        match keys.iter().find(|key| !sizes.has(key)) {
            Some(key) => Err(format!("{name}: {} is missing or no {:?}", key.name, key.takes)),
            None => Ok(Model { network, sizes }),
        }
    }
}

impl From<Model> for Written {
    fn from(model: Model) -> Written {
        Written { name: model.as_str().to_owned(), sizes: model.sizes }
    }
}

impl Model {
    /// As users write it.
    pub fn as_str(&self) -> &'static str {
        self.network.variant.name
    }

    /// [N, 3, 32, 32] → logits [N, 10], with `dropout` after every hidden dense layer.
    pub fn layers(&self, pool: Pool, dropout: f64) -> Vec<Layer> {
        let halve = match pool {
            Pool::Avg => avg_pool,
            Pool::Max => max_pool,
        };
        (self.network.layers)(&self.sizes, halve, dropout)
    }

    /// What holds whatever the pooling and the dropout: its weights.
    pub fn weights(&self) -> Vec<Weights> {
        let table = table(&self.layers(self.network.pool, 0.0), INPUT_SHAPE);
        table.rows.into_iter().map(|row| row.weights).collect()
    }

    /// The dropout that it has where none is chosen: none without a hidden dense layer to follow.
    pub fn own_dropout(&self) -> f64 {
        if self.has_hidden_dense() { self.network.dropout } else { 0.0 }
    }

    /// Whether there is a dense layer before the one to the classes.
    pub fn has_hidden_dense(&self) -> bool {
        self.weights().iter().filter(|weights| matches!(weights, Weights::Dense { .. })).count() > 1
    }
}

/// Of every network, as users write them.
pub fn names() -> Vec<&'static str> {
    VARIANTS.iter().map(|network| network.name).collect()
}

#[cfg(test)]
mod tests;
