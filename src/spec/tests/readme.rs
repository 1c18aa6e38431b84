//! README has the tables of keys.

use std::ops::Bound::{Included, Unbounded};

use crate::options::{FLOAT32_MAX, Fallback, Key, Takes, Variant};
use crate::spec::advice::describe;
use crate::spec::keys::{BASE, BESIDE, MARGIN, SEEDS, SETTLE, TARGETS};

const HEAD: &str = "| key | values | default | what it is |\n|---|---|---|---|\n";

/// The keys of `base`, and those beside it.
fn markdown() -> [String; 2] {
    let beside = [BESIDE, &[SEEDS, SETTLE, MARGIN, TARGETS]].concat();
    [BASE, &beside].map(|keys| HEAD.to_owned() + &keys.iter().map(|key| rows(key.name, key)).collect::<String>())
}

/// A key, then its fields or what it may name.
fn rows(path: &str, key: &Key) -> String {
    let default = match key.default {
        Fallback::Is("{}") => String::new(),
        Fallback::Is(text) => code(text),
        Fallback::Own(words) => words.to_owned(),
        Fallback::Required => "required".to_owned(),
    };
    let own = row(path, &values(key.takes), &default, key.about, key.pytorch);
    let more: String = match key.takes {
        Takes::Object(keys) | Takes::Optional(keys) | Takes::Parts(keys) => {
            keys.iter().map(|field| rows(&format!("{path}.{}", field.name), field)).collect()
        }
        Takes::OneOf(keys) => {
            let field = |field: &Key| {
                let path = format!("{path}.{}", field.name);
                row(&path, &values(field.takes), "", field.about, field.pytorch)
            };
            keys.iter().map(field).collect()
        }
        Takes::Named(variants) => {
            let told = variants.iter().filter(|variant| !variant.keys.is_empty() || !variant.about.is_empty());
            let row = |variant: &Variant| {
                let path = format!("{path}: {}", variant.name);
                row(&path, &options(variant.keys), "", variant.about, variant.pytorch)
            };
            told.map(row).collect()
        }
        _ => String::new(),
    };
    own + &more
}

fn row(path: &str, values: &str, default: &str, about: &str, pytorch: &str) -> String {
    let pytorch = if pytorch.is_empty() { String::new() } else { code(pytorch) };
    let about = [about, &pytorch].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    format!("| {} | {values} | {default} | {} |\n", code(path), about.replace('|', "\\|"))
}

/// `lr` above 0 (0.001), ...
fn options(keys: &[Key]) -> String {
    let option = |key: &Key| match key.default {
        Fallback::Is(text) => format!("{} {} ({text})", code(key.name), values(key.takes)),
        _ => format!("{} {}", code(key.name), values(key.takes)),
    };
    keys.iter().map(option).collect::<Vec<_>>().join(", ")
}

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
        Takes::List(of, low, high) if low == high => format!("list of {low}: {}", values(*of)),
        Takes::List(of, low, high) => format!("list of {low} to {high}: {}", values(*of)),
        Takes::Named(variants) => codes(variants.iter().map(|variant| variant.name).collect()),
        Takes::Object(keys) => object(keys),
        Takes::Optional(keys) | Takes::Parts(keys) => format!("`none` or {}", object(keys)),
        Takes::OneOf(keys) => format!("`none` or one of {}", object(keys)),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Prints what it should be where it is not.
#[test]
fn readme_has_the_keys_with_their_values_and_defaults() {
    let readme = include_str!("../../../README.md");
    let missing: Vec<String> = markdown().into_iter().filter(|table| !readme.contains(table)).collect();
    assert!(missing.is_empty(), "README.md should have these tables:\n{}", missing.join("\n"));
}
