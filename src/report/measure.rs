//! The numbers that a finished trial has: one line each says what it is called, how people read it, and what it is. Of each class,
//! what a confusion matrix says, with scikit-learn's definitions and its `zero_division=0`.

use super::statistics::spread;
use super::study::StoredTrial;
use super::table::Unit;
use crate::record::{Confusion, Evidence, Outcome, Scores, SplitScore};
use crate::words::minus;
use serde::Serialize;
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    TrainAccuracy,
    TrainLoss,
    ValAccuracy,
    ValLoss,
    TestAccuracy,
    TestLoss,
    /// Of the last epoch's weights, as the next; trials of older versions have neither, nor the three that follow.
    LastTestAccuracy,
    LastTestLoss,
    /// Share of test images whose true class is among the three most probable ones.
    Top3Accuracy,
    /// Expected calibration error on the test images.
    Ece,
    Brier,
    /// On the test images, as the unweighted mean over the classes; so are the next three.
    MacroPrecision,
    MacroRecall,
    MacroSpecificity,
    MacroF1,
    BestEpoch,
    /// Train minus test accuracy of the selected epoch's weights.
    AccuracyGap,
    /// Test minus train loss of the selected epoch's weights.
    LossGap,
    /// Validation loss after the last epoch minus the lowest of all epochs: what training on has cost.
    LossRise,
    /// The highest validation accuracy of any epoch, which need not be the selected one's.
    PeakValAccuracy,
    /// Mean validation accuracy over the epochs: the area under its curve, divided by its length.
    CurveArea,
    /// First epoch whose validation accuracy reaches the target; trials that never do have none.
    EpochsTo(f64),
    /// Seconds until the end of that epoch, validation and checkpoints included.
    SecondsTo(f64),
    /// Finished epochs.
    Epochs,
    /// Training, validation and checkpoints of all epochs.
    Seconds,
    ImagesPerSecond,
}

/// What only newer trials have: scores of the last epoch's weights, and how far the probabilities can be trusted.
pub const NEWER: [Measure; 5] =
    [Measure::LastTestLoss, Measure::LastTestAccuracy, Measure::Top3Accuracy, Measure::Ece, Measure::Brier];

pub const MACRO: [Measure; 4] =
    [Measure::MacroPrecision, Measure::MacroRecall, Measure::MacroSpecificity, Measure::MacroF1];

type Value = Box<dyn Fn(&StoredTrial) -> Option<f64>>;

/// A measure in words, and what it is.
pub struct Described {
    /// Its column in the files.
    pub column: Cow<'static, str>,
    /// Over its column in tables for people.
    pub heading: Cow<'static, str>,
    pub unit: Unit,
    /// Of its means in tables for people.
    pub decimals: usize,
    value: Value,
}

impl Measure {
    pub fn value(self, trial: &StoredTrial) -> Option<f64> {
        (self.describe().value)(trial)
    }

    pub fn describe(self) -> Described {
        use Measure::*;
        use Unit::*;
        match self {
            TrainAccuracy => measure("train_accuracy", "Training accuracy (%)", Share, 2, scored(|s| s.train.accuracy)),
            TrainLoss => measure("train_loss", "Training loss", Loss, 3, scored(|s| s.train.loss)),
            ValAccuracy => measure("val_accuracy", "Validation accuracy (%)", Share, 2, scored(|s| s.val.accuracy)),
            ValLoss => measure("val_loss", "Validation loss", Loss, 3, scored(|s| s.val.loss)),
            TestAccuracy => measure("test_accuracy", "Test accuracy (%)", Share, 2, scored(|s| s.test.accuracy)),
            TestLoss => measure("test_loss", "Test loss", Loss, 3, scored(|s| s.test.loss)),
            LastTestAccuracy => {
                measure("last_test_accuracy", "Last epoch's test accuracy (%)", Share, 2, last(|s| s.accuracy))
            }
            LastTestLoss => measure("last_test_loss", "Last epoch's test loss", Loss, 3, last(|s| s.loss)),
            Top3Accuracy => measure("test_top3_accuracy", "Top-3 accuracy (%)", Share, 2, evident(|e| e.top3_accuracy)),
            Ece => measure("test_ece", "Calibration error, ECE (%)", Error, 2, evident(|e| e.ece)),
            Brier => measure("test_brier", "Brier score", Loss, 3, evident(|e| e.brier)),
            MacroPrecision => measure("macro_precision", "Macro precision (%)", Share, 2, classes(|c| c.precision)),
            MacroRecall => measure("macro_recall", "Macro recall (%)", Share, 2, classes(|c| c.recall)),
            MacroSpecificity => {
                measure("macro_specificity", "Macro specificity (%)", Share, 2, classes(|c| c.specificity))
            }
            MacroF1 => measure("macro_f1", "Macro F1 (%)", Share, 2, classes(|c| c.f1)),
            BestEpoch => measure("best_epoch", "Selected epoch", Count, 1, scored(|s| s.best_epoch as f64)),
            AccuracyGap => measure("accuracy_gap", "Accuracy gap (points)", Points, 1, scored(accuracy_gap)),
            LossGap => measure("loss_gap", "Loss gap", Loss, 3, scored(|s| s.test.loss - s.train.loss)),
            LossRise => measure("val_loss_rise", "Val. loss, last minus lowest", Loss, 3, finished(loss_rise)),
            PeakValAccuracy => measure("val_accuracy_peak", "Highest val. accuracy (%)", Share, 2, finished(peak)),
            CurveArea => measure("val_curve_area", "Val. accuracy, mean over epochs (%)", Share, 1, finished(area)),
            EpochsTo(target) => to_target("epochs", target, Count, epochs_to),
            SecondsTo(target) => to_target("seconds", target, Time, seconds_to),
            Epochs => measure("epochs_run", "Epochs", Count, 1, ended(|outcome| outcome.epochs as f64)),
            Seconds => measure("seconds", "Seconds", Time, 1, ended(|outcome| outcome.seconds)),
            ImagesPerSecond => {
                measure("images_per_second", "Images/s", Rate, 0, ended(|outcome| outcome.images_per_second))
            }
        }
    }
}

fn measure(column: &'static str, heading: &'static str, unit: Unit, decimals: usize, value: Value) -> Described {
    Described { column: column.into(), heading: heading.into(), unit, decimals, value }
}

/// `epochs_to_val_0.4`, `Epochs to 40 %`
fn to_target(what: &str, target: f64, unit: Unit, value: fn(&StoredTrial, f64) -> Option<f64>) -> Described {
    let capital = what[..1].to_uppercase();
    Described {
        column: format!("{what}_to_val_{target}").into(),
        heading: format!("{capital}{} to {} %", &what[1..], minus(100.0 * target, 0)).into(),
        unit,
        decimals: 1,
        value: Box::new(move |trial| value(trial, target)),
    }
}

fn finished(value: fn(&StoredTrial) -> Option<f64>) -> Value {
    Box::new(move |trial| value(trial).filter(|_| trial.scores().is_some()))
}

fn ended(value: fn(&Outcome) -> f64) -> Value {
    Box::new(move |trial| trial.scores().and(trial.outcome.as_ref()).map(value))
}

fn last(value: fn(SplitScore) -> f64) -> Value {
    Box::new(move |trial| trial.scores()?.last_test.map(value))
}

fn evident(value: fn(Evidence) -> f64) -> Value {
    Box::new(move |trial| trial.scores()?.evidence.map(value))
}

fn scored(value: fn(&Scores) -> f64) -> Value {
    Box::new(move |trial| trial.scores().map(value))
}

fn classes(value: fn(&ClassScores) -> f64) -> Value {
    Box::new(move |trial| Some(value(&macro_average(&per_class(&trial.scores()?.confusion)))))
}

fn accuracy_gap(scores: &Scores) -> f64 {
    scores.train.accuracy - scores.test.accuracy
}

fn peak(trial: &StoredTrial) -> Option<f64> {
    Some(trial.history.iter().map(|epoch| epoch.val_accuracy).fold(0.0, f64::max))
}

fn area(trial: &StoredTrial) -> Option<f64> {
    Some(spread(&trial.history.iter().map(|epoch| epoch.val_accuracy).collect::<Vec<_>>())?.mean)
}

fn loss_rise(trial: &StoredTrial) -> Option<f64> {
    let lowest = trial.history.iter().map(|epoch| epoch.val_loss).fold(f64::INFINITY, f64::min);
    Some(trial.history.last()?.val_loss - lowest)
}

fn epochs_to(trial: &StoredTrial, target: f64) -> Option<f64> {
    Some(trial.history.iter().find(|epoch| epoch.val_accuracy >= target)?.epoch as f64)
}

fn seconds_to(trial: &StoredTrial, target: f64) -> Option<f64> {
    let reached = trial.history.iter().position(|epoch| epoch.val_accuracy >= target)?;
    Some(trial.history[..=reached].iter().map(|epoch| epoch.seconds).sum())
}

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

pub fn per_class(confusion: &Confusion) -> Vec<ClassScores> {
    let images = confusion.iter().flatten().sum::<u64>();
    let of_class = |class: usize| {
        let right = confusion[class][class];
        let support: u64 = confusion[class].iter().sum();
        let predicted = confusion.predicted(class);
        let others = images - support;
        ClassScores {
            support,
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            specificity: ratio(others - (predicted - right), others),
            f1: ratio(2 * right, support + predicted),
        }
    };
    (0..confusion.classes()).map(of_class).collect()
}

/// The unweighted mean over the classes; `support` is the number of all images.
pub fn macro_average(classes: &[ClassScores]) -> ClassScores {
    let mean = |score: fn(&ClassScores) -> f64| classes.iter().map(score).sum::<f64>() / classes.len() as f64;
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
    const COUNTS: [[u64; 10]; 10] = [
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
    const GOLDEN: [[f64; 4]; 10] = [
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
        let classes = per_class(&Confusion::try_from(COUNTS.map(Vec::from).to_vec()).unwrap());
        for (class, golden) in classes.iter().zip(GOLDEN) {
            for (ours, golden) in [class.precision, class.recall, class.specificity, class.f1].into_iter().zip(golden) {
                close(ours, golden);
            }
        }
        let average = macro_average(&classes);
        for (ours, golden) in [average.precision, average.recall, average.f1].into_iter().zip(GOLDEN_MACRO) {
            close(ours, golden);
        }
        let supports: Vec<u64> = classes.iter().map(|class| class.support).collect();
        assert_eq!(supports, [39, 38, 69, 0, 41, 45, 37, 35, 46, 50]);
    }

    #[test]
    fn an_empty_matrix_has_zeros_not_nan() {
        assert_eq!(macro_average(&per_class(&Confusion::new(10))), ClassScores::default());
    }
}
