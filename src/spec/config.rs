//! The configuration of one trial, fully resolved: every default is filled in and every value is in range.
//!
//! `check.rs` is the only maker of a [`Config`] from a user's file, so after it nothing here can be wrong; `keys.rs` has the
//! ranges and the defaults.
//! The serialized form (JSON, keys in this order) is what a trial's id hashes and what `config.json` stores.
//!
//! A new key must not change the id of a configuration that does not use it, nor make a stored trial, manifest or checkpoint
//! unreadable: it has a serde default and is not written where it has it
//! (`#[serde(default, skip_serializing_if = ...)]`). `tests/program/stored` has files of earlier versions.

use serde::{Deserialize, Serialize};

use super::start::is_in;
pub use super::start::{Start, WeightsFile};
pub use crate::networks::{Activation, Model, Pool};
use crate::networks::{Layer, Table, Weights, table};

pub use crate::optimizers::Optimizer;

pub const CIFAR10: &str = "cifar10";
pub const SYNTHETIC: &str = "synthetic";

/// The words by which users call the members of an enum.
macro_rules! words {
    ($name:ident { $($member:ident: $word:literal),* }) => {
        impl $name {
            /// As users write it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$member => $word),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$member),)*
                    _ => Err(format!("valid: {}", [$($word),*].join(", "))),
                }
            }
        }
    };
}

/// Everything that decides a trial's numbers but its seed, the device and the thread count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub mode: Mode,
    pub data: Data,
    pub select: Select,
    pub model: Model,
    pub activation: Activation,
    /// None where it is the network's own, so that a written default is no other configuration: see [`Config::pooling`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    pub init: Init,
    /// Weights that take the place of those that `init` draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Layers, or what the names of several have before a dot, whose tensors training leaves as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    pub epochs: usize,
    /// Images a step. The last batch of an epoch may be smaller; it is kept.
    pub batch_size: usize,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    pub warmup: Option<Warmup>,
    pub regularization: Regularization,
    pub augment: Augment,
    /// Reported losses are smoothed only in training.
    pub label_smoothing: f64,
    pub clip: Clip,
    pub early_stopping: Option<EarlyStopping>,
}

impl Config {
    /// Between the convolutions; a resnet's shortcuts always take averages. An own network's layers say it themselves.
    pub fn pooling(&self) -> Option<Pool> {
        self.pool.or(self.model.pool())
    }

    /// [N, 3, 32, 32] → logits [N, C], of as many classes as the data set has.
    pub fn layers(&self) -> Vec<Layer> {
        self.model.layers(self.pool, self.data.dataset.classes())
    }

    /// Whether training leaves the layer of this name as it is.
    pub fn freezes(&self, layer: &str) -> bool {
        is_in(layer, &self.freeze)
    }

    /// The layer table of its network.
    pub fn table(&self) -> Table {
        table(&self.layers(), self.regularization.dropout)
    }
}

/// Which arithmetic a trial used; part of its id, because the same trial has other results in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// PyTorch 2.11.0's operations and random streams, bit for bit on the CPU.
    #[default]
    Exact,
    /// Whatever memory layout and grouping is quickest, within tolerances of `Exact`.
    Fast,
    /// `Fast`, with TensorFloat-32 inside convolutions and matrix products, evaluations included: float32 with 10 bits of
    /// mantissa. GPUs only.
    FastTf32,
    /// `Fast`, with the forward and backward pass of a training step in bfloat16 as `torch.autocast` does it: 7 bits of
    /// mantissa. Weights, losses, the optimizer and every evaluation stay in float32.
    FastBf16,
}

words!(Mode { Exact: "exact", Fast: "fast", FastTf32: "fast-tf32", FastBf16: "fast-bf16" });

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    pub dataset: DatasetName,
    /// How many images of the training part to train on, the first of it; `None` means all that `val` leaves.
    pub train: Option<usize>,
    /// Images split off for validation.
    pub val: usize,
    /// Seeds the split: `random_split(train_set, [N - val, val], generator=torch.Generator().manual_seed(split_seed))`.
    pub split_seed: u64,
    pub scale: Scale,
}

impl Data {
    /// Images that a trial trains on.
    pub fn training_images(&self) -> usize {
        self.train.unwrap_or(self.dataset.training_part() - self.val)
    }
}

/// Which images, with all that has to be known of them before they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetName {
    /// 50,000 training and 10,000 test images in ten classes. Krizhevsky 2009.
    Cifar10,
    /// 5,000 training and 1,000 test images, drawn by this program. Results say so everywhere.
    Synthetic,
    /// What `runner data import` made.
    #[serde(untagged)]
    Imported(Imported),
}

/// Images of the user's own, as their manifest describes them. Whatever they are called, the checksum says which they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub name: String,
    /// Of all records, training before test.
    pub sha256: String,
    /// Images in the training part, before validation is split off.
    pub train: usize,
    pub test: usize,
    /// In the order of the labels.
    pub classes: Vec<String>,
}

impl DatasetName {
    /// As users write it.
    pub fn as_str(&self) -> &str {
        match self {
            DatasetName::Cifar10 => CIFAR10,
            DatasetName::Synthetic => SYNTHETIC,
            DatasetName::Imported(own) => &own.name,
        }
    }

    /// Images in the training part, before validation is split off.
    pub fn training_part(&self) -> usize {
        match self {
            DatasetName::Cifar10 => 50_000,
            DatasetName::Synthetic => 5_000,
            DatasetName::Imported(own) => own.train,
        }
    }

    /// Images in the test part.
    pub fn test_part(&self) -> usize {
        match self {
            DatasetName::Cifar10 => 10_000,
            DatasetName::Synthetic => 1_000,
            DatasetName::Imported(own) => own.test,
        }
    }

    /// How many there are; labels are below it.
    pub fn classes(&self) -> usize {
        match self {
            DatasetName::Cifar10 | DatasetName::Synthetic => 10,
            DatasetName::Imported(own) => own.classes.len(),
        }
    }
}

/// How the bytes of an image become floats, in float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// `x / 255`, in [0, 1].
    Unit,
    /// `(x / 255 - 0.5) / 0.5`, in [-1, 1].
    Symmetric,
    /// `(x / 255 - mean) / std` with each channel's mean and population standard deviation over all images that are
    /// trained on, computed in float64 from the bytes and rounded to float32 once.
    Standardize,
}

/// Which epoch's weights a trial keeps; ties go to the earlier epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// `{metric: val_loss, goal: min}`
    ValLoss,
    /// `{metric: val_accuracy, goal: max}`
    ValAccuracy,
}

/// How kernels and biases start. The model is first built with PyTorch's defaults, in the order its layers are
/// declared (weight, then bias), which draws from the default generator; every other choice then redraws the kernels of
/// convolution and dense layers in that order. All but `Keras` leave the biases as PyTorch drew them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// `kaiming_uniform_(a=sqrt(5))`; biases U(±1/sqrt(fan_in)).
    Pytorch,
    /// `nn.init.xavier_uniform_(w)`
    XavierUniform,
    /// `nn.init.xavier_normal_(w)`
    XavierNormal,
    /// `nn.init.kaiming_uniform_(w, a, nonlinearity="leaky_relu")` with `a` the LeakyReLU slope; otherwise `nonlinearity="relu"`.
    KaimingUniform,
    /// As `KaimingUniform`, with `kaiming_normal_`.
    KaimingNormal,
    /// `nn.init.orthogonal_(w)`
    Orthogonal,
    /// Keras' default: `xavier_uniform_` kernels and zero biases.
    Keras,
}

/// How the learning rate moves, as `torch.optim.lr_scheduler` computes it (the chained form, in float64).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Schedule {
    Constant,
    /// `StepLR(step_size=every, gamma=factor)`
    Step {
        every: usize,
        factor: f64,
    },
    /// The stages' rates one after another; a fresh optimizer (no moments) at each stage. They must cover `epochs`.
    Staged {
        stages: Vec<Stage>,
    },
    /// `ExponentialLR(gamma=factor)`
    Exponential {
        factor: f64,
    },
    /// `CosineAnnealingLR(T_max=epochs, eta_min=min_lr)`. With a warm-up, T_max = epochs - warm-up epochs.
    Cosine {
        min_lr: f64,
    },
    /// `OneCycleLR(max_lr, total_steps=every step, pct_start, div_factor, final_div_factor, cycle_momentum=False)`, stepped
    /// after every batch; max_lr is the optimizer's lr.
    OneCycle {
        pct_start: f64,
        div_factor: f64,
        final_div_factor: f64,
    },
    /// `ReduceLROnPlateau(mode="min", factor, patience, threshold, min_lr)` fed with the validation loss.
    Plateau {
        factor: f64,
        patience: usize,
        threshold: f64,
        min_lr: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub epochs: usize,
    pub lr: f64,
}

/// `SequentialLR([LinearLR(start_factor, total_iters=epochs), main], milestones=[epochs])`, stepped once an epoch.
/// With the schedule constant, main is `ConstantLR(factor=1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    pub epochs: usize,
    pub start_factor: f64,
}

/// Penalties and dropout. Penalties cover convolution and dense kernels, never biases or BatchNorm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regularization {
    pub l1: f64,
    pub l2: f64,
    pub on: Kernels,
    /// After the activation of every hidden dense layer; of an own network, where a layer says so.
    pub dropout: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernels {
    All,
    Conv,
    Conv3x3,
    Dense,
}

impl Kernels {
    /// Whether a penalty on these kernels is one on a layer with `weights`.
    pub fn covers(self, weights: Weights) -> bool {
        match weights {
            Weights::Conv { kernel, .. } => match self {
                Kernels::All | Kernels::Conv => true,
                Kernels::Conv3x3 => kernel == 3,
                Kernels::Dense => false,
            },
            Weights::Dense { .. } => matches!(self, Kernels::All | Kernels::Dense),
            Weights::None | Weights::BatchNorm { .. } => false,
        }
    }
}

/// What happens to a training batch, in this order: flip, rotation and shift in one bilinear sampling with repeated edges,
/// then the padded crop, then cutout. Zero or false switches a part off; `augment: none` is all of them off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Mirror left to right with probability one half.
    pub flip: bool,
    /// By U(-rotation, rotation) degrees.
    pub rotation: f64,
    /// By U(-shift, shift) of the image's side in each axis.
    pub shift: f64,
    /// Pad by this many zero pixels on each side and crop 32×32 at a random place.
    pub crop: i64,
    /// Zero a square of this side at a random centre. DeVries and Taylor 2017.
    pub cutout: i64,
}

/// Gradient clipping before the optimizer's step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    None,
    /// `clip_grad_norm_(parameters, norm)`
    Norm(f64),
    /// `clip_grad_value_(parameters, value)`
    Value(f64),
}

/// Stop when the selection metric has not improved by more than `min_delta` for `patience` epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    pub patience: usize,
    pub min_delta: f64,
}
