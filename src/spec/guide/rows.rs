//! Every key of the experiment file with its values, its default and PyTorch's name for it, in the order of the file.

use std::ops::Bound::{Included, Unbounded};

use serde::Serialize;

use super::outer::{self, Outer};
use crate::options::{FLOAT32_MAX, Fallback, Key, Takes, Variant};
use crate::spec::advice::{closest, describe};
use crate::spec::keys::{
    BASE, BESIDE, BLOCK_MODE, MARGIN, MODEL, SAMPLES, SAMPLING_SEED, SEEDS, SETTLE, TARGETS, TUNING_SEEDS,
};
use crate::spec::layers::LAYERS;

/// Where the layers of an own network stand.
const LAYERS_PATH: &str = "model.layers";

/// A key, or one of the things that a key may name.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Dotted, as it is written; `optimizer: sgd` for a thing that is named.
    pub key: String,
    /// What it is an option of, such as `sgd`.
    #[serde(rename = "of", skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'static str>,
    /// Empty for a thing that is named.
    pub values: String,
    pub is_required: bool,
    /// None where it must be written, and where its own fields have defaults.
    pub default: Option<&'static str>,
    pub about: &'static str,
    /// Empty where it has no such thing.
    pub pytorch: String,
}

/// All keys there are.
pub fn rows() -> Vec<Row> {
    let tuning_seeds = Key { name: "tune.seeds", ..TUNING_SEEDS };
    let of_a_block = [
        Key { name: "blocks.mode", ..BLOCK_MODE },
        Key { name: "blocks.samples", ..SAMPLES },
        Key { name: "blocks.seed", ..SAMPLING_SEED },
    ];
    let [id, title, rest @ ..] = &outer::BLOCK;
    let mut rows = vec![of_outer(&outer::SCHEMA), of_outer(&outer::EXPERIMENT_NAME), of_outer(&outer::DESCRIPTION)];
    [BESIDE, &[SEEDS, SETTLE, MARGIN, TARGETS]].concat().iter().for_each(|key| add(&mut rows, "", None, "", key));
    rows.extend([&outer::TUNE, &outer::TUNE_AXES].map(of_outer));
    add(&mut rows, "", None, "", &tuning_seeds);
    rows.push(of_outer(&outer::BASE_KEYS));
    BASE.iter().for_each(|key| add(&mut rows, "", None, "", key));
    rows.extend([&outer::BLOCKS, id, title].map(of_outer));
    of_a_block.iter().for_each(|key| add(&mut rows, "", None, "", key));
    rows.extend(rest.iter().map(of_outer));
    rows
}

/// The rows that a user means by `name`: a key with all below it, else every key that ends so and all that belongs to a thing of
/// that name, else all in whose name, description or PyTorch's name it occurs. If there are none, the name that may have been meant.
pub fn find(name: &str) -> Result<Vec<Row>, Option<String>> {
    let name = name.strip_prefix("base.").unwrap_or(name);
    let all = rows();
    let is_below =
        |row: &Row| row.key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':']));
    let ends_so = |row: &Row| row.owner == Some(name) || last(&row.key) == name;
    let found =
        |is_meant: &dyn Fn(&Row) -> bool| -> Vec<Row> { all.iter().filter(|row| is_meant(row)).cloned().collect() };
    match (found(&is_below), found(&ends_so)) {
        (below, _) if !below.is_empty() => Ok(below),
        (_, others) if !others.is_empty() => Ok(others),
        _ => match (meant(name, &all), found(&|row| mentions(row, name))) {
            (None, those) if !those.is_empty() => Ok(those),
            (meant, _) => Err(meant),
        },
    }
}

fn mentions(row: &Row, name: &str) -> bool {
    let (name, words) = (name.to_lowercase(), name.to_lowercase().replace('_', " "));
    let texts = [&row.key, &row.pytorch, row.about].map(str::to_lowercase);
    name.len() > 2 && texts.iter().any(|text| text.contains(&name) || text.contains(&words))
}

/// `lr` of `optimizer.lr`, `sgd` of `optimizer: sgd`.
fn last(key: &str) -> &str {
    key.rsplit(['.', ' ']).next().unwrap_or(key)
}

fn meant(name: &str, rows: &[Row]) -> Option<String> {
    let names: Vec<&str> = rows.iter().flat_map(|row| [row.key.as_str(), last(&row.key)]).collect();
    closest(name, &names).map(str::to_owned)
}

fn of_outer(outer: &Outer) -> Row {
    let &Outer { key, values, default, about } = outer;
    Row {
        key: key.to_owned(),
        owner: None,
        values: values.to_owned(),
        is_required: default.is_none(),
        default,
        about,
        pytorch: String::new(),
    }
}

/// Adds a key of what `owner` names and PyTorch calls `theirs`, then its fields or what it may name.
fn add(rows: &mut Vec<Row>, path: &str, owner: Option<&'static str>, theirs: &str, key: &Key) {
    let own = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
    let (is_required, default) = match key.default {
        Fallback::Required => (true, None),
        Fallback::Is("{}") => (false, None),
        Fallback::Is(text) | Fallback::Own(text) => (false, Some(text)),
    };
    let (values, about, pytorch) = (values(key.takes), key.about, pytorch(theirs, key));
    rows.push(Row { key: own.clone(), owner, values, is_required, default, about, pytorch });
    match key.takes {
        Takes::OneOf(keys) => keys.iter().for_each(|field| {
            let field = Key { default: Fallback::Is("{}"), ..*field };
            add(rows, &own, owner, key.pytorch, &field);
        }),
        // Those of a layer are those of the key `activation`.
        Takes::Named(_) if path == LAYERS_PATH => {}
        Takes::Named(variants) => variants.iter().for_each(|variant| add_named(rows, &own, variant)),
        Takes::Layers(_) if own != LAYERS_PATH => {}
        Takes::Layers(_) => LAYERS.iter().for_each(|layer| {
            let default = match layer.default {
                Fallback::Required => Fallback::Is("{}"),
                default => default,
            };
            add(rows, &own, owner, "", &Key { default, ..*layer });
        }),
        Takes::List(Takes::Object(keys), ..) => keys.iter().for_each(|field| add(rows, &own, owner, "", field)),
        takes => takes.fields().iter().for_each(|field| add(rows, &own, owner, key.pytorch, field)),
    }
}

/// Adds one of the things that the key at `path` may name, then its options.
fn add_named(rows: &mut Vec<Row>, path: &str, variant: &'static Variant) {
    let Variant { name, keys, about, .. } = *variant;
    // PyTorch has none of the networks: theirs are the names of classes in scripts/parity.py.
    let theirs = if path == MODEL.name { "" } else { variant.pytorch };
    let (key, values, pytorch) = (format!("{path}: {name}"), String::new(), theirs.to_owned());
    rows.push(Row { key, owner: Some(name), values, is_required: false, default: None, about, pytorch });
    keys.iter().for_each(|option| add(rows, path, Some(name), theirs, option));
    if variant.is_own {
        rows.extend(outer::NETWORK_FILE.iter().map(of_outer));
    }
}

/// `torch.optim.SGD(lr=)` for an option of what PyTorch calls `torch.optim.SGD`.
fn pytorch(theirs: &str, key: &Key) -> String {
    let own = if key.pytorch.is_empty() { key.name } else { key.pytorch };
    // A name in the state dict is no argument there.
    if matches!(key.takes, Takes::Text) {
        return String::new();
    }
    if theirs.is_empty() { key.pytorch.to_owned() } else { format!("{theirs}({own}=)") }
}

/// What a key takes, in words, with names in backquotes.
fn values(takes: Takes) -> String {
    let codes = |names: Vec<&str>| names.into_iter().map(code).collect::<Vec<_>>().join(", ");
    let object =
        |keys: &[Key]| code(&format!("{{{}}}", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")));
    match takes {
        Takes::Number((low, Included(FLOAT32_MAX))) => values(Takes::Number((low, Unbounded))),
        Takes::Number(range) => describe(&range).trim().to_owned(),
        Takes::Integer(low, high) => format!("{low} to {high}"),
        Takes::IntegerOr(word, low, high) => format!("{}, {low} to {high}", code(word)),
        Takes::Flag => codes(vec!["true", "false"]),
        Takes::Choice(names) => codes(names.to_vec()),
        Takes::ChoiceOr(names, words) => format!("{}, or {words}", codes(names.to_vec())),
        Takes::List(of, low, high) if low == high => format!("list of {low}: {}", values(*of)),
        Takes::List(of, low, high) => format!("list of {low} to {high}: {}", values(*of)),
        Takes::Named(variants) => codes(variants.iter().map(|variant| variant.name).collect()),
        Takes::Object(keys) => object(keys),
        Takes::Optional(keys) | Takes::Parts(keys) => format!("`none` or {}", object(keys)),
        Takes::OneOf(keys) => format!("`none` or one of {}", object(keys)),
        Takes::Short(keys) => format!("{} or {}", values(keys[0].takes), object(keys)),
        Takes::Text => "a text".to_owned(),
        Takes::Layers(_) => "list of layers".to_owned(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
