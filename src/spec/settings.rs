//! Keys with the values they set. An object replaces a whole object; then a dotted key (`optimizer.lr`) changes one field, or
//! with `null` leaves it out. Axes and zips are lists of such values.

use std::borrow::Cow;
use std::collections::HashMap;

use super::advice::{choices, instead_of};
use super::error::{InputError, Mark, Mistakes, Result};
use super::keys::{self, ON_TOP, split};
use super::slot::Slot;
use super::yaml::{Key, Node, Value};
use crate::options::Takes;
use crate::words::shorten;

/// More than there are options in all.
pub const MAX_KEYS: usize = 64;

pub type Setting<'a> = (&'a Key, &'a Node);

/// The settings that one object makes together: an object beside one of its own fields is a slip.
pub fn settings<'a>(slot: &Slot<'a>, valid: &[&str], mistakes: &mut Mistakes) -> Vec<Setting<'a>> {
    let settings = alternatives(slot, valid, mistakes);
    for (key, _) in &settings {
        let (group, field) = split(&key.name);
        if let Some((other, _)) = settings.iter().find(|(other, _)| field.is_some() && other.name == group) {
            let problem = format!("{}: {group} already sets it{}; write it in there", key.name, place(&other.at));
            mistakes.note(key.at.error(problem));
        }
    }
    settings
}

/// Keys among `valid` with their values, whatever these are.
pub fn alternatives<'a>(slot: &Slot<'a>, valid: &[&str], mistakes: &mut Mistakes) -> Vec<Setting<'a>> {
    let entries = mistakes.keep(slot.entries()).unwrap_or_default();
    if matches!(slot.node.value, Value::Map(_)) && !(1..=MAX_KEYS).contains(&entries.len()) {
        mistakes.note(slot.error(format!("expected 1 to {MAX_KEYS} keys, found {}", entries.len())));
        return Vec::new();
    }
    let admitted = entries.iter().filter(|(key, _)| mistakes.keep(admit(key, valid)).is_some());
    admitted.map(|(key, node)| (key, node)).collect()
}

/// Refuses a key that cannot be set in this place.
pub fn admit(key: &Key, valid: &[&str]) -> Result<()> {
    let (group, field) = split(&key.name);
    let name = shorten(&key.name);
    if !valid.contains(&group) {
        let wrong = if key.name.contains(':') { key.name.as_str() } else { group };
        let instead = match key.at.is_whole() && ON_TOP.contains(&group) {
            true => choices(group, valid),
            false => instead_of(wrong, "", valid),
        };
        return Err(key.at.error(format!("{name}: cannot be set here; {instead}")));
    }
    let has_fields = |takes: Takes| matches!(takes, Takes::Named(_)) || !takes.fields().is_empty();
    if field.is_some() && !keys::find(group).is_none_or(|key| has_fields(key.takes)) {
        return Err(key.at.error(format!("{name}: {group} is one value and has no fields")));
    }
    Ok(())
}

/// Refuses two owners of one key.
pub fn refuse_shared<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<()> {
    let mut owners: HashMap<&str, &Mark> = HashMap::new();
    for key in keys {
        if let Some(other) = owners.insert(&key.name, &key.at) {
            return Err(key.at.error(format!("{}: already set{}", key.name, place(other))));
        }
    }
    Ok(())
}

fn place(at: &Mark) -> String {
    if at.is_whole() { String::new() } else { format!(" in line {}, column {}", at.line, at.col) }
}

/// An object with other values: whole ones first, then those of single fields.
pub fn changed(object: &Node, settings: &[Setting]) -> Result<Node> {
    let mut object = object.clone();
    let (fields, whole): (Vec<Setting>, Vec<Setting>) = settings.iter().partition(|(key, _)| key.name.contains('.'));
    whole.into_iter().chain(fields).try_for_each(|setting| apply(&mut object, setting))?;
    Ok(object)
}

/// Changes one key of an object.
pub fn apply(object: &mut Node, (key, value): Setting) -> Result<()> {
    let (group, field) = split(&key.name);
    match field {
        None => *place_for(object, group, key)? = value.clone(),
        Some(field) if value.is_null() => leave_out(object, group, field, key)?,
        Some(field) => *place_for(place_for(object, group, key)?, field, key)? = value.clone(),
    }
    Ok(())
}

fn leave_out(object: &mut Node, group: &str, field: &str, key: &Key) -> Result<()> {
    let known = keys::fields(group);
    if !known.contains(&field) {
        return Err(key.at.error(format!("{}: there is no such key; {}", shorten(&key.name), choices(field, &known))));
    }
    if let Value::Map(fields) = &mut object.value
        && let Some((_, Node { value: Value::Map(fields), .. })) = fields.iter_mut().find(|(key, _)| key.name == group)
    {
        fields.retain(|(key, _)| key.name != field);
    }
    Ok(())
}

/// The place of a field, made where it is missing. What has no fields yet gets them: `none` is read as `{}` and a name
/// such as `adam` as `{name: adam}`.
fn place_for<'n>(object: &'n mut Node, field: &str, key: &Key) -> Result<&'n mut Node> {
    if let Some(text) = object.text() {
        let name = Key { at: object.at.clone(), name: "name".to_string() };
        let fields = if text == "none" { Vec::new() } else { vec![(name, object.clone())] };
        object.value = Value::Map(fields);
    }
    let Value::Map(fields) = &mut object.value else {
        return Err(key.at.error(format!("{}: there is a list where it should go", key.name)));
    };
    let found = fields.iter().position(|(entry, _)| entry.name == field);
    let index = found.unwrap_or(fields.len());
    let entry = Key { at: key.at.clone(), name: field.to_string() };
    match found {
        Some(_) => fields[index].0 = entry,
        None => fields.push((entry, Node { at: key.at.clone(), value: Value::Map(Vec::new()) })),
    }
    Ok(&mut fields[index].1)
}

/// The error of a dotted key that does not go with the object set beside it says how that is written.
pub fn unless_null(error: InputError, settings: &[Setting]) -> InputError {
    let beside = |key: &Key| settings.iter().any(|(other, _)| key.name.starts_with(&format!("{}.", other.name)));
    settings.iter().filter(|(key, _)| beside(key)).fold(error, |error, (key, _)| {
        error.adding("; `null` leaves it out: `zip` both, or `exclude` this combination", |at| *at == key.at)
    })
}

/// What a configuration's nodes have at a dotted key, where it is written.
pub fn look_up<'n>(root: &'n Node, key: &Key) -> Option<&'n Node> {
    let (group, field) = split(&key.name);
    let node = root.field(group)?;
    field.map_or(Some(node), |field| node.field(field))
}

/// Whether a configuration has all that `pattern` names; `default` knows the keys that are not written.
pub fn matches(root: &Node, pattern: &[Setting], default: impl Fn(&str) -> Node) -> bool {
    pattern.iter().all(|(key, wanted)| match look_up(root, key) {
        Some(node) => agrees(node, wanted),
        None if wanted.is_null() => true,
        None => agrees(&default(&key.name), wanted),
    })
}

/// An object agrees with fewer fields, and with its name alone; numbers agree as numbers (`0.001` and `1e-3`).
fn agrees(node: &Node, wanted: &Node) -> bool {
    match (&node.value, &wanted.value) {
        (_, Value::Map(fields)) => {
            fields.iter().all(|(key, wanted)| node.field(&key.name).is_some_and(|node| agrees(node, wanted)))
        }
        (Value::Map(_), Value::Scalar { .. }) => node.field("name").is_some_and(|name| agrees(name, wanted)),
        (Value::List(items), Value::List(wanted)) => {
            items.len() == wanted.len() && items.iter().zip(wanted).all(|(item, wanted)| agrees(item, wanted))
        }
        (Value::Scalar { text, .. }, Value::Scalar { text: other, .. }) => {
            let number = |node: &Node| node.plain().and_then(|text| text.parse::<f64>().ok());
            text == other || number(node).is_some_and(|value| number(wanted) == Some(value))
        }
        _ => false,
    }
}

/// One thing that a block varies: a zip, whose rows set several keys together, or an axis, which is a zip of one key.
pub struct Factor<'a> {
    pub keys: Vec<&'a Key>,
    pub rows: Vec<Vec<(&'a Key, Cow<'a, Node>)>>,
}

/// The rows of lists that move together.
pub fn factor<'a>(path: &str, columns: &[Setting<'a>]) -> Result<Factor<'a>> {
    let mut rows: Vec<Vec<_>> = Vec::new();
    for &(key, node) in columns {
        let slot = Slot::new(format!("{path}.{}", key.name), node);
        let is_object = matches!(node.value, Value::Map(_));
        let values = slot.list_of(1..=usize::MAX).map_err(|error| match is_object {
            true => error.adding("; `mode: random` also draws from a range in `axes`", |_| true),
            false => error,
        })?;
        if rows.is_empty() {
            rows = vec![Vec::new(); values.len()];
        }
        if rows.len() != values.len() {
            let (first, _) = columns[0];
            let problem = format!(
                "{} values, but {} has {}: a zip's lists are equally long",
                values.len(),
                first.name,
                rows.len()
            );
            return Err(slot.error(problem));
        }
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((key, Cow::Borrowed(value.node)));
        }
    }
    Ok(Factor { keys: columns.iter().map(|(key, _)| *key).collect(), rows })
}

/// How many combinations a product has; saturating, since a file may ask for 10⁹⁹.
pub fn combinations(factors: &[Factor]) -> usize {
    factors.iter().fold(1, |count, factor| count.saturating_mul(factor.rows.len()))
}

/// One of them, by number: the last factor moves fastest.
pub fn combination<'f>(factors: &'f [Factor], mut number: usize) -> Vec<Setting<'f>> {
    let mut rows = Vec::new();
    for factor in factors.iter().rev() {
        rows.push(&factor.rows[number % factor.rows.len()]);
        number /= factor.rows.len();
    }
    rows.into_iter().rev().flatten().map(|(key, node)| (*key, node.as_ref())).collect()
}

/// All factors as one, whose rows are theirs one after another.
pub fn one_at_a_time(factors: Vec<Factor>) -> Factor {
    let (keys, rows): (Vec<_>, Vec<_>) = factors.into_iter().map(|factor| (factor.keys, factor.rows)).unzip();
    Factor { keys: keys.concat(), rows: rows.concat() }
}

/// All factors, which have as many rows each, as one whose rows are theirs beside each other.
pub fn side_by_side(factors: Vec<Factor>) -> Factor {
    let mut all =
        Factor { keys: Vec::new(), rows: vec![Vec::new(); factors.first().map_or(0, |first| first.rows.len())] };
    for factor in factors {
        all.keys.extend(factor.keys);
        all.rows.iter_mut().zip(factor.rows).for_each(|(row, more)| row.extend(more));
    }
    all
}
