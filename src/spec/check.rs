//! What the user wrote → a [`Config`] in which nothing can be wrong.

use serde_json::Value as Json;

use super::agree::agree;
use super::config::*;
use super::error::Result;
use super::fields::Slot;
use super::keys::{ACTIVATION, BASE, BESIDE};
use super::read::{typed, written};
use super::yaml::Node;

/// The configuration that `root`, the keys of `base` with `data` and `select` beside them, describes.
pub fn config(root: &Node, mode: Mode) -> Result<Config> {
    let slot = Slot::new("", root);
    let mut json = slot.object()?.values(BESIDE.iter().chain(BASE))?;
    json["mode"] = mode.as_str().into();
    json["select"] = metric(&json["select"], &slot)?;
    let model: Model = typed(json["model"].clone());
    let dataset: DatasetName = typed(json["data"]["dataset"].clone());
    let mut fill_in = |place: &str, own: &dyn Fn() -> Json| {
        let value = json.pointer_mut(place).expect("every key has a value");
        if value.is_null() {
            *value = own();
        }
    };
    fill_in("/data/val", &|| (dataset.training_part() / 10).into());
    fill_in("/activation", &|| written(&ACTIVATION, model.network.activation));
    fill_in("/regularization/dropout", &|| own_dropout(&model).into());
    let config: Config = typed(json);
    let pool = config.pool.filter(|pool| *pool != model.network.pool);
    let config = Config { pool, ..config };
    agree(&config, &slot)?;
    Ok(config)
}

/// A network's own dropout; none where there is no hidden dense layer to follow.
fn own_dropout(model: &Model) -> f64 {
    if model.has_hidden_dense() { model.network.dropout } else { 0.0 }
}

/// The metric of `select`, whose goal says nothing else.
fn metric(select: &Json, root: &Slot) -> Result<Json> {
    let goal = if select["metric"] == "val_loss" { "min" } else { "max" };
    if !select["goal"].is_null() && select["goal"] != goal {
        return Err(root.blame("select.goal", "val_loss is to be min, val_accuracy is to be max"));
    }
    Ok(select["metric"].clone())
}
