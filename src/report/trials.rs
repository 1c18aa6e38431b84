//! The columns of tables with one row a trial.

use std::collections::HashSet;

use anyhow::Result;

use super::measure::{Described, MACRO, Measure, NEWER};
use super::study::{StoredTrial, status_word};
use super::table::{Column, csv, exact};
use super::unit::Unit;
use crate::record::Outcome;
use crate::spec::Cell;

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
    names.filter(|name| seen.insert(*name)).map(key).collect()
}

fn key(name: &str) -> TrialColumn<'_> {
    TrialColumn::new(name, move |trial| value(trial, name).cloned().unwrap_or_default())
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
        outcome("parameters", |outcome| Cell::number(outcome.parameters)),
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
