//! What a network starts from and what training leaves as it is: whether the layers that `start` and `freeze` name are there, and
//! what of a file fits.

use serde_json::Value as Json;

use super::advice::choices;
use super::config::{Config, Start};
use super::error::Result;
use super::experiment::Experiment;
use super::included::Weights;
use super::slot::Slot;
use super::start::is_in;
use super::weights_file::WeightsFile;
use crate::networks::{TableRow, shape_text};
use crate::words::{count, shorten, some};

const DIGITS: usize = 64;
/// So many tensors are named where none fits.
const SHOWN: usize = 3;

/// Refuses weights without the digest that a file's name is given when the experiment is read.
pub fn with_digest(start: &Json, root: &Slot) -> Result<()> {
    let is_digest = |text: &str| text.len() == DIGITS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let holds = start.is_null() || start["weights"]["sha256"].as_str().is_some_and(is_digest);
    root.ensure(holds, "start.weights", "expected the name of a safetensors file")
}

pub fn layers_to_freeze(config: &Config, root: &Slot) -> Result<()> {
    if config.freeze.is_empty() {
        return Ok(());
    }
    let rows = named(config);
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    are_there(&config.freeze, &names, config, "freeze", root)?;
    let moves = rows.iter().any(|row| !config.freezes(&row.name));
    root.ensure(moves, "freeze", "there is no other layer, so that nothing would be trained")?;
    let rule = &config.regularization;
    let is_penalized = |row: &TableRow| !config.freezes(&row.name) && rule.on.covers(row.weights);
    let holds = (rule.l1 == 0.0 && rule.l2 == 0.0) || rows.iter().any(is_penalized);
    root.ensure(holds, "freeze", "no kernel is left that regularization covers; leave out `l1` and `l2`")
}

pub fn layers_to_draw(config: &Config, root: &Slot) -> Result<()> {
    let Some(start) = config.start.as_ref().filter(|start| !start.except.is_empty()) else { return Ok(()) };
    let own =
        |row: &TableRow| row.tensors().into_iter().map(|(name, _)| name).chain([row.name.clone()]).collect::<Vec<_>>();
    let names: Vec<String> = named(config).iter().flat_map(own).collect();
    are_there(&start.except, &names, config, "start.except", root)
}

fn named(config: &Config) -> Vec<TableRow> {
    config.table().rows.into_iter().filter(TableRow::holds_tensors).collect()
}

/// Refuses those of `wanted` that are none of `names`, nor what some of them have before a dot.
fn are_there(wanted: &[String], names: &[String], config: &Config, key: &str, root: &Slot) -> Result<()> {
    let is_there = |group: &String| names.iter().any(|name| is_in(name, std::slice::from_ref(group)));
    let Some(stray) = wanted.iter().find(|group| !is_there(group)) else { return Ok(()) };
    let layers: Vec<String> = named(config).into_iter().map(|row| row.name).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    let model = config.model.as_str();
    Err(root.blame(key, format!("{model} has no layer `{}`; {}", shorten(stray), choices(stray, &layers))))
}

/// What each network takes of each file that it starts from, in words. Refuses a file of which it takes nothing.
pub fn notes(experiment: &Experiment, weights: &Weights) -> Result<Vec<String>> {
    let mut notes = vec![];
    if weights.is_empty() {
        return Ok(notes);
    }
    let configurations = experiment.configurations();
    let configs =
        configurations.iter().flat_map(|configuration| configuration.compared().chain([configuration.config]));
    for config in configs {
        let Some(start) = &config.start else { continue };
        let Some((at, file)) = weights.get(&start.weights.sha256) else { continue };
        let note = note(config, start, file).map_err(|problem| at.error(problem))?;
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    Ok(notes)
}

fn note(config: &Config, start: &Start, file: &WeightsFile) -> std::result::Result<String, String> {
    let (model, path) = (config.model.as_str(), file.path.display());
    let (mut taken, mut anew) = (0, vec![]);
    for row in named(config) {
        let tensors = row.tensors();
        let is_taken = |(name, shape): &&(String, Vec<i64>)| start.takes(name) && file.shapes.get(name) == Some(shape);
        let own = tensors.iter().filter(is_taken).count();
        taken += own;
        match own {
            0 => anew.push(row.name.clone()),
            _ => anew.extend(tensors.iter().filter(|tensor| !is_taken(tensor)).map(|(name, _)| name.clone())),
        }
    }
    if taken == 0 {
        return Err(format!("start.weights: {path}: {}", why_nothing_fits(config, file)));
    }
    let anew = if anew.is_empty() { String::new() } else { format!("; drawn anew: {}", anew.join(", ")) };
    Ok(format!("{model} starts from {path}: takes {}{anew}", count(taken, "tensor")))
}

/// With some of the tensors on both sides, and what to do.
fn why_nothing_fits(config: &Config, file: &WeightsFile) -> String {
    let model = config.model.as_str();
    let sized = |(_, shape): &(String, Vec<i64>)| !shape.is_empty();
    let own: Vec<(String, Vec<i64>)> = named(config).iter().flat_map(TableRow::tensors).filter(sized).collect();
    let (fitting, others): (Vec<_>, Vec<_>) = own
        .iter()
        .filter_map(|(name, shape)| Some((name, shape, file.shapes.get(name)?)))
        .partition(|(_, shape, theirs)| shape == theirs);
    if !fitting.is_empty() {
        let names: Vec<String> = fitting.into_iter().map(|(name, ..)| name.clone()).collect();
        return format!("`except` leaves nothing of what fits {model}: {}", some(&names, SHOWN));
    }
    let nothing = format!("nothing in it fits {model} by name and shape");
    if !others.is_empty() {
        let words = |(name, own, theirs): (&String, &Vec<i64>, &Vec<i64>)| {
            format!("{name} is {} in the file and {} in {model}", shape_text(theirs), shape_text(own))
        };
        let words: Vec<String> = others.into_iter().map(words).collect();
        return format!("{nothing}: {}; a tensor is taken where both are the same", some(&words, SHOWN));
    }
    let mut theirs: Vec<_> = file.shapes.clone().into_iter().filter(sized).collect();
    theirs.sort_unstable();
    let shown = |tensors: &[(String, Vec<i64>)]| {
        let words = tensors.iter().map(|(name, shape)| format!("{} {}", shorten(name), shape_text(shape)));
        some(&words.collect::<Vec<_>>(), SHOWN)
    };
    let theirs = if theirs.is_empty() { "no tensors".to_owned() } else { shown(&theirs) };
    format!(
        "{nothing}: the file has {theirs}; {model} has {}; a network of your own takes the file's names by `name` in its layers",
        shown(&own)
    )
}
