//! Configurations in words: labels for plots, columns for tables.

use std::path::Path;

use serde_json::Value as Json;

use super::advice::number_text;
use super::config::Config;
use super::error::Mark;
use super::fields::default;
use super::keys::{self, BASE, BESIDE, split};
use super::settings::look_up;
use super::yaml::{Key, Node, Value};
use crate::options::{Fallback, Takes};
use crate::words::list;

/// Where the layers of an own network stand.
const LAYERS: &str = "model.layers";

/// A short name for what a variant sets: `adam, lr 0.001 · batch_size=4`.
pub fn label(settings: &[(&Key, Node)]) -> String {
    let parts: Vec<String> = settings.iter().map(|(key, value)| part(&key.name, value)).collect();
    if parts.is_empty() { "base".to_string() } else { parts.join(" · ") }
}

/// Settings as they take effect in a configuration, as JSON: an object without the fields that dotted keys set, and for what is
/// left out the default, or nothing where there is no such field. What is `tuned` is not theirs to set.
pub fn effective<'a>(settings: &[(&'a Key, &Node)], config: &Json, tuned: &[&Key]) -> Vec<(&'a Key, Node)> {
    let keys: Vec<&Key> = settings.iter().map(|(key, _)| *key).chain(tuned.iter().copied()).collect();
    let is_tuned = |key: &Key| tuned.iter().any(|tuned| tuned.name == key.name);
    let value = |key: &Key, value: &Node| match value.is_null() && key.name.contains('.') {
        true => config.pointer(&pointer(&key.name)).map(|_| value_at(config, &key.name)),
        false => Some(tidy(&without(&key.name, value, &keys))),
    };
    let own = settings.iter().filter(|(key, _)| !is_tuned(key));
    own.filter_map(|(key, node)| Some((*key, value(key, node)?))).collect()
}

/// What a configuration, as written and as JSON, has at one of the varied `keys`.
pub fn shown(node: &Node, key: &Key, keys: &[&Key], config: &Json) -> String {
    let own = look_up(node, key).map(|own| tidy(&without(&key.name, own, keys)));
    own.unwrap_or_else(|| value_at(config, &key.name)).to_string()
}

/// The value at `key` without the fields that are keys of their own.
fn without(key: &str, value: &Node, keys: &[&Key]) -> Node {
    let Value::Map(fields) = &value.value else { return value.clone() };
    let is_own = |field: &str| keys.iter().any(|own| split(&own.name) == (key, Some(field)));
    let rest = fields.iter().filter(|(field, _)| !is_own(&field.name)).cloned().collect();
    Node { at: value.at.clone(), value: Value::Map(rest) }
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn part(key: &str, value: &Node) -> String {
    let short = key
        .split_once('.')
        .filter(|(group, _)| keys::find(group).is_some_and(|key| key.is_clear))
        .map_or(key, |(_, field)| field);
    // Whether a plain value says by itself what it is: `adam`, `tanh`.
    let is_named = key.ends_with(".name") || keys::find(key).is_some_and(|key| matches!(key.takes, Takes::Named(_)));
    match &value.value {
        Value::Scalar { text, .. } if is_named && text != "none" => text.clone(),
        Value::Scalar { text, .. } => format!("{short}={text}"),
        Value::List(_) => format!("{short}={value}"),
        Value::Map(fields) => object(key, fields),
    }
}

/// `adam, lr 0.001`, `leaky_relu 0.1`, `l2 0.001`, `augment flip, crop 4`.
fn object(key: &str, fields: &[(Key, Node)]) -> String {
    let name = fields.iter().find(|(field, _)| field.name == "name");
    let options: Vec<&(Key, Node)> = fields.iter().filter(|(field, _)| field.name != "name").collect();
    match (name, options.as_slice()) {
        (Some((_, name)), []) => name.to_string(),
        (Some((_, name)), [(_, only)]) if key == "activation" => format!("{name} {only}"),
        (Some((_, name)), options) => format!("{name}, {}", listed(options)),
        (None, options) if key == "regularization" => listed(options),
        (None, options) => format!("{key} {}", listed(options)),
    }
}

fn listed(options: &[&(Key, Node)]) -> String {
    list(options.iter().map(|(key, value)| match value.plain() {
        Some("true") => key.name.clone(),
        Some("false") => format!("no {}", key.name),
        _ => format!("{} {value}", key.name),
    }))
}

/// The value as every label, table and plot has it: its numbers in one form, however they were written, and `{name: adam}`
/// as `adam`.
pub fn tidy(node: &Node) -> Node {
    let value = match &node.value {
        Value::Scalar { text, quoted: false } => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            scalar(number.map_or_else(|| text.clone(), number_text))
        }
        Value::Scalar { .. } => node.value.clone(),
        Value::List(items) => Value::List(items.iter().map(tidy).collect()),
        Value::Map(fields) => match fields.as_slice() {
            [(key, name)] if key.name == "name" => return tidy(name),
            // Weights in a file, by its name alone.
            fields if fields.iter().any(|(key, _)| key.name == "sha256") => {
                let file = fields.iter().find(|(key, _)| key.name == "file").and_then(|(_, file)| file.text());
                let name = file.and_then(|file| Path::new(file).file_name()).map(|name| name.display().to_string());
                name.map_or_else(|| node.value.clone(), scalar)
            }
            // A network of the user's own.
            fields if fields.iter().any(|(key, _)| key.name == "layers") => {
                let name = fields.iter().find(|(key, _)| key.name == "name");
                return name.map_or_else(|| node.clone(), |(_, name)| tidy(name));
            }
            fields => Value::Map(fields.iter().map(|(key, node)| (key.clone(), tidy(node))).collect()),
        },
    };
    Node { at: node.at.clone(), value }
}

fn scalar(text: impl Into<String>) -> Value {
    Value::Scalar { text: text.into(), quoted: false }
}

/// A resolved value as tables show it, empty where there is none. What looks like a number need not be one: `6` may be a
/// list of one, `1162877` the name of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Number,
    Flag,
    /// Its items with spaces between them.
    List,
    #[default]
    Text,
}

impl Cell {
    pub fn number(number: impl ToString) -> Cell {
        Cell { text: number.to_string(), kind: Kind::Number }
    }

    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), kind: Kind::Text }
    }
}

/// Every resolved key with its value, in [`Config`]'s order: `("optimizer.lr", "0.01")`, `("model.channels", "6 16")`.
/// Which keys there are depends on the choices made: only SGD has `optimizer.dampening`.
pub fn flatten(config: &Config) -> Vec<(String, Cell)> {
    let mut rows = Vec::new();
    collect(String::new(), &resolved(config), &mut rows);
    rows
}

/// The configuration as JSON, with what its stored form leaves out; the data set by its name alone, as users write it.
pub fn resolved(config: &Config) -> Json {
    let resolved = Config { pool: config.pooling(), ..config.clone() };
    let mut json = serde_json::to_value(resolved).expect("a checked configuration has only finite numbers and names");
    json["data"]["dataset"] = config.data.dataset.as_str().into();
    [BESIDE, BASE].into_iter().for_each(|keys| complete(&mut json, Takes::Object(keys)));
    json
}

/// Gives an object the keys that it lacks, with their defaults.
pub fn complete(json: &mut Json, takes: Takes) {
    let Json::Object(fields) = json else { return };
    let keys = match takes {
        Takes::Named(variants) => {
            variants.iter().find(|known| fields["name"] == known.name).map_or(&[][..], |it| it.keys)
        }
        takes => takes.fields(),
    };
    for key in keys {
        // Moved behind the others, so that all end in the order of the table.
        let value =
            fields.shift_remove(key.name).or_else(|| matches!(key.default, Fallback::Is(_)).then(|| default(key)));
        if let Some(mut value) = value {
            complete(&mut value, key.takes);
            fields.insert(key.name.to_owned(), value);
        }
    }
}

fn collect(path: String, json: &Json, rows: &mut Vec<(String, Cell)>) {
    let Json::Object(fields) = json else {
        let text = match json {
            Json::Null => nothing(&path).to_string(),
            // Layers are told apart by their kinds, which `cell` leaves out.
            layers if path == LAYERS => as_written(&path, layers).to_string(),
            json => cell(json, " "),
        };
        let kind = match json {
            Json::Number(_) => Kind::Number,
            Json::Bool(_) => Kind::Flag,
            Json::Array(_) if path != LAYERS => Kind::List,
            _ => Kind::Text,
        };
        return rows.push((path, Cell { text, kind }));
    };
    for (key, value) in fields {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect(path, value, rows);
    }
}

/// The word for a value that is not there: `none`, or `all`.
fn nothing(path: &str) -> &'static str {
    match keys::find(path).map(|key| key.takes) {
        Some(Takes::IntegerOr(word, ..)) => word,
        _ => "none",
    }
}

/// One cell's text. The stages of a schedule read `20:0.0003 10:0.0001`.
fn cell(json: &Json, separator: &str) -> String {
    let joined = |items: Vec<String>| items.join(separator);
    match json {
        Json::Null => "none".to_string(),
        Json::Bool(flag) => flag.to_string(),
        Json::String(text) => text.clone(),
        Json::Number(number) => match (number.as_u64(), number.as_f64()) {
            (None, Some(value)) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
            (None, Some(value)) => format!("{value:?}"),
            _ => number.to_string(),
        },
        Json::Array(items) => joined(items.iter().map(|item| cell(item, ":")).collect()),
        Json::Object(fields) => joined(fields.values().map(|field| cell(field, separator)).collect()),
    }
}

/// What a configuration, as JSON, has at `key`, which may name a group, as a user would write it: `0.01`, `[6, 16]`,
/// `{l1: 0, l2: 0.0001, ...}`.
pub fn value_at(config: &Json, key: &str) -> Node {
    as_written(key, config.pointer(&pointer(key)).unwrap_or(&Json::Null))
}

pub(super) fn as_written(path: &str, json: &Json) -> Node {
    let at = Mark::whole("");
    let value = match json {
        Json::Null => scalar(nothing(path)),
        Json::String(text) => scalar(text),
        Json::Bool(_) | Json::Number(_) => scalar(json.to_string()),
        Json::Array(items) => Value::List(items.iter().map(|item| as_written("", item)).collect()),
        // A layer without options of its own: `act`.
        Json::Object(fields) if path.is_empty() && fields.len() == 1 && fields.values().all(Json::is_null) => {
            scalar(fields.keys().next().expect("one key"))
        }
        Json::Object(fields) => {
            let entry = |(name, json): (&String, &Json)| {
                (Key { at: at.clone(), name: name.clone() }, as_written(&format!("{path}.{name}"), json))
            };
            Value::Map(fields.iter().map(entry).collect())
        }
    };
    tidy(&Node { at, value })
}
