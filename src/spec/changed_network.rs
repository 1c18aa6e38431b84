//! `{file: nets/small.yaml, without: [bn1], replace: {pool1: {avg_pool: 2}}}`: a network of a file with other layers. Layers are
//! called as `runner models` shows them, and those without tensors by their kinds, numbered: `act2`, `pool1`, `residual1`.

use std::collections::HashMap;

use super::advice::choices;
use super::error::{InputError, Mark, Result, all};
use super::keys::MODEL;
use super::slot::Slot;
use super::yaml::{Key, Node, Value};
use crate::words::shorten;

/// What `place` makes of the network in its file.
pub fn changed(place: &Node, mut network: Node) -> Result<Node> {
    let slot = Slot::new(MODEL.name, place);
    let mut fields = slot.object()?;
    let (_, name) = (fields.get("file"), fields.get("name"));
    let without = fields.each("without", 0..=usize::MAX, |layer| Ok((layer.text()?.to_owned(), layer)))?;
    let replace = fields.get("replace").map_or_else(|| Ok(&[][..]), |slot| slot.entries())?;
    fields.finish()?;
    let new = |(key, layer): &(Key, Node)| (key.name.clone(), Some(layer.clone()));
    let changes: HashMap<_, _> =
        without.iter().map(|(layer, _)| (layer.clone(), None)).chain(replace.iter().map(new)).collect();
    let mut walk = Walk { changes, ..Walk::default() };
    if let Some(layers) = field_of(&mut network, "layers") {
        walk.through(layers);
    }
    let asked = without.iter().map(|(layer, slot)| (layer, &slot.node.at));
    let asked = asked.chain(replace.iter().map(|(key, _)| (&key.name, &key.at)));
    let is_there = |(layer, at): (&String, _)| match walk.seen.contains(layer) {
        true => Ok(()),
        false => Err(no_such(layer, at, &walk.seen)),
    };
    all::<(), ()>(asked.map(is_there))?;
    rename(&mut network, name.as_ref(), &walk);
    Ok(network)
}

fn no_such(layer: &str, at: &Mark, seen: &[String]) -> InputError {
    let valid: Vec<&str> = seen.iter().map(String::as_str).collect();
    at.error(format!("model: there is no layer `{}`; {}", shorten(layer), choices(layer, &valid)))
}

fn field_of<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let Value::Map(fields) = &mut node.value else { return None };
    fields.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node)
}

/// By the name that is written, or else by what is changed.
fn rename(network: &mut Node, name: Option<&Slot>, walk: &Walk) {
    let Some(own) = field_of(network, "name") else { return };
    if let Some(name) = name {
        *own = name.node.clone();
        return;
    }
    let Value::Scalar { text, .. } = &mut own.value else { return };
    for layer in &walk.seen {
        if let Some(new) = walk.changes.get(layer) {
            let word = if new.is_some() { "other" } else { "no" };
            text.push_str(&format!("-{word}-{}", layer.replace('.', "_")));
        }
    }
}

/// Gives every layer its name and its change.
#[derive(Default)]
struct Walk {
    /// What takes a layer's place, if anything.
    changes: HashMap<String, Option<Node>>,
    counts: HashMap<String, usize>,
    seen: Vec<String>,
}

impl Walk {
    fn through(&mut self, layers: &mut Node) {
        let Value::List(items) = &mut layers.value else { return };
        let changed = std::mem::take(items).into_iter().filter_map(|mut layer| {
            let name = self.name(&layer);
            if let Some(ways) = field_of(&mut layer, "residual") {
                for way in ["main", "shortcut"] {
                    if let Some(way) = field_of(ways, way) {
                        self.through(way);
                    }
                }
            }
            let change = self.changes.get(&name).cloned();
            self.seen.push(name);
            change.unwrap_or(Some(layer))
        });
        *items = changed.collect();
    }

    fn name(&mut self, layer: &Node) -> String {
        let (kind, options) = match &layer.value {
            Value::Map(fields) => fields.first().map_or(("", None), |(key, options)| (&key.name, Some(options))),
            _ => (layer.text().unwrap_or_default(), None),
        };
        let options = options.filter(|options| kind != "act" && matches!(options.value, Value::Map(_)));
        if let Some(own) = options.and_then(|options| options.field("name")).and_then(Node::text) {
            return own.to_owned();
        }
        let short = match kind {
            "batch_norm" => "bn",
            "dense" => "fc",
            "max_pool" | "avg_pool" | "global_avg_pool" | "adaptive_avg_pool" => "pool",
            kind => kind,
        };
        let count = self.counts.entry(short.to_owned()).or_default();
        *count += 1;
        format!("{short}{count}")
    }
}
