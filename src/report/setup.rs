//! What was run, so that a reader needs nothing but the report: data, network, every key of the base, seeds, mode, machine; and
//! what is not alike between the settings and should be.

use super::study::{StoredTrial, Study};
use super::summary::{BlockSummary, Row};
use super::table::{Column, MISSING, Table, markdown, markdown_table};
use crate::record::{Outcome, Status, total};
use crate::spec::Cell;
use crate::spec::config::{Config, Select};
use crate::words::{count, duration, grouped, list};
use std::collections::{BTreeSet, HashSet};

/// More bases than this are not set beside each other.
const MOST_BASES: usize = 6;

pub fn what_was_run(study: &Study, blocks: &[BlockSummary]) -> String {
    let outcomes: Vec<&Outcome> = study.trials.iter().filter_map(|trial| trial.outcome.as_ref()).collect();
    let with = |status| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let trials = || study.trials.iter().filter(|trial| !trial.is_tuning);
    let seeds: BTreeSet<u64> = trials().map(|trial| trial.seed).collect();
    let selects: BTreeSet<&str> = study.trials.iter().map(|trial| select_words(trial.config.select)).collect();
    let seconds = total(outcomes.iter().map(|outcome| outcome.seconds));
    let machines = outcomes.iter().map(|outcome| {
        let threads = count(outcome.threads, "thread");
        format!("libtorch {} on {} with {threads}", outcome.libtorch, outcome.device)
    });
    let mut lines = vec![
        format!(
            "- {} in {}: {} done, {} failed, {} diverged, {} to come.",
            count(study.trials.len(), "trial"),
            count(study.blocks.len(), "block"),
            with(Status::Done),
            with(Status::Failed),
            with(Status::Diverged),
            study.trials.len() - outcomes.len()
        ),
        format!("- Seeds: {}.", list(seeds.iter().map(u64::to_string))),
        format!("- Data: {}{}.", markdown(&study.dataset_note), images(study)),
        format!("- The epoch that counts: {}.", list(selects.into_iter().map(str::to_owned))),
        format!("- {}: {}.", study.mode_label(), list(machines.collect::<BTreeSet<_>>())),
        format!("- Time over all trials: {}.", duration(seconds)),
    ];
    let tuning = study.trials.iter().filter(|trial| trial.is_tuning).count();
    if tuning > 0 {
        let tried = count(tuning, "trial");
        lines.insert(1, format!("- {tried} of them only tried values, on seeds that no comparison has."));
    }
    let bases = bases(study, blocks);
    lines.extend(bases.iter().filter_map(|(name, base)| network(name, base, bases.len() > 1)));
    format!("## What was run\n\n{}\n\n{}", lines.join("\n"), configuration(&bases)).trim_end().to_owned()
}

/// The different bases with their names, each once.
fn bases<'a>(study: &Study, blocks: &'a [BlockSummary<'a>]) -> Vec<(String, &'a Row<'a>)> {
    let mut seen = HashSet::new();
    let mut found: Vec<(String, &Row)> = vec![];
    for block in blocks {
        let shown = if is_comparison(block) { block.rows.len() } else { 1 };
        for row in block.rows[..shown].iter().filter(|row| !row.trials.is_empty()) {
            if seen.insert(row.variant.configuration) {
                let own = found.is_empty() || is_comparison(block);
                let name =
                    if own { row.variant.label.clone() } else { format!("base of {}", study.title(block.block)) };
                found.push((name, row));
            }
        }
    }
    found
}

/// Whether a block's rows are experiments, whose bases are its settings.
fn is_comparison(block: &BlockSummary) -> bool {
    block.rows.iter().all(|row| row.variant.settings.iter().any(|(key, _)| key == "experiment"))
}

/// `: 45,000 images to train on, 5,000 to validate, 10,000 to test`
fn images(study: &Study) -> String {
    let sizes: BTreeSet<(usize, usize)> =
        study.trials.iter().map(|trial| (trial.config.data.training_images(), trial.config.data.val)).collect();
    let test = study.trials.iter().find_map(StoredTrial::scores);
    let test = test.map_or(String::new(), |scores| {
        format!(", {} to test", grouped(scores.confusion.iter().flatten().sum::<u64>() as i64))
    });
    let words = sizes
        .iter()
        .map(|(train, val)| format!("{} to train on and {} to validate", grouped(*train as i64), grouped(*val as i64)));
    if sizes.is_empty() { String::new() } else { format!(": {}{test}", words.collect::<Vec<_>>().join(" or ")) }
}

/// The base's network, and whose it is where there are several.
fn network(name: &str, base: &Row, several: bool) -> Option<String> {
    let (table, trial) = (base.network()?, base.trials.first()?);
    let whose = if several { format!(" of {}", markdown(name)) } else { String::new() };
    Some(format!(
        "- Network{whose}: {}, {} parameters, {} multiply-adds an image.",
        markdown(trial.config.model.as_str()),
        grouped(table.parameters()),
        grouped(table.multiply_adds())
    ))
}

/// Every key with its value, defaults too; where several bases differ, those keys first.
fn configuration(bases: &[(String, &Row)]) -> String {
    let shown = &bases[..bases.len().min(MOST_BASES)];
    let keys = |row: &Row| row.trials[0].keys.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let all = shown.iter().map(|(_, row)| keys(row));
    // The longest list first, the first of equals; then what else there is.
    let Some(mut names) = all.clone().reduce(|a, b| if b.len() > a.len() { b } else { a }) else {
        return String::new();
    };
    for name in all.flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let differs = |name: &String| shown.iter().any(|(_, row)| value(row, name) != value(shown[0].1, name));
    let (first, rest): (Vec<String>, Vec<String>) = names.into_iter().partition(differs);
    let mut columns = vec![Column::words("Key", String::clone)];
    columns.extend(shown.iter().map(|(name, row)| Column::new(name, |key: &String| value(row, key))));
    let left_out = match bases.len() - shown.len() {
        0 => String::new(),
        more => format!(" ({more} more bases are in trials.csv)"),
    };
    let table = Table::new(&columns, first.into_iter().chain(rest));
    format!("Every key of the base{left_out}:\n\n{}", markdown_table(&table))
}

fn value(row: &Row, name: &str) -> Cell {
    let found = row.trials[0].keys.iter().find(|(key, _)| key == name);
    found.map_or(Cell::number(MISSING), |(_, value)| value.clone())
}

/// A property that should be alike wherever accuracies are compared: what it is, its value, and what follows where values differ.
type Property = (&'static str, fn(&Config) -> String, &'static str);

const ALIKE: [Property; 3] = [
    ("split the images differently", split, "Part of a difference may be due to that."),
    (
        "select the epoch differently",
        |config| select_words(config.select).to_owned(),
        "Part of a difference may be due to that.",
    ),
    ("compute in different modes", |config| config.mode.as_str().to_owned(), "They differ in how they round."),
];

/// One sentence for each property that is not alike. The study's first block tells: it has every experiment of a
/// comparison, and one experiment's blocks are alike.
pub fn caveats(blocks: &[BlockSummary]) -> Vec<String> {
    let Some(block) = blocks.first() else { return vec![] };
    let mut found = vec![];
    for (what, value, consequence) in ALIKE {
        let of_row = |row: &Row| row.trials.first().map_or(String::new(), |trial| value(&trial.config));
        found.extend(different(block, of_row).map(|groups| format!("Some settings {what}: {groups}. {consequence}")));
    }
    found
}

/// `value (labels); value (labels)`; None where all rows have the same.
fn different(block: &BlockSummary, value: impl Fn(&Row) -> String) -> Option<String> {
    let mut groups: Vec<(String, Vec<&str>)> = vec![];
    for row in &block.rows {
        let (value, label) = (value(row), row.variant.label.as_str());
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((value, vec![label])),
        }
    }
    let words = groups.iter().map(|(value, labels)| format!("{value} ({})", labels.join(", ")));
    (groups.len() > 1).then(|| words.collect::<Vec<_>>().join("; "))
}

fn split(config: &Config) -> String {
    let data = &config.data;
    let [train, val] = [data.training_images(), data.val].map(|images| grouped(images as i64));
    format!("{train} to train on and {val} to validate, split seed {}", data.split_seed)
}

fn select_words(select: Select) -> &'static str {
    match select {
        Select::ValLoss => "lowest validation loss",
        Select::ValAccuracy => "highest validation accuracy",
    }
}
