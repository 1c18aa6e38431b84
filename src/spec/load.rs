//! An experiment file, as the command line changes it → an [`Experiment`].

use std::collections::HashMap;
use std::path::Path;

use super::advice::closest;
use super::check;
use super::config::Model;
use super::error::{InputError, Mark, Mistakes, Result};
use super::expand::{Common, expand_blocks};
use super::experiment::{Configuration, Experiment, FIRST_TUNING_SEED, Settle, Variant, canonical};
use super::fields::{Fields, default, typed};
use super::included;
use super::keys::{MARGIN, MAX_SEED, MAX_TRIALS, SEED_LIMIT, SEEDS, SETTLE, TARGETS, setting_names};
use super::overrides::Overrides;
use super::settings::{admit, apply, settings};
use super::slot::Slot;
use super::starting;
use super::tune::Tuning;
use super::yaml::{self, Key, Node, Value};

impl Experiment {
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Experiment> {
        Experiment::parse(&path.display().to_string(), &yaml::read_file(path)?, overrides)
    }

    /// Reads an experiment from the text of a file called `name`, or of none, where that stands in errors. Files that it names lie
    /// beside it, or where `overrides` says.
    pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Experiment> {
        let beside = || Path::new(name).parent().unwrap_or(Path::new(""));
        let folder = overrides.folder.as_deref().unwrap_or_else(beside);
        let mut mistakes = Mistakes::default();
        let mut options = options(overrides, &mut mistakes);
        let document = yaml::parse(name, text, &mut mistakes);
        let read = document.and_then(|mut document| {
            mistakes.keep(Slot::new("", &document).object())?;
            let weights = included::include(&mut document, &mut options, folder, !overrides.is_sketch, &mut mistakes)?;
            let (lists, options): (Vec<_>, Vec<_>) =
                options.into_iter().partition(|(key, _)| ["seeds", "targets"].contains(&key.name.as_str()));
            for (key, value) in &lists {
                mistakes.keep(apply(&mut document, (key, value)));
            }
            let experiment = experiment(&document, &options, overrides, &mut mistakes)?;
            let notes = mistakes.keep(starting::notes(&experiment, &weights))?;
            Some(Experiment { notes, ..experiment })
        });
        mistakes.end(read)
    }
}

/// The settings on the command line, each with its option as its place.
fn options(overrides: &Overrides, mistakes: &mut Mistakes) -> Vec<(Key, Node)> {
    let valid = setting_names(&["data", "select", "seeds", "targets"]);
    let mut options: Vec<_> = overrides.set.iter().filter_map(|text| mistakes.keep(option(text, &valid))).collect();
    if let Some(dataset) = &overrides.dataset {
        let at = Mark::whole(format!("--dataset {dataset}"));
        let value = Value::Scalar { text: dataset.clone(), quoted: false };
        options.push((Key { at: at.clone(), name: "data.dataset".to_string() }, Node { at, value }));
    }
    options
}

fn option(text: &str, valid: &[&str]) -> Result<(Key, Node)> {
    let source = format!("--set {text}");
    let at = Mark::whole(source.as_str());
    let Some((name, value)) = text.split_once('=') else {
        return Err(at.error("expected KEY=VALUE"));
    };
    let key = Key { at, name: name.trim().to_string() };
    admit(&key, valid)?;
    Ok((key, yaml::parse_option(&source, value)?))
}

/// What stands beside the configurations.
struct Study<'a> {
    name: Option<String>,
    description: Option<String>,
    seeds: Vec<u64>,
    margin: Option<f64>,
    settle: Option<Settle>,
    targets: Option<Vec<f64>>,
    /// What decides how many trials there are, where it is written.
    replicates: Option<Slot<'a>>,
}

fn study<'a>(fields: &mut Fields<'a>, overrides: &Overrides, mistakes: &mut Mistakes) -> Study<'a> {
    mistakes.keep(fields.need("schema").and_then(|schema| match schema.node.plain() {
        Some("1") => Ok(()),
        _ => Err(schema.error(format!("expected 1, the only schema there is, found {}", schema.node.excerpt()))),
    }));
    let name = mistakes.keep(fields.need("name").and_then(|name| name.file_name()));
    let description = mistakes.keep(fields.text("description")).flatten();
    let (seeds_slot, settle_slot) = (fields.get(SEEDS.name), fields.get(SETTLE.name));
    let (seeds, settle) = mistakes.keep(replicates(&seeds_slot, &settle_slot, overrides)).unwrap_or_default();
    let margin = mistakes.keep(fields.read(&MARGIN));
    let targets = mistakes.keep(fields.get(TARGETS.name).map_or_else(|| Ok(typed(default(&TARGETS))), targets));
    Study { name, description, seeds, margin, settle, targets, replicates: seeds_slot.or(settle_slot) }
}

fn experiment(
    document: &Node,
    options: &[(Key, Node)],
    overrides: &Overrides,
    mistakes: &mut Mistakes,
) -> Option<Experiment> {
    let mut fields = mistakes.keep(Slot::new("", document).object())?;
    let study = study(&mut fields, overrides, mistakes);
    let (beside, tune_slot) = (["data", "select"].map(|name| (name, fields.get(name))), fields.get("tune"));
    let base = mistakes.keep(fields.need("base"));
    let blocks = mistakes.keep(fields.each("blocks", 0..=usize::MAX, Ok)).unwrap_or_default();
    mistakes.keep(fields.finish());

    let root = root(&base?, beside, options, mistakes);
    let base = mistakes.keep(check::config(&root, overrides));
    let tuning = tune_slot.as_ref().and_then(|slot| Tuning::read(slot, mistakes));
    let candidates = tuning.as_ref().map(|tuning| tuning.candidates(&root, overrides)).transpose();
    let candidates = mistakes.keep(candidates.map(Option::unwrap_or_default));
    let common = Common { root: &root, base: base.as_ref(), overrides, tuning: tuning.as_ref() };
    let blocks = expand_blocks(blocks, &common, mistakes);
    let tune = tuning.as_ref().map(Tuning::summary);
    let Study { name, description, seeds, margin, settle, targets, replicates } = study;
    let experiment = Experiment {
        name: name?,
        description,
        seeds,
        margin: margin?,
        settle,
        tune,
        targets: targets?,
        base: base?,
        candidates: candidates?,
        blocks,
        notes: vec![],
    };
    if mistakes.count() == 0 {
        mistakes.keep(refuse_as_a_whole(&experiment, replicates.as_ref(), tune_slot.as_ref(), document));
    }
    Some(experiment)
}

/// What is right by itself may be too much, or nothing, together.
fn refuse_as_a_whole(
    experiment: &Experiment,
    replicates: Option<&Slot>,
    tune: Option<&Slot>,
    document: &Node,
) -> Result<()> {
    if let Some(slot) = replicates.filter(|_| experiment.settle.is_some() && experiment.blocks.is_empty()) {
        return Err(slot.error("there is nothing to settle without blocks; `seeds` says how often the base runs"));
    }
    refuse_one_name_for_two_networks(experiment, document)?;
    tune.map_or(Ok(()), |slot| refuse_mixed_tuning(experiment, slot))?;
    let count = most_trials(experiment);
    if count <= MAX_TRIALS {
        return Ok(());
    }
    let configurations = experiment.configurations().len();
    let problem = format!("{configurations} configurations make {count} trials, more than {MAX_TRIALS}");
    let place = replicates.or(tune);
    Err(place.map_or_else(|| document.at.error(&problem), |slot| slot.error(&problem)))
}

/// Labels, tables and plots know a network of the user's own by its name.
fn refuse_one_name_for_two_networks(experiment: &Experiment, document: &Node) -> Result<()> {
    let mut known: HashMap<&str, &Model> = HashMap::new();
    for config in experiment.variants().map(|(_, variant)| &variant.config).chain([&experiment.base]) {
        let Model::Own(own) = &config.model else { continue };
        if known.insert(&own.name, &config.model).is_some_and(|other| *other != config.model) {
            return Err(two_networks(&own.name, document));
        }
    }
    Ok(())
}

fn two_networks(name: &str, document: &Node) -> InputError {
    let problem = format!("two networks are called `{name}`");
    let rest = "each needs a name of its own; beside `file`, `name: ...` gives one";
    let mut found = vec![];
    networks_called(name, document, &mut found);
    let other = found.iter().find(|(_, network)| network.to_string() != found[0].1.to_string());
    match other {
        Some((at, _)) => at.error(format!("model.name: {problem}, this one and that in {}; {rest}", found[0].0)),
        // From the command line, or written key by key.
        None => document.at.error(format!("{problem}; {rest}")),
    }
}

/// All below `node`, with the place of each one's name.
fn networks_called<'n>(name: &str, node: &'n Node, found: &mut Vec<(&'n Mark, &'n Node)>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| networks_called(name, item, found)),
        Value::Map(fields) => {
            let own = node.field("name").filter(|own| included::is_network(node) && own.text() == Some(name));
            found.extend(own.map(|own| (&own.at, node)));
            fields.iter().for_each(|(_, field)| networks_called(name, field, found));
        }
    }
}

/// The seeds, and whether they are added as they are needed. On the command line, seeds take the place of both.
fn replicates(
    seeds_slot: &Option<Slot>,
    settle_slot: &Option<Slot>,
    overrides: &Overrides,
) -> Result<(Vec<u64>, Option<Settle>)> {
    if let Some(seed) = overrides.seed {
        let problem = format!("expected a whole number from 0 to {MAX_SEED}; {SEED_LIMIT}");
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
fn root(base: &Slot, beside: [(&str, Option<Slot>); 2], options: &[(Key, Node)], mistakes: &mut Mistakes) -> Node {
    let mut root = Node { at: base.node.at.clone(), value: Value::Map(Vec::new()) };
    let beside = beside.into_iter().filter_map(|(name, slot)| {
        let node = slot?.node;
        Some((Key { at: node.at.clone(), name: name.to_string() }, node))
    });
    let beside: Vec<(Key, &Node)> = beside.collect();
    // What a misspelled key stands for is not missing.
    let valid = setting_names(&[]);
    for (key, node) in base.entries().unwrap_or_default().iter().filter(|(key, _)| admit(key, &valid).is_err()) {
        if let Some(name) = closest(&key.name, &valid) {
            mistakes.keep(apply(&mut root, (&Key { at: key.at.clone(), name: name.to_string() }, node)));
        }
    }
    let own = settings(base, &valid, mistakes);
    let all = beside.iter().map(|(key, node)| (key, *node)).chain(own);
    for setting in all.chain(options.iter().map(|(key, value)| (key, value))) {
        mistakes.keep(apply(&mut root, setting));
    }
    root
}

fn seeds(slot: &Slot) -> Result<Vec<u64>> {
    if !matches!(slot.node.value, Value::List(_)) {
        let found = slot.node.excerpt();
        return Err(slot.error(format!("expected a list of seeds, [0, 1, 2] for three of them, found {found}")));
    }
    let seeds: Vec<u64> = typed(slot.value_of(&SEEDS)?);
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
