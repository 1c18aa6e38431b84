//! A layer as an experiment file may write it: without what is the default.

use serde_json::{Map, Value as Json};

use super::fields::default;
use super::label::as_written;
use super::layers::LAYERS;
use crate::networks::Layer;
use crate::options::{Fallback, Takes};

/// `act`, `{max_pool: 2}`, `{conv: {out: 16, kernel: 3, padding: 1, bias: false}}`
pub fn layer_text(layer: &Layer) -> String {
    let json = serde_json::to_value(layer).expect("a layer is finite numbers and names");
    as_written("", &short(json)).to_string()
}

fn short(layer: Json) -> Json {
    let Json::Object(fields) = layer else { return layer };
    let short = |(kind, options): (String, Json)| {
        let options = if kind == "residual" { ways(options) } else { without_defaults(&kind, options) };
        (kind, options)
    };
    fields.into_iter().map(short).collect::<Map<_, _>>().into()
}

fn ways(residual: Json) -> Json {
    let Json::Object(ways) = residual else { return residual };
    let way = |(name, layers)| match layers {
        Json::Array(layers) => (name, layers.into_iter().map(short).collect()),
        other => (name, other),
    };
    ways.into_iter().map(way).collect::<Map<_, _>>().into()
}

fn without_defaults(kind: &str, options: Json) -> Json {
    let (Some(key), Json::Object(mut fields)) = (LAYERS.iter().find(|key| key.name == kind), options.clone()) else {
        return options;
    };
    let kernel = fields.get("kernel").cloned();
    fields.retain(|name, value| match key.takes.fields().iter().find(|option| option.name == name) {
        Some(option) if matches!(option.default, Fallback::Is(_)) => *value != default(option),
        // That of a pooling is its kernel.
        Some(option) if option.name == "stride" => Some(&*value) != kernel.as_ref(),
        _ => true,
    });
    match (key.takes, fields.len()) {
        (_, 0) => Json::Null,
        (Takes::Short(keys), 1) if fields.contains_key(keys[0].name) => fields[keys[0].name].take(),
        _ => fields.into(),
    }
}
