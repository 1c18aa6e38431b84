//! `report.md`: the study to read. It claims what the statistics carry and no more, and names every trial that did not finish.

use super::compare::caveats;
use super::overview::{Grid, class_means, convergence, costs, markdown, markdown_table, results};
use super::plots::{Figure, Place};
use super::statistics::{MAX_SEEDS, POWER, SIGNIFICANCE};
use super::summary::{BlockSummary, Difference, Measure, Row, Verdict};
use super::tables::status_word;
use super::words::{count, duration, interval, mean_std, minus, p_value, percent, points, signed};
use super::{StoredTrial, Study};
use crate::spec::config::{DatasetName, Select};
use crate::train::record::{Outcome, Status, total};
use std::collections::{BTreeSet, HashSet};

/// Inconclusive settings that the summary names.
const NEAREST: usize = 5;

pub fn report_md(study: &Study, blocks: &[BlockSummary], figures: &[Figure]) -> String {
    let mut parts = vec![format!("# {}", markdown(&study.name))];
    parts.extend(study.description.as_deref().map(|text| text.trim().to_owned()));
    parts.extend(data_warning(study));
    parts.extend(caveats(blocks).iter().map(|caveat| format!("> {}", markdown(caveat))));
    parts.push(in_short(study, blocks, figures));
    parts.push(how_to_read());
    parts.push(what_was_run(study));
    parts.extend(blocks.iter().map(|block| block_section(study, block, figures)));
    parts.extend(closer_look(figures));
    parts.extend(unfinished(study, blocks));
    parts.join("\n\n") + "\n"
}

/// Of images that are not the published ones.
fn data_warning(study: &Study) -> Option<String> {
    let text = match study.dataset {
        DatasetName::Synthetic => {
            "> **SYNTHETIC data.** The images were drawn by this program. The numbers compare settings on them and say \
             nothing about CIFAR-10."
        }
        DatasetName::Cifar10 if study.official => return None,
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
    parts.push(
        bases(study, blocks).into_iter().chain(tally(blocks)).chain(accidents(study)).collect::<Vec<_>>().join("\n"),
    );
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
    let bases: Vec<_> = bases.filter(|(_, base)| seen.insert(&base.variant.trial_ids)).collect();
    let of = |block: &BlockSummary| match bases.len() {
        1 => String::new(),
        _ => format!(" of {}", markdown(study.title(block.block))),
    };
    bases.iter().map(|(block, base)| format!("- The base{}{}: {}.", of(block), name_of(base), accuracy(base))).collect()
}

fn name_of(base: &Row) -> String {
    if base.base_name().is_empty() { String::new() } else { format!(", {}", markdown(base.base_name())) }
}

/// `56.2 ± 0.9 % test accuracy (n = 2, 1 of 3 diverged)`
fn accuracy(row: &Row) -> String {
    match row.spread(Measure::TestAccuracy) {
        Some(spread) => format!("{} % test accuracy ({})", mean_std(&spread, 100.0, 1), row.count_label()),
        None => format!("no result ({})", row.count_label()),
    }
}

/// How many settings are better, worse and undecided; which, and what would decide.
fn tally(blocks: &[BlockSummary]) -> Vec<String> {
    let rows = || blocks.iter().flat_map(|block| block.rows.iter().skip(1));
    let with = |verdict| {
        let differences = rows().filter_map(|row| Some((row, row.difference.as_ref()?)));
        differences.filter(|(_, difference)| difference.verdict == verdict).collect::<Vec<_>>()
    };
    let total = rows().count();
    let mut lines = vec![];
    for (verdict, heading) in [(Verdict::Better, "Better than the base"), (Verdict::Worse, "Worse than the base")] {
        let names: Vec<String> = with(verdict).iter().map(|(row, difference)| settled(row, difference)).collect();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join("; ")) };
        lines.push(format!("- **{heading}**: {} of {total}{names}.", with(verdict).len()));
    }
    let mut open = with(Verdict::Inconclusive);
    let inconclusive = open.len();
    open.retain(|(_, difference)| difference.seeds_needed.is_some());
    open.sort_by_key(|(_, difference)| difference.seeds_needed);
    let nearest: Vec<String> = open.iter().take(NEAREST).map(|(row, difference)| undecided(row, difference)).collect();
    let nearest = if nearest.is_empty() {
        String::new()
    } else {
        format!("; nearest to a verdict, with the number of seeds that would settle it: {}", nearest.join("; "))
    };
    lines.push(format!("- **Inconclusive**: {inconclusive} of {total}{nearest}."));
    let without = rows().filter(|row| row.difference.is_none()).count();
    if without > 0 {
        lines.push(format!("- **Not compared**: {without} of {total}, for want of a pair of trials with the base."));
    }
    if total > 0 { lines } else { vec![] }
}

/// `sgd, lr 0.01 (−8.97 points, n = 3, 95 % interval −11.65 to −6.30, adjusted p = 0.019)`
fn settled(row: &Row, difference: &Difference) -> String {
    let interval = interval(&difference.spread).map_or(String::new(), |interval| format!(", 95 % interval {interval}"));
    let p = difference.p_holm.map_or(String::new(), |p| format!(", adjusted p {}", p_value(p)));
    format!("{} ({}{interval}{p})", markdown(&row.variant.label), measured(row, difference))
}

/// `relu (+1.53 points, n = 3; about 24)`: with the seeds that would settle it, or why none would.
fn undecided(row: &Row, difference: &Difference) -> String {
    let settle = what_would_settle(difference);
    format!("{} ({}; {settle})", markdown(&row.variant.label), measured(row, difference))
}

/// `+1.53 points, n = 2, 1 of 3 diverged`
fn measured(row: &Row, difference: &Difference) -> String {
    let missing = row.missing_label().map_or(String::new(), |missing| format!(", {missing}"));
    format!("{} points, n = {}{missing}", signed(100.0 * difference.spread.mean, 2), difference.spread.n)
}

fn what_would_settle(difference: &Difference) -> String {
    match (difference.spread.n, difference.p, difference.seeds_needed) {
        _ if difference.withheld => {
            "no verdict while it is the divergence of other seeds that flatters one side".to_owned()
        }
        (1, ..) => "one pair of trials cannot tell a difference from chance".to_owned(),
        (_, None, _) => "the pairs do not vary, so there is nothing to test against".to_owned(),
        (.., Some(seeds)) => format!("about {seeds}"),
        (.., None) => format!("more than {MAX_SEEDS}"),
    }
}

fn accidents(study: &Study) -> Option<String> {
    let with = |status| study.trials.iter().filter(|trial| trial.status() == Some(status)).count();
    let counts =
        [(with(Status::Failed), "failed"), (with(Status::Diverged), "diverged")].into_iter().filter(|(n, _)| *n > 0);
    let words: Vec<String> = counts.map(|(n, word)| format!("{n} of {} trials {word}", study.trials.len())).collect();
    (!words.is_empty())
        .then(|| format!("- **{}**; they are in no mean, and the end of this page says why.", words.join(", ")))
}

/// Per block, the setting with the highest validation accuracy, and what it does on the test set.
fn chosen(study: &Study, blocks: &[BlockSummary]) -> String {
    let header =
        ["Block", "Choice", "Validation accuracy", "Test accuracy", "Difference to the base (points)", "Verdict"];
    let rows = blocks.iter().filter_map(|block| {
        let (base, best) = (block.base()?, block.best()?);
        let (difference, verdict) = match &best.difference {
            Some(difference) => (points(&difference.spread), difference.verdict.word()),
            None => ("–".to_owned(), if std::ptr::eq(base, best) { "the base itself" } else { "no pairs" }),
        };
        Some(vec![
            study.title(block.block).to_owned(),
            best.variant.label.clone(),
            percent(best.spread(Measure::ValAccuracy)),
            percent(best.spread(Measure::TestAccuracy)),
            difference,
            verdict.to_owned(),
        ])
    });
    markdown_table(&Grid { header: header.map(str::to_owned).to_vec(), rows: rows.collect() }).trim_end().to_owned()
}

fn how_to_read() -> String {
    format!(
        "## How to read this\n\n\
         Numbers are means ± standard deviations over n seeds, of the weights of the selected epoch; the test set is looked at \
         once, with those. A choice among settings is made by validation accuracy, so its test accuracy is not the luckiest of \
         many. A difference is paired by seed: two trials of one seed share the data split and the random draws that their \
         settings leave alone. In exact mode, as in PyTorch, another network, start, dropout or augmentation also changes the \
         order of the images.\n\n\
         \"Better\" and \"worse\" need a paired t-test with p below {SIGNIFICANCE} after Holm's adjustment for all comparisons of \
         the block; everything else is inconclusive, which is not the same as equal. Intervals are 95 % each and not adjusted. \
         The t-test takes the differences as normally distributed, which a handful of seeds cannot show. The number of seeds \
         that would settle a comparison, those it has included, lets the test find the measured difference with {} % \
         probability, were it and its spread the true ones; measured on few seeds, that number is rough itself.\n\n\
         The accuracy gap is training minus test accuracy, the loss gap test minus training loss, both of the selected epoch's \
         weights. Seconds are wall-clock time: where the machine did other work or a worker was suspended, they say little, and \
         epochs compare better.",
        100.0 * POWER
    )
}

fn what_was_run(study: &Study) -> String {
    let outcomes: Vec<&Outcome> = study.trials.iter().filter_map(|trial| trial.outcome.as_ref()).collect();
    let with = |status| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let seeds: BTreeSet<u64> = study.trials.iter().map(|trial| trial.seed).collect();
    let selects: BTreeSet<&str> = study.trials.iter().map(|trial| select_words(trial.config.select)).collect();
    let seconds = total(outcomes.iter().map(|outcome| outcome.seconds));
    let machines = outcomes.iter().map(|outcome| {
        let threads = count(outcome.threads, "thread");
        format!("libtorch {} on {} with {threads}", outcome.libtorch, outcome.device)
    });
    let lines = [
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
        format!("- Data: {}.", markdown(&study.dataset_note)),
        format!("- The epoch that counts: {}.", list(selects.into_iter().map(str::to_owned))),
        format!("- {}: {}.", study.mode_label(), list(machines.collect::<BTreeSet<_>>())),
        format!("- Time over all trials: {}.", duration(seconds)),
    ];
    format!("## What was run\n\n{}", lines.join("\n"))
}

pub fn select_words(select: Select) -> &'static str {
    match select {
        Select::ValLoss => "lowest validation loss",
        Select::ValAccuracy => "highest validation accuracy",
    }
}

fn block_section(study: &Study, block: &BlockSummary, figures: &[Figure]) -> String {
    let mut parts = vec![format!("## {}", markdown(study.title(block.block)))];
    let pending = block.rows.iter().map(Row::pending).sum::<usize>();
    if pending > 0 {
        parts.push(format!("*Unfinished: {} to come.*", count(pending, "trial")));
    }
    parts.push(verdicts(block));
    let mut images = figures.iter().filter(|figure| figure.place == Place::Block(&block.block.id));
    parts.extend(images.next().map(image));
    parts.push(markdown_table(&results(block)).trim_end().to_owned());
    parts.extend(images.map(image));
    parts.push(markdown_table(&class_means(block)).trim_end().to_owned());
    parts.extend(convergence_words(study, block));
    parts.extend(generalization_words(block));
    parts.push(markdown_table(&convergence(block, &study.targets)).trim_end().to_owned());
    if block.compares_networks() {
        parts.push(markdown_table(&costs(block)).trim_end().to_owned());
    }
    parts.join("\n\n")
}

fn image(figure: &Figure) -> String {
    format!("![{}]({})", markdown(&figure.description), figure.path)
}

/// Pictures of single trials.
fn closer_look(figures: &[Figure]) -> Option<String> {
    let images: Vec<String> = figures.iter().filter(|figure| figure.place == Place::CloserLook).map(image).collect();
    (!images.is_empty()).then(|| format!("## A closer look\n\n{}", images.join("\n\n")))
}

/// Each setting of the block under its verdict.
fn verdicts(block: &BlockSummary) -> String {
    let mut lines: Vec<String> =
        block.base().map(|base| format!("- Base{}: {}.", name_of(base), accuracy(base))).into_iter().collect();
    let (mut better, mut worse, mut open, mut none) = (vec![], vec![], vec![], vec![]);
    for row in block.rows.iter().skip(1) {
        match &row.difference {
            None => none.push(format!("{} ({})", markdown(&row.variant.label), row.count_label())),
            Some(difference) => match difference.verdict {
                Verdict::Better => better.push(settled(row, difference)),
                Verdict::Worse => worse.push(settled(row, difference)),
                Verdict::Inconclusive => open.push(undecided(row, difference)),
            },
        }
    }
    let headings = [
        "**Better**",
        "**Worse**",
        "**Inconclusive**, with the number of seeds that would settle it",
        "**Not compared**, for want of a pair of trials with the base",
    ];
    for (heading, settings) in headings.into_iter().zip([better, worse, open, none]) {
        if !settings.is_empty() {
            lines.push(format!("- {heading}: {}.", settings.join("; ")));
        }
    }
    lines.join("\n")
}

/// Who reaches each target first, and how the base compares.
fn convergence_words(study: &Study, block: &BlockSummary) -> Option<String> {
    let first = |&target: &f64| Some(format!("{} %: {}", minus(100.0 * target, 0), first_to(block, target)?));
    let words: Vec<String> = study.targets.iter().filter_map(first).collect();
    (!words.is_empty())
        .then(|| format!("**Convergence.** Fewest epochs to a validation accuracy: {}.", words.join("; ")))
}

fn first_to(block: &BlockSummary, target: f64) -> Option<String> {
    // Only of settings all of whose seeds get there: a mean over the quick ones would flatter.
    let ended = |row: &Row| row.variant.trial_ids.len() - row.pending();
    let epochs = |row: &Row| row.spread(Measure::EpochsTo(target)).filter(|spread| spread.n == ended(row));
    let words = |row: &Row| Some(format!("{} (n = {})", minus(epochs(row)?.mean, 1), row.n()));
    let reaching = block.rows.iter().filter_map(|row| Some((epochs(row)?.mean, row)));
    // The first of equals, so the base if it is one of them.
    let Some((_, first)) = reaching.reduce(|first, other| if other.0 < first.0 { other } else { first }) else {
        return block.finished().then(|| "none with all seeds".to_owned());
    };
    let base = block.base()?;
    if std::ptr::eq(first, base) {
        return Some(format!("none before the base, {}", words(base)?));
    }
    let base = words(base).unwrap_or("never with all seeds".to_owned());
    Some(format!("{}, {}, the base {base}", markdown(&first.variant.label), words(first)?))
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
    let bad: Vec<(&StoredTrial, &Outcome)> = study
        .trials
        .iter()
        .filter_map(|trial| Some((trial, trial.outcome.as_ref()?)))
        .filter(|(_, outcome)| outcome.status != Status::Done)
        .collect();
    if bad.is_empty() {
        return None;
    }
    let header = ["Trial", "Setting", "Seed", "Status", "Epochs", "Attempts", "Reason"].map(str::to_owned).to_vec();
    let rows = bad.iter().map(|(trial, outcome)| {
        vec![
            trial.id.clone(),
            setting(blocks, trial),
            trial.seed.to_string(),
            status_word(outcome.status).to_owned(),
            outcome.epochs.to_string(),
            outcome.attempts.to_string(),
            outcome.error.clone().unwrap_or_default(),
        ]
    });
    let table = markdown_table(&Grid { header, rows: rows.collect() });
    Some(format!("## Trials that did not finish\n\nThey are in no mean above.\n\n{}", table.trim_end()))
}

/// `block: label` wherever the trial is named.
fn setting(blocks: &[BlockSummary], trial: &StoredTrial) -> String {
    let named = |row: &&Row| row.variant.trial_ids.contains(&trial.id);
    list(blocks.iter().flat_map(|block| {
        block.rows.iter().filter(named).map(|row| format!("{}: {}", block.block.id, row.variant.label))
    }))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}
