//! What follows from a list of layers without computing anything: shapes, names, counts.

use std::collections::HashMap;

use serde::Serialize;

use super::layer::{Activation, Conv, Layer, Window};

/// Channels and sides of an image.
pub const INPUT_SHAPE: [i64; 3] = [3, 32, 32];

/// A network's layers one after another, as `runner models NAME` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub rows: Vec<TableRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableRow {
    /// PyTorch's module name; of a layer that holds nothing, its kind, numbered: `act1`, `pool1`.
    pub name: String,
    pub operation: String,
    pub output: Vec<i64>,
    #[serde(skip)]
    pub weights: Weights,
    /// `model.parameters()`, which BatchNorm's running statistics are no part of.
    pub parameters: i64,
    /// Multiply-adds of convolutions and dense layers for one image.
    pub multiply_adds: i64,
}

/// The tensors a layer holds, by shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    None,
    /// `input` channels of one group.
    Conv {
        input: i64,
        output: i64,
        kernel: i64,
        bias: bool,
    },
    Dense {
        input: i64,
        output: i64,
        bias: bool,
    },
    BatchNorm {
        channels: i64,
    },
}

impl TableRow {
    pub fn holds_tensors(&self) -> bool {
        self.weights != Weights::None
    }

    /// Its tensors in PyTorch's state dict, by name, with their shapes.
    pub fn tensors(&self) -> Vec<(String, Vec<i64>)> {
        let Some((weight, bias)) = self.weights.shapes() else { return vec![] };
        let mut tensors = vec![("weight", weight)];
        tensors.extend(bias.map(|width| ("bias", vec![width])));
        if let Weights::BatchNorm { channels } = self.weights {
            tensors.extend([("running_mean", vec![channels]), ("running_var", vec![channels])]);
            tensors.push(("num_batches_tracked", vec![]));
        }
        tensors.into_iter().map(|(field, shape)| (format!("{}.{field}", self.name), shape)).collect()
    }
}

impl Weights {
    /// The shape of its kernel, or of BatchNorm's factors, and the width of its bias; None where it holds nothing.
    pub fn shapes(self) -> Option<(Vec<i64>, Option<i64>)> {
        Some(match self {
            Weights::None => return None,
            Weights::Conv { input, output, kernel, bias } => {
                (vec![output, input, kernel, kernel], bias.then_some(output))
            }
            Weights::Dense { input, output, bias } => (vec![output, input], bias.then_some(output)),
            Weights::BatchNorm { channels } => (vec![channels], Some(channels)),
        })
    }
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

/// Follows the shape of one image through `layers`, in the order in which PyTorch would construct them; `dropout` is the
/// configured one.
///
/// Panics if a layer does not fit its input; `spec` refuses such configurations.
pub fn table(layers: &[Layer], dropout: f64) -> Table {
    let mut walk = Walk { rows: vec![], names: Names::default(), dropout };
    walk.through(layers, INPUT_SHAPE.to_vec());
    Table { rows: walk.rows }
}

/// Gives layers their names, in the order of construction: those with tensors the ones that they have in the state dict.
#[derive(Clone, Default)]
pub struct Names {
    /// How many of each kind have been numbered: conv, skip, fc, bn, act, pool and so on.
    counts: HashMap<String, usize>,
}

impl Names {
    /// Of the next layer. One with ways of its own comes before what is in them.
    pub fn next(&mut self, layer: &Layer) -> String {
        layer.own_name().map_or_else(|| self.numbered(layer.kind()), str::to_owned)
    }

    /// The next of this kind.
    pub fn numbered(&mut self, kind: &str) -> String {
        let count = self.counts.entry(kind.to_owned()).or_default();
        *count += 1;
        format!("{kind}{count}")
    }

    /// Of all these layers, which are next, without those in ways.
    pub fn through(&mut self, layers: &[Layer]) -> Vec<String> {
        let name = |layer: &Layer| {
            let name = self.next(layer);
            layer.ways().into_iter().for_each(|way| drop(self.through(way)));
            name
        };
        layers.iter().map(name).collect()
    }
}

struct Walk {
    rows: Vec<TableRow>,
    names: Names,
    dropout: f64,
}

impl Walk {
    fn through(&mut self, layers: &[Layer], input: Vec<i64>) -> Vec<i64> {
        layers.iter().fold(input, |shape, layer| self.step(layer, shape))
    }

    fn step(&mut self, layer: &Layer, input: Vec<i64>) -> Vec<i64> {
        let name = self.names.next(layer);
        match layer {
            Layer::Sum { main, from_input, from_previous } => {
                self.through(main, input.clone());
                self.through(from_input, INPUT_SHAPE.to_vec());
                self.through(from_previous, input.clone());
            }
            Layer::Residual { main, shortcut } => {
                self.through(main, input.clone());
                self.through(shortcut, input.clone());
            }
            Layer::Dropout(own) if own.unwrap_or(self.dropout) == 0.0 => return input,
            _ => {}
        }
        let output = layer.output(&input).unwrap_or_else(|problem| panic!("{layer:?}: {problem}"));
        let operation = self.operation(layer);
        self.push(name, operation, output, weights(layer, &input))
    }

    fn operation(&self, layer: &Layer) -> String {
        match layer {
            Layer::Conv(conv) => convolution(conv),
            Layer::Dense(dense) => format!("dense{}", no_bias(dense.bias)),
            Layer::BatchNorm(_) => "batch normalization".to_owned(),
            Layer::AvgPool(window) => pooling("average", window),
            Layer::MaxPool(window) => pooling("max", window),
            Layer::GlobalAvgPool => "global average pooling".to_owned(),
            Layer::AdaptiveAvgPool { out } => format!("average pooling to {out}x{out}"),
            Layer::Flatten => "flatten".to_owned(),
            Layer::Act(None) => "activation".to_owned(),
            Layer::Act(Some(Activation::LeakyRelu { slope })) => format!("activation leaky_relu {slope}"),
            Layer::Act(Some(own)) => format!("activation {own:?}").to_lowercase(),
            Layer::Dropout(own) => format!("dropout {}", own.unwrap_or(self.dropout)),
            Layer::Residual { .. } | Layer::Sum { .. } => "sum of branches".to_owned(),
        }
    }

    fn push(&mut self, name: String, operation: String, output: Vec<i64>, weights: Weights) -> Vec<i64> {
        let (weight, bias) =
            weights.shapes().map_or((0, 0), |(weight, bias)| (weight.iter().product(), bias.unwrap_or_default()));
        let multiply_adds: i64 = match weights {
            Weights::None | Weights::BatchNorm { .. } => 0,
            Weights::Conv { .. } => weight * output[1] * output[2],
            Weights::Dense { .. } => weight,
        };
        let parameters = weight + bias;
        self.rows.push(TableRow { name, operation, output: output.clone(), weights, parameters, multiply_adds });
        output
    }
}

fn weights(layer: &Layer, input: &[i64]) -> Weights {
    let input = input[0];
    match *layer {
        Layer::Conv(Conv { out, kernel, groups, bias, .. }) => {
            Weights::Conv { input: input / groups, output: out, kernel, bias }
        }
        Layer::Dense(ref dense) => Weights::Dense { input, output: dense.out, bias: dense.bias },
        Layer::BatchNorm(_) => Weights::BatchNorm { channels: input },
        _ => Weights::None,
    }
}

fn convolution(conv: &Conv) -> String {
    let &Conv { kernel, stride, padding, groups, bias, .. } = conv;
    format!(
        "convolution {kernel}x{kernel}{}{}{}{}",
        part(stride > 1, format!(", stride {stride}")),
        part(padding > 0, format!(", padding {padding}")),
        part(groups > 1, format!(", {groups} groups")),
        no_bias(bias)
    )
}

fn part(is_shown: bool, text: String) -> String {
    if is_shown { text } else { String::new() }
}

fn no_bias(bias: bool) -> &'static str {
    if bias { "" } else { ", no bias" }
}

fn pooling(kind: &str, &Window { kernel, stride, padding }: &Window) -> String {
    format!(
        "{kind} pooling {kernel}x{kernel}{}{}",
        part(stride != kernel, format!(", stride {stride}")),
        part(padding > 0, format!(", padding {padding}"))
    )
}
