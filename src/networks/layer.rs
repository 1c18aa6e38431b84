//! One step of a network, as own networks are stored, and what it makes of a shape.

use serde::{Deserialize, Serialize};

/// One step of a network. Shapes are without the batch: [C, H, W] before `Flatten`, [F] after it.
///
/// Those of own networks are part of a trial's id: what comes later has a default and is left out where it has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Conv(Conv),
    BatchNorm(BatchNorm),
    /// Its own activation, or else the configured one.
    Act(Option<Activation>),
    MaxPool(Window),
    AvgPool(Window),
    /// `nn.AdaptiveAvgPool2d(1)`
    GlobalAvgPool,
    /// `nn.AdaptiveAvgPool2d(out)`
    AdaptiveAvgPool {
        out: i64,
    },
    Flatten,
    Dense(Dense),
    /// Its own probability, or else the configured one.
    Dropout(Option<f64>),
    /// `main(h) + shortcut(h)`; an empty way is the identity.
    Residual {
        main: Vec<Layer>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<Layer>,
    },
    /// `main(h) + (from_input(x) + from_previous(h))`, where x is the image and h what the layers before gave.
    /// An empty `from_previous` is left out of the sum.
    #[serde(skip)]
    Sum {
        main: Vec<Layer>,
        from_input: Vec<Layer>,
        from_previous: Vec<Layer>,
    },
}

/// `nn.Conv2d(in, out, kernel, stride, padding, groups=groups, bias=bias)`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    pub out: i64,
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    pub groups: i64,
    pub bias: bool,
    /// In the state dict, where it is not numbered: `conv1`, `conv2`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A built-in network's 1×1 shortcut: `skip1`, `skip2`, ...
    #[serde(skip)]
    pub is_shortcut: bool,
}

/// `nn.BatchNorm2d(eps=eps, momentum=momentum)`, after `Flatten` `nn.BatchNorm1d`: `bn1`, `bn2`, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    pub eps: f64,
    pub momentum: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `nn.Linear(in, out, bias=bias)`: `fc1`, `fc2`, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    pub out: i64,
    pub bias: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Of a pooling: square, its sides rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
}

/// The nonlinearity after every convolution and hidden dense layer that has one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Activation {
    Tanh,
    Relu,
    /// `nn.LeakyReLU(slope)`
    LeakyRelu {
        slope: f64,
    },
    Sigmoid,
    /// `nn.ELU()`, alpha 1.
    Elu,
    /// `nn.GELU()`, the exact (erf) form.
    Gelu,
    Silu,
}

impl Layer {
    /// The name that it was given, which only layers with tensors can have.
    pub fn own_name(&self) -> Option<&str> {
        match self {
            Layer::Conv(Conv { name, .. })
            | Layer::Dense(Dense { name, .. })
            | Layer::BatchNorm(BatchNorm { name, .. }) => name.as_deref(),
            _ => None,
        }
    }

    /// What begins its name where it was given none.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Conv(conv) if conv.is_shortcut => "skip",
            Layer::Conv(_) => "conv",
            Layer::BatchNorm(_) => "bn",
            Layer::Dense(_) => "fc",
            Layer::Act(_) => "act",
            Layer::MaxPool(_) | Layer::AvgPool(_) | Layer::GlobalAvgPool | Layer::AdaptiveAvgPool { .. } => "pool",
            Layer::Flatten => "flatten",
            Layer::Dropout(_) => "dropout",
            Layer::Residual { .. } => "residual",
            Layer::Sum { .. } => "sum",
        }
    }

    /// Whether it has a place in the state dict.
    pub fn holds_tensors(&self) -> bool {
        matches!(self, Layer::Conv(_) | Layer::BatchNorm(_) | Layer::Dense(_))
    }

    /// The layers in it, in the order of construction.
    pub fn ways(&self) -> Vec<&[Layer]> {
        match self {
            Layer::Residual { main, shortcut } => vec![main, shortcut],
            Layer::Sum { main, from_input, from_previous } => vec![main, from_input, from_previous],
            _ => vec![],
        }
    }

    /// The same without the names that it and those in it were given.
    pub fn nameless(&self) -> Layer {
        let all = |layers: &[Layer]| layers.iter().map(Layer::nameless).collect();
        match self.clone() {
            Layer::Conv(conv) => Layer::Conv(Conv { name: None, ..conv }),
            Layer::BatchNorm(norm) => Layer::BatchNorm(BatchNorm { name: None, ..norm }),
            Layer::Dense(dense) => Layer::Dense(Dense { name: None, ..dense }),
            Layer::Residual { main, shortcut } => Layer::Residual { main: all(&main), shortcut: all(&shortcut) },
            other => other,
        }
    }

    /// The shape that it makes of one, unless it does not fit, and why. A layer with ways of its own has the shape of its first.
    pub fn output(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        match self {
            Layer::Conv(conv) => conv.output(sides(input)?),
            Layer::MaxPool(window) | Layer::AvgPool(window) => {
                let [channels, height, width] = sides(input)?;
                let side = |side| steps(side, window.kernel, window.stride, window.padding, input);
                Ok(vec![channels, side(height)?, side(width)?])
            }
            Layer::GlobalAvgPool => Ok(vec![sides(input)?[0], 1, 1]),
            &Layer::AdaptiveAvgPool { out } => Ok(vec![sides(input)?[0], out, out]),
            Layer::Flatten => sides(input).map(|sides| vec![sides.iter().product()]),
            Layer::Dense(dense) if input.len() == 1 => Ok(vec![dense.out]),
            Layer::Dense(_) => Err(format!("its input is {}; `flatten` goes before it", shape_text(input))),
            Layer::Residual { main: way, .. } | Layer::Sum { main: way, .. } => {
                way.iter().try_fold(input.to_vec(), |shape, layer| layer.output(&shape))
            }
            Layer::BatchNorm(_) | Layer::Act(_) | Layer::Dropout(_) => Ok(input.to_vec()),
        }
    }
}

impl Conv {
    fn output(&self, [channels, height, width]: [i64; 3]) -> Result<Vec<i64>, String> {
        let &Conv { out, kernel, stride, padding, groups, .. } = self;
        if channels % groups != 0 || out % groups != 0 {
            return Err(format!("{channels} channels to {out} cannot be split into {groups} groups"));
        }
        let side = |side| steps(side, kernel, stride, padding, &[channels, height, width]);
        Ok(vec![out, side(height)?, side(width)?])
    }
}

/// Channels, height and width.
fn sides(input: &[i64]) -> Result<[i64; 3], String> {
    input.try_into().map_err(|_| format!("its input is flat already, {} numbers", shape_text(input)))
}

/// How often a window fits along a side.
fn steps(side: i64, kernel: i64, stride: i64, padding: i64, input: &[i64]) -> Result<i64, String> {
    let free = side + 2 * padding - kernel;
    if free < 0 {
        let padded = if padding > 0 { format!(" with {padding} around it") } else { String::new() };
        return Err(format!("{kernel}×{kernel} does not fit its input, {}{padded}", shape_text(input)));
    }
    Ok(free / stride + 1)
}

/// `64×8×8`
pub fn shape_text(shape: &[i64]) -> String {
    shape.iter().map(i64::to_string).collect::<Vec<_>>().join("×")
}

/// The activation that is configured.
pub const ACT: Layer = Layer::Act(None);

pub fn conv(out: i64, kernel: i64) -> Layer {
    Layer::Conv(plain(out, kernel))
}

/// Padded so that the sides stay as they are.
pub fn conv_padded(out: i64, kernel: i64) -> Layer {
    Layer::Conv(Conv { padding: kernel / 2, ..plain(out, kernel) })
}

pub fn shortcut(out: i64) -> Layer {
    Layer::Conv(Conv { is_shortcut: true, ..plain(out, 1) })
}

fn plain(out: i64, kernel: i64) -> Conv {
    Conv { out, kernel, stride: 1, padding: 0, groups: 1, bias: true, name: None, is_shortcut: false }
}

/// Windows that touch each other.
pub fn tiles(side: i64) -> Window {
    Window { kernel: side, stride: side, padding: 0 }
}

/// With Keras' defaults; PyTorch's convention for its momentum 0.99 is 0.01.
pub fn keras_batch_norm() -> Layer {
    Layer::BatchNorm(BatchNorm { eps: 1e-3, momentum: 0.01, name: None })
}

pub fn dense(out: i64) -> Layer {
    Layer::Dense(Dense { out, bias: true, name: None })
}
