//! What the predictions of each test image say, as a table.

use super::evidence::{self, Estimate, PairEvidence, SettingEvidence};
use super::study::{StoredTrial, Study};
use super::summary::BlockSummary;
use super::table::{Column, Table};
use crate::words::minus;

/// What [`by_image`] shows.
pub const BY_IMAGE: &str = "Image by image, from the classes that each trial predicts: the images that every seed gets wrong, the \
     accuracy of the class that most seeds name, and, by pairs of trials of one seed, the share of images for which setting and \
     base name different classes and the difference in accuracy. The intervals are 95 % ones over the choice of the test images \
     (bootstrap), beside those over seeds above.";

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
        own("Wrong with every seed (%)", SettingEvidence::always_wrong_share),
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
