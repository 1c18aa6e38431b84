//! An experiment file, as the command line changes it → an [`Experiment`].

use std::collections::HashMap;
use std::path::Path;

use super::check;
use super::config::{DatasetName, Mode};
use super::error::{Mark, Result};
use super::expand::expand_blocks;
use super::experiment::{Configuration, Experiment, FIRST_TUNING_SEED, Settle, Variant, canonical};
use super::fields::{Slot, default, typed};
use super::keys::{MARGIN, MAX_SEED, MAX_TRIALS, SEEDS, SETTLE, TARGETS, setting_names};
use super::settings::{admit, apply, settings};
use super::tune::Tuning;
use super::yaml::{self, Key, Node, Value};

/// What the command line changes in an experiment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `KEY=VALUE`, the value in YAML, applied in order to the base: any key of `base`, plain or dotted, or `data`,
    /// `select`, `seeds`, `targets`. What a block sets itself still wins in that block.
    pub set: Vec<String>,
    pub dataset: Option<DatasetName>,
    pub mode: Mode,
    /// The only seed.
    pub seed: Option<u64>,
}

impl Experiment {
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Experiment> {
        Experiment::parse(&path.display().to_string(), &yaml::read_file(path)?, overrides)
    }

    /// Reads an experiment from its text; `name` stands in errors where a file's name would.
    pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Experiment> {
        let mut document = yaml::parse(name, text)?;
        let options = options(overrides)?;
        let (lists, options): (Vec<_>, Vec<_>) =
            options.into_iter().partition(|(key, _)| ["seeds", "targets"].contains(&key.name.as_str()));
        Slot::new("", &document).object()?;
        for (key, value) in &lists {
            apply(&mut document, (key, value))?;
        }
        experiment(&document, &options, overrides)
    }
}

/// The settings on the command line, each with its option as its place.
fn options(overrides: &Overrides) -> Result<Vec<(Key, Node)>> {
    let valid = setting_names(&["data", "select", "seeds", "targets"]);
    let mut options = Vec::new();
    for option in &overrides.set {
        let source = format!("--set {option}");
        let at = Mark::whole(source.as_str());
        let Some((name, text)) = option.split_once('=') else {
            return Err(at.error("expected KEY=VALUE"));
        };
        let key = Key { at, name: name.trim().to_string() };
        admit(&key, &valid)?;
        options.push((key, yaml::parse_option(&source, text)?));
    }
    if let Some(dataset) = overrides.dataset {
        let at = Mark::whole(format!("--dataset {}", dataset.as_str()));
        let value = Value::Scalar { text: dataset.as_str().to_owned(), quoted: false };
        options.push((Key { at: at.clone(), name: "data.dataset".to_string() }, Node { at, value }));
    }
    Ok(options)
}

fn experiment(document: &Node, options: &[(Key, Node)], overrides: &Overrides) -> Result<Experiment> {
    let mut fields = Slot::new("", document).object()?;
    let schema = fields.need("schema")?;
    if schema.node.plain() != Some("1") {
        return Err(schema.error(format!("expected 1, the only schema there is, found {}", schema.node.excerpt())));
    }
    let name = fields.need("name")?.file_name()?;
    let description = fields.text("description")?;
    let (data, select) = (fields.get("data"), fields.get("select"));
    let (seeds_slot, settle_slot) = (fields.get(SEEDS.name), fields.get(SETTLE.name));
    let (seeds, settle) = replicates(&seeds_slot, &settle_slot, overrides)?;
    let margin = fields.read(&MARGIN)?;
    let tune_slot = fields.get("tune");
    let targets = fields.get(TARGETS.name).map_or_else(|| Ok(typed(default(&TARGETS))), targets)?;
    let base = fields.need("base")?;
    let blocks = fields.each("blocks", 0..=usize::MAX, Ok)?;
    fields.finish()?;

    let root = root(&base, [("data", data), ("select", select)], options)?;
    let base = check::config(&root, overrides.mode)?;
    let tuning = tune_slot.as_ref().map(Tuning::read).transpose()?;
    let candidates = tuning.as_ref().map_or_else(|| Ok(vec![]), |tuning| tuning.candidates(&root, overrides.mode))?;
    let blocks = expand_blocks(blocks, &root, base.data.dataset, overrides.mode, tuning.as_ref())?;
    if let Some(slot) = settle_slot.as_ref().filter(|_| settle.is_some() && blocks.is_empty()) {
        return Err(slot.error("there is nothing to settle without blocks; `seeds` says how often the base runs"));
    }
    let tune = tuning.as_ref().map(Tuning::summary);
    let experiment = Experiment { name, description, seeds, margin, settle, tune, targets, base, candidates, blocks };
    if let Some(slot) = &tune_slot {
        refuse_mixed_tuning(&experiment, slot)?;
    }
    let count = most_trials(&experiment);
    if count > MAX_TRIALS {
        let configurations = experiment.configurations().len();
        let problem = format!("{configurations} configurations make {count} trials, more than {MAX_TRIALS}");
        let place = seeds_slot.or(settle_slot).or(tune_slot);
        return Err(place.map_or_else(|| document.at.error(&problem), |slot| slot.error(&problem)));
    }
    Ok(experiment)
}

/// The seeds, and whether they are added as they are needed. On the command line, seeds take the place of both.
fn replicates(
    seeds_slot: &Option<Slot>,
    settle_slot: &Option<Slot>,
    overrides: &Overrides,
) -> Result<(Vec<u64>, Option<Settle>)> {
    if let Some(seed) = overrides.seed {
        let problem = format!("expected a whole number from 0 to {MAX_SEED}");
        let error = || Mark::whole(format!("--seed {seed}")).error(problem);
        return (seed <= MAX_SEED as u64).then(|| (vec![seed], None)).ok_or_else(error);
    }
    let is_option = seeds_slot.as_ref().is_some_and(|slot| slot.node.at.is_whole());
    match (seeds_slot, settle_slot.as_ref().filter(|_| !is_option)) {
        (None, None) => Ok((typed(default(&SEEDS)), None)),
        (Some(slot), None) => Ok((seeds(slot)?, None)),
        (Some(slot), Some(_)) => {
            Err(slot.error("`settle` finds out how many seeds are needed; leave one of the two out"))
        }
        (None, Some(slot)) => {
            let settle: Settle = typed(slot.value(SETTLE.takes)?);
            // A base that is in many comparisons has twice as many as its settings.
            Ok(((0..2 * settle.max_seeds as u64).collect(), Some(settle)))
        }
    }
}

/// Tuning has seeds of its own, and may not make two settings one.
fn refuse_mixed_tuning(experiment: &Experiment, slot: &Slot) -> Result<()> {
    if let Some(first) = experiment.seeds.iter().find(|seed| **seed >= FIRST_TUNING_SEED) {
        let problem = format!("tuning has seeds of its own from {FIRST_TUNING_SEED} on, but {first} is in `seeds`");
        return Err(slot.error(problem));
    }
    // Settings that differ only in what is tuned would be the same one.
    let mut owners: HashMap<String, (String, String)> = HashMap::new();
    for (block, Variant { label, config, candidates, .. }) in experiment.variants() {
        for candidate in candidates {
            let own = (canonical(config), format!("{}: {label}", block.id));
            let (owner, name) = owners.entry(canonical(&candidate.config)).or_insert_with(|| own.clone());
            if *owner != own.0 {
                let problem = format!("{name} and {} become the same setting by it, at {}", own.1, candidate.label);
                return Err(slot.error(problem));
            }
        }
    }
    Ok(())
}

/// How many trials there can be, whichever candidates are compared, without making them.
pub fn most_trials(experiment: &Experiment) -> usize {
    let tries = experiment.tune.as_ref().map_or(0, |tune| tune.seeds);
    let of = |configuration: &Configuration| {
        configuration.most_seeds * configuration.candidates.len().max(1) + tries * configuration.candidates.len()
    };
    experiment.configurations().iter().map(of).sum()
}

/// The base configuration as one object: `base`'s keys, `data` and `select`, changed by the command line.
fn root(base: &Slot, beside: [(&str, Option<Slot>); 2], options: &[(Key, Node)]) -> Result<Node> {
    let mut root = Node { at: base.node.at.clone(), value: Value::Map(Vec::new()) };
    for (name, slot) in beside {
        if let Some(Slot { node, .. }) = slot {
            apply(&mut root, (&Key { at: node.at.clone(), name: name.to_string() }, node))?;
        }
    }
    for setting in settings(base, &setting_names(&[]))? {
        apply(&mut root, setting)?;
    }
    for (key, value) in options {
        apply(&mut root, (key, value))?;
    }
    Ok(root)
}

fn seeds(slot: &Slot) -> Result<Vec<u64>> {
    let seeds: Vec<u64> = typed(slot.value(SEEDS.takes)?);
    match (1..seeds.len()).find(|&index| seeds[..index].contains(&seeds[index])) {
        Some(index) => Err(slot.list()?[index].error(format!("{} is there twice", seeds[index]))),
        None => Ok(seeds),
    }
}

fn targets(slot: Slot) -> Result<Vec<f64>> {
    let targets: Vec<f64> = typed(slot.value(TARGETS.takes)?);
    match (1..targets.len()).find(|&index| targets[index] <= targets[index - 1]) {
        Some(index) => Err(slot.list()?[index].error("expected ascending accuracies")),
        None => Ok(targets),
    }
}
