//! Tables of what newer trials keep: the last epoch's scores, calibration, and what the predictions of each test image say.

use super::evidence::{Estimate, pair, setting};
use super::overview::{Grid, MISSING, n_cell, scaled};
use super::summary::{BlockSummary, Measure, Row};
use super::{StoredTrial, Study};
use crate::words::minus;

/// Scores of the last epoch beside how far the selected epoch's probabilities can be trusted; None where no trial has them.
pub fn further_scores(block: &BlockSummary) -> Option<Grid> {
    const SCORES: [(&str, Measure, f64, usize); 5] = [
        ("Last epoch's test accuracy (%)", Measure::LastTestAccuracy, 100.0, 2),
        ("Last epoch's test loss", Measure::LastTestLoss, 1.0, 3),
        ("Top-3 accuracy (%)", Measure::Top3Accuracy, 100.0, 2),
        ("Calibration error, ECE (%)", Measure::Ece, 100.0, 2),
        ("Brier score", Measure::Brier, 1.0, 3),
    ];
    block.rows.iter().find(|row| row.spread(Measure::LastTestAccuracy).is_some())?;
    let header = ["Setting", "n"].into_iter().chain(SCORES.map(|(name, ..)| name)).map(str::to_owned).collect();
    let cells = |row: &Row| {
        let scores = SCORES.map(|(_, measure, factor, decimals)| scaled(row.spread(measure), factor, decimals));
        let n = row.spread(Measure::LastTestAccuracy).map_or(0, |spread| spread.n);
        let count = if n == row.n() { n_cell(row) } else { format!("{n} of {}", row.n()) };
        [row.variant.label.clone(), count].into_iter().chain(scores).collect()
    };
    Some(Grid { header, rows: block.rows.iter().map(cells).collect() })
}

/// What the seeds of each setting get wrong together, and on how many images it differs from the base. None where no trial has
/// predictions.
pub fn by_image(study: &Study, block: &BlockSummary) -> Option<Grid> {
    let labels = study.test_labels.as_deref()?;
    let base: Vec<&StoredTrial> = block.rows.first()?.done().collect();
    let mut rows = vec![];
    for (place, row) in block.rows.iter().enumerate() {
        let own: Vec<&StoredTrial> = row.done().collect();
        let Some(found) = setting(&own, labels) else {
            rows.push([vec![row.variant.label.clone(), "0".to_owned()], vec![MISSING.to_owned(); 4]].concat());
            continue;
        };
        let count = match found.left_out {
            0 => found.trials.to_string(),
            left_out => format!("{} ({left_out} without)", found.trials),
        };
        let against = pair(&base, &own, labels).filter(|_| place > 0);
        let cell = |of: fn(&super::evidence::PairEvidence) -> Estimate| {
            against.as_ref().map_or(MISSING.to_owned(), |pair| estimate(&of(pair)))
        };
        rows.push(vec![
            row.variant.label.clone(),
            count,
            minus(100.0 * found.always_wrong_share(), 2),
            minus(100.0 * found.majority_accuracy, 2),
            cell(|pair| pair.disagreement),
            cell(|pair| pair.difference),
        ]);
    }
    let header = [
        "Setting",
        "Trials with predictions",
        "Wrong with every seed (%)",
        "Accuracy of the seeds' majority (%)",
        "Other class than the base (%)",
        "Difference over images (points)",
    ];
    let any = rows.iter().any(|row| row[2] != MISSING);
    any.then(|| Grid { header: header.map(str::to_owned).to_vec(), rows })
}

/// `12.31 (11.9 to 12.7)`
fn estimate(estimate: &Estimate) -> String {
    let (low, high) = estimate.interval;
    format!("{} ({} to {})", minus(100.0 * estimate.value, 2), minus(100.0 * low, 2), minus(100.0 * high, 2))
}

/// What [`by_image`] shows.
pub const BY_IMAGE: &str = "Image by image, from the classes that each trial predicts: the images that every seed gets wrong, the \
     accuracy of the class that most seeds name, and, by pairs of trials of one seed, the share of images for which setting and \
     base name different classes and the difference in accuracy. The intervals are 95 % ones over the choice of the test images \
     (bootstrap), beside those over seeds above.";
