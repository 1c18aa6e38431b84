//! Configurations in words: labels for plots, columns for tables.

use serde_json::Value as Json;

use super::config::Config;
use super::yaml::{Key, Node, Value};

/// Groups whose fields are clear without the group's name: `lr=0.1`, not `optimizer.lr=0.1`.
const CLEAR_GROUPS: [&str; 5] = ["activation", "augment", "model", "optimizer", "regularization"];

/// A short name for what a variant sets: `adam, lr 0.001 · batch_size=4`.
pub fn label(settings: &[(&Key, &Node)]) -> String {
    let parts: Vec<String> = settings.iter().map(|(key, value)| part(&key.name, value)).collect();
    if parts.is_empty() { "base".to_string() } else { parts.join(" · ") }
}

fn part(key: &str, value: &Node) -> String {
    let short = key.split_once('.').filter(|(group, _)| CLEAR_GROUPS.contains(group)).map_or(key, |(_, field)| field);
    match &value.value {
        Value::Scalar { text, .. } if is_named(key) && text != "none" => text.clone(),
        Value::Scalar { text, .. } => format!("{short}={text}"),
        Value::List(_) => format!("{short}={value}"),
        Value::Map(fields) => object(key, fields),
    }
}

/// Whether a plain value of this key is a name that says by itself what it is: `adam`, `tanh`.
fn is_named(key: &str) -> bool {
    key.ends_with(".name") || ["activation", "model", "optimizer", "schedule"].contains(&key)
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
    let words = options.iter().map(|(key, value)| match value.plain() {
        Some("true") => key.name.clone(),
        Some("false") => format!("no {}", key.name),
        _ => format!("{} {value}", key.name),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Every resolved key with its value, in [`Config`]'s order: `("optimizer.lr", "0.01")`, `("model.channels", "6 16")`.
/// Which keys there are depends on the choices made: only SGD has `optimizer.dampening`.
pub fn flatten(config: &Config) -> Vec<(String, String)> {
    let json = serde_json::to_value(config).expect("a checked configuration has only finite numbers and names");
    let mut rows = Vec::new();
    collect(String::new(), &json, &mut rows);
    rows
}

fn collect(path: String, json: &Json, rows: &mut Vec<(String, String)>) {
    let Json::Object(fields) = json else {
        let text = if path == "data.train" && json.is_null() { "all".to_string() } else { cell(json, " ") };
        return rows.push((path, text));
    };
    for (key, value) in fields {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect(path, value, rows);
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

/// What the rows of [`flatten`] have at `key`, which may name a group: `0.01`, `tanh`, `{l1: 0, l2: 0.0001, ...}`.
pub fn resolved(rows: &[(String, String)], key: &str) -> String {
    let under = |path: &str| Some(path.strip_prefix(key)?.strip_prefix('.')?.to_string());
    let fields: Vec<(String, &String)> = rows.iter().filter_map(|(path, text)| Some((under(path)?, text))).collect();
    match (rows.iter().find(|(path, _)| path == key), fields.as_slice()) {
        (Some((_, text)), _) => text.clone(),
        (None, []) => "none".to_string(),
        (None, [(_, only)]) => only.to_string(),
        (None, fields) => {
            let fields: Vec<String> = fields.iter().map(|(field, text)| format!("{field}: {text}")).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
