//! What a network is: one of the built-in ones with its sizes, or a user's own list of layers.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::layer::{ACT, Layer, dense, tiles};
use super::table::{Weights, table};
use crate::options::{Key, Takes, Variant, key};

const WIDTH: Takes = Takes::Integer(1, 4096);
const MAX_DENSE_LAYERS: usize = 6;
/// What an own network has where nothing is configured.
const OWN_ACTIVATION: &str = "relu";

/// A built-in network, whatever its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// Its name, and the options that say how large it is.
    pub variant: Variant,
    /// The activation that it has of its own, as users write it.
    pub activation: &'static str,
    pub pool: Pool,
    /// After every hidden dense layer, where it has one.
    pub dropout: f64,
    /// [N, 3, 32, 32] → the last hidden layer's output, with a pooling: all but the dense layer to the classes.
    pub hidden: fn(&BuiltIn, Halve) -> Vec<Layer>,
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Architecture) -> bool {
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Model {
    BuiltIn(BuiltIn),
    Own(Own),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltIn {
    #[serde(rename = "name")]
    pub network: &'static Architecture,
    pub channels: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convs_per_block: Option<i64>,
    pub dense: Vec<i64>,
}

/// A user's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Own {
    pub name: String,
    pub layers: Vec<Layer>,
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Model, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let model = match json.get("layers") {
            Some(_) => serde_json::from_value(json).map(Model::Own),
            None => serde_json::from_value(json).map(Model::BuiltIn),
        };
        model.map_err(D::Error::custom)
    }
}

impl Model {
    /// As users write it.
    pub fn as_str(&self) -> &str {
        match self {
            Model::BuiltIn(built_in) => built_in.network.variant.name,
            Model::Own(own) => &own.name,
        }
    }

    /// [N, 3, 32, 32] → logits [N, classes]; `pool` is what a built-in network has in place of its own.
    pub fn layers(&self, pool: Option<Pool>, classes: usize) -> Vec<Layer> {
        match self {
            Model::BuiltIn(built_in) => {
                let halve: Halve = match pool.unwrap_or(built_in.network.pool) {
                    Pool::Avg => |side| Layer::AvgPool(tiles(side)),
                    Pool::Max => |side| Layer::MaxPool(tiles(side)),
                };
                let mut layers = (built_in.network.hidden)(built_in, halve);
                layers.push(dense(classes as i64));
                layers
            }
            // Their last one has been made for the data set.
            Model::Own(own) => own.layers.clone(),
        }
    }

    /// The activation that it has where none is configured, as users write it.
    pub fn activation(&self) -> &'static str {
        match self {
            Model::BuiltIn(built_in) => built_in.network.activation,
            Model::Own(_) => OWN_ACTIVATION,
        }
    }

    /// Its pooling where none is configured; an own network's layers say it themselves.
    pub fn pool(&self) -> Option<Pool> {
        match self {
            Model::BuiltIn(built_in) => Some(built_in.network.pool),
            Model::Own(_) => None,
        }
    }

    /// Its dropout where none is configured.
    pub fn dropout(&self) -> f64 {
        match self {
            // None where there is no hidden dense layer to follow.
            Model::BuiltIn(built_in) if !built_in.dense.is_empty() => built_in.network.dropout,
            _ => 0.0,
        }
    }

    /// Whether a layer has the configured dropout.
    pub fn has_dropout(&self) -> bool {
        fn any(layers: &[Layer]) -> bool {
            layers.iter().any(|layer| match layer {
                Layer::Dropout(own) => own.is_none(),
                layer => layer.ways().into_iter().any(any),
            })
        }
        any(&self.layers(None, 1))
    }

    /// The tensors that its layers hold, whatever the pooling and the dropout; as if for one class.
    pub fn weights(&self) -> Vec<Weights> {
        let table = table(&self.layers(None, 1), 0.0);
        table.rows.into_iter().map(|row| row.weights).collect()
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

/// Ends what is hidden of a network: its dense layers with dropout, before the one to the classes.
pub fn with_dense(mut layers: Vec<Layer>, model: &BuiltIn) -> Vec<Layer> {
    layers.push(Layer::Flatten);
    for &width in &model.dense {
        layers.extend([dense(width), ACT, Layer::Dropout(None)]);
    }
    layers
}
