//! What a confusion matrix says about each class, with scikit-learn's definitions and its `zero_division=0`.

use crate::record::{CLASSES, Confusion};
use serde::Serialize;

/// Shares in 0..=1; 0 where the denominator is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ClassScores {
    /// Test images of the class.
    pub support: u64,
    pub precision: f64,
    /// Also called sensitivity.
    pub recall: f64,
    /// Share of the other classes' images that were not taken for this one.
    pub specificity: f64,
    pub f1: f64,
}

/// One of the shares, with its name.
pub type Share = (&'static str, fn(&ClassScores) -> f64);

pub const SHARES: [Share; 4] = [
    ("precision", |class| class.precision),
    ("recall", |class| class.recall),
    ("specificity", |class| class.specificity),
    ("F1", |class| class.f1),
];

pub fn per_class(confusion: &Confusion) -> [ClassScores; CLASSES] {
    std::array::from_fn(|class| {
        let right = confusion[class][class];
        let support: u64 = confusion[class].iter().sum();
        let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
        let others = confusion.iter().flatten().sum::<u64>() - support;
        ClassScores {
            support,
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            specificity: ratio(others - (predicted - right), others),
            f1: ratio(2 * right, support + predicted),
        }
    })
}

/// The unweighted mean over the classes; `support` is the number of all images.
pub fn macro_average(classes: &[ClassScores; CLASSES]) -> ClassScores {
    let mean = |score: fn(&ClassScores) -> f64| classes.iter().map(score).sum::<f64>() / CLASSES as f64;
    ClassScores {
        support: classes.iter().map(|class| class.support).sum(),
        precision: mean(|class| class.precision),
        recall: mean(|class| class.recall),
        specificity: mean(|class| class.specificity),
        f1: mean(|class| class.f1),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class 3 never occurs and class 9 is never predicted.
    const COUNTS: Confusion = [
        [21, 1, 3, 2, 4, 1, 1, 2, 4, 0],
        [3, 19, 1, 0, 3, 2, 1, 5, 4, 0],
        [5, 5, 24, 25, 5, 0, 3, 0, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 4, 1, 3, 22, 3, 2, 3, 2, 0],
        [4, 3, 2, 2, 0, 26, 1, 3, 4, 0],
        [0, 0, 4, 2, 2, 1, 22, 4, 2, 0],
        [2, 3, 1, 1, 0, 2, 0, 25, 1, 0],
        [0, 3, 1, 1, 5, 0, 0, 3, 33, 0],
        [32, 6, 2, 0, 4, 2, 3, 1, 0, 0],
    ];

    /// scikit-learn 1.9.1: `precision_recall_fscore_support(zero_division=0)`, and specificity from
    /// `multilabel_confusion_matrix`: precision, recall, specificity, F1
    const GOLDEN: [[f64; 4]; CLASSES] = [
        [0.3088235294117647, 0.5384615384615384, 0.8698060941828255, 0.3925233644859813],
        [0.4318181818181818, 0.5, 0.930939226519337, 0.4634146341463415],
        [0.6153846153846154, 0.34782608695652173, 0.9546827794561934, 0.4444444444444444],
        [0.0, 0.0, 0.91, 0.0],
        [0.4888888888888889, 0.5365853658536586, 0.935933147632312, 0.5116279069767442],
        [0.7027027027027027, 0.5777777777777777, 0.9690140845070423, 0.6341463414634146],
        [0.6666666666666666, 0.5945945945945946, 0.9696969696969697, 0.6285714285714286],
        [0.5434782608695652, 0.7142857142857143, 0.9424657534246575, 0.6172839506172839],
        [0.6346153846153846, 0.717391304347826, 0.9463276836158192, 0.673469387755102],
        [0.0, 0.0, 1.0, 0.0],
    ];
    /// scikit-learn 1.9.1: the same with `average="macro"`
    const GOLDEN_MACRO: [f64; 3] = [0.439237823035777, 0.45269223822776317, 0.43654814584607404];

    #[test]
    fn scores_are_scikit_learns() {
        let close = |ours: f64, golden: f64| assert!((ours - golden).abs() < 1e-15, "{ours} is not {golden}");
        let classes = per_class(&COUNTS);
        for (class, golden) in classes.iter().zip(GOLDEN) {
            for (ours, golden) in [class.precision, class.recall, class.specificity, class.f1].into_iter().zip(golden) {
                close(ours, golden);
            }
        }
        let average = macro_average(&classes);
        for (ours, golden) in [average.precision, average.recall, average.f1].into_iter().zip(GOLDEN_MACRO) {
            close(ours, golden);
        }
        assert_eq!(classes.map(|class| class.support), [39, 38, 69, 0, 41, 45, 37, 35, 46, 50]);
    }

    #[test]
    fn an_empty_matrix_has_zeros_not_nan() {
        let empty = [[0; CLASSES]; CLASSES];
        assert_eq!(macro_average(&per_class(&empty)), ClassScores::default());
    }
}
