//! The CSV tables. Shares and losses are plain numbers in full precision, a missing value is an empty cell, so pandas reads
//! every column with its right type.

use super::measure::{ClassScores, Described, MACRO, Measure, NEWER, SHARES, per_class};
use super::plots::confusion::MOST_IN_NUMBERS;
use super::statistics::Spread;
use super::study::{StoredTrial, Study, StudyTuning, status_word};
use super::summary::{BlockSummary, Row};
use super::table::{Column, Unit, csv, exact};
use super::verdicts::reason_word;
use crate::record::{Epoch, Outcome};
use crate::spec::Cell;
use crate::verdict::looks::Comparison;
use crate::verdict::rule::Difference;
use anyhow::Result;
use std::borrow::Cow;
use std::collections::HashSet;

/// Between the blocks of a trial.
pub const LIST_SEPARATOR: &str = " ";

type TrialColumn<'a> = Column<'a, StoredTrial>;

/// What a trial's row has beside its scores: what only newer trials have, then what is computed.
pub fn further() -> impl Iterator<Item = Measure> {
    use Measure::*;
    NEWER.into_iter().chain([AccuracyGap, LossGap, LossRise, PeakValAccuracy, CurveArea])
}

pub fn to_targets(targets: &[f64]) -> impl Iterator<Item = Measure> {
    targets.iter().flat_map(|&target| [Measure::EpochsTo(target), Measure::SecondsTo(target)])
}

/// Every trial before it runs: id, blocks, seed and each key that not all trials share.
pub fn plan_csv(trials: &[StoredTrial]) -> Result<Vec<u8>> {
    let differs = |key: &TrialColumn| {
        let values = trials.iter().map(|trial| Some(&value(trial, &key.name)?.text));
        values.collect::<HashSet<_>>().len() > 1
    };
    let columns: Vec<TrialColumn> = identity().into_iter().chain(keys(trials).into_iter().filter(differs)).collect();
    csv(&columns, trials)
}

/// One row a trial that has ended.
pub fn trials_csv(trials: &[StoredTrial], targets: &[f64]) -> Result<Vec<u8>> {
    let columns: Vec<TrialColumn> = identity().into_iter().chain(keys(trials)).chain(results(targets)).collect();
    csv(&columns, trials.iter().filter(|trial| trial.outcome.is_some()))
}

/// A trial's role is `comparison`, or `tuning` where it only helps to choose its setting's values.
pub fn identity() -> [TrialColumn<'static>; 4] {
    [
        TrialColumn::words("id", |trial| trial.id.clone()),
        TrialColumn::words("blocks", |trial| trial.blocks.join(LIST_SEPARATOR)),
        TrialColumn::new("seed", |trial| Cell::number(trial.seed)),
        TrialColumn::words("role", |trial| if trial.is_tuning { "tuning" } else { "comparison" }.to_owned()),
    ]
}

/// All resolved keys in the order in which the trials name them first.
pub fn keys(trials: &[StoredTrial]) -> Vec<TrialColumn<'_>> {
    let mut seen = HashSet::new();
    let names = trials.iter().flat_map(|trial| &trial.keys).map(|(name, _)| name.as_str());
    let new = names.filter(|name| seen.insert(*name));
    new.map(|name| TrialColumn::new(name, move |trial| value(trial, name).cloned().unwrap_or_default())).collect()
}

fn value<'a>(trial: &'a StoredTrial, name: &str) -> Option<&'a Cell> {
    trial.keys.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// How it ended, its scores and what it took; empty where there is no value yet.
pub fn results(targets: &[f64]) -> Vec<TrialColumn<'static>> {
    use Measure::*;
    let scores = [TrainLoss, TrainAccuracy, ValLoss, ValAccuracy, TestLoss, TestAccuracy].into_iter().chain(MACRO);
    let mut columns = vec![
        outcome("status", |outcome| Cell::text(status_word(outcome.status))),
        outcome("attempts", |outcome| Cell::number(outcome.attempts)),
        outcome("error", |outcome| Cell::text(outcome.error.as_deref().unwrap_or_default())),
        // Not `epochs`, the configured number among the resolved keys.
        outcome("epochs_run", |outcome| Cell::number(outcome.epochs)),
        TrialColumn::new("best_epoch", |trial| {
            trial.scores().map(|scores| Cell::number(scores.best_epoch)).unwrap_or_default()
        }),
    ];
    columns.extend(scores.chain(further()).chain(to_targets(targets)).map(measured));
    columns.extend([
        outcome("seconds", |outcome| exact(outcome.seconds)).with_unit(Unit::Time),
        outcome("images_per_second", |outcome| exact(outcome.images_per_second)).with_unit(Unit::Rate),
        outcome("worker_peak_bytes", |outcome| Cell::number(outcome.peak_bytes)),
        TrialColumn::new("parameters", |trial| match trial.outcome {
            Some(_) => Cell::number(trial.config.table().parameters()),
            None => Cell::default(),
        }),
        outcome("libtorch", |outcome| Cell::text(&outcome.libtorch)),
        outcome("device", |outcome| Cell::text(&outcome.device)),
        outcome("threads", |outcome| Cell::number(outcome.threads)),
        outcome("processor", |outcome| Cell::text(&outcome.processor)),
        outcome("git", |outcome| Cell::text(&outcome.git)),
    ]);
    columns
}

/// Of a trial that has ended, however it did.
fn outcome(name: &str, cell: fn(&Outcome) -> Cell) -> TrialColumn<'static> {
    TrialColumn::new(name, move |trial| trial.outcome.as_ref().map(cell).unwrap_or_default())
}

fn measured(measure: Measure) -> TrialColumn<'static> {
    let Described { column, unit, .. } = measure.describe();
    TrialColumn::new(column, move |trial| exact(measure.value(trial))).with_unit(unit)
}

/// Long form: one row a number, so any subset is one filter away.
pub fn history_csv(trials: &[StoredTrial]) -> Result<Vec<u8>> {
    type Line<'a> = Column<'a, (&'a StoredTrial, &'a Epoch, HistoryValue)>;
    let columns = [
        Line::new("trial", |(trial, ..)| Cell::text(&trial.id)),
        Line::new("epoch", |(_, epoch, _)| Cell::number(epoch.epoch)),
        Line::new("split", |(_, _, (split, ..))| Cell::text(*split)),
        Line::new("metric", |(_, _, (_, metric, _))| Cell::text(*metric)),
        Line::new("value", |(_, _, (.., value))| exact(*value)),
    ];
    let epochs = trials.iter().flat_map(|trial| trial.history.iter().map(move |epoch| (trial, epoch)));
    csv(&columns, epochs.flat_map(|(trial, epoch)| history_values(epoch).map(|value| (trial, epoch, value))))
}

/// Split, metric and number.
type HistoryValue = (&'static str, &'static str, f64);

fn history_values(epoch: &Epoch) -> [HistoryValue; 8] {
    [
        ("train", "loss", epoch.train_loss),
        ("train", "accuracy", epoch.train_accuracy),
        ("train", "penalty", epoch.penalty),
        ("train", "lr", epoch.lr),
        ("train", "seconds", epoch.train_seconds),
        ("val", "loss", epoch.val_loss),
        ("val", "accuracy", epoch.val_accuracy),
        ("all", "seconds", epoch.seconds),
    ]
}

/// Per trial and class, on the test set.
pub fn classes_csv(study: &Study) -> Result<Vec<u8>> {
    type Line<'a> = Column<'a, (&'a StoredTrial, &'a String, ClassScores)>;
    let columns = [
        Line::new("trial", |(trial, ..)| Cell::text(&trial.id)),
        Line::new("class", |(_, name, _)| Cell::text(*name)),
        Line::new("support", |(.., class)| Cell::number(class.support)),
    ];
    let shares = SHARES.map(|(name, share)| Line::new(name.to_lowercase(), move |(.., class)| exact(share(class))));
    let columns: Vec<Line> = columns.into_iter().chain(shares).collect();
    let scored = study.trials.iter().filter_map(|trial| Some((trial, trial.scores()?)));
    let rows = scored.flat_map(|(trial, scores)| {
        study.class_names.iter().zip(per_class(&scores.confusion)).map(move |(name, class)| (trial, name, class))
    });
    csv(&columns, rows)
}

/// Per trial, true and predicted class, on the test set; of many classes, pairs that do not occur are left out.
pub fn confusion_csv(study: &Study) -> Result<Vec<u8>> {
    type Line<'a> = Column<'a, (&'a StoredTrial, &'a String, &'a String, u64)>;
    let columns = [
        Line::new("trial", |(trial, ..)| Cell::text(&trial.id)),
        Line::new("true", |(_, truth, ..)| Cell::text(*truth)),
        Line::new("predicted", |(.., predicted, _)| Cell::text(*predicted)),
        Line::new("count", |(.., count)| Cell::number(count)),
    ];
    let names = &study.class_names;
    let scored = study.trials.iter().filter_map(|trial| Some((trial, trial.scores()?)));
    let classes = scored.flat_map(|(trial, scores)| {
        names.iter().zip(scores.confusion.iter()).map(move |(truth, row)| (trial, truth, row))
    });
    let cells = classes.flat_map(|(trial, truth, row)| {
        names.iter().zip(row).map(move |(predicted, count)| (trial, truth, predicted, *count))
    });
    let is_listed = |cell: &(&StoredTrial, &String, &String, u64)| names.len() <= MOST_IN_NUMBERS || cell.3 > 0;
    csv(&columns, cells.filter(is_listed))
}

/// A configuration of a block, with the spreads of the table's measures.
struct Setting<'a> {
    block: &'a BlockSummary<'a>,
    row: &'a Row<'a>,
    spreads: Vec<Option<Spread>>,
}

type SettingColumn<'a> = Column<'a, Setting<'a>>;

/// Per block and configuration, over the seeds. Means leave out failed and diverged trials, which have their own columns.
pub fn summary_csv(blocks: &[BlockSummary], targets: &[f64]) -> Result<Vec<u8>> {
    use Measure::*;
    let scores = [TestAccuracy, TestLoss, ValAccuracy, ValLoss].into_iter().chain(MACRO).chain([BestEpoch]);
    let costs = [Epochs, Seconds, ImagesPerSecond];
    let measures: Vec<Measure> = scores.chain(further()).chain(costs).chain(to_targets(targets)).collect();
    let spreads =
        measures.iter().enumerate().flat_map(|(place, measure)| spread_columns(place, measure.describe().column));
    let columns: Vec<SettingColumn> = counts().into_iter().chain(spreads).chain(comparison()).collect();
    let rows = blocks.iter().flat_map(|block| block.rows.iter().map(move |row| (block, row)));
    let spreads = |row: &Row| measures.iter().map(|measure| row.spread(*measure)).collect();
    csv(&columns, rows.map(|(block, row)| Setting { block, row, spreads: spreads(row) }))
}

fn of_row<'a>(name: &'a str, cell: impl Fn(&Row) -> Cell + 'a) -> SettingColumn<'a> {
    SettingColumn::new(name, move |setting| cell(setting.row))
}

fn counts<'a>() -> Vec<SettingColumn<'a>> {
    let settings = |row: &Row| {
        let settings = row.variant.settings.iter().map(|(key, value)| format!("{key}={value}"));
        settings.collect::<Vec<_>>().join(LIST_SEPARATOR)
    };
    vec![
        SettingColumn::new("block", |setting| Cell::text(&setting.block.block.id)),
        of_row("label", |row| Cell::text(&row.variant.label)),
        of_row("settings", move |row| Cell::text(settings(row))),
        of_row("n", |row| Cell::number(row.n())),
        of_row("failed", |row| Cell::number(row.failed().count())),
        of_row("diverged", |row| Cell::number(row.diverged().count())),
        of_row("pending", |row| Cell::number(row.pending())),
        of_row("parameters", |row| row.network().map(|table| Cell::number(table.parameters())).unwrap_or_default()),
        of_row("multiply_adds", |row| {
            row.network().map(|table| Cell::number(table.multiply_adds())).unwrap_or_default()
        }),
    ]
}

/// A measure's own n comes first: not every trial reaches a target.
fn spread_columns<'a>(place: usize, measure: Cow<str>) -> [SettingColumn<'a>; 5] {
    let part = |name: &str, part: fn(&Spread) -> Option<f64>| {
        let cell = move |setting: &Setting| exact(setting.spreads[place].as_ref().and_then(part));
        Column::new(format!("{measure}_{name}"), cell)
    };
    let n = move |setting: &Setting| Cell::number(setting.spreads[place].map_or(0, |spread| spread.n));
    [
        Column::new(format!("{measure}_n"), n),
        part("mean", |spread| Some(spread.mean)),
        part("std", |spread| spread.std),
        part("ci_low", |spread| Some(spread.interval?.0)),
        part("ci_high", |spread| Some(spread.interval?.1)),
    ]
}

/// `taken` is what the setting was tuned to; the two looks are the seeds that the verdict is from. The base has no comparison.
fn comparison<'a>() -> Vec<SettingColumn<'a>> {
    fn compared<'a>(name: &'a str, cell: fn(&Comparison) -> Option<Cell>) -> SettingColumn<'a> {
        of_row(name, move |row| row.comparison.as_ref().and_then(cell).unwrap_or_default())
    }
    fn difference<'a>(name: &'a str, number: fn(&Difference) -> f64) -> SettingColumn<'a> {
        of_row(name, move |row| exact(row.difference().map(number)))
    }
    fn seeds(seeds: usize) -> Option<Cell> {
        (seeds > 0).then(|| Cell::number(seeds))
    }
    vec![
        of_row("taken", |row| Cell::text(row.variant.tuning.as_ref().map(StudyTuning::words).unwrap_or_default())),
        of_row("difference", |row| exact(row.shift)),
        difference("difference_ci_low", |difference| difference.low),
        difference("difference_ci_high", |difference| difference.high),
        difference("p", |difference| difference.p),
        compared("verdict", |comparison| Some(Cell::text(comparison.verdict.word()))),
        compared("look", |comparison| seeds(comparison.seeds)),
        compared("look_base", |comparison| seeds(comparison.base_seeds)),
        compared("no_interval_because", |comparison| Some(Cell::text(reason_word(comparison.reason?)))),
    ]
}
