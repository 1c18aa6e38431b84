//! `report.md`: the study to read. It claims what the statistics carry and no more, and names every trial that did not finish.

use super::block_tables::{
    BY_IMAGE, by_image, class_means, convergence, costs, further_scores, results, tried, unreached_words,
};
use super::measure::Measure;
use super::networks::networks;
use super::plots::{Figure, NO_LETTER, Place, has_letter};
use super::setup::{caveats, what_was_run};
use super::statistics::{Spread, percent, points, spread};
use super::study::{StoredTrial, Study, StudyBlock, data_label, status_word};
use super::summary::{BlockSummary, Row};
use super::table::{Column, Table, markdown, markdown_table};
use super::verdicts::{accuracy, how_to_read, name_of, tally, verdicts};
use crate::record::{Outcome, Status};
use crate::spec::config::DatasetName;
use crate::words::{count, list, minus, signed};
use std::collections::{BTreeSet, HashSet};

pub fn report_md(study: &Study, blocks: &[BlockSummary], figures: &[Figure]) -> String {
    let mut parts = vec![format!("# {}", markdown(&study.name))];
    parts.extend(study.description.as_deref().map(|text| text.trim().to_owned()));
    parts.extend(data_warning(study));
    parts.extend(study.changed_plans.iter().map(|change| format!("> {}", markdown(change))));
    parts.extend(missing_letters(study, figures).map(|note| format!("> {note}")));
    parts.extend(caveats(blocks).iter().map(|caveat| format!("> {}", markdown(caveat))));
    parts.push(in_short(study, blocks, figures));
    parts.push(how_to_read(study));
    parts.push(what_was_run(study, blocks));
    parts.extend(blocks.iter().enumerate().map(|block| block_section(study, block, figures)));
    parts.extend(closer_look(figures));
    parts.extend(unfinished(study, blocks));
    parts.join("\n\n") + "\n"
}

/// The letters of names that the pictures cannot show.
fn missing_letters(study: &Study, figures: &[Figure]) -> Option<String> {
    let of_block = |block: &StudyBlock| {
        let labels = block.variants.iter().map(|variant| variant.label.clone());
        labels.chain([study.title(block).to_owned()]).collect::<String>()
    };
    let names = study.blocks.iter().map(of_block).chain(study.class_names.clone()).chain([study.name.clone()]);
    let letters: BTreeSet<char> = names.collect::<String>().chars().filter(|letter| !has_letter(*letter)).collect();
    let letters = list(letters.iter().map(|letter| markdown(&letter.to_string())));
    (!letters.is_empty() && !figures.is_empty()).then(|| {
        format!("The font of the pictures lacks letters of these names, and has {NO_LETTER} instead: {letters}.")
    })
}

/// Of images that are not the published ones.
fn data_warning(study: &Study) -> Option<String> {
    let text = match study.dataset {
        DatasetName::Synthetic => {
            "> **SYNTHETIC data.** The images were drawn by this program. The numbers compare settings on them and say \
             nothing about CIFAR-10."
        }
        DatasetName::Cifar10 if study.official => return None,
        DatasetName::Imported(_) => return None,
        DatasetName::Cifar10 => {
            "> **Not the official pixels.** The images are CIFAR-10's, but not to the last bit: compressed anew, for example. \
             Accuracies can differ a little from those on the official ones."
        }
    };
    Some(text.to_owned())
}

/// The answer: what is clear, what is nearly so, and what the validation images would choose.
fn in_short(study: &Study, blocks: &[BlockSummary], figures: &[Figure]) -> String {
    let mut parts = vec!["## In short".to_owned()];
    if !blocks.iter().any(BlockSummary::finished) {
        parts.push("No trial has finished yet.".to_owned());
        return parts.join("\n\n");
    }
    let lines = bases(study, blocks).into_iter().chain(tally(study, blocks)).chain(accidents(study));
    parts.push(lines.collect::<Vec<_>>().join("\n"));
    parts.extend(figures.iter().filter(|figure| figure.place == Place::Overview).map(image));
    if blocks.iter().any(|block| block.rows.len() > 1) {
        parts.push(format!("What the validation images would choose in each block:\n\n{}", chosen(study, blocks)));
    }
    parts.join("\n\n")
}

/// Test accuracy of what the settings are measured against.
fn bases(study: &Study, blocks: &[BlockSummary]) -> Vec<String> {
    let mut seen = HashSet::new();
    let bases = blocks.iter().filter_map(|block| Some((block, block.base()?)));
    let bases: Vec<_> = bases.filter(|(_, base)| seen.insert(base.variant.configuration)).collect();
    let whose = |block: &BlockSummary| match bases.len() {
        1 => String::new(),
        _ => format!(" of {}", markdown(study.title(block.block))),
    };
    let line = |(block, base): &(&BlockSummary, &Row)| {
        format!(
            "- The base{}{}, on {}: {}.",
            whose(block),
            name_of(base),
            markdown(data_label(&study.dataset)),
            accuracy(base)
        )
    };
    bases.iter().map(line).collect()
}

fn accidents(study: &Study) -> Option<String> {
    let with = |status| study.trials.iter().filter(|trial| trial.status() == Some(status)).count();
    let counts =
        [(with(Status::Failed), "failed"), (with(Status::Diverged), "diverged")].into_iter().filter(|(n, _)| *n > 0);
    let words: Vec<String> = counts.map(|(n, word)| format!("{n} of {} trials {word}", study.trials.len())).collect();
    (!words.is_empty()).then(|| format!("- **{}**: in no mean; the end of this page says why.", words.join(", ")))
}

/// Per block, the setting with the highest validation accuracy, and what it does on the test set.
fn chosen(study: &Study, blocks: &[BlockSummary]) -> String {
    type Choice<'a> = Column<'a, (&'a BlockSummary<'a>, &'a Row<'a>)>;
    let difference = |best: &Row| best.difference().map(points).or(Some(signed(best.shift?, 2)));
    let columns = [
        Choice::words("Block", |(block, _)| study.title(block.block).to_owned()),
        Choice::words("Choice", |(_, best)| best.variant.label.clone()),
        Choice::numbers("Validation accuracy", |(_, best)| Some(percent(best.spread(Measure::ValAccuracy)))),
        Choice::numbers("Test accuracy", |(_, best)| Some(percent(best.spread(Measure::TestAccuracy)))),
        Choice::numbers("Difference to the base (points)", |(_, best)| difference(best)),
        Choice::words("Verdict", |(_, best)| {
            best.comparison.as_ref().map_or("the base itself", |comparison| comparison.verdict.word()).to_owned()
        }),
    ];
    let choices = blocks.iter().filter_map(|block| Some((block, block.best()?)));
    markdown_table(&Table::new(&columns, choices))
}

fn block_section(study: &Study, (place, block): (usize, &BlockSummary), figures: &[Figure]) -> String {
    let mut parts = vec![format!("## {}", markdown(study.title(block.block)))];
    parts.extend(to_come(block));
    parts.push(verdicts(study, block));
    let mut images = figures.iter().filter(|figure| figure.place == Place::Block(place));
    parts.extend(images.next().map(image));
    parts.push(markdown_table(&results(study, block)));
    parts.extend(images.map(image));
    parts.push(markdown_table(&class_means(block)));
    parts.extend(tried(block).map(|(what, table)| format!("{what}\n\n{}", markdown_table(&table))));
    parts.extend(further_scores(block).as_ref().map(markdown_table));
    parts.extend(by_image(study, block).map(|table| format!("{BY_IMAGE}\n\n{}", markdown_table(&table))));
    parts.extend(convergence_words(study, block));
    parts.extend(generalization_words(block));
    parts.extend(unreached_words(block, &study.targets));
    parts.push(markdown_table(&convergence(block, &study.targets)));
    parts.extend(networks(block));
    parts.extend(block.compares_networks().then(|| markdown_table(&costs(block))));
    parts.join("\n\n")
}

/// The base's trials may be for other blocks alone.
fn to_come(block: &BlockSummary) -> Option<String> {
    let (base, settings) = block.rows.split_first()?;
    let pending = settings.iter().map(Row::pending).sum::<usize>();
    let words = match (pending + base.pending(), pending) {
        (0, _) => return None,
        (all, 0) if !settings.is_empty() && block.progress.look > 0 => {
            format!("Its settings are done; {} of the base to come for other blocks.", count(all, "trial"))
        }
        (all, _) => format!("Unfinished: {} to come.", count(all, "trial")),
    };
    Some(format!("*{words}*"))
}

fn image(figure: &Figure) -> String {
    format!("![{}]({})", markdown(&figure.description), figure.path)
}

/// Pictures of single trials.
fn closer_look(figures: &[Figure]) -> Option<String> {
    let images: Vec<String> =
        figures.iter().filter(|figure| matches!(figure.place, Place::CloserLook(_))).map(image).collect();
    (!images.is_empty()).then(|| format!("## A closer look\n\n{}", images.join("\n\n")))
}

/// Who reaches each target first, and how the base compares.
fn convergence_words(study: &Study, block: &BlockSummary) -> Option<String> {
    let first = |&target: &f64| Some(format!("{} %: {}", minus(100.0 * target, 0), first_to(block, target)?));
    let words: Vec<String> = study.targets.iter().filter_map(first).collect();
    (!words.is_empty())
        .then(|| format!("**Convergence.** Fewest epochs to a validation accuracy: {}.", words.join("; ")))
}

/// Of the seeds that a setting and the base both have: others would differ from those by luck.
fn first_to(block: &BlockSummary, target: f64) -> Option<String> {
    let (base, settings) = block.rows.split_first()?;
    let words = |spread: Spread| format!("{} (n = {})", minus(spread.mean, 1), spread.n);
    let base_seeds = seeds(base);
    let shared = |row: &Row| &seeds(row) & &base_seeds;
    let reaching = settings.iter().filter_map(|row| Some((row, epochs_to(row, target, &shared(row))?)));
    let first = reaching.reduce(|first, other| if other.1.mean < first.1.mean { other } else { first });
    let Some((first, epochs)) = first else {
        let who = if settings.is_empty() { "the base" } else { "none with all seeds but the base" };
        let alone = epochs_to(base, target, &base_seeds).map(|own| format!("{who}, {}", words(own)));
        return alone.or_else(|| block.finished().then(|| absence("none", &block.rows, target)));
    };
    let base_epochs = epochs_to(base, target, &shared(first));
    if let Some(own) = base_epochs.filter(|own| own.mean <= epochs.mean) {
        return Some(format!("none before the base, {}", words(own)));
    }
    let base = base_epochs.map_or_else(|| absence("never", &block.rows[..1], target), words);
    Some(format!("{}, {}, the base {base}", markdown(&first.variant.label), words(epochs)))
}

/// Of the trials of these seeds, which have ended. None unless all of them get there: a mean over the quick ones would flatter.
fn epochs_to(row: &Row, target: f64, seeds: &HashSet<u64>) -> Option<Spread> {
    let ended = row.trials.iter().filter(|trial| seeds.contains(&trial.seed));
    let epochs =
        ended.map(|trial| Measure::EpochsTo(target).value(trial).filter(|_| trial.status() == Some(Status::Done)));
    spread(&epochs.collect::<Option<Vec<_>>>()?)
}

/// Of the trials that have ended.
fn seeds(row: &Row) -> HashSet<u64> {
    row.trials.iter().filter(|trial| trial.outcome.is_some()).map(|trial| trial.seed).collect()
}

/// `never`, or `never with all seeds` where some get there.
fn absence(word: &str, rows: &[Row], target: f64) -> String {
    let some = rows.iter().any(|row| row.spread(Measure::EpochsTo(target)).is_some());
    if some { format!("{word} with all seeds") } else { word.to_owned() }
}

/// How far test lies behind training, and what the last epochs cost: the base's and the extremes of both.
fn generalization_words(block: &BlockSummary) -> Option<String> {
    let gap = from_least_to_most(block, Measure::AccuracyGap, |gap| format!("{} points", minus(100.0 * gap, 1)))?;
    let rise = from_least_to_most(block, Measure::LossRise, |rise| minus(rise, 3))?;
    Some(format!(
        "**Generalization.** Training minus test accuracy of the selected weights: {gap}. Validation loss after the last \
         epoch above the lowest of all epochs, a sign of overfitting: {rise}."
    ))
}

/// The means of the base and of the settings with the least and the most.
fn from_least_to_most(block: &BlockSummary, measure: Measure, written: fn(f64) -> String) -> Option<String> {
    let mean = |row: &Row| row.spread(measure).map(|spread| spread.mean);
    let words = |row: &Row| Some(format!("{} (n = {})", written(mean(row)?), row.n()));
    let mut rows: Vec<(f64, &Row)> = block.rows.iter().filter_map(|row| Some((mean(row)?, row))).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ((_, least), (_, most)) = (rows.first()?, rows.last()?);
    let base = block.base().and_then(words).unwrap_or("no result".to_owned());
    if rows.len() == 1 {
        return Some(format!("{base} with the base"));
    }
    let [small, large] = [least, most].map(|row| markdown(&row.variant.label));
    Some(format!("{base} with the base, from {} with {small} to {} with {large}", words(least)?, words(most)?))
}

/// Every trial that failed or diverged, with its reason.
fn unfinished(study: &Study, blocks: &[BlockSummary]) -> Option<String> {
    let ended = study.trials.iter().filter_map(|trial| Some((trial, trial.outcome.as_ref()?)));
    let bad: Vec<(&StoredTrial, &Outcome)> = ended.filter(|(_, outcome)| outcome.status != Status::Done).collect();
    if bad.is_empty() {
        return None;
    }
    type Bad<'a> = Column<'a, (&'a StoredTrial, &'a Outcome)>;
    let columns = [
        Bad::words("Trial", |(trial, _)| trial.id.clone()),
        Bad::words("Setting", |(trial, _)| setting(blocks, trial)),
        Bad::numbers("Seed", |(trial, _)| Some(trial.seed.to_string())),
        Bad::words("Status", |(_, outcome)| status_word(outcome.status).to_owned()),
        Bad::numbers("Epochs", |(_, outcome)| Some(outcome.epochs.to_string())),
        Bad::numbers("Attempts", |(_, outcome)| Some(outcome.attempts.to_string())),
        Bad::words("Reason", |(_, outcome)| outcome.error.clone().unwrap_or_default()),
    ];
    let table = markdown_table(&Table::new(&columns, bad));
    Some(format!("## Trials that did not finish\n\nThey are in no mean above.\n\n{table}"))
}

/// `block: label` wherever the trial is named.
fn setting(blocks: &[BlockSummary], trial: &StoredTrial) -> String {
    let named = |row: &&Row| row.variant.trial_ids.contains(&trial.id);
    let rows = blocks.iter().flat_map(|block| {
        block.rows.iter().filter(named).map(|row| format!("{}: {}", block.block.id, row.variant.label))
    });
    // A trial that only tried a value is in no row.
    let names: Vec<String> = rows.collect();
    if names.is_empty() { trial.label.clone() } else { list(names) }
}
