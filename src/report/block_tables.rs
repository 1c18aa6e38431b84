//! The tables of a block as people read them: results, scores by class, convergence and generalization, costs where networks of
//! different sizes are compared, what newer trials keep, and what the predictions of each test image say.

use super::evidence::{self, Estimate, PairEvidence, SettingEvidence};
use super::measure::{Described, MACRO, Measure, NEWER};
use super::statistics::{Spread, interval, mean_std, p_cell};
use super::study::{StoredTrial, Study};
use super::summary::{BlockSummary, Row};
use super::table::{Column, Table};
use crate::spec::Cell;
use crate::spec::config::Select;
use crate::words::{self, grouped, minus, signed};

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
        RowColumn::numbers("Difference (points)", |row| row.shift.map(|shift| signed(shift, 2))),
        RowColumn::numbers("Interval (points)", |row| row.difference().map(interval)),
        RowColumn::numbers("p", |row| row.difference().map(|difference| p_cell(difference.p))),
        RowColumn::words("Verdict", |row| row.comparison.as_ref().map_or("base", |own| own.verdict.word()).to_owned()),
    ];
    let taken = is_tuned.then(|| RowColumn::words("Taken", |row| row.variant.taken()));
    let look = study.settles().then(|| RowColumn::numbers("Look (seeds)", look));
    table(block, columns.into_iter().chain(taken).chain(look))
}

/// How many seeds of the setting and of the base its verdict is from: `4 against 8`.
fn look(row: &Row) -> Option<String> {
    let comparison = row.comparison.as_ref().filter(|comparison| comparison.seeds > 0)?;
    Some(format!("{} against {}", comparison.seeds, comparison.base_seeds))
}

/// The selection metric on the validation images at each value that a setting tried, and what that is in words. None where nothing
/// is tuned.
pub fn tried(block: &BlockSummary) -> Option<(String, Table)> {
    let longest = block.rows.iter().filter_map(|row| row.variant.tuning.as_ref()).max_by_key(|own| own.tried.len())?;
    let value = |place: usize| {
        // Losses and shares alike.
        let mean = move |row: &Row| Some(minus(row.variant.tuning.as_ref()?.tried.get(place)?.mean?, 4));
        RowColumn::numbers(&longest.tried[place].label, mean)
    };
    let values = (0..longest.tried.len()).map(value);
    let columns = [setting()].into_iter().chain(values).chain([RowColumn::words("Taken", |row| row.variant.taken())]);
    let (metric, best) = match block.rows.iter().find_map(|row| row.trials.first())?.config.select {
        Select::ValLoss => ("loss", "lowest"),
        Select::ValAccuracy => ("accuracy", "highest"),
    };
    let what = format!(
        "Values tried before the comparison, with the mean validation {metric} of {} each, on seeds that no comparison has; the {best} \
         is taken. A dash where a trial failed, diverged or is to come.",
        words::count(longest.tried.first()?.trial_ids.len(), "trial")
    );
    Some((what, table(block, columns)))
}

/// Scores of the classes, each class counting alike.
pub fn class_means(block: &BlockSummary) -> Table {
    table(block, [setting(), seeds()].into_iter().chain(MACRO.map(mean)))
}

/// Scores of the last epoch beside how far the selected epoch's probabilities can be trusted; None where no trial has them.
pub fn further_scores(block: &BlockSummary) -> Option<Table> {
    let counted = |row: &Row| row.spread(Measure::LastTestAccuracy).map_or(0, |spread| spread.n);
    block.rows.iter().find(|row| counted(row) > 0)?;
    let n = RowColumn::numbers("n", move |row| {
        let n = counted(row);
        Some(if n == row.n() { row.n_label() } else { format!("{n} of {}", row.n()) })
    });
    // Accuracy first, as in all tables for people.
    let [loss, accuracy, top3, ece, brier] = NEWER.map(mean);
    Some(table(block, [setting(), n, accuracy, loss, top3, ece, brier]))
}

/// The targets that no trial of the block has reached, once one has ended.
fn unreached(block: &BlockSummary, targets: &[f64]) -> Vec<f64> {
    let is_reached = |target: f64| block.rows.iter().any(|row| row.spread(Measure::EpochsTo(target)).is_some());
    targets.iter().copied().filter(|&target| block.finished() && !is_reached(target)).collect()
}

/// What [`convergence`] leaves out of these targets.
pub fn unreached_words(block: &BlockSummary, targets: &[f64]) -> Option<String> {
    let percents: Vec<String> =
        unreached(block, targets).into_iter().map(|target| format!("{} %", minus(100.0 * target, 0))).collect();
    let words = percents.join(", ");
    (!percents.is_empty()).then(|| format!("Left out, as no trial got there: a validation accuracy of {words}."))
}

/// How soon validation accuracies are reached, but for those that nobody reached, and how far test lies behind training.
pub fn convergence(block: &BlockSummary, targets: &[f64]) -> Table {
    use Measure::*;
    let unreached = unreached(block, targets);
    let targets = targets.iter().filter(|target| !unreached.contains(target));
    let reaching = targets.flat_map(|&target| [reached(EpochsTo(target)), reached(SecondsTo(target))]);
    let rest = [CurveArea, AccuracyGap, LossGap, LossRise].map(mean);
    table(block, [setting(), mean(BestEpoch)].into_iter().chain(reaching).chain(rest))
}

/// What a network's size and training cost, and what they buy.
pub fn costs(block: &BlockSummary) -> Table {
    let columns = [
        setting(),
        RowColumn::numbers("Parameters", |row| row.network().map(|network| grouped(network.parameters()))),
        RowColumn::numbers("Multiply-adds an image", |row| {
            row.network().map(|network| grouped(network.multiply_adds()))
        }),
        mean(Measure::Epochs),
        mean(Measure::Seconds),
        mean(Measure::ImagesPerSecond),
        seeds(),
        mean(Measure::TestAccuracy),
        mean(Measure::AccuracyGap),
    ];
    table(block, columns)
}

fn setting<'a>() -> RowColumn<'a> {
    RowColumn::words("Setting", |row| row.variant.label.clone())
}

fn seeds<'a>() -> RowColumn<'a> {
    RowColumn::numbers("n", |row| Some(row.n_label()))
}

fn mean<'a>(measure: Measure) -> RowColumn<'a> {
    let Described { heading, unit, decimals, .. } = measure.describe();
    RowColumn::numbers(heading, move |row| row.spread(measure).map(|spread| mean_std(&spread, unit.factor(), decimals)))
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

/// What [`by_image`] shows.
pub const BY_IMAGE: &str = "Image by image, from the classes that each trial predicts: the images that every seed gets wrong, the \
     accuracy of the class that most seeds name, which only settings with as many trials compare in, and, by pairs of trials of one \
     seed, the share of images for which setting and base name different classes and the difference in accuracy. The intervals are \
     95 % ones over the choice of the test images (bootstrap) for these trained networks alone, each by itself: no verdicts.";

/// A setting; its evidence is there where it has predictions.
struct Line<'a> {
    label: &'a str,
    own: Option<SettingEvidence>,
    against_base: Option<PairEvidence>,
}

type LineColumn<'a> = Column<'a, Line<'a>>;

/// What the seeds of each setting get wrong together, and on how many images it differs from the base. None where no trial has
/// predictions.
pub fn by_image(study: &Study, block: &BlockSummary) -> Option<Table> {
    let labels = study.test_labels.as_deref()?;
    let base: Vec<&StoredTrial> = block.base()?.done().collect();
    let lines = block.rows.iter().enumerate().map(|(place, row)| {
        let trials: Vec<&StoredTrial> = row.done().collect();
        let against_base = if place > 0 { evidence::pair(&base, &trials, labels) } else { None };
        Line { label: &row.variant.label, own: evidence::setting(&trials, labels), against_base }
    });
    let lines: Vec<Line> = lines.collect();
    lines.iter().find(|line| line.own.is_some())?;
    let own = |name, number: fn(&SettingEvidence) -> f64| {
        LineColumn::numbers(name, move |line| Some(minus(100.0 * number(line.own.as_ref()?), 2)))
    };
    let against_base = |name, estimate: fn(&PairEvidence) -> Estimate| {
        LineColumn::numbers(name, move |line| Some(words(&estimate(line.against_base.as_ref()?))))
    };
    let columns = [
        LineColumn::words("Setting", |line| line.label.to_owned()),
        LineColumn::numbers("Trials with predictions", |line| Some(count(line.own.as_ref()))),
        own("Wrong with every seed (%)", |own| own.always_wrong),
        own("Accuracy of the seeds' majority (%)", |own| own.majority_accuracy),
        against_base("Other class than the base (%)", |pair| pair.disagreement),
        against_base("Difference over images (points)", |pair| pair.difference),
    ];
    Some(Table::new(&columns, &lines))
}

/// `2 (1 without)`
fn count(own: Option<&SettingEvidence>) -> String {
    match own {
        None => "0".to_owned(),
        Some(own) if own.left_out == 0 => own.trials.to_string(),
        Some(own) => format!("{} ({} without)", own.trials, own.left_out),
    }
}

/// `12.31 (11.9 to 12.7)`
fn words(estimate: &Estimate) -> String {
    let (low, high) = estimate.interval;
    format!("{} ({} to {})", minus(100.0 * estimate.value, 2), minus(100.0 * low, 2), minus(100.0 * high, 2))
}
