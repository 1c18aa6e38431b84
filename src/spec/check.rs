//! What the user wrote → a [`Config`] in which nothing can be wrong.

use serde_json::Value as Json;

use super::advice::{closest, number_text};
use super::config::*;
use super::error::{InputError, Mistakes, Result, all};
use super::fields::{typed, written};
use super::keys::{ACTIVATION, BASE, BESIDE, DATASETS, MODEL};
use super::overrides::{Imports, Overrides};
use super::slot::Slot;
use super::yaml::Node;
use super::{layers, starting};
use crate::networks::{self, TableRow, Weights};

/// The configuration that `root`, the keys of `base` with `data` and `select` beside them, describes.
pub fn config(root: &Node, overrides: &Overrides) -> Result<Config> {
    let config = computable(root, overrides)?;
    rates_that_fall(&config, &Slot::new("", root)).map(|()| config)
}

/// The same, where it need only be one that can be computed: earlier versions stored others than a file may now ask for.
pub fn computable(root: &Node, overrides: &Overrides) -> Result<Config> {
    let slot = Slot::new("", root);
    let mut mistakes = Mistakes::default();
    let dataset = mistakes.keep(dataset(&slot, &overrides.imports));
    let classes = dataset.as_ref().unwrap_or(&DatasetName::Cifar10).classes();
    let json = mistakes.keep(values(&slot, classes));
    let (mut json, dataset) = mistakes.end(json.zip(dataset))?;
    json["data"]["dataset"] = serde_json::to_value(&dataset).expect("names and counts are JSON");
    json["mode"] = overrides.mode.as_str().into();
    let goal = goal(&json["select"], &slot);
    json["select"] = json["select"]["metric"].take();
    let model: Model = typed(json["model"].clone());
    let mut fill_in = |place: &str, own: &dyn Fn() -> Json| {
        let value = json.pointer_mut(place).expect("every key has a value");
        if value.is_null() {
            *value = own();
        }
    };
    fill_in("/data/val", &|| (dataset.training_part() / 10).max(1).into());
    fill_in("/activation", &|| written(&ACTIVATION, model.activation()));
    fill_in("/regularization/dropout", &|| model.dropout().into());
    fill_in("/freeze", &|| Json::Array(vec![]));
    starting::with_digest(&json["start"], &slot)?;
    let config: Config = typed(json);
    let pool = config.pool.filter(|pool| Some(*pool) != model.pool());
    let config = Config { pool, ..config };
    let of_images = RULES_OF_IMAGES.iter().try_for_each(|rule| rule(&config, &slot));
    all::<(), ()>(RULES.iter().map(|rule| rule(&config, &slot)).chain([goal, of_images])).map(|()| config)
}

/// The data set that is named, which may be an import.
fn dataset(root: &Slot, imports: &Imports) -> Result<DatasetName> {
    let named = root.node.field("data").and_then(|data| data.field("dataset"));
    // What is no text is refused with the other values.
    let Some((node, name)) = named.and_then(|node| Some((node, node.text()?))) else { return Ok(DatasetName::Cifar10) };
    let slot = Slot::new("data.dataset", node);
    match name {
        CIFAR10 => return Ok(DatasetName::Cifar10),
        SYNTHETIC => return Ok(DatasetName::Synthetic),
        _ => {}
    }
    let (found, names) =
        imports.named(name).and_then(|found| Ok((found, imports.names()?))).map_err(|why| slot.error(why))?;
    found.ok_or_else(|| {
        let valid = [DATASETS, &names].concat();
        let known = slot.no_such(name, &valid);
        let hint = match imports.folder() {
            _ if closest(name, &valid).is_some() => String::new(),
            None => "; images of your own: `runner data import SOURCE OUT`, then --data OUT".to_owned(),
            Some(folder) => format!(
                "; {} (--data) holds no import of that name, which `runner data import SOURCE OUT` makes",
                folder.display()
            ),
        };
        known.adding(&hint, |_| true)
    })
}

/// What is written, or the defaults.
fn values(root: &Slot, classes: usize) -> Result<Json> {
    let mut mistakes = Mistakes::default();
    let values = root.object().and_then(|fields| fields.values(BESIDE.iter().chain(BASE)));
    let values = mistakes.keep(values);
    let model = root.node.field(MODEL.name);
    let own = model.and_then(|model| model.field("layers")).map(|node| Slot::new("model.layers", node));
    let own = mistakes.keep(own.map(|list| layers::read(&list, classes)).transpose());
    let mut json = mistakes.end(values)?;
    if let Some(layers) = own.flatten() {
        json[MODEL.name]["layers"] = layers;
    }
    Ok(json)
}

/// A goal says nothing else than its metric.
fn goal(select: &Json, root: &Slot) -> Result<()> {
    let goal = if select["metric"] == "val_loss" { "min" } else { "max" };
    if !select["goal"].is_null() && select["goal"] != goal {
        return Err(root.blame("select.goal", "val_loss is to be min, val_accuracy is to be max"));
    }
    Ok(())
}

/// Each refuses keys that are right by themselves and wrong together.
type Rule = fn(&Config, &Slot) -> Result<()>;

const RULES: [Rule; 8] = [
    starting::layers_to_draw,
    starting::layers_to_freeze,
    what_the_optimizer_can_compute,
    pooling_to_choose,
    layers_for_dropout,
    kernels_to_penalize,
    stages_for_every_epoch,
    epochs_after_the_warmup,
];

/// What follows means nothing where an earlier one is broken.
const RULES_OF_IMAGES: [Rule; 4] = [images_for_both_parts, images_for_a_batch, images_for_batch_norm, steps_for_a_peak];

/// Training and validation images must come from one training part, which `--dataset` may have made smaller.
fn images_for_both_parts(config: &Config, root: &Slot) -> Result<()> {
    let data = &config.data;
    let (there, val) = (data.dataset.training_part(), data.val);
    if data.train.unwrap_or(1) + val <= there {
        return Ok(());
    }
    let written = |key| root.node.field("data").and_then(|data| data.field(key));
    let chosen = written("dataset").filter(|node| node.at.source.starts_with("--"));
    let chosen = chosen.map_or(String::new(), |node| format!("; {} chose it", node.at.source));
    let wanted = match data.train {
        Some(train) => format!("{train} to train on and {val} for validation"),
        None => format!("{val} for validation and at least one to train on"),
    };
    let problem = format!("{wanted} are more than the {there} training images of {}{chosen}", data.dataset.as_str());
    let key = if data.train.is_some() && written("val").is_none() { "data.train" } else { "data.val" };
    Err(root.blame(key, problem))
}

fn pooling_to_choose(config: &Config, root: &Slot) -> Result<()> {
    let holds = config.pool.is_none() || config.model.pool().is_some();
    root.ensure(holds, "pool", "the layers of a network of your own say themselves how they pool; leave it out")
}

fn layers_for_dropout(config: &Config, root: &Slot) -> Result<()> {
    let holds = config.regularization.dropout == 0.0 || config.model.has_dropout();
    let problem = match config.model {
        Model::BuiltIn(_) => "follows hidden dense layers, and model.dense has none",
        Model::Own(_) => "is for the layers `dropout` without a number of their own, and model.layers has none",
    };
    root.ensure(holds, "regularization.dropout", problem)
}

fn kernels_to_penalize(config: &Config, root: &Slot) -> Result<()> {
    if config.regularization.on == Kernels::All {
        return Ok(());
    }
    let weights = config.model.weights();
    let missing = match config.regularization.on {
        Kernels::Conv if !weights.iter().any(|weights| matches!(weights, Weights::Conv { .. })) => "convolution",
        Kernels::Dense if !weights.iter().any(|weights| matches!(weights, Weights::Dense { .. })) => "dense layer",
        Kernels::Conv3x3 if !has_3x3(&config.model) => return Err(no_3x3(root)),
        _ => return Ok(()),
    };
    Err(root.blame("regularization.on", format!("this model has no {missing}")))
}

fn no_3x3(root: &Slot) -> InputError {
    let mut have: Vec<&str> = networks::names();
    have.retain(|name| has_3x3(&typed(written(&MODEL, name))));
    let last = have.pop().unwrap_or_default();
    let problem = format!("this model has no 3x3 kernel; {} and {last} have", have.join(", "));
    root.blame("regularization.on", problem)
}

fn has_3x3(model: &Model) -> bool {
    model.weights().iter().any(|weights| matches!(weights, Weights::Conv { kernel: 3, .. }))
}

fn images_for_a_batch(config: &Config, root: &Slot) -> Result<()> {
    let (images, batch) = (config.data.training_images(), config.batch_size);
    let problem = format!(
        "{batch} is more than the {images} images there are to train on, so that every step would be the same one, over all of \
         them; at most {images}"
    );
    root.ensure(batch <= images, "batch_size", problem)
}

/// Of one number a channel there is no variance.
fn images_for_batch_norm(config: &Config, root: &Slot) -> Result<()> {
    let (images, batch) = (config.data.training_images(), config.batch_size);
    let is_alone = |row: &TableRow| {
        matches!(row.weights, Weights::BatchNorm { .. }) && row.output[1..].iter().product::<i64>() == 1
    };
    let has_one_image = batch == 1 || images % batch == 1;
    let is_own = matches!(config.model, Model::Own(_));
    let holds = !has_one_image || !is_own || !config.table().rows.iter().any(is_alone);
    let problem = format!(
        "{images} images leave a batch of one, but a batch_norm of {} sees one number a channel in it; another batch size",
        config.model.as_str()
    );
    root.ensure(holds, "batch_size", problem)
}

fn stages_for_every_epoch(config: &Config, root: &Slot) -> Result<()> {
    let Schedule::Staged { stages } = &config.schedule else { return Ok(()) };
    let covered: usize = stages.iter().map(|stage| stage.epochs).sum();
    let problem = format!("its stages cover {covered} of {} epochs", config.epochs);
    root.ensure(covered >= config.epochs, "schedule", problem)
}

fn what_the_optimizer_can_compute(config: &Config, root: &Slot) -> Result<()> {
    let objection = config.optimizer.rule().objection(highest_rate(config));
    objection.map_or(Ok(()), |(key, problem)| Err(root.blame(&format!("optimizer{key}"), problem)))
}

/// The highest rate that an epoch has.
fn highest_rate(config: &Config) -> f64 {
    let own = config.optimizer.rule().common().lr;
    match &config.schedule {
        Schedule::Staged { stages } => stages.iter().map(|stage| stage.lr).fold(0.0, f64::max),
        Schedule::Cosine { min_lr } => own.max(*min_lr),
        _ => own,
    }
}

fn steps_for_a_peak(config: &Config, root: &Slot) -> Result<()> {
    let Schedule::OneCycle { pct_start, .. } = config.schedule else { return Ok(()) };
    let steps = config.epochs * config.data.training_images().div_ceil(config.batch_size);
    let rising = pct_start * steps as f64;
    let needs = "one_cycle needs more than one step before its peak";
    root.ensure(rising > 1.0, "schedule", format!("{needs}, but {pct_start} of {steps} steps is {rising}"))
}

fn epochs_after_the_warmup(config: &Config, root: &Slot) -> Result<()> {
    let Some(warmup) = config.warmup else { return Ok(()) };
    let problem = format!("{} warm-up epochs leave none of {} epochs", warmup.epochs, config.epochs);
    root.ensure(warmup.epochs < config.epochs, "warmup", problem)?;
    use Schedule::*;
    let goes = matches!(config.schedule, Constant | Step { .. } | Exponential { .. } | Cosine { .. });
    root.ensure(goes, "warmup", "only goes with the schedules constant, step, exponential and cosine")
}

/// These schedules lower the optimizer's rate and stop at `min_lr`; from a lower one they would raise it.
fn rates_that_fall(config: &Config, root: &Slot) -> Result<()> {
    let (Schedule::Cosine { min_lr } | Schedule::Plateau { min_lr, .. }) = config.schedule else { return Ok(()) };
    let lr = config.optimizer.rule().common().lr;
    let problem =
        format!("{} is above {}, the optimizer's rate, from which it goes down", number_text(min_lr), number_text(lr));
    root.ensure(min_lr <= lr, "schedule.min_lr", problem)
}
