//! The keys of an experiment file: what each takes, what it is where it is not written, and what it is for.

use std::collections::HashSet;
use std::ops::Bound::{Excluded, Included};

use super::config::{CIFAR10, SYNTHETIC};
use crate::options::*;
use crate::{networks, optimizers};

const MAX_EPOCHS: i64 = 10_000;
const MAX_STAGES: usize = 100;
const MAX_SEEDS: i64 = 1000;
const MAX_TUNING_SEEDS: i64 = 100;
const MAX_TARGETS: usize = 20;
const IMAGE_SIDE: i64 = 32;
/// Of layers, in a list.
const MAX_NAMES: usize = 500;
/// Of a part of a data set. CIFAR-10 has 50,000 to train on.
pub const MOST_IMAGES: i64 = i32::MAX as i64;
/// A sweep's trials, each counted once. A file may not spell out more combinations than this either.
pub const MAX_TRIALS: usize = 10_000;
/// Seeds are what both NumPy and PyTorch accept.
pub const MAX_SEED: i64 = u32::MAX as i64;

/// `LinearLR` divides by it: from smaller ones the rate could become infinite, or 0 times infinity.
const START_FACTOR: Takes = Takes::Number((Included(f32::MIN_POSITIVE as f64), Excluded(1.0)));
const EPOCHS: Takes = Takes::Integer(1, MAX_EPOCHS);

const NETWORKS: &str = "the network's own";

/// A configuration's keys outside `base`.
pub const BESIDE: &[Key] = &[
    key("data", Takes::Object(DATA), "").or("{}"),
    key("select", Takes::Object(SELECT), "which epoch's weights count").or("{metric: val_loss}"),
];

/// The data sets that need no import.
pub const DATASETS: &[&str] = &[CIFAR10, SYNTHETIC];
const DATASETS_SAY: &str = "synthetic images are drawn by the program; `runner data import` makes others of your own images, found by `--data`";

const DATA: &[Key] = &[
    key("dataset", Takes::ChoiceOr(DATASETS, "the name of an import"), DATASETS_SAY).or("cifar10"),
    key("train", Takes::IntegerOr("all", 1, MOST_IMAGES), "the first so many of what `val` leaves to train on")
        .or("all"),
    key("val", Takes::Integer(1, MOST_IMAGES), "images split off for validation").own("a tenth of the training part"),
    key("split_seed", SEED, "draws the validation images").or("0").torch("random_split").limit(SEED_LIMIT),
    key("scale", Takes::Choice(&["unit", "symmetric", "standardize"]), "[0, 1], [-1, 1], or by mean and deviation")
        .or("unit"),
];

const SELECT: &[Key] = &[
    key("metric", Takes::Choice(&["val_loss", "val_accuracy"]), "what is to be best"),
    key("goal", Takes::Choice(&["min", "max"]), "that of the metric").own("the metric's"),
];

/// `base`'s own keys.
pub const BASE: &[Key] = &[
    MODEL,
    ACTIVATION,
    key("pool", Takes::Choice(&["avg", "max"]), "between the convolutions; a resnet's shortcuts always take averages")
        .own(NETWORKS),
    key("init", Takes::Choice(INITS), "how kernels start; keras also zeroes the biases").or("pytorch").torch("nn.init"),
    key("start", Takes::Optional(START), "weights in a file, in place of what `init` draws").own("none"),
    key(
        "freeze",
        Takes::List(&Takes::Text, 0, MAX_NAMES),
        "layers that stay as they start, or groups such as `layer1`",
    )
    .own("[]"),
    key("epochs", EPOCHS, "passes over the training images").or("20"),
    key("batch_size", Takes::Integer(1, MOST_IMAGES), "images a step").or("64"),
    key("optimizer", Takes::Named(optimizers::VARIANTS), "how weights move").clear(),
    key("schedule", Takes::Named(SCHEDULES), "how the learning rate moves").or("constant"),
    key("warmup", Takes::Optional(WARMUP), "before constant, step, exponential or cosine").or("none").torch("LinearLR"),
    key("regularization", Takes::Object(REGULARIZATION), "penalties on kernels, and dropout").or("{}").clear(),
    key("augment", Takes::Parts(AUGMENT), "what happens to training images").or("none").clear(),
    key("label_smoothing", BELOW_ONE, "of cross-entropy, in training").or("0"),
    key("clip", Takes::OneOf(CLIP), "gradient clipping").or("none"),
    key("early_stopping", Takes::Optional(EARLY_STOPPING), "stops by the selection metric").or("none"),
];

pub const MODEL: Key = key("model", Takes::Named(&MODELS), "the network").clear();

/// The built-in networks, then the user's own.
const MODELS: [Variant; networks::VARIANTS.len() + 1] = {
    let own = variant(
        "a network of your own",
        OWN_NETWORK,
        "",
        "your own network, layer by layer; `{file: nets/small.yaml}` has both from a file, and with `without: [bn1]` or \
         `replace: {pool1: {avg_pool: 2}}` in it other layers",
    );
    let mut models = [Variant { is_own: true, ..own }; networks::VARIANTS.len() + 1];
    let mut index = 0;
    while index < networks::VARIANTS.len() {
        models[index] = networks::VARIANTS[index];
        index += 1;
    }
    models
};
const OWN_NETWORK: &[Key] = &[key("layers", Takes::Layers(1), "from [3, 32, 32] to the 10 classes")];

pub const ACTIVATION: Key =
    key("activation", Takes::Named(ACTIVATIONS), "after convolutions and hidden dense layers").own(NETWORKS).clear();

const INITS: &[&str] =
    &["pytorch", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "keras"];

pub const ACTIVATIONS: &[Variant] = &[
    variant("tanh", &[], "nn.Tanh", ""),
    variant("relu", &[], "nn.ReLU", ""),
    variant("leaky_relu", LEAKY_RELU, "nn.LeakyReLU", ""),
    variant("sigmoid", &[], "nn.Sigmoid", ""),
    variant("elu", &[], "nn.ELU", "alpha 1"),
    variant("gelu", &[], "nn.GELU", "the exact form"),
    variant("silu", &[], "nn.SiLU", ""),
];

const LEAKY_RELU: &[Key] = &[key("slope", at_most(1.0), "below zero").or("0.01").torch("negative_slope")];

const START: &[Key] = &[
    key("weights", Takes::Short(WEIGHTS), "a safetensors file beside the experiment; taken by name and shape"),
    key("except", Takes::List(&Takes::Text, 0, MAX_NAMES), "layers, or groups of them, that are drawn all the same")
        .or("[]"),
];
/// A digest stands in what is stored, where the file is not needed any more.
const WEIGHTS: &[Key] = &[
    key("file", Takes::Text, "relative to the experiment").own("none"),
    key("sha256", Takes::Text, "its digest, which decides the trials' ids").own("the file's"),
];

const SCHEDULES: &[Variant] = &[
    variant("constant", &[], "", "the optimizer's rate"),
    variant("step", STEP, "StepLR", "times `factor` every so many epochs"),
    variant("staged", STAGED, "", "one rate after another, with a fresh optimizer at each"),
    variant("exponential", EXPONENTIAL, "ExponentialLR", "times `factor` every epoch"),
    variant("cosine", COSINE, "CosineAnnealingLR", "to `min_lr` over all epochs"),
    variant("one_cycle", ONE_CYCLE, "OneCycleLR", "up to the optimizer's rate and down, by steps"),
    variant("plateau", PLATEAU, "ReduceLROnPlateau", "times `factor` when the validation loss stalls"),
];

const STEP: &[Key] = &[
    key("every", EPOCHS, "epochs").torch("step_size"),
    key("factor", FACTOR, "multiplies the rate").or("0.1").torch("gamma"),
];
const STAGED: &[Key] = &[key("stages", Takes::List(&Takes::Object(STAGE), 1, MAX_STAGES), "must cover `epochs`")];
const STAGE: &[Key] = &[key("epochs", EPOCHS, "so many at this rate"), key("lr", RATE, "learning rate")];
const EXPONENTIAL: &[Key] = &[key("factor", FACTOR, "multiplies the rate").or("0.95").torch("gamma")];
const COSINE: &[Key] = &[key("min_lr", AMOUNT, "the last rate").or("0").torch("eta_min")];
const ONE_CYCLE: &[Key] = &[
    key("pct_start", BETWEEN_ZERO_AND_ONE, "share of the steps that rises").or("0.3"),
    key("div_factor", AT_LEAST_ONE, "highest by first rate").or("25"),
    key("final_div_factor", AT_LEAST_ONE, "first by last rate").or("10000"),
];
const PLATEAU: &[Key] = &[
    key("factor", BETWEEN_ZERO_AND_ONE, "multiplies the rate").or("0.1"),
    key("patience", Takes::Integer(0, MAX_EPOCHS), "epochs without improvement").or("10"),
    key("threshold", AT_LEAST_ZERO, "what counts as improvement").or("1e-4"),
    key("min_lr", AMOUNT, "the lowest rate").or("0"),
];

const WARMUP: &[Key] = &[
    key("epochs", EPOCHS, "fewer than all").torch("total_iters"),
    key("start_factor", START_FACTOR, "share of the rate to start from").or("0.1"),
];

const REGULARIZATION: &[Key] = &[
    key("l1", AMOUNT, "adds λ·Σ|w| to the training loss").or("0"),
    key("l2", AMOUNT, "adds λ·Σw² to the training loss").or("0"),
    key("on", Takes::Choice(&["all", "conv", "conv3x3", "dense"]), "which kernels the penalties cover").or("all"),
    key("dropout", BELOW_ONE, "after every hidden dense layer").own(NETWORKS).torch("nn.Dropout(p)"),
];

const AUGMENT: &[Key] = &[
    key("flip", Takes::Flag, "left to right with probability one half").or("false"),
    key("rotation", at_most(180.0), "by at most so many degrees").or("0"),
    key("shift", at_most(0.5), "by at most this share of the side").or("0"),
    key("crop", Takes::Integer(0, IMAGE_SIDE / 2), "pads by so many pixels and crops at random").or("0"),
    key("cutout", Takes::Integer(0, IMAGE_SIDE), "side in pixels of a square of zeros").or("0"),
];

const CLIP: &[Key] = &[
    key("norm", RATE, "of all gradients together").torch("clip_grad_norm_"),
    key("value", RATE, "of each gradient").torch("clip_grad_value_"),
];

const EARLY_STOPPING: &[Key] = &[
    key("patience", EPOCHS, "epochs without improvement"),
    key("min_delta", AT_LEAST_ZERO, "what counts as improvement").or("0"),
];

/// An experiment's keys beside its configuration.
pub const SEEDS: Key =
    key("seeds", Takes::List(&SEED, 1, MAX_SEEDS as usize), "replicates: each drives all randomness of a trial")
        .or("[0]")
        .limit(SEED_LIMIT);
pub const SEED_LIMIT: &str =
    "a seed of 2^32 or more draws what its lower 32 bits draw, so that replicates would be copies";
const SEED: Takes = Takes::Integer(0, MAX_SEED);
pub const SETTLE: Key =
    key("settle", Takes::Object(MAX), "in place of `seeds`: from 0 on until every comparison is decided").own("none");
const MAX: &[Key] = &[key("max_seeds", Takes::Integer(3, MAX_SEEDS), "of a setting; twice as many of a base").or("20")];
pub const MARGIN: Key =
    key("margin", Takes::Number((Excluded(0.0), Excluded(100.0))), "points of test accuracy that matter").or("1.0");
pub const TARGETS: Key = key(
    "targets",
    Takes::List(&BETWEEN_ZERO_AND_ONE, 0, MAX_TARGETS),
    "ascending; the first epoch of each is reported",
)
.or("[0.4, 0.5, 0.6]");
pub const BLOCK_MODE: Key =
    key("mode", Takes::Choice(&["ablate", "grid", "random"]), "one change at a time, every combination, or samples")
        .or("ablate");
pub const SAMPLES: Key = key("samples", Takes::Integer(1, MAX_TRIALS as i64), "how often a random block draws");
pub const SAMPLING_SEED: Key = key("seed", SEED, "of a random block's draws").or("0");
pub const TUNING_SEEDS: Key = key("seeds", Takes::Integer(1, MAX_TUNING_SEEDS), "trials of each value").or("2");

/// What stands beside `base` in a file, and in a block beside its `base`.
pub const ON_TOP: &[&str] = &[
    "schema",
    "name",
    "description",
    "data",
    "select",
    "seeds",
    "settle",
    "margin",
    "tune",
    "targets",
    "base",
    "blocks",
];
pub const IN_BLOCKS: &[&str] = &["id", "title", "mode", "samples", "seed", "axes", "zip", "exclude", "include"];

/// The key of a configuration at a dotted path, unless that leads into a named thing.
pub fn find(path: &str) -> Option<&'static Key> {
    let named = |keys: &'static [Key], name: &str| keys.iter().find(|key| key.name == name);
    let (group, field) = split(path);
    let key = named(BESIDE, group).or_else(|| named(BASE, group))?;
    field.map_or(Some(key), |field| named(key.takes.fields(), field))
}

/// Every key that a dotted path may lead to, whatever is named there.
pub fn meanings(path: &str) -> Vec<&'static Key> {
    match split(path) {
        (group, Some(field)) => inside(group).into_iter().filter(|key| key.name == field).collect(),
        (group, None) => find(group).into_iter().collect(),
    }
}

/// Every name that may follow `group` in a dotted path.
pub fn fields(group: &str) -> Vec<&'static str> {
    let mut seen = HashSet::new();
    inside(group).into_iter().map(|key| key.name).filter(|name| seen.insert(*name)).collect()
}

fn inside(group: &str) -> Vec<&'static Key> {
    let Some(key) = find(group) else { return Vec::new() };
    match key.takes {
        Takes::Named(variants) => variants.iter().flat_map(|variant| variant.keys).collect(),
        takes => takes.fields().iter().collect(),
    }
}

/// A dotted path's first name, and what follows.
pub fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(group, field)| (group, Some(field)))
}

/// `base`'s own keys and the `others`, as a setting may name them.
pub fn setting_names(others: &[&'static str]) -> Vec<&'static str> {
    BASE.iter().map(|key| key.name).chain(others.iter().copied()).collect()
}
