//! What curves show: accuracy, loss or learning rate of the epochs, their means over seeds, and the y-axis that shows them.
//!
//! A setting far from all others, at chance for example, would squeeze those: the axis has a break between them then.

use super::canvas::Point;
use super::frame::bounds;
use crate::record::Epoch;
use crate::report::statistics::spread;
use crate::report::study::StoredTrial;
use crate::report::summary::{BlockSummary, Row};

/// How far beyond the central 96 % of the values the y-range may reach, in widths of those 96 %.
const REACH: f64 = 0.5;
/// Settings are set apart where the central 80 % of the others' values need less than this share of the range.
const SQUEEZE: f64 = 0.6;
const FEWEST_KEPT: usize = 3;

/// What a curve shows of an epoch.
pub struct Quantity {
    pub noun: &'static str,
    pub axis: &'static str,
    pub validation: fn(&Epoch) -> f64,
    /// None where training and validation have no curve of their own.
    pub training: Option<fn(&Epoch) -> f64>,
    /// What no value can be beyond.
    bounds: (f64, f64),
}

pub static ACCURACY: Quantity = Quantity {
    noun: "accuracy",
    axis: "accuracy (%)",
    validation: |epoch| 100.0 * epoch.val_accuracy,
    training: Some(|epoch| 100.0 * epoch.train_accuracy),
    bounds: (0.0, 100.0),
};

pub static LOSS: Quantity = Quantity {
    noun: "loss",
    axis: "cross-entropy loss",
    validation: |epoch| epoch.val_loss,
    training: Some(|epoch| epoch.train_loss),
    bounds: (0.0, f64::INFINITY),
};

/// In powers of ten.
pub static LEARNING_RATE: Quantity = Quantity {
    noun: "learning rate",
    axis: "learning rate (log scale)",
    validation: |epoch| epoch.lr.log10(),
    training: None,
    bounds: (f64::NEG_INFINITY, f64::INFINITY),
};

/// The y-axis of a block's curves, so that its pages can be compared.
pub struct Ranges<'a> {
    pub main: (f64, f64),
    pub apart: Option<Apart<'a>>,
}

/// Settings far below or above most values of all others, of which there are at least three.
pub struct Apart<'a> {
    pub rows: Vec<&'a Row<'a>>,
    pub range: (f64, f64),
    pub is_below: bool,
}

impl<'a> Ranges<'a> {
    pub fn new(block: &'a BlockSummary<'a>, quantity: &Quantity) -> Ranges<'a> {
        let mut rows: Vec<(&Row, Vec<f64>)> = block.rows.iter().map(|row| (row, values(&[row], quantity))).collect();
        rows.retain(|(_, values)| !values.is_empty());
        let mut all: Vec<f64> = rows.iter().flat_map(|(_, values)| values.clone()).collect();
        if all.is_empty() {
            all = diverged(block.rows.iter(), quantity);
        }
        if quantity.training.is_none() && !all.is_empty() {
            // What was chosen is not wild, and a schedule ends far below most of its values.
            return Ranges { main: padded(bounds_of(&all), quantity.bounds), apart: None };
        }
        let whole = Ranges { main: value_range(all, quantity.bounds), apart: None };
        [true, false].into_iter().find_map(|is_below| Ranges::broken(&mut rows, is_below, quantity)).unwrap_or(whole)
    }

    /// The other values go on in the break on their way to those that are set apart. None where there is none.
    fn broken(rows: &mut [(&'a Row<'a>, Vec<f64>)], is_below: bool, quantity: &Quantity) -> Option<Ranges<'a>> {
        let outermost = |values: &[f64]| if is_below { bounds_of(values).1 } else { -bounds_of(values).0 };
        rows.sort_by(|a, b| outermost(&a.1).total_cmp(&outermost(&b.1)));
        let most = rows.len().saturating_sub(FEWEST_KEPT).min(rows.len().saturating_sub(1) / 2);
        (1..=most).find_map(|count| {
            let (out, kept) = rows.split_at(count);
            let [out, kept] = [out, kept].map(|rows| rows.iter().flat_map(|(_, own)| own.clone()).collect::<Vec<_>>());
            let ((low, high), (least, most)) = (central(&kept), bounds_of(&out));
            let whole = if is_below { high - least } else { most - low };
            let gap = if is_below { low - most } else { least - high };
            let (usual, pad) = (value_range(kept, quantity.bounds), 0.04 * (high - low));
            let main = if is_below { (low - pad, usual.1) } else { (usual.0, high + pad) };
            let rows = rows[..count].iter().map(|(row, _)| *row).collect();
            let apart = Apart { rows, range: value_range(out, quantity.bounds), is_below };
            // What rises slowly from chance to the others is no strip.
            let is_apart = gap > most - least && high - low < SQUEEZE * whole;
            is_apart.then_some(Ranges { main, apart: Some(apart) })
        })
    }
}

fn bounds_of(values: &[f64]) -> (f64, f64) {
    bounds(values.iter().copied())
}

/// Where the central 80 % of the values lie.
fn central(values: &[f64]) -> (f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    (quantile(0.1), quantile(0.9))
}

/// Of the means and bands, or the seeds; none that is not finite.
fn values(rows: &[&Row], quantity: &Quantity) -> Vec<f64> {
    let mut values: Vec<f64> = Vec::new();
    for row in rows {
        let Some(training) = quantity.training else {
            values.extend(row.done().flat_map(|trial| &trial.history).map(quantity.validation));
            continue;
        };
        for value in [quantity.validation, training] {
            let mean = Mean::new(&row.done().collect::<Vec<_>>(), value);
            values.extend(mean.edge(1.0).chain(mean.edge(-1.0)).map(|(_, y)| y));
        }
    }
    // Accuracies are bounded, so diverged trials can be shown whole; losses are not.
    if quantity.bounds.1.is_finite() {
        values.extend(diverged(rows.iter().copied(), quantity));
    }
    values.retain(|value| value.is_finite());
    values
}

fn diverged<'a>(rows: impl Iterator<Item = &'a Row<'a>>, quantity: &Quantity) -> Vec<f64> {
    let epochs = rows.flat_map(|row| row.diverged()).flat_map(|trial| &trial.history);
    epochs.map(quantity.validation).filter(|value| value.is_finite()).collect()
}

/// Single wild values do not stretch it.
fn value_range(mut values: Vec<f64>, possible: (f64, f64)) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let Some((&least, &most)) = values.first().zip(values.last()) else { return (0.0, 1.0) };
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (quantile(0.02), quantile(0.98));
    let reach = (high - low) * REACH;
    padded((least.max(low - reach), most.min(high + reach)), possible)
}

fn padded((low, high): (f64, f64), (least_possible, most_possible): (f64, f64)) -> (f64, f64) {
    let pad = ((high - low) * 0.04).max(1e-3 * high.abs()).max(1e-6);
    ((low - pad).max(least_possible), (high + pad).min(most_possible))
}

/// Mean and standard deviation over trials, epoch by epoch, for as long as all of them run.
pub struct Mean {
    pub points: Vec<(f64, f64, Option<f64>)>,
}

impl Mean {
    pub fn new(trials: &[&StoredTrial], value: impl Fn(&Epoch) -> f64) -> Mean {
        let shortest = trials.iter().map(|trial| trial.history.len()).min().unwrap_or(0);
        let at = |index: usize| {
            let values: Vec<f64> = trials.iter().map(|trial| value(&trial.history[index])).collect();
            let spread = spread(&values)?;
            Some((trials[0].history[index].epoch as f64, spread.mean, spread.std))
        };
        Mean { points: (0..shortest).filter_map(at).collect() }
    }

    pub fn line(&self) -> Vec<Point> {
        self.points.iter().map(|(x, mean, _)| (*x, *mean)).collect()
    }

    /// The band's upper or lower edge: `side` is 1 or −1.
    pub fn edge(&self, side: f64) -> impl DoubleEndedIterator<Item = Point> {
        self.points.iter().map(move |(x, mean, std)| (*x, mean + side * std.unwrap_or(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::summarize;
    use crate::report::tests::example;

    #[test]
    fn a_schedule_of_few_trials_is_seen_to_its_end() {
        let mut study = example::study(&[("schedule", &[("base", 0.5), ("cosine", 0.5)])], 40, 20);
        study.blocks[0].variants[1].trial_ids.truncate(1);
        let rates = |epoch: usize| if epoch == 20 { 1e-6 } else { 1e-3 };
        let scheduled = study.trials.iter_mut().filter(|trial| trial.label.ends_with("cosine"));
        scheduled.flat_map(|trial| &mut trial.history).for_each(|epoch| epoch.lr = rates(epoch.epoch));
        let blocks = summarize(&study);
        assert!(Ranges::new(&blocks[0], &LEARNING_RATE).main.0 < -6.0);
    }

    /// Of which settings the axis is broken, and whether they are below.
    fn apart(settings: &[(&str, f64)], quantity: &Quantity) -> Option<(Vec<String>, bool)> {
        let mut study = example::study(&[("init", settings)], 3, 20);
        for epoch in
            study.trials.iter_mut().filter(|own| own.label.ends_with("chance")).flat_map(|own| &mut own.history)
        {
            (epoch.train_loss, epoch.val_loss) = (2.304, 2.303);
        }
        let blocks = summarize(&study);
        let Ranges { main, apart } = Ranges::new(&blocks[0], quantity);
        let apart = apart?;
        assert!(apart.range.1 < main.0 || apart.range.0 > main.1, "{main:?} and {:?}", apart.range);
        Some((apart.rows.iter().map(|row| row.variant.label.clone()).collect(), apart.is_below))
    }

    #[test]
    fn a_setting_at_chance_is_set_apart_from_three_others() {
        let settings = [("base", 0.55), ("chance", 0.1), ("a", 0.57), ("b", 0.53)];
        assert_eq!(apart(&settings, &ACCURACY), Some((vec!["chance".to_owned()], true)));
        assert_eq!(apart(&settings, &LOSS), Some((vec!["chance".to_owned()], false)));
        assert_eq!(apart(&settings, &LEARNING_RATE), None);
        assert_eq!(apart(&settings[..3], &ACCURACY), None);
        assert_eq!(apart(&[("base", 0.55), ("low", 0.45), ("a", 0.57), ("b", 0.53)], &ACCURACY), None);
    }
}
