//! The JSON Schema of the experiment file. It accepts every file that the program accepts, and refuses what can be seen in one
//! value by itself; what several keys must have in common only the program knows.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use serde_json::{Map, Value as Json, json};

use super::outer::{self, Outer};
use crate::options::{Fallback, Key, Takes, Variant, names};
use crate::spec::fields::written;
use crate::spec::keys::{
    ACTIVATION, BASE, BESIDE, BLOCK_MODE, MARGIN, MODEL, SAMPLES, SAMPLING_SEED, SEEDS, SETTLE, TARGETS, TUNING_SEEDS,
};
use crate::spec::layers::{LAYERS, MAX_LAYERS};
use crate::spec::settings::MAX_KEYS;

/// What the reader takes as a text.
const TEXT: [&str; 3] = ["string", "number", "boolean"];
const FILE_NAME: &str = "^[a-z0-9_][a-z0-9_-]{0,63}$";

/// Whether an object has all that it needs, or is to be completed by what stands elsewhere.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    Whole,
    Part,
}
use Extent::{Part, Whole};

pub fn schema() -> Json {
    let mut keys = named([&outer::SCHEMA, &outer::EXPERIMENT_NAME, &outer::DESCRIPTION]);
    keys[outer::SCHEMA.key]["const"] = 1.into();
    keys[outer::EXPERIMENT_NAME.key]["type"] = json!(TEXT);
    keys[outer::EXPERIMENT_NAME.key]["pattern"] = FILE_NAME.into();
    keys[outer::DESCRIPTION.key]["type"] = json!(TEXT);
    keys.extend(properties([BESIDE, &[SEEDS, SETTLE, MARGIN, TARGETS]].concat().iter(), Whole));
    keys[SEEDS.name]["uniqueItems"] = true.into();
    keys.insert("tune".to_owned(), tune());
    keys.insert("base".to_owned(), base());
    keys.insert("blocks".to_owned(), blocks());
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "experiment",
        "description": "An experiment of runner. `runner keys` lists the same keys; the program checks what keys must have in common.",
        "type": "object",
        "properties": keys,
        "required": ["schema", "name", "base"],
        "additionalProperties": false,
        "not": {"required": ["seeds", "settle"]},
        "dependencies": {"settle": ["blocks"]},
        "definitions": definitions(),
    })
}

/// Each with what it is for.
fn named<const N: usize>(keys: [&Outer; N]) -> Map<String, Json> {
    keys.map(|outer| (outer.key.to_owned(), json!({"description": outer.about.replace('`', "")}))).into_iter().collect()
}

fn tune() -> Json {
    let mut keys = properties([TUNING_SEEDS].iter(), Whole);
    keys.insert("axes".to_owned(), described(settings(&setting_keys(&[]), list_of), outer::TUNE_AXES.about));
    described(object(keys, &["axes"]), outer::TUNE.about)
}

/// The base's own keys must be whole; a dotted one changes a field, and may name what must be there.
fn base() -> Json {
    let mut base = settings(&setting_keys(&[]), reference);
    for key in BASE {
        base["properties"][key.name] = property(key, Whole);
    }
    let needed = BASE.iter().filter(|key| matches!(key.default, Fallback::Required));
    let needed =
        needed.map(|key| json!({"anyOf": [{"required": [key.name]}, {"required": [format!("{}.name", key.name)]}]}));
    base["allOf"] = needed.collect();
    described(base, outer::BASE_KEYS.about)
}

fn blocks() -> Json {
    let list_of = |of: &str| json!({"type": "array", "items": {"$ref": format!("#/definitions/{of}")}});
    let forms = [
        json!({"type": TEXT, "pattern": FILE_NAME}),
        json!({"type": TEXT}),
        json!({"$ref": "#/definitions/settings"}),
        json!({"$ref": "#/definitions/axes"}),
        list_of("axes"),
        list_of("settings"),
        list_of("settings"),
    ];
    let keys = outer::BLOCK.iter().zip(forms).map(|(outer, form)| {
        let name = outer.key.strip_prefix("blocks.").unwrap_or(outer.key);
        (name.to_owned(), described(form, outer.about))
    });
    let mut properties = properties([BLOCK_MODE, SAMPLES, SAMPLING_SEED].iter(), Whole);
    properties.extend(keys);
    described(json!({"type": "array", "items": object(properties, &["id"])}), outer::BLOCKS.about)
}

/// What a block sets, and the values of each key that it may name.
fn definitions() -> Json {
    let keys = setting_keys(&["data"]);
    let mut definitions = Map::new();
    definitions.insert("settings".to_owned(), settings(&keys, reference_or_null));
    definitions.insert("axes".to_owned(), settings(&keys, list_or_range));
    definitions.insert("network".to_owned(), own_network());
    definitions.insert("layer".to_owned(), layer());
    definitions.extend(keys);
    definitions.into()
}

/// An object of at least one of `keys`.
fn settings(keys: &Map<String, Json>, form: fn(&str) -> Json) -> Json {
    let properties: Map<String, Json> = keys.keys().map(|name| (name.clone(), form(name))).collect();
    json!({"type": "object", "properties": properties, "minProperties": 1, "maxProperties": MAX_KEYS,
           "additionalProperties": false})
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn list_of(name: &str) -> Json {
    json!({"type": "array", "items": reference(name), "minItems": 1})
}

/// `null` leaves out a field of an object beside it.
fn reference_or_null(name: &str) -> Json {
    if name.contains('.') { any_of([reference(name), json!({"type": "null"})]) } else { reference(name) }
}

/// A random block also takes ranges.
fn list_or_range(name: &str) -> Json {
    let list = json!({"type": "array", "items": reference_or_null(name), "minItems": 1});
    let ends = json!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2});
    let range = json!({"type": "object", "properties": {"log": ends, "uniform": ends, "int": ends}, "minProperties": 1,
                       "maxProperties": 1, "additionalProperties": false});
    any_of([list, range])
}

/// The keys of `base` and the others that a setting may name, then each with its fields, dotted.
fn setting_keys(others: &[&str]) -> Map<String, Json> {
    let others = BESIDE.iter().filter(|key| others.contains(&key.name));
    let mut keys = Map::new();
    for key in BASE.iter().chain(others) {
        keys.insert(key.name.to_owned(), property(key, Part));
        for (name, field) in dotted(key) {
            keys.insert(format!("{}.{name}", key.name), field);
        }
    }
    keys
}

/// The fields of a key, whatever it names.
fn dotted(key: &Key) -> Map<String, Json> {
    let Takes::Named(variants) = key.takes else { return properties(key.takes.fields().iter(), Part) };
    let names = choice(&names(variants));
    let has_own = variants.iter().any(|variant| variant.is_own);
    let names = if has_own { any_of([names, own_name()]) } else { names };
    let mut fields = Map::from_iter([("name".to_owned(), names)]);
    for option in variants.iter().flat_map(|variant| variant.keys) {
        let form = property(option, Part);
        let known = fields.entry(option.name).or_insert_with(|| json!({"anyOf": []}));
        let forms = known["anyOf"].as_array_mut().expect("it was made with this");
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    fields
}

fn properties<'k>(keys: impl Iterator<Item = &'k Key>, extent: Extent) -> Map<String, Json> {
    keys.map(|key| (key.name.to_owned(), property(key, extent))).collect()
}

/// What a key takes, what it is for, and what it is where it is not written.
fn property(key: &Key, extent: Extent) -> Json {
    let mut form = value(key.takes, extent);
    let mut about = vec![key.about.to_owned()];
    match key.default {
        Fallback::Is("{}") | Fallback::Required => {}
        Fallback::Is(text) | Fallback::Own(text) => about.push(format!("default: {text}")),
    }
    if let (
        Fallback::Is(text),
        Takes::Number(_) | Takes::Integer(..) | Takes::Flag | Takes::Choice(_) | Takes::ChoiceOr(..),
    ) = (key.default, key.takes)
    {
        form["default"] = written(key, text);
    }
    about.extend((!key.pytorch.is_empty()).then(|| format!("PyTorch: {}", key.pytorch)));
    about.retain(|part| !part.is_empty());
    described(form, &about.join("; "))
}

fn described(mut form: Json, about: &str) -> Json {
    if !about.is_empty() {
        form["description"] = about.replace('`', "").into();
    }
    form
}

fn value(takes: Takes, extent: Extent) -> Json {
    match takes {
        Takes::Number(range) => number(range),
        Takes::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Takes::IntegerOr(word, low, high) => any_of([choice(&[word]), value(Takes::Integer(low, high), extent)]),
        Takes::Flag => json!({"type": "boolean"}),
        Takes::Choice(names) => choice(names),
        Takes::ChoiceOr(names, _) => any_of([choice(names), json!({"type": TEXT, "pattern": FILE_NAME})]),
        Takes::List(of, low, high) => {
            json!({"type": "array", "items": value(*of, extent), "minItems": low, "maxItems": high})
        }
        Takes::Named(variants) => any_of(variants.iter().flat_map(|variant| forms(variant, extent))),
        Takes::Object(keys) => object(properties(keys.iter(), extent), &needed(keys, extent)),
        Takes::Optional(keys) | Takes::Parts(keys) => any_of([choice(&["none"]), value(Takes::Object(keys), extent)]),
        Takes::OneOf(keys) => {
            let mut one = object(properties(keys.iter(), extent), &[]);
            one["minProperties"] = 1.into();
            one["maxProperties"] = 1.into();
            any_of([choice(&["none"]), one])
        }
        Takes::Short(keys) => any_of([value(keys[0].takes, extent), value(Takes::Object(keys), extent)]),
        Takes::Text => json!({"type": TEXT}),
        Takes::Layers(shortest) => {
            json!({"type": "array", "items": reference("layer"), "minItems": shortest, "maxItems": MAX_LAYERS})
        }
    }
}

/// A network of the user's own.
fn own_network() -> Json {
    let Takes::Named(models) = MODEL.takes else { unreachable!("models have names") };
    let variant = models.iter().find(|variant| variant.is_own).expect("it is the last one");
    let mut properties = Map::from_iter([("name".to_owned(), own_name())]);
    properties.extend(self::properties(variant.keys.iter(), Whole));
    let mut needed = needed(variant.keys, Whole);
    needed.push("name");
    described(object(properties, &needed), variant.about)
}

fn own_name() -> Json {
    json!({"type": TEXT, "pattern": FILE_NAME})
}

/// One in a file of its own.
fn network_file() -> Json {
    let names = json!({"type": "array", "items": {"type": TEXT}});
    let layers = json!({"type": "object", "additionalProperties": reference("layer")});
    let forms = [json!({"type": TEXT}), own_name(), names, layers];
    let keys = outer::NETWORK_FILE.iter().zip(forms).map(|(outer, form)| {
        let name = outer.key.strip_prefix("model.").unwrap_or(outer.key);
        (name.to_owned(), described(form, outer.about))
    });
    let file = object(keys.collect(), &["file"]);
    described(file, "a file with the name and the layers of one, without some of them or with others in their place")
}

/// A layer by its name alone, where it needs no more, and with its options.
fn layer() -> Json {
    let is_whole = |key: &&Key| !matches!(key.default, Fallback::Required);
    let names: Vec<&str> = LAYERS.iter().filter(is_whole).map(|key| key.name).collect();
    let with_options = LAYERS.iter().map(|key| {
        let mut options = match key.takes {
            Takes::Named(_) => reference(ACTIVATION.name),
            _ => property(key, Whole),
        };
        if is_whole(&key) {
            options = any_of([options, json!({"type": "null"})]);
        }
        object(Map::from_iter([(key.name.to_owned(), options)]), &[key.name])
    });
    any_of(std::iter::once(choice(&names)).chain(with_options))
}

/// A thing by its name alone, where it needs no more, and with its options.
fn forms(variant: &Variant, extent: Extent) -> Vec<Json> {
    let Variant { name, keys, about, pytorch, .. } = *variant;
    if variant.is_own {
        return vec![reference("network"), network_file()];
    }
    let about = [about, pytorch].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    let needed = needed(keys, extent);
    let mut properties = Map::from_iter([("name".to_owned(), json!({"const": name}))]);
    properties.extend(self::properties(keys.iter(), extent));
    let mut all = needed.clone();
    all.extend((extent == Whole).then_some("name"));
    let whole = described(object(properties, &all), &about);
    if needed.is_empty() { vec![described(json!({"const": name}), &about), whole] } else { vec![whole] }
}

fn needed(keys: &[Key], extent: Extent) -> Vec<&'static str> {
    let needed = keys.iter().filter(|key| extent == Whole && matches!(key.default, Fallback::Required));
    needed.map(|key| key.name).collect()
}

fn object(properties: Map<String, Json>, required: &[&str]) -> Json {
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn number((low, high): (Bound<f64>, Bound<f64>)) -> Json {
    let mut number = json!({"type": "number"});
    for (bound, inclusive, exclusive) in [(low, "minimum", "exclusiveMinimum"), (high, "maximum", "exclusiveMaximum")] {
        match bound {
            Included(bound) => number[inclusive] = bound.into(),
            Excluded(bound) => number[exclusive] = bound.into(),
            Unbounded => {}
        }
    }
    number
}

fn choice(names: &[&str]) -> Json {
    json!({"enum": names})
}

fn any_of(forms: impl IntoIterator<Item = Json>) -> Json {
    json!({"anyOf": forms.into_iter().collect::<Vec<_>>()})
}
