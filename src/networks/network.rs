//! What a network is: a list of layers, and what follows from it without computing anything: shapes, names, counts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::options::{Key, Takes, Variant, key};

const WIDTH: Takes = Takes::Integer(1, 4096);
const MAX_DENSE_LAYERS: usize = 6;
/// Channels and sides of an image.
const INPUT_SHAPE: [i64; 3] = [3, 32, 32];

/// One step of a network. Shapes are without the batch: [C, H, W] before `Flatten`, [F] after it.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Stride 1, with bias. PyTorch name `conv1`, `conv2`, ...; 1×1 shortcuts are `skip1`, `skip2`, ...
    Conv {
        out: i64,
        kernel: i64,
        padding: i64,
        shortcut: bool,
    },
    /// The configured activation.
    Act,
    /// Square, stride equal to its side, no padding.
    AvgPool(i64),
    MaxPool(i64),
    Flatten,
    /// `nn.Linear` with bias: `fc1`, `fc2`, ...
    Dense(i64),
    Dropout(f64),
    /// `nn.BatchNorm2d(eps=1e-3, momentum=0.01)`, which is Keras' default: `bn1`, `bn2`, ...
    BatchNorm,
    /// `main(h) + (from_input(x) + from_previous(h))`, where x is the image and h what the layers before gave.
    /// An empty `from_previous` is left out of the sum.
    Sum {
        main: Vec<Layer>,
        from_input: Vec<Layer>,
        from_previous: Vec<Layer>,
    },
}

pub fn conv(out: i64, kernel: i64) -> Layer {
    Layer::Conv { out, kernel, padding: 0, shortcut: false }
}

/// Padded so that the sides stay as they are.
pub fn conv_padded(out: i64, kernel: i64) -> Layer {
    Layer::Conv { out, kernel, padding: kernel / 2, shortcut: false }
}

pub fn shortcut(out: i64) -> Layer {
    Layer::Conv { out, kernel: 1, padding: 0, shortcut: true }
}

/// A network's layers one after another, as `runner models NAME` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub rows: Vec<TableRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableRow {
    /// PyTorch's module name; empty for layers that hold nothing.
    pub name: String,
    pub operation: String,
    pub output: Vec<i64>,
    #[serde(skip)]
    pub weights: Weights,
    /// Trainable parameters and running statistics (not BatchNorm's batch counter).
    pub parameters: i64,
    /// Multiply-adds of convolutions and dense layers for one image.
    pub multiply_adds: i64,
}

/// The tensors a layer holds, by shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    None,
    Conv { input: i64, output: i64, kernel: i64 },
    Dense { input: i64, output: i64 },
    BatchNorm { channels: i64 },
}

impl Table {
    pub fn parameters(&self) -> i64 {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    pub fn multiply_adds(&self) -> i64 {
        self.rows.iter().map(|row| row.multiply_adds).sum()
    }

    /// Of how many images the largest tensor that a layer of `members` networks makes has at most so many `numbers`.
    pub fn images_within(&self, numbers: i64, members: usize) -> i64 {
        let largest: i64 = self.rows.iter().map(|row| row.output.iter().product()).max().unwrap_or(1);
        numbers / (members as i64 * largest)
    }
}

/// Follows the shape of one image through `layers`, in the order in which PyTorch would construct them.
///
/// Panics if a layer does not fit its input; `spec` refuses such configurations.
pub fn table(layers: &[Layer]) -> Table {
    let mut walk = Walk::default();
    walk.through(layers, INPUT_SHAPE.to_vec());
    Table { rows: walk.rows }
}

#[derive(Default)]
struct Walk {
    rows: Vec<TableRow>,
    /// How many of each kind have been named: conv, skip, fc, bn.
    counts: HashMap<&'static str, usize>,
}

impl Walk {
    fn through(&mut self, layers: &[Layer], input: Vec<i64>) -> Vec<i64> {
        layers.iter().fold(input, |shape, layer| self.step(layer, shape))
    }

    fn step(&mut self, layer: &Layer, input: Vec<i64>) -> Vec<i64> {
        match *layer {
            Layer::Conv { out, kernel, padding, shortcut } => {
                let output = vec![out, input[1] + 2 * padding - kernel + 1, input[2] + 2 * padding - kernel + 1];
                assert!(output.iter().all(|&side| side > 0), "convolution {kernel}x{kernel} does not fit {input:?}");
                let name = self.name(if shortcut { "skip" } else { "conv" });
                let weights = Weights::Conv { input: input[0], output: out, kernel };
                let padding = if padding > 0 { format!(", padding {padding}") } else { String::new() };
                self.push(name, format!("convolution {kernel}x{kernel}{padding}"), output, weights)
            }
            Layer::Dense(out) => {
                let name = self.name("fc");
                self.push(name, "dense".into(), vec![out], Weights::Dense { input: input[0], output: out })
            }
            Layer::BatchNorm => {
                let name = self.name("bn");
                let weights = Weights::BatchNorm { channels: input[0] };
                self.push(name, "batch normalization".into(), input, weights)
            }
            Layer::AvgPool(side) => self.pool("average pooling", side, input),
            Layer::MaxPool(side) => self.pool("max pooling", side, input),
            Layer::Flatten => self.plain("flatten".into(), vec![input.iter().product()]),
            Layer::Act => self.plain("activation".into(), input),
            Layer::Dropout(p) if p > 0.0 => self.plain(format!("dropout {p}"), input),
            Layer::Dropout(_) => input,
            Layer::Sum { ref main, ref from_input, ref from_previous } => {
                let output = self.through(main, input.clone());
                self.through(from_input, INPUT_SHAPE.to_vec());
                self.through(from_previous, input);
                self.plain("sum of branches".into(), output)
            }
        }
    }

    fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        format!("{kind}{count}")
    }

    fn pool(&mut self, kind: &str, side: i64, input: Vec<i64>) -> Vec<i64> {
        assert!(input[1] >= side && input[2] >= side, "pooling {side}x{side} does not fit {input:?}");
        self.plain(format!("{kind} {side}x{side}"), vec![input[0], input[1] / side, input[2] / side])
    }

    fn plain(&mut self, operation: String, output: Vec<i64>) -> Vec<i64> {
        self.push(String::new(), operation, output, Weights::None)
    }

    fn push(&mut self, name: String, operation: String, output: Vec<i64>, weights: Weights) -> Vec<i64> {
        let (parameters, multiply_adds) = match weights {
            Weights::None => (0, 0),
            Weights::Conv { input, output: out, kernel } => {
                let kernels = out * input * kernel * kernel;
                (kernels + out, kernels * output[1] * output[2])
            }
            Weights::Dense { input, output } => (output * input + output, output * input),
            Weights::BatchNorm { channels } => (4 * channels, 0),
        };
        self.rows.push(TableRow { name, operation, output: output.clone(), weights, parameters, multiply_adds });
        output
    }
}

/// A network, whatever its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// Its name, and the options that say how large it is.
    pub variant: Variant,
    /// The activation that it has of its own, as users write it.
    pub activation: &'static str,
    pub pool: Pool,
    /// After every hidden dense layer, where it has one.
    pub dropout: f64,
    /// All but the last one, which is dense, to the classes; with a pooling and a dropout.
    pub hidden: fn(&Model, Halve, f64) -> Vec<Layer>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    #[serde(rename = "name")]
    pub network: &'static Architecture,
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

    /// [N, 3, 32, 32] → logits [N, classes], with `dropout` after every hidden dense layer.
    pub fn layers(&self, pool: Pool, dropout: f64, classes: usize) -> Vec<Layer> {
        let mut layers = self.hidden(pool, dropout);
        layers.push(Layer::Dense(classes as i64));
        layers
    }

    fn hidden(&self, pool: Pool, dropout: f64) -> Vec<Layer> {
        let halve = match pool {
            Pool::Avg => Layer::AvgPool,
            Pool::Max => Layer::MaxPool,
        };
        (self.network.hidden)(self, halve, dropout)
    }

    /// The tensors that its layers before the last hold, whatever the pooling and the dropout.
    pub fn hidden_weights(&self) -> Vec<Weights> {
        let table = table(&self.hidden(self.network.pool, 0.0));
        table.rows.into_iter().map(|row| row.weights).collect()
    }

    /// Whether there is a dense layer before the one to the classes.
    pub fn has_hidden_dense(&self) -> bool {
        let layers = self.hidden(self.network.pool, 0.0);
        layers.iter().any(|layer| matches!(layer, Layer::Dense(_)))
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
pub fn with_dense(mut layers: Vec<Layer>, model: &Model, dropout: f64) -> Vec<Layer> {
    layers.push(Layer::Flatten);
    for &width in &model.dense {
        layers.extend([Layer::Dense(width), Layer::Act, Layer::Dropout(dropout)]);
    }
    layers
}
