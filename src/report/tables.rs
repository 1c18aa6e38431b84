//! The CSV tables. Shares and losses are plain numbers in full precision, a missing value is an empty cell, so pandas reads
//! every column with its right type.

use super::overview::Grid;
use super::summary::{BlockSummary, Measure, Row};
use super::{StoredTrial, Study, metrics};
use crate::train::record::{Epoch, Outcome, Status};
use anyhow::{Context, Result};
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
    let mut table = Table::new(["id", "blocks", "seed"].into_iter().chain(swept.iter().copied()))?;
    for trial in trials {
        table.row(identity(trial).into_iter().chain(key_cells(trial, &swept)))?;
    }
    table.finish()
}

/// One row a trial that has ended.
pub fn trials_csv(trials: &[StoredTrial], targets: &[f64]) -> Result<Vec<u8>> {
    let grid = trials_grid(trials, targets);
    let mut table = Table::new(&grid.header)?;
    for (_, row) in trials.iter().zip(&grid.rows).filter(|(trial, _)| trial.outcome.is_some()) {
        table.row(row)?;
    }
    table.finish()
}

/// The columns of `trials.csv` with one row for each of `trials`; a cell is empty where there is no value yet.
pub fn trials_grid(trials: &[StoredTrial], targets: &[f64]) -> Grid {
    let keys = key_columns(trials);
    let measures: Vec<Measure> = FURTHER.into_iter().chain(target_measures(targets)).collect();
    let header = ["id", "blocks", "seed"].into_iter().chain(keys.iter().copied()).chain(ENDING).chain(SCORES);
    let header = header.map(str::to_owned).chain(measures.iter().map(|measure| measure.column()));
    let row = |trial: &StoredTrial| {
        let outcome = trial.outcome.as_ref();
        let cells = identity(trial).into_iter().chain(key_cells(trial, &keys));
        let cells = cells.chain(outcome.map(ending_cells).unwrap_or_default()).chain(score_cells(trial));
        let cells = cells.chain(measures.iter().map(|measure| cell(measure.of(trial))));
        cells.chain(outcome.map(cost_cells).unwrap_or_default()).collect()
    };
    Grid { header: header.chain(COSTS.map(str::to_owned)).collect(), rows: trials.iter().map(row).collect() }
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

fn ending_cells(outcome: &Outcome) -> [String; 4] {
    let error = outcome.error.clone().unwrap_or_default();
    [status_word(outcome.status).to_owned(), outcome.attempts.to_string(), error, outcome.epochs.to_string()]
}

fn score_cells(trial: &StoredTrial) -> [String; 11] {
    let Some(scores) = trial.scores() else { return Default::default() };
    let average = metrics::macro_average(&metrics::per_class(&scores.confusion));
    [
        scores.best_epoch.to_string(),
        number(scores.train.loss),
        number(scores.train.accuracy),
        number(scores.val.loss),
        number(scores.val.accuracy),
        number(scores.test.loss),
        number(scores.test.accuracy),
        number(average.precision),
        number(average.recall),
        number(average.specificity),
        number(average.f1),
    ]
}

fn cost_cells(outcome: &Outcome) -> [String; 9] {
    [
        number(outcome.seconds),
        number(outcome.images_per_second),
        outcome.peak_bytes.to_string(),
        outcome.parameters.to_string(),
        outcome.libtorch.clone(),
        outcome.device.clone(),
        outcome.threads.to_string(),
        outcome.processor.clone(),
        outcome.git.clone(),
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
    header.extend(DIFFERENCE.map(str::to_owned));
    let mut table = Table::new(header)?;
    for block in blocks {
        for row in &block.rows {
            let spreads = measures.iter().flat_map(|measure| spread_cells(row, *measure));
            table.row(count_cells(block, row).into_iter().chain(spreads).chain(difference_cells(row)))?;
        }
    }
    table.finish()
}

const DIFFERENCE: [&str; 8] = [
    "difference_pairs",
    "difference_mean",
    "difference_ci_low",
    "difference_ci_high",
    "p",
    "p_holm",
    "verdict",
    "seeds_needed",
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

fn difference_cells(row: &Row) -> [String; 8] {
    let Some(difference) = &row.difference else { return Default::default() };
    let (low, high) = difference.spread.interval.unzip();
    [
        difference.spread.n.to_string(),
        number(difference.spread.mean),
        cell(low),
        cell(high),
        cell(difference.p),
        cell(difference.p_holm),
        difference.verdict.word().to_owned(),
        difference.seeds_needed.map(|seeds| seeds.to_string()).unwrap_or_default(),
    ]
}

fn target_measures(targets: &[f64]) -> impl Iterator<Item = Measure> {
    targets.iter().flat_map(|&target| [Measure::EpochsTo(target), Measure::SecondsTo(target)])
}

fn identity(trial: &StoredTrial) -> [String; 3] {
    [trial.id.clone(), trial.blocks.join(LIST_SEPARATOR), trial.seed.to_string()]
}

/// All resolved keys in the order in which the trials name them first.
pub fn key_columns(trials: &[StoredTrial]) -> Vec<&str> {
    let mut seen = HashSet::new();
    let keys = trials.iter().flat_map(|trial| &trial.keys).map(|(key, _)| key.as_str());
    keys.filter(|key| seen.insert(*key)).collect()
}

fn key_cells<'a>(trial: &'a StoredTrial, keys: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let values: HashMap<&str, &str> = trial.keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    keys.iter().map(move |key| values.get(key).copied().unwrap_or_default().to_owned())
}

fn value_of<'a>(trial: &'a StoredTrial, key: &str) -> Option<&'a str> {
    trial.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
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
