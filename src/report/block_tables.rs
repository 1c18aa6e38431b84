//! The tables of a block as people read them: results, scores by class, convergence and generalization, costs where networks of
//! different sizes are compared, and what newer trials keep.

use super::measure::{Described, MACRO, Measure, NEWER};
use super::numbers::{interval, mean_std, p_cell};
use super::statistics::Spread;
use super::study::Study;
use super::summary::{BlockSummary, Row};
use super::table::{Column, Table};
use crate::spec::Cell;
use crate::words::{grouped, minus, signed};

type RowColumn<'a> = Column<'a, Row<'a>>;

fn table<'a>(block: &'a BlockSummary<'a>, columns: impl IntoIterator<Item = RowColumn<'a>>) -> Table {
    Table::new(&columns.into_iter().collect::<Vec<_>>(), &block.rows)
}

/// Test accuracy, loss, and the comparison with the base, which is the first row.
pub fn results(study: &Study, block: &BlockSummary) -> Table {
    let is_tuned = block.rows.iter().any(|row| row.variant.tuning.is_some());
    let columns = [
        setting(),
        seeds(),
        mean(Measure::TestAccuracy),
        mean(Measure::TestLoss),
        numbers("Difference (points)", |row| row.shift.map(|shift| signed(shift, 2))),
        numbers("Interval (points)", |row| row.difference().map(interval)),
        numbers("p", |row| row.difference().map(|difference| p_cell(difference.p))),
        words("Verdict", |row| row.comparison.as_ref().map_or("base", |own| own.verdict.word()).to_owned()),
    ];
    let taken = is_tuned.then(|| words("Taken", |row| row.variant.taken()));
    let look = study.settles().then(|| numbers("Look (seeds)", look));
    table(block, columns.into_iter().chain(taken).chain(look))
}

/// How many seeds of the setting and of the base its verdict is from: `4 against 8`.
fn look(row: &Row) -> Option<String> {
    let comparison = row.comparison.as_ref().filter(|comparison| comparison.seeds > 0)?;
    Some(format!("{} against {}", comparison.seeds, comparison.base_seeds))
}

/// The mean of the selection metric on the validation images at each value that a setting tried. None where nothing is tuned.
pub fn tried(block: &BlockSummary) -> Option<Table> {
    let longest = block.rows.iter().filter_map(|row| row.variant.tuning.as_ref()).max_by_key(|own| own.tried.len())?;
    let value = |place: usize| {
        // Losses and shares alike.
        let mean = move |row: &Row| Some(minus(row.variant.tuning.as_ref()?.tried.get(place)?.mean?, 4));
        numbers(&longest.tried[place].label, mean)
    };
    let values = (0..longest.tried.len()).map(value);
    Some(table(block, [setting()].into_iter().chain(values).chain([words("Taken", |row| row.variant.taken())])))
}

/// Scores of the classes, each class counting alike.
pub fn class_means(block: &BlockSummary) -> Table {
    table(block, [setting(), seeds()].into_iter().chain(MACRO.map(mean)))
}

/// Scores of the last epoch beside how far the selected epoch's probabilities can be trusted; None where no trial has them.
pub fn further_scores(block: &BlockSummary) -> Option<Table> {
    let counted = |row: &Row| row.spread(Measure::LastTestAccuracy).map_or(0, |spread| spread.n);
    block.rows.iter().find(|row| counted(row) > 0)?;
    let n = numbers("n", move |row| {
        let n = counted(row);
        Some(if n == row.n() { row.n_label() } else { format!("{n} of {}", row.n()) })
    });
    // Accuracy first, as in all tables for people.
    let [loss, accuracy, top3, ece, brier] = NEWER.map(mean);
    Some(table(block, [setting(), n, accuracy, loss, top3, ece, brier]))
}

/// How soon validation accuracies are reached, and how far test lies behind training.
pub fn convergence(block: &BlockSummary, targets: &[f64]) -> Table {
    use Measure::*;
    let reaching = targets.iter().flat_map(|&target| [reached(EpochsTo(target)), reached(SecondsTo(target))]);
    let rest = [CurveArea, AccuracyGap, LossGap, LossRise].map(mean);
    table(block, [setting(), mean(BestEpoch)].into_iter().chain(reaching).chain(rest))
}

/// What a network's size and training cost, and what they buy.
pub fn costs(block: &BlockSummary) -> Table {
    let columns = [
        setting(),
        numbers("Parameters", |row| row.network().map(|network| grouped(network.parameters()))),
        numbers("Multiply-adds an image", |row| row.network().map(|network| grouped(network.multiply_adds()))),
        mean(Measure::Epochs),
        mean(Measure::Seconds),
        mean(Measure::ImagesPerSecond),
        seeds(),
        mean(Measure::TestAccuracy),
        mean(Measure::AccuracyGap),
    ];
    table(block, columns)
}

fn words<'a>(name: &str, words: impl Fn(&Row) -> String + 'a) -> RowColumn<'a> {
    Column::words(name, words)
}

fn numbers<'a>(name: &str, number: impl Fn(&Row) -> Option<String> + 'a) -> RowColumn<'a> {
    Column::numbers(name, number)
}

fn setting<'a>() -> RowColumn<'a> {
    words("Setting", |row| row.variant.label.clone())
}

fn seeds<'a>() -> RowColumn<'a> {
    numbers("n", |row| Some(row.n_label()))
}

fn mean<'a>(measure: Measure) -> RowColumn<'a> {
    let Described { heading, unit, decimals, .. } = measure.describe();
    numbers(&heading, move |row| row.spread(measure).map(|spread| mean_std(&spread, unit.factor(), decimals)))
}

/// Over those trials that get there, whose number follows where it is not all.
fn reached<'a>(measure: Measure) -> RowColumn<'a> {
    let mean = mean(measure);
    RowColumn::new(mean.name.clone(), move |row| match row.spread(measure) {
        Some(Spread { n, .. }) if n < row.n() => Cell::number(format!("{} ({n} of {})", mean.cell(row).text, row.n())),
        None if row.n() > 0 => Cell::number("never"),
        _ => mean.cell(row),
    })
}
