//! `report.md`: the study to read. It claims what the statistics carry and no more, and names every trial that did not finish.

use super::overview::{Grid, convergence, markdown, markdown_table, results};
use super::plots::Figure;
use super::statistics::{MAX_SEEDS, POWER, SIGNIFICANCE};
use super::summary::{BlockSummary, Difference, Measure, Row, Verdict};
use super::tables::status_word;
use super::words::{count, duration, interval, minus, p_value, percent, points};
use super::{StoredTrial, Study};
use crate::spec::config::{DatasetName, Select};
use crate::train::record::{Outcome, Status};
use std::collections::BTreeSet;

pub fn report_md(study: &Study, blocks: &[BlockSummary], figures: &[Figure]) -> String {
    let mut parts = vec![format!("# {}", markdown(&study.name))];
    parts.extend(study.description.as_deref().map(|text| text.trim().to_owned()));
    parts.extend(synthetic_warning(study));
    parts.push(what_was_run(study));
    parts.push(headline(study, blocks));
    parts.push(how_to_read());
    parts.extend(blocks.iter().map(|block| block_section(study, block, figures)));
    parts.extend(closer_look(figures));
    parts.extend(unfinished(study, blocks));
    parts.join("\n\n") + "\n"
}

fn synthetic_warning(study: &Study) -> Option<String> {
    let text = "> **SYNTHETIC data.** The images were drawn by this program. The numbers compare settings on them and say \
                nothing about CIFAR-10.";
    (study.dataset == DatasetName::Synthetic).then(|| text.to_owned())
}

fn what_was_run(study: &Study) -> String {
    let outcomes: Vec<&Outcome> = study.trials.iter().filter_map(|trial| trial.outcome.as_ref()).collect();
    let with = |status| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let seeds: BTreeSet<u64> = study.trials.iter().map(|trial| trial.seed).collect();
    let selects: BTreeSet<&str> = study.trials.iter().map(|trial| select_words(trial.config.select)).collect();
    let seconds = outcomes.iter().map(|outcome| outcome.seconds).sum::<f64>();
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

fn select_words(select: Select) -> &'static str {
    match select {
        Select::ValLoss => "lowest validation loss",
        Select::ValAccuracy => "highest validation accuracy",
    }
}

/// Per block, the setting with the highest mean, and whether it may be called better than the base.
fn headline(study: &Study, blocks: &[BlockSummary]) -> String {
    let header = ["Block", "Base", "Highest mean", "Test accuracy", "Difference (points)", "Verdict"];
    let rows = blocks.iter().filter_map(|block| {
        let (base, best) = (block.base()?, block.best()?);
        let (difference, verdict) = match &best.difference {
            Some(difference) => (points(&difference.spread), difference.verdict.word()),
            None => ("–".to_owned(), if std::ptr::eq(base, best) { "the base itself" } else { "no result" }),
        };
        Some(vec![
            study.title(block.block).to_owned(),
            percent(base.spread(Measure::TestAccuracy)),
            best.variant.label.clone(),
            percent(best.spread(Measure::TestAccuracy)),
            difference,
            verdict.to_owned(),
        ])
    });
    let grid = Grid { header: header.map(str::to_owned).to_vec(), rows: rows.collect() };
    if grid.rows.is_empty() {
        return "## Results\n\nNo trial has finished yet.".to_owned();
    }
    format!("## Results\n\n{}", markdown_table(&grid).trim_end())
}

fn how_to_read() -> String {
    format!(
        "Numbers are means ± standard deviations over n seeds, of the weights of the selected epoch; the test set is looked at \
         once, with those. The setting with the highest mean is picked after the fact, so its own mean is a little lucky. A \
         difference is paired by seed: two trials of one seed share the data split, the batch order and every other draw that \
         their settings leave alone. \"Better\" and \"worse\" need a paired t-test with p below {SIGNIFICANCE} after Holm's \
         adjustment for all comparisons of the block; everything else is inconclusive, which is not the same as equal. The \
         t-test takes the differences as normally distributed, which a handful of seeds cannot show."
    )
}

fn block_section(study: &Study, block: &BlockSummary, figures: &[Figure]) -> String {
    let mut parts = vec![format!("## {}", markdown(study.title(block.block)))];
    let pending = block.rows.iter().map(Row::pending).sum::<usize>();
    if pending > 0 {
        parts.push(format!("*Unfinished: {} to come.*", count(pending, "trial")));
    }
    let verdicts: Vec<String> = block.rows.iter().skip(1).map(|row| format!("- {}", verdict(block, row))).collect();
    if !verdicts.is_empty() {
        let base = block.base().map(|row| percent(row.spread(Measure::TestAccuracy))).unwrap_or_default();
        parts.push(format!("Base: {base} test accuracy.\n\n{}", verdicts.join("\n")));
    }
    let mut images = figures.iter().filter(|figure| figure.block == Some(&block.block.id));
    parts.extend(images.next().map(image));
    parts.push(markdown_table(&results(block)).trim_end().to_owned());
    parts.extend(images.map(image));
    parts.extend(convergence_words(study, block));
    parts.extend(generalization_words(block));
    parts.push(markdown_table(&convergence(block, &study.targets)).trim_end().to_owned());
    parts.join("\n\n")
}

/// Pictures of single trials.
fn closer_look(figures: &[Figure]) -> Option<String> {
    let images: Vec<String> = figures.iter().filter(|figure| figure.block.is_none()).map(image).collect();
    (!images.is_empty()).then(|| format!("## A closer look\n\n{}", images.join("\n\n")))
}

fn image(figure: &Figure) -> String {
    format!("![{}]({})", markdown(&figure.description), figure.path)
}

/// One sentence on a setting against the base.
fn verdict(block: &BlockSummary, row: &Row) -> String {
    let label = markdown(&row.variant.label);
    let Some(difference) = &row.difference else {
        return format!("**{label}**: no result to compare ({}).", row.count_label());
    };
    let numbers = comparison(difference);
    let sentence = match difference.verdict {
        Verdict::Better => format!("**{label}** is **better** than the base: {numbers}."),
        Verdict::Worse => format!("**{label}** is **worse** than the base: {numbers}."),
        Verdict::Inconclusive => {
            format!("**{label}**: inconclusive, {numbers}. {}", what_would_settle(block, row, difference))
        }
    };
    if row.n() < row.variant.trial_ids.len() { format!("{sentence} ({}.)", row.count_label()) } else { sentence }
}

fn comparison(difference: &Difference) -> String {
    let mean = minus(100.0 * difference.spread.mean, 2);
    let mut text = format!("{mean} points (n = {}", count(difference.spread.n, "pair"));
    if let Some(interval) = interval(&difference.spread) {
        text += &format!(", 95 % interval {interval}");
    }
    if let Some((p, p_holm)) = difference.p.zip(difference.p_holm) {
        text += &format!(", p {}, adjusted p {}", p_value(p), p_value(p_holm));
    }
    text + ")"
}

fn what_would_settle(block: &BlockSummary, row: &Row, difference: &Difference) -> String {
    if difference.withheld {
        let side = if difference.spread.mean > 0.0 { row } else { block.base().unwrap_or(row) };
        let diverged = count(side.diverged().count(), "seed");
        return format!("No verdict in favour of a setting whose mean leaves out {diverged} that diverged.");
    }
    match (difference.spread.n, difference.p, difference.seeds_needed) {
        (1, ..) => "One pair of trials cannot tell a difference from chance.".to_owned(),
        (_, None, _) => "The differences do not vary, so there is nothing to test them against.".to_owned(),
        (.., Some(seeds)) => format!(
            "If the true difference is as measured, about {seeds} seeds would show it with {} % probability.",
            100.0 * POWER
        ),
        (.., None) => {
            format!("If the true difference is as measured, even {MAX_SEEDS} seeds would likely not show it.")
        }
    }
}

/// Who reaches each target first, and how the base compares.
fn convergence_words(study: &Study, block: &BlockSummary) -> Option<String> {
    let sentences: Vec<String> = study.targets.iter().filter_map(|&target| first_to(block, target)).collect();
    (!sentences.is_empty()).then(|| format!("**Convergence.** {}", sentences.join(" ")))
}

fn first_to(block: &BlockSummary, target: f64) -> Option<String> {
    let goal = format!("{} % validation accuracy", minus(100.0 * target, 0));
    let epochs = |row: &Row| row.spread(Measure::EpochsTo(target)).filter(|spread| spread.n == row.n());
    let words = |row: &Row| {
        let seconds = row.spread(Measure::SecondsTo(target))?.mean;
        Some(format!("{} epochs or {} (n = {})", minus(epochs(row)?.mean, 1), duration(seconds), row.n()))
    };
    let reaching = block.rows.iter().filter_map(|row| Some((epochs(row)?.mean, row)));
    let Some((_, first)) = reaching.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return block.finished().then(|| format!("No setting reaches {goal} with all its seeds."));
    };
    let base = block.base()?;
    let label = markdown(&first.variant.label);
    Some(match words(base) {
        _ if std::ptr::eq(first, base) => format!("The base is first to {goal}, after {}.", words(first)?),
        Some(base) => format!("First to {goal} is {label} after {}; the base takes {base}.", words(first)?),
        None => {
            format!("First to {goal} is {label} after {}; the base does not get there with every seed.", words(first)?)
        }
    })
}

/// The extremes of the gap between training and test, and the base's.
fn generalization_words(block: &BlockSummary) -> Option<String> {
    let gap = |row: &Row| row.spread(Measure::AccuracyGap).map(|spread| spread.mean);
    let words = |row: &Row| {
        let loss = row.spread(Measure::LossGap)?.mean;
        Some(format!("{} points, {} in loss, n = {}", minus(100.0 * gap(row)?, 1), minus(loss, 3), row.n()))
    };
    let mut rows: Vec<(f64, &Row)> = block.rows.iter().filter_map(|row| Some((gap(row)?, row))).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ((_, least), (_, most)) = (rows.first()?, rows.last()?);
    let mut text = "**Generalization.** Training minus test accuracy, with the selected weights, ".to_owned();
    if rows.len() > 1 {
        let [small, large] = [least, most].map(|row| markdown(&row.variant.label));
        text += &format!("is least with {small} ({}) and most with {large} ({}); ", words(least)?, words(most)?);
    }
    let base = block.base().and_then(words).unwrap_or("no result".to_owned());
    Some(format!("{text}the base: {base}."))
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
