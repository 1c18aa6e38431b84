//! What is valid, in words, and what to write instead of what is wrong.

use std::ops::{Bound, RangeBounds};

use super::keys::{self, BASE, BESIDE, IN_BLOCKS, ON_TOP};
use crate::options::{Fallback, Key, Takes};
use crate::words::list;

/// What is in a layer goes nowhere else.
const LAYERS: &str = "model.layers";
const LAYERS_WITH_NAMES: &str = "; only conv, batch_norm and dense have names, others go by what they are: act1, pool1";

/// `valid: a, b, c`, with a guess at what was meant.
pub fn choices(given: &str, valid: &[&str]) -> String {
    let list = if valid.is_empty() { "it has none".to_string() } else { format!("valid: {}", valid.join(", ")) };
    list + &guess(given, valid)
}

/// `; did you mean ...?`, or nothing.
pub fn guess(given: &str, valid: &[&str]) -> String {
    closest(given, valid).map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// What may have been meant: the same letters, or a slip of the keyboard.
pub fn closest<'a>(given: &str, valid: &[&'a str]) -> Option<&'a str> {
    let near = valid.iter().filter_map(|name| Some((distance(given, name)?, *name)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters of a word are wrong where it may stand for `name`: at most a third, and two. Capitals and hyphens do not count.
pub fn distance(given: &str, name: &str) -> Option<usize> {
    let letters = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let (short, wanted) = (letters(given), letters(name));
    let allowed = ((wanted.len() + 1) / 3).min(2);
    let is_near = given != name && short.len().abs_diff(wanted.len()) <= allowed;
    is_near.then(|| strsim::osa_distance(&short, &wanted)).filter(|wrong| *wrong <= allowed)
}

/// What is wrong with a key that is none of `valid` in `place`, an object: where it goes, or which go here.
pub fn instead_of(key: &str, place: &str, valid: &[&str]) -> String {
    if let Some(text) = with_space(key) {
        return format!("a space is missing after the colon: `{text}`");
    }
    if place.starts_with(LAYERS) {
        let named = if key == "name" { LAYERS_WITH_NAMES } else { "" };
        return choices(key, valid) + named;
    }
    let in_block = IN_BLOCKS.contains(&key) && closest(key, valid).is_none();
    home(key, place).or(in_block.then(|| "it goes into a block".to_string())).unwrap_or_else(|| choices(key, valid))
}

/// Where a key goes that stands in a wrong place.
fn home(name: &str, place: &str) -> Option<String> {
    if BASE.iter().any(|key| key.name == name) {
        return Some("it goes into `base`".to_string());
    }
    if ON_TOP.contains(&name) {
        return Some("it goes beside `base`".to_string());
    }
    let groups = BASE.iter().chain(BESIDE).map(|key| key.name);
    let groups: Vec<&str> = groups.filter(|group| *group != place && keys::fields(group).contains(&name)).collect();
    let first = groups.first()?;
    let all = groups.iter().map(|group| format!("`{group}`")).collect::<Vec<_>>().join(" or ");
    let in_base = if BASE.iter().any(|key| key.name == *first) { " in `base`" } else { "" };
    Some(format!("it is a field of {all}{in_base}: `{first}: {{{name}: ...}}`, or `{first}.{name}` for it alone"))
}

/// `epochs: 3` of `epochs:3`.
pub fn with_space(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    (is_key && !value.starts_with([' ', '/']) && !value.is_empty()).then(|| format!("{key}: {value}"))
}

/// Which of `keys` show how an object of them is written.
pub fn form(keys: &[Key]) -> Vec<&Key> {
    let required: Vec<_> = keys.iter().filter(|key| matches!(key.default, Fallback::Required)).collect();
    if required.is_empty() { keys.iter().take(1).collect() } else { required }
}

/// A value that `takes` has.
pub fn example(takes: Takes) -> String {
    match takes {
        Takes::Number(_) => "0.1".to_string(),
        Takes::Integer(low, high) | Takes::IntegerOr(_, low, high) => 5.clamp(low, high).to_string(),
        Takes::Flag => "true".to_string(),
        Takes::Choice(names) | Takes::ChoiceOr(names, _) => names[0].to_string(),
        Takes::List(of, shortest, _) => format!("[{}]", vec![example(*of); shortest.max(1)].join(", ")),
        Takes::Named(variants) => variants[0].name.to_string(),
        Takes::Text => "stem".to_string(),
        Takes::Layers(_) => "[{dense: classes}]".to_string(),
        takes => format!(
            "{{{}}}",
            list(form(takes.fields()).iter().map(|key| format!("{}: {}", key.name, example(key.takes))))
        ),
    }
}

/// ` above 0 and at most 1`, or nothing where every number will do.
pub fn describe(range: &impl RangeBounds<f64>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => Some(format!("at least {}", number_text(*low))),
        Bound::Excluded(low) => Some(format!("above {low}")),
        Bound::Unbounded => None,
    };
    let high = match range.end_bound() {
        Bound::Included(high) => Some(format!("at most {}", number_text(*high))),
        Bound::Excluded(high) => Some(format!("below {high}")),
        Bound::Unbounded => None,
    };
    let ends: Vec<String> = low.into_iter().chain(high).collect();
    if ends.is_empty() { String::new() } else { format!(" {}", ends.join(" and ")) }
}

/// `0.5`, `180`, `0.00001`, `1e-8`, `3.4028234663852886e38`
pub fn number_text(number: f64) -> String {
    let is_plain = number == 0.0 || (1e-6..1e15).contains(&number.abs());
    if is_plain { (number + 0.0).to_string() } else { format!("{number:e}") }
}
