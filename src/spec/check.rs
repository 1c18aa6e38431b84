//! What the user wrote → a [`Config`] in which nothing can be wrong.
//!
//! One function a key, in the order of [`Config`]; conditions between keys come last.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::{Bound, Range};

use super::agree::agree;
use super::config::*;
use super::error::Result;
use super::fields::{Fields, Slot};
use super::yaml::Node;
use crate::optimizers::{Adagrad, Adam, Adamw, Rmsprop, Sgd};

const MAX_EPOCHS: i64 = 10_000;
const MAX_WIDTH: i64 = 4096;
const MAX_DENSE_LAYERS: usize = 6;
/// Five poolings take 32 pixels to one.
const MAX_LEAKY_BLOCKS: usize = 5;
const MAX_CONVS_PER_BLOCK: i64 = 4;
const MAX_STAGES: usize = 100;
const IMAGE_SIDE: i64 = 32;

/// Seeds are what both NumPy and PyTorch accept.
pub const MAX_SEED: i64 = u32::MAX as i64;

type NumberRange = (Bound<f64>, Bound<f64>);
/// What is added to or multiplied with float32 tensors; PyTorch refuses larger numbers in the middle of a trial.
pub const FLOAT32_MAX: f64 = f32::MAX as f64;
const RATE: NumberRange = (Excluded(0.0), Included(FLOAT32_MAX));
const AMOUNT: NumberRange = (Included(0.0), Included(FLOAT32_MAX));
const AT_LEAST_ZERO: NumberRange = (Included(0.0), Unbounded);
const AT_LEAST_ONE: NumberRange = (Included(1.0), Unbounded);
/// A decay factor: above 0, at most 1.
const FACTOR: NumberRange = (Excluded(0.0), Included(1.0));
const BETWEEN_ZERO_AND_ONE: NumberRange = (Excluded(0.0), Excluded(1.0));
/// `LinearLR` divides by it: from smaller ones the rate could become infinite, or 0 times infinity.
const START_FACTOR: NumberRange = (Included(f32::MIN_POSITIVE as f64), Excluded(1.0));
/// A probability or a coefficient of a running mean.
const BELOW_ONE: Range<f64> = 0.0..1.0;

pub const DATASETS: [(&str, DatasetName); 2] =
    [("cifar10", DatasetName::Cifar10), ("synthetic", DatasetName::Synthetic)];

const SCALES: [(&str, Scale); 3] =
    [("unit", Scale::Unit), ("symmetric", Scale::Symmetric), ("standardize", Scale::Standardize)];

const POOLS: [(&str, Pool); 2] = [("avg", Pool::Avg), ("max", Pool::Max)];

const INITS: [(&str, Init); 7] = [
    ("pytorch", Init::Pytorch),
    ("xavier_uniform", Init::XavierUniform),
    ("xavier_normal", Init::XavierNormal),
    ("kaiming_uniform", Init::KaimingUniform),
    ("kaiming_normal", Init::KaimingNormal),
    ("orthogonal", Init::Orthogonal),
    ("keras", Init::Keras),
];

const KERNELS: [(&str, Kernels); 4] =
    [("all", Kernels::All), ("conv", Kernels::Conv), ("conv3x3", Kernels::Conv3x3), ("dense", Kernels::Dense)];

/// The five networks, as users write them.
pub const MODELS: [&str; 5] = ["lenet5", "lenet5_dropout", "keras_cnn", "leaky_cnn", "resnet"];
const ACTIVATIONS: [&str; 7] = ["tanh", "relu", "leaky_relu", "sigmoid", "elu", "gelu", "silu"];
const OPTIMIZERS: [&str; 5] = ["sgd", "adam", "adamw", "rmsprop", "adagrad"];
const SCHEDULES: [&str; 7] = ["constant", "step", "staged", "exponential", "cosine", "one_cycle", "plateau"];

/// The configuration that `root`, the keys of `base` with `data` and `select` beside them, describes.
pub fn config(root: &Node, mode: Mode) -> Result<Config> {
    let mut fields = Slot::new("", root).object()?;
    let model = model(fields.need("model")?)?;
    let config = Config {
        mode,
        data: fields.get("data").map_or_else(|| Ok(default_data()), data)?,
        select: fields.get("select").map_or(Ok(Select::ValLoss), select)?,
        activation: fields.get("activation").map_or_else(|| Ok(default_activation(&model)), activation)?,
        pool: fields.get("pool").map(|slot| slot.choice(&POOLS)).transpose()?.filter(|pool| *pool != model.own_pool()),
        init: fields.choice("init", Init::Pytorch, &INITS)?,
        epochs: fields.integer("epochs", 20, 1..=MAX_EPOCHS)?,
        batch_size: fields.integer("batch_size", 64, 1..=DatasetName::Cifar10.training_part() as i64)?,
        optimizer: optimizer(fields.need("optimizer")?)?,
        schedule: fields.get("schedule").map_or(Ok(Schedule::Constant), schedule)?,
        warmup: fields.get("warmup").map_or(Ok(None), warmup)?,
        regularization: regularization(fields.get("regularization"), &model)?,
        augment: fields.get("augment").map_or_else(|| Ok(Augment::default()), augment)?,
        label_smoothing: fields.number("label_smoothing", 0.0, BELOW_ONE)?,
        clip: fields.get("clip").map_or(Ok(Clip::None), clip)?,
        early_stopping: fields.get("early_stopping").map_or(Ok(None), early_stopping)?,
        model,
    };
    agree(&config, &fields)?;
    fields.finish()?;
    Ok(config)
}

fn default_data() -> Data {
    let dataset = DatasetName::Cifar10;
    Data { dataset, train: None, val: default_val(dataset), split_seed: 0, scale: Scale::Unit }
}

fn default_val(dataset: DatasetName) -> usize {
    dataset.training_part() / 10
}

fn data(slot: Slot) -> Result<Data> {
    let mut fields = slot.object()?;
    let dataset = fields.choice("dataset", DatasetName::Cifar10, &DATASETS)?;
    let largest = DatasetName::Cifar10.training_part() as i64;
    let train = match fields.get("train") {
        Some(slot) if slot.node.text() == Some("all") => None,
        Some(slot) => Some(slot.integer(1..=largest)?),
        None => None,
    };
    let data = Data {
        dataset,
        train,
        val: fields.integer("val", default_val(dataset), 1..=largest)?,
        split_seed: fields.integer("split_seed", 0, 0..=MAX_SEED)?,
        scale: fields.choice("scale", Scale::Unit, &SCALES)?,
    };
    split_fits(&data, &slot, &fields)?;
    fields.finish()?;
    Ok(data)
}

/// Training and validation images must come from one training part, which `--dataset` may have made smaller.
fn split_fits(data: &Data, slot: &Slot, fields: &Fields) -> Result<()> {
    let there = data.dataset.training_part();
    let train = data.train.unwrap_or(1);
    if train + data.val <= there {
        return Ok(());
    }
    let chosen = slot.node.field("dataset").filter(|node| node.at.line == 0);
    let chosen = chosen.map_or(String::new(), |node| format!("; {} chose it", node.at.source));
    let wanted = match data.train {
        Some(train) => format!("{train} to train on and {} for validation", data.val),
        None => format!("{} for validation and at least one to train on", data.val),
    };
    let dataset = DATASETS.iter().find(|(_, dataset)| *dataset == data.dataset).map_or("", |(name, _)| name);
    let problem = format!("{wanted} are more than the {there} training images of {dataset}{chosen}");
    let key = if data.train.is_some() && slot.node.field("val").is_none() { "train" } else { "val" };
    Err(fields.blame(key, problem))
}

fn select(slot: Slot) -> Result<Select> {
    let mut fields = slot.object()?;
    let select =
        fields.need("metric")?.choice(&[("val_loss", Select::ValLoss), ("val_accuracy", Select::ValAccuracy)])?;
    let goal = fields.choice("goal", select, &[("min", Select::ValLoss), ("max", Select::ValAccuracy)])?;
    if goal != select {
        return Err(fields.blame("goal", "val_loss is to be min, val_accuracy is to be max"));
    }
    fields.finish()?;
    Ok(select)
}

fn model(slot: Slot) -> Result<Model> {
    let (name, mut fields) = slot.named()?;
    let model = match name.text()? {
        "lenet5" => Model::Lenet5 {
            channels: widths(&mut fields, "channels", &[6, 16], 1, 2)?,
            dense: dense(&mut fields, &[120, 84])?,
        },
        "lenet5_dropout" => Model::Lenet5Dropout {
            channels: widths(&mut fields, "channels", &[6, 16], 1, 2)?,
            dense: dense(&mut fields, &[120, 84])?,
        },
        "keras_cnn" => Model::KerasCnn {
            channels: widths(&mut fields, "channels", &[32, 64, 128], 3, 3)?,
            dense: dense(&mut fields, &[128])?,
        },
        "leaky_cnn" => Model::LeakyCnn {
            channels: widths(&mut fields, "channels", &[32, 64], 1, MAX_LEAKY_BLOCKS)?,
            convs_per_block: fields.integer("convs_per_block", 1, 1..=MAX_CONVS_PER_BLOCK)?,
            dense: dense(&mut fields, &[128])?,
        },
        "resnet" => Model::Resnet {
            channels: widths(&mut fields, "channels", &[64, 128, 256, 512, 512], 5, 5)?,
            dense: dense(&mut fields, &[1024, 1024, 256])?,
        },
        other => return Err(name.no_such(other, MODELS.into_iter())),
    };
    fields.finish()?;
    Ok(model)
}

fn dense(fields: &mut Fields, default: &[i64]) -> Result<Vec<i64>> {
    widths(fields, "dense", default, 0, MAX_DENSE_LAYERS)
}

fn widths(
    fields: &mut Fields,
    key: &'static str,
    default: &[i64],
    shortest: usize,
    longest: usize,
) -> Result<Vec<i64>> {
    match fields.get(key) {
        Some(slot) => slot.list_of(shortest..=longest)?.iter().map(|item| item.integer(1..=MAX_WIDTH)).collect(),
        None => Ok(default.to_vec()),
    }
}

fn default_activation(model: &Model) -> Activation {
    match model {
        Model::Lenet5 { .. } => Activation::Tanh,
        _ => Activation::Relu,
    }
}

fn activation(slot: Slot) -> Result<Activation> {
    let (name, mut fields) = slot.named()?;
    let activation = match name.text()? {
        "tanh" => Activation::Tanh,
        "relu" => Activation::Relu,
        "leaky_relu" => Activation::LeakyRelu { slope: fields.number("slope", 0.01, 0.0..=1.0)? },
        "sigmoid" => Activation::Sigmoid,
        "elu" => Activation::Elu,
        "gelu" => Activation::Gelu,
        "silu" => Activation::Silu,
        other => return Err(name.no_such(other, ACTIVATIONS.into_iter())),
    };
    fields.finish()?;
    Ok(activation)
}

fn optimizer(slot: Slot) -> Result<Optimizer> {
    let (name, mut fields) = slot.named()?;
    let optimizer = match name.text()? {
        "sgd" => sgd(&mut fields)?,
        "adam" => Optimizer::Adam(Adam {
            lr: fields.number("lr", 0.001, RATE)?,
            betas: betas(&mut fields)?,
            eps: fields.number("eps", 1e-8, AMOUNT)?,
            weight_decay: fields.number("weight_decay", 0.0, AMOUNT)?,
            amsgrad: fields.flag("amsgrad")?,
        }),
        "adamw" => Optimizer::Adamw(Adamw(Adam {
            lr: fields.number("lr", 0.001, RATE)?,
            betas: betas(&mut fields)?,
            eps: fields.number("eps", 1e-8, AMOUNT)?,
            weight_decay: fields.number("weight_decay", 0.01, AMOUNT)?,
            amsgrad: fields.flag("amsgrad")?,
        })),
        "rmsprop" => Optimizer::Rmsprop(Rmsprop {
            lr: fields.number("lr", 0.01, RATE)?,
            alpha: fields.number("alpha", 0.99, BELOW_ONE)?,
            eps: fields.number("eps", 1e-8, AMOUNT)?,
            weight_decay: fields.number("weight_decay", 0.0, AMOUNT)?,
            momentum: fields.number("momentum", 0.0, BELOW_ONE)?,
            centered: fields.flag("centered")?,
        }),
        "adagrad" => Optimizer::Adagrad(Adagrad {
            lr: fields.number("lr", 0.01, RATE)?,
            lr_decay: fields.number("lr_decay", 0.0, AMOUNT)?,
            weight_decay: fields.number("weight_decay", 0.0, AMOUNT)?,
            initial_accumulator_value: fields.number("initial_accumulator_value", 0.0, AMOUNT)?,
            eps: fields.number("eps", 1e-10, AMOUNT)?,
        }),
        other => return Err(name.no_such(other, OPTIMIZERS.into_iter())),
    };
    fields.finish()?;
    Ok(optimizer)
}

fn sgd(fields: &mut Fields) -> Result<Optimizer> {
    let lr = fields.number("lr", 0.001, RATE)?;
    let momentum = fields.number("momentum", 0.0, BELOW_ONE)?;
    let dampening = fields.number("dampening", 0.0, 0.0..=1.0)?;
    let nesterov = fields.flag("nesterov")?;
    let weight_decay = fields.number("weight_decay", 0.0, AMOUNT)?;
    if nesterov && (momentum == 0.0 || dampening != 0.0) {
        return Err(fields.blame("nesterov", "needs a momentum above 0 and dampening 0"));
    }
    if momentum == 0.0 && dampening != 0.0 {
        return Err(fields.blame("dampening", "does nothing without momentum"));
    }
    Ok(Optimizer::Sgd(Sgd { lr, momentum, dampening, nesterov, weight_decay }))
}

fn betas(fields: &mut Fields) -> Result<[f64; 2]> {
    let Some(slot) = fields.get("betas") else { return Ok([0.9, 0.999]) };
    let items = slot.list_of(2..=2)?;
    Ok([items[0].number(BELOW_ONE)?, items[1].number(BELOW_ONE)?])
}

fn schedule(slot: Slot) -> Result<Schedule> {
    let (name, mut fields) = slot.named()?;
    let schedule = match name.text()? {
        "constant" => Schedule::Constant,
        "step" => Schedule::Step {
            every: fields.need("every")?.integer(1..=MAX_EPOCHS)?,
            factor: fields.number("factor", 0.1, FACTOR)?,
        },
        "staged" => Schedule::Staged {
            stages: fields.need("stages")?.list_of(1..=MAX_STAGES)?.iter().map(stage).collect::<Result<_>>()?,
        },
        "exponential" => Schedule::Exponential { factor: fields.number("factor", 0.95, FACTOR)? },
        "cosine" => Schedule::Cosine { min_lr: fields.number("min_lr", 0.0, AMOUNT)? },
        "one_cycle" => Schedule::OneCycle {
            pct_start: fields.number("pct_start", 0.3, BETWEEN_ZERO_AND_ONE)?,
            div_factor: fields.number("div_factor", 25.0, AT_LEAST_ONE)?,
            final_div_factor: fields.number("final_div_factor", 10_000.0, AT_LEAST_ONE)?,
        },
        "plateau" => Schedule::Plateau {
            factor: fields.number("factor", 0.1, BETWEEN_ZERO_AND_ONE)?,
            patience: fields.integer("patience", 10, 0..=MAX_EPOCHS)?,
            threshold: fields.number("threshold", 1e-4, AT_LEAST_ZERO)?,
            min_lr: fields.number("min_lr", 0.0, AMOUNT)?,
        },
        other => return Err(name.no_such(other, SCHEDULES.into_iter())),
    };
    fields.finish()?;
    Ok(schedule)
}

fn stage(slot: &Slot) -> Result<Stage> {
    let mut fields = slot.object()?;
    let stage = Stage { epochs: fields.need("epochs")?.integer(1..=MAX_EPOCHS)?, lr: fields.need("lr")?.number(RATE)? };
    fields.finish()?;
    Ok(stage)
}

fn warmup(slot: Slot) -> Result<Option<Warmup>> {
    let Some(mut fields) = slot.optional()? else { return Ok(None) };
    let warmup = Warmup {
        epochs: fields.need("epochs")?.integer(1..=MAX_EPOCHS)?,
        start_factor: fields.number("start_factor", 0.1, START_FACTOR)?,
    };
    fields.finish()?;
    Ok(Some(warmup))
}

fn regularization(slot: Option<Slot>, model: &Model) -> Result<Regularization> {
    let dropout = default_dropout(model);
    let Some(slot) = slot else { return Ok(Regularization { l1: 0.0, l2: 0.0, on: Kernels::All, dropout }) };
    let mut fields = slot.object()?;
    let regularization = Regularization {
        l1: fields.number("l1", 0.0, AMOUNT)?,
        l2: fields.number("l2", 0.0, AMOUNT)?,
        on: fields.choice("on", Kernels::All, &KERNELS)?,
        dropout: fields.number("dropout", dropout, BELOW_ONE)?,
    };
    if regularization.dropout > 0.0 && hidden_dense(model).is_empty() {
        return Err(fields.blame("dropout", "follows hidden dense layers, and model.dense has none"));
    }
    if regularization.on == Kernels::Conv3x3 && matches!(model, Model::Lenet5 { .. } | Model::Lenet5Dropout { .. }) {
        return Err(fields.blame("on", "this model has no 3x3 kernel; keras_cnn, leaky_cnn and resnet have"));
    }
    fields.finish()?;
    Ok(regularization)
}

/// The architecture's own dropout; none where there is no hidden dense layer to follow.
fn default_dropout(model: &Model) -> f64 {
    match model {
        _ if hidden_dense(model).is_empty() => 0.0,
        Model::Lenet5Dropout { .. } => 0.2,
        Model::KerasCnn { .. } => 0.25,
        Model::Resnet { .. } => 0.3,
        Model::Lenet5 { .. } | Model::LeakyCnn { .. } => 0.0,
    }
}

fn hidden_dense(model: &Model) -> &[i64] {
    match model {
        Model::Lenet5 { dense, .. }
        | Model::Lenet5Dropout { dense, .. }
        | Model::KerasCnn { dense, .. }
        | Model::LeakyCnn { dense, .. }
        | Model::Resnet { dense, .. } => dense,
    }
}

fn augment(slot: Slot) -> Result<Augment> {
    let Some(mut fields) = slot.optional()? else { return Ok(Augment::default()) };
    let augment = Augment {
        flip: fields.flag("flip")?,
        rotation: fields.number("rotation", 0.0, 0.0..=180.0)?,
        shift: fields.number("shift", 0.0, 0.0..=0.5)?,
        crop: fields.integer("crop", 0, 0..=IMAGE_SIDE / 2)?,
        cutout: fields.integer("cutout", 0, 0..=IMAGE_SIDE)?,
    };
    fields.finish()?;
    Ok(augment)
}

fn clip(slot: Slot) -> Result<Clip> {
    let Some(mut fields) = slot.optional()? else { return Ok(Clip::None) };
    let clip = match (fields.get("norm"), fields.get("value")) {
        (Some(norm), None) => Clip::Norm(norm.number(RATE)?),
        (None, Some(value)) => Clip::Value(value.number(RATE)?),
        (Some(_), Some(_)) => return Err(slot.error("norm and value exclude each other")),
        (None, None) => {
            fields.finish()?;
            return Err(slot.error("expected none, {norm: x} or {value: x}"));
        }
    };
    fields.finish()?;
    Ok(clip)
}

fn early_stopping(slot: Slot) -> Result<Option<EarlyStopping>> {
    let Some(mut fields) = slot.optional()? else { return Ok(None) };
    let early_stopping = EarlyStopping {
        patience: fields.need("patience")?.integer(1..=MAX_EPOCHS)?,
        min_delta: fields.number("min_delta", 0.0, AT_LEAST_ZERO)?,
    };
    fields.finish()?;
    Ok(Some(early_stopping))
}
