//! What to write instead of what is wrong.

use super::keys::{self, BASE, BESIDE, IN_BLOCKS, ON_TOP};

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
    Some(format!("it is a field of {all}: `{first}: {{{name}: ...}}`, or `{first}.{name}` for it alone"))
}

/// `epochs: 3` of `epochs:3`.
pub fn with_space(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    (is_key && !value.starts_with([' ', '/']) && !value.is_empty()).then(|| format!("{key}: {value}"))
}
