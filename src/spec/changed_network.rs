//! `{file: nets/small.yaml, without: [bn1], replace: {pool1: {avg_pool: 2}}}`: a network of a file with other layers. Layers are
//! called as `runner models` shows them, and those without tensors by their kinds, numbered: `act2`, `pool1`, `residual1`.

use std::collections::HashMap;

use super::advice::choices;
use super::error::{InputError, Mark, Result, all};
use super::keys::MODEL;
use super::slot::Slot;
use super::yaml::{Key, Node, Value};
use crate::networks::Names;
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
    names: Names,
    /// Those of what the network becomes.
    new_names: Names,
    seen: Vec<String>,
}

impl Walk {
    fn through(&mut self, layers: &mut Node) {
        let Value::List(items) = &mut layers.value else { return };
        let layers = std::mem::take(items);
        items.extend(layers.into_iter().filter_map(|layer| self.step(layer)));
    }

    fn step(&mut self, mut layer: Node) -> Option<Node> {
        let name = self.name(&layer);
        let new_names = self.new_names.clone();
        each_way(&mut layer, |way| self.through(way));
        self.seen.push(name.clone());
        let Some(change) = self.changes.get(&name).cloned() else {
            self.keep_name(&name, &mut layer);
            return Some(layer);
        };
        // What was in it takes no number.
        self.new_names = new_names;
        let mut new = change?;
        name_within(&name, &mut new, &mut Names::default());
        self.keep_name(&name, &mut new);
        Some(new)
    }

    /// What a layer's tensors are called stays, whatever else is changed, so that weights fit by name.
    fn keep_name(&mut self, name: &str, layer: &mut Node) {
        let Some(kind) = unnamed_with_tensors(layer) else { return };
        let mut new_names = self.new_names.clone();
        if new_names.numbered(kind) == name {
            self.new_names = new_names;
        } else {
            give_name(layer, name);
        }
    }

    fn name(&mut self, layer: &Node) -> String {
        let (kind, own) = kind_and_name(layer);
        own.map_or_else(|| self.names.numbered(kind), str::to_owned)
    }
}

/// What begins the name of a layer that has none of its own, and the one that it has.
fn kind_and_name(layer: &Node) -> (&str, Option<&str>) {
    let (kind, options) = match &layer.value {
        Value::Map(fields) => fields.first().map_or(("", None), |(key, options)| (key.name.as_str(), Some(options))),
        _ => (layer.text().unwrap_or_default(), None),
    };
    let options = options.filter(|options| kind != "act" && matches!(options.value, Value::Map(_)));
    let own = options.and_then(|options| options.field("name")).and_then(Node::text);
    let kind = match kind {
        "batch_norm" => "bn",
        "dense" => "fc",
        "max_pool" | "avg_pool" | "global_avg_pool" | "adaptive_avg_pool" => "pool",
        kind => kind,
    };
    (kind, own)
}

fn unnamed_with_tensors(layer: &Node) -> Option<&'static str> {
    let (kind, own) = kind_and_name(layer);
    ["conv", "bn", "fc"].into_iter().find(|known| own.is_none() && *known == kind)
}

fn each_way(layer: &mut Node, mut visit: impl FnMut(&mut Node)) {
    let Some(ways) = field_of(layer, "residual") else { return };
    for way in ["main", "shortcut"] {
        field_of(ways, way).into_iter().for_each(&mut visit);
    }
}

/// Layers in one that takes another's place are called after that, so that they take no other layer's number.
fn name_within(group: &str, layer: &mut Node, names: &mut Names) {
    each_way(layer, |way| {
        let Value::List(layers) = &mut way.value else { return };
        for layer in layers {
            if let Some(kind) = unnamed_with_tensors(layer) {
                give_name(layer, &format!("{group}.{}", names.numbered(kind)));
            }
            name_within(group, layer, names);
        }
    });
}

/// Leaves one alone that is written as no layer can be.
fn give_name(layer: &mut Node, name: &str) {
    if layer.text() == Some("batch_norm") {
        *layer = Node { at: layer.at.clone(), value: Value::Map(vec![]) }.as_field_of("batch_norm");
    }
    let Value::Map(fields) = &mut layer.value else { return };
    let [(kind, options)] = fields.as_mut_slice() else { return };
    match kind.name.as_str() {
        "batch_norm" if matches!(options.plain(), Some("" | "null")) => options.value = Value::Map(vec![]),
        "dense" if options.text().is_some() => *options = options.as_field_of("out"),
        _ => {}
    }
    let at = options.at.clone();
    if let Value::Map(options) = &mut options.value {
        let name = Node { at: at.clone(), value: Value::Scalar { text: name.to_owned(), quoted: true } };
        options.push((Key { at, name: "name".to_owned() }, name));
    }
}
