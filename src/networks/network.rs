//! What describes a network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layer::{Layer, dense, dropout, flatten};
use crate::options::{Key, Takes, Variant, key};
use crate::record::CLASSES;

const MAX_WIDTH: i64 = 4096;
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
    pub layers: fn(&Sizes, Halve, f64) -> Vec<Layer>,
}

impl PartialEq for Network {
    fn eq(&self, other: &Network) -> bool {
        self.variant.name == other.variant.name
    }
}

impl Eq for Network {}

/// How 2×2 pixels become one: their mean or their largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// `nn.AvgPool2d(2)`
    Avg,
    /// `nn.MaxPool2d(2)`
    Max,
}

/// How a network halves its images' sides.
pub type Halve = fn(i64) -> Layer;

/// The values of a network's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes(pub BTreeMap<String, Size>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    One(i64),
    Many(Vec<i64>),
}

impl Sizes {
    pub fn has(&self, key: &Key) -> bool {
        let size = self.0.get(key.name);
        matches!((size, key.takes), (Some(Size::One(_)), Takes::Integer(..)) | (Some(Size::Many(_)), Takes::List(..)))
    }

    pub fn one(&self, key: &str) -> i64 {
        match self.0[key] {
            Size::One(size) => size,
            Size::Many(_) => panic!("{key} is a list"),
        }
    }

    pub fn many(&self, key: &str) -> &[i64] {
        match &self.0[key] {
            Size::One(_) => panic!("{key} is one number"),
            Size::Many(sizes) => sizes,
        }
    }
}

/// The widths of at least and at most so many convolutions or stages.
pub const fn channels(shortest: usize, longest: usize, default: &'static str) -> Key {
    key("channels", Takes::List(&Takes::Integer(1, MAX_WIDTH), shortest, longest), "widths of the convolutions")
        .or(default)
}

/// The widths of the hidden dense layers; the last one, to the classes, is implied.
pub const fn hidden(default: &'static str) -> Key {
    let takes = Takes::List(&Takes::Integer(1, MAX_WIDTH), 0, MAX_DENSE_LAYERS);
    key("dense", takes, "widths of the hidden dense layers").or(default)
}

/// Ends a network: its hidden dense layers with dropout, and the one to the classes.
pub fn with_classifier(mut layers: Vec<Layer>, sizes: &Sizes, probability: f64) -> Vec<Layer> {
    layers.push(flatten());
    for &width in sizes.many("dense") {
        layers.extend([dense(width), Layer::Act, dropout(probability)]);
    }
    layers.push(dense(CLASSES as i64));
    layers
}
