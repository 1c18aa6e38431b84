//! What describes a network.

use serde::{Deserialize, Serialize};

use super::layer::{Layer, Weights, table};
use crate::options::{Key, Takes, Variant, key};
use crate::record::CLASSES;

const WIDTH: Takes = Takes::Integer(1, 4096);
const MAX_DENSE_LAYERS: usize = 6;

/// A network, whatever its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Its name, and the options that say how large it is.
    pub variant: Variant,
    /// The activation that it has of its own, as users write it.
    pub activation: &'static str,
    pub pool: Pool,
    /// After every hidden dense layer, where it has one.
    pub dropout: f64,
    /// [N, 3, 32, 32] → logits [N, 10], with a pooling and a dropout.
    pub layers: fn(&Model, Halve, f64) -> Vec<Layer>,
}

impl PartialEq for Network {
    fn eq(&self, other: &Network) -> bool {
        self.variant.name == other.variant.name
    }
}

/// How 2×2 pixels become one: their mean or their largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    Avg,
    Max,
}

/// How a network halves its images' sides.
pub type Halve = fn(i64) -> Layer;

/// A network of certain sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    #[serde(rename = "name")]
    pub network: &'static Network,
    pub channels: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convs_per_block: Option<i64>,
    pub dense: Vec<i64>,
}

impl Model {
    /// As users write it.
    pub fn as_str(&self) -> &'static str {
        self.network.variant.name
    }

    /// [N, 3, 32, 32] → logits [N, 10], with `dropout` after every hidden dense layer.
    pub fn layers(&self, pool: Pool, dropout: f64) -> Vec<Layer> {
        let halve = match pool {
            Pool::Avg => Layer::AvgPool,
            Pool::Max => Layer::MaxPool,
        };
        (self.network.layers)(self, halve, dropout)
    }

    /// The tensors that its layers hold, whatever the pooling and the dropout.
    pub fn weights(&self) -> Vec<Weights> {
        let table = table(&self.layers(self.network.pool, 0.0));
        table.rows.into_iter().map(|row| row.weights).collect()
    }

    /// Whether there is a dense layer before the one to the classes.
    pub fn has_hidden_dense(&self) -> bool {
        self.weights().iter().filter(|weights| matches!(weights, Weights::Dense { .. })).count() > 1
    }
}

/// The widths of at least and at most so many convolutions or stages.
pub const fn channels(shortest: usize, longest: usize, default: &'static str) -> Key {
    key("channels", Takes::List(&WIDTH, shortest, longest), "widths of the convolutions").or(default)
}

/// The widths of the hidden dense layers; the last one, to the classes, is implied.
pub const fn hidden(default: &'static str) -> Key {
    key("dense", Takes::List(&WIDTH, 0, MAX_DENSE_LAYERS), "widths of the hidden dense layers").or(default)
}

/// Ends a network: its hidden dense layers with dropout, and the one to the classes.
pub fn with_classifier(mut layers: Vec<Layer>, model: &Model, dropout: f64) -> Vec<Layer> {
    layers.push(Layer::Flatten);
    for &width in &model.dense {
        layers.extend([Layer::Dense(width), Layer::Act, Layer::Dropout(dropout)]);
    }
    layers.push(Layer::Dense(CLASSES as i64));
    layers
}
