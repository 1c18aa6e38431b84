//! The CSV tables. Shares and losses are plain numbers in full precision, a missing value is an empty cell, so pandas reads
//! every column with its right type.

use super::overview::taken_cell;
use super::summary::{BlockSummary, Measure, Row};
use super::verdicts::reason_word;
use super::{StoredTrial, Study, metrics};
use crate::record::{Epoch, Outcome, Status};
use crate::spec::Cell;
use anyhow::{Context, Result};
use std::array;
use std::collections::{HashMap, HashSet};

/// Between the blocks of a trial.
const LIST_SEPARATOR: &str = " ";

/// Every trial before it runs: id, blocks, seed and each key that not all trials share.
pub fn plan_csv(trials: &[StoredTrial]) -> Result<Vec<u8>> {
    let keys = key_columns(trials);
    let differs = |key: &&str| {
        let values: HashSet<Option<&str>> = trials.iter().map(|trial| value_of(trial, key)).collect();
        values.len() > 1
    };
    let swept: Vec<&str> = keys.into_iter().filter(differs).collect();
    let mut table = Table::new(IDENTITY.into_iter().chain(swept.iter().copied()))?;
    for trial in trials {
        table.row(texts(identity(trial).into_iter().chain(key_cells(trial, &swept))))?;
    }
    table.finish()
}

/// One row a trial that has ended.
pub fn trials_csv(trials: &[StoredTrial], targets: &[f64]) -> Result<Vec<u8>> {
    let grid = trials_grid(trials, targets);
    let mut table = Table::new(&grid.header)?;
    for (_, row) in trials.iter().zip(&grid.rows).filter(|(trial, _)| trial.outcome.is_some()) {
        table.row(row.iter().map(|cell| &cell.text))?;
    }
    table.finish()
}

/// Rows of cells that know what they are, under a header.
pub struct TrialsGrid {
    pub header: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// The columns of `trials.csv` with one row for each of `trials`; a cell is empty where there is no value yet.
pub fn trials_grid(trials: &[StoredTrial], targets: &[f64]) -> TrialsGrid {
    let keys = key_columns(trials);
    let measures: Vec<Measure> = FURTHER.into_iter().chain(target_measures(targets)).collect();
    let header = IDENTITY.into_iter().chain(keys.iter().copied()).chain(ENDING).chain(SCORES);
    let header = header.map(str::to_owned).chain(measures.iter().map(|measure| measure.column()));
    let row = |trial: &StoredTrial| {
        let outcome = trial.outcome.as_ref();
        let cells = identity(trial).into_iter().chain(key_cells(trial, &keys));
        let cells = cells.chain(outcome.map(ending_cells).unwrap_or_default()).chain(score_cells(trial));
        let measured = measures.iter().map(|measure| measure.of(trial).map(measurement).unwrap_or_default());
        let cells = cells.chain(measured);
        cells.chain(outcome.map(cost_cells).unwrap_or_default()).collect()
    };
    TrialsGrid { header: header.chain(COSTS.map(str::to_owned)).collect(), rows: trials.iter().map(row).collect() }
}

/// What a trial's row has beside [`SCORES`]: what only newer trials have, then what is computed.
const FURTHER: [Measure; 10] = [
    Measure::LastTestLoss,
    Measure::LastTestAccuracy,
    Measure::Top3Accuracy,
    Measure::Ece,
    Measure::Brier,
    Measure::AccuracyGap,
    Measure::LossGap,
    Measure::LossRise,
    Measure::PeakValAccuracy,
    Measure::CurveArea,
];
/// `epochs_run`, because `epochs` is the configured number among the resolved keys.
const ENDING: [&str; 4] = ["status", "attempts", "error", "epochs_run"];
const SCORES: [&str; 11] = [
    "best_epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_specificity",
    "macro_f1",
];
const COSTS: [&str; 9] = [
    "seconds",
    "images_per_second",
    "worker_peak_bytes",
    "parameters",
    "libtorch",
    "device",
    "threads",
    "processor",
    "git",
];

fn ending_cells(outcome: &Outcome) -> [Cell; 4] {
    let error = Cell::text(outcome.error.as_deref().unwrap_or_default());
    let status = Cell::text(status_word(outcome.status));
    [status, Cell::number(outcome.attempts), error, Cell::number(outcome.epochs)]
}

fn score_cells(trial: &StoredTrial) -> [Cell; 11] {
    let Some(scores) = trial.scores() else { return Default::default() };
    let average = metrics::macro_average(&metrics::per_class(&scores.confusion));
    [
        Cell::number(scores.best_epoch),
        measurement(scores.train.loss),
        measurement(scores.train.accuracy),
        measurement(scores.val.loss),
        measurement(scores.val.accuracy),
        measurement(scores.test.loss),
        measurement(scores.test.accuracy),
        measurement(average.precision),
        measurement(average.recall),
        measurement(average.specificity),
        measurement(average.f1),
    ]
}

fn cost_cells(outcome: &Outcome) -> [Cell; 9] {
    [
        measurement(outcome.seconds),
        measurement(outcome.images_per_second),
        Cell::number(outcome.peak_bytes),
        Cell::number(outcome.parameters),
        Cell::text(&outcome.libtorch),
        Cell::text(&outcome.device),
        Cell::number(outcome.threads),
        Cell::text(&outcome.processor),
        Cell::text(&outcome.git),
    ]
}

/// Long form: one row a number, so any subset is one filter away.
pub fn history_csv(trials: &[StoredTrial]) -> Result<Vec<u8>> {
    let mut table = Table::new(["trial", "epoch", "split", "metric", "value"])?;
    for trial in trials {
        for epoch in &trial.history {
            for (split, metric, value) in history_values(epoch) {
                table.row([&trial.id, &epoch.epoch.to_string(), split, metric, &number(value)])?;
            }
        }
    }
    table.finish()
}

fn history_values(epoch: &Epoch) -> [(&'static str, &'static str, f64); 8] {
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
    let mut table = Table::new(["trial", "class", "support", "precision", "recall", "specificity", "f1"])?;
    for trial in &study.trials {
        let Some(scores) = trial.scores() else { continue };
        for (name, class) in study.class_names.iter().zip(metrics::per_class(&scores.confusion)) {
            let shares = [class.precision, class.recall, class.specificity, class.f1].map(number);
            table.row([trial.id.clone(), name.clone(), class.support.to_string()].into_iter().chain(shares))?;
        }
    }
    table.finish()
}

/// Per trial, true and predicted class, on the test set.
pub fn confusion_csv(study: &Study) -> Result<Vec<u8>> {
    let mut table = Table::new(["trial", "true", "predicted", "count"])?;
    for trial in &study.trials {
        let Some(scores) = trial.scores() else { continue };
        for (truth, row) in study.class_names.iter().zip(&scores.confusion) {
            for (predicted, count) in study.class_names.iter().zip(row) {
                table.row([&trial.id, truth, predicted, &count.to_string()])?;
            }
        }
    }
    table.finish()
}

/// Per block and configuration, over the seeds. Means leave out failed and diverged trials, which have their own columns.
pub fn summary_csv(blocks: &[BlockSummary], targets: &[f64]) -> Result<Vec<u8>> {
    let scores = [
        Measure::TestAccuracy,
        Measure::TestLoss,
        Measure::ValAccuracy,
        Measure::ValLoss,
        Measure::MacroPrecision,
        Measure::MacroRecall,
        Measure::MacroSpecificity,
        Measure::MacroF1,
        Measure::BestEpoch,
    ];
    let costs = [Measure::Epochs, Measure::Seconds, Measure::ImagesPerSecond];
    let measures = scores.into_iter().chain(FURTHER).chain(costs).chain(target_measures(targets));
    let measures: Vec<Measure> = measures.collect();
    let mut header: Vec<String> = COUNTS.map(str::to_owned).to_vec();
    for measure in &measures {
        header.extend(["n", "mean", "std", "ci_low", "ci_high"].map(|part| format!("{}_{part}", measure.column())));
    }
    header.extend(COMPARISON.map(str::to_owned));
    let mut table = Table::new(header)?;
    for block in blocks {
        for row in &block.rows {
            let spreads = measures.iter().flat_map(|measure| spread_cells(row, *measure));
            table.row(count_cells(block, row).into_iter().chain(spreads).chain(comparison_cells(row)))?;
        }
    }
    table.finish()
}

const COMPARISON: [&str; 9] = [
    "taken",
    "difference",
    "difference_ci_low",
    "difference_ci_high",
    "p",
    "verdict",
    "look",
    "look_base",
    "no_interval_because",
];

const COUNTS: [&str; 9] =
    ["block", "label", "settings", "n", "failed", "diverged", "pending", "parameters", "multiply_adds"];

fn count_cells(block: &BlockSummary, row: &Row) -> [String; 9] {
    let network = row.network();
    let settings: Vec<String> = row.variant.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    [
        block.block.id.clone(),
        row.variant.label.clone(),
        settings.join(LIST_SEPARATOR),
        row.n().to_string(),
        row.failed().count().to_string(),
        row.diverged().count().to_string(),
        row.pending().to_string(),
        network.as_ref().map(|table| table.parameters().to_string()).unwrap_or_default(),
        network.as_ref().map(|table| table.multiply_adds().to_string()).unwrap_or_default(),
    ]
}

/// A measure's own n comes first: not every trial reaches a target.
fn spread_cells(row: &Row, measure: Measure) -> [String; 5] {
    let Some(spread) = row.spread(measure) else {
        return ["0".to_owned(), String::new(), String::new(), String::new(), String::new()];
    };
    let (low, high) = spread.interval.unzip();
    [spread.n.to_string(), number(spread.mean), cell(spread.std), cell(low), cell(high)]
}

/// `taken` is what the setting was tuned to; the two looks are the seeds that the verdict is from.
fn comparison_cells(row: &Row) -> [String; 9] {
    let taken = row.variant.tuning.as_ref().map(|_| taken_cell(row)).unwrap_or_default();
    let Some(comparison) = &row.comparison else {
        return array::from_fn(|place| if place == 0 { taken.clone() } else { String::new() });
    };
    let difference = comparison.difference;
    let seeds = |seeds: usize| if seeds == 0 { String::new() } else { seeds.to_string() };
    [
        taken,
        cell(row.shift),
        cell(difference.map(|difference| difference.low)),
        cell(difference.map(|difference| difference.high)),
        cell(difference.map(|difference| difference.p)),
        comparison.verdict.word().to_owned(),
        seeds(comparison.seeds),
        seeds(comparison.base_seeds),
        comparison.reason.map(|reason| reason_word(reason).to_owned()).unwrap_or_default(),
    ]
}

fn target_measures(targets: &[f64]) -> impl Iterator<Item = Measure> {
    targets.iter().flat_map(|&target| [Measure::EpochsTo(target), Measure::SecondsTo(target)])
}

/// A trial's role is `comparison`, or `tuning` where it only helps to choose its setting's values.
pub const IDENTITY: [&str; 4] = ["id", "blocks", "seed", "role"];

fn identity(trial: &StoredTrial) -> [Cell; 4] {
    let role = if trial.is_tuning { "tuning" } else { "comparison" };
    let blocks = trial.blocks.join(LIST_SEPARATOR);
    [Cell::text(&trial.id), Cell::text(blocks), Cell::number(trial.seed), Cell::text(role)]
}

fn texts(cells: impl Iterator<Item = Cell>) -> impl Iterator<Item = String> {
    cells.map(|cell| cell.text)
}

/// All resolved keys in the order in which the trials name them first.
pub fn key_columns(trials: &[StoredTrial]) -> Vec<&str> {
    let mut seen = HashSet::new();
    let keys = trials.iter().flat_map(|trial| &trial.keys).map(|(key, _)| key.as_str());
    keys.filter(|key| seen.insert(*key)).collect()
}

fn key_cells<'a>(trial: &'a StoredTrial, keys: &'a [&str]) -> impl Iterator<Item = Cell> + 'a {
    let values: HashMap<&str, &Cell> = trial.keys.iter().map(|(key, value)| (key.as_str(), value)).collect();
    keys.iter().map(move |key| values.get(key).copied().cloned().unwrap_or_default())
}

fn value_of<'a>(trial: &'a StoredTrial, key: &str) -> Option<&'a str> {
    trial.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.text.as_str())
}

pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Diverged => "diverged",
    }
}

/// The shortest decimal that reads back as the same f64, with a point or an exponent; `NaN`, `inf`.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn measurement(value: f64) -> Cell {
    Cell::number(number(value))
}

fn cell(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// A CSV with one header, LF at every line's end and quotes only where needed.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    fn new(header: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Table> {
        let mut table = Table(csv::Writer::from_writer(Vec::new()));
        table.row(header)?;
        Ok(table)
    }

    fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<()> {
        self.0.write_record(cells).context("a table row")
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().context("the end of a table")
    }
}
