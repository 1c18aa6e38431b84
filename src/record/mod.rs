//! What a trial measured: plain data, written by `train/`, stored by `store/`, read by `report/`.
//!
//! Trials are stored for good. A new field has a serde default and is not written where it has it
//! (`#[serde(default, skip_serializing_if = ...)]`), so that what earlier versions stored is read, and stays, as it is;
//! `tests/program/stored` has files of such versions.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// Counts of test images, `confusion[true class][predicted class]`: as many rows as columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct Confusion(Vec<Vec<u64>>);

impl Confusion {
    /// Of no images.
    pub fn new(classes: usize) -> Confusion {
        Confusion(vec![vec![0; classes]; classes])
    }

    pub fn classes(&self) -> usize {
        self.0.len()
    }

    /// Images of which the true class was predicted.
    pub fn right(&self) -> u64 {
        self.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// So often was a class predicted.
    pub fn predicted(&self, class: usize) -> u64 {
        self.iter().map(|row| row[class]).sum()
    }
}

impl Deref for Confusion {
    type Target = [Vec<u64>];

    fn deref(&self) -> &[Vec<u64>] {
        &self.0
    }
}

impl DerefMut for Confusion {
    fn deref_mut(&mut self) -> &mut [Vec<u64>] {
        &mut self.0
    }
}

impl From<Confusion> for Vec<Vec<u64>> {
    fn from(confusion: Confusion) -> Self {
        confusion.0
    }
}

impl TryFrom<Vec<Vec<u64>>> for Confusion {
    type Error = String;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Confusion, String> {
        let classes = rows.len();
        let other = rows.iter().position(|row| row.len() != classes);
        other.map_or(Ok(()), |row| Err(format!("row {row} has not {classes} counts, as there are rows")))?;
        Ok(Confusion(rows))
    }
}

/// One finished epoch, a row group of `history.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// The learning rate of the epoch's first step.
    pub lr: f64,
    /// Mean over the epoch's images of the cross-entropy that was trained on, measured while the weights moved.
    pub train_loss: f64,
    /// Share of right answers in 0..=1, measured as `train_loss`.
    pub train_accuracy: f64,
    /// Mean over the epoch's images of the L1 and L2 terms; 0 without them.
    pub penalty: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    /// Training alone, without validation or checkpoints.
    pub train_seconds: f64,
    /// Training, validation and the checkpoints before it.
    pub seconds: f64,
    /// When it ended, in seconds since 1970 in UTC; none in results of older versions, and of trials that such began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Done,
    Failed,
    /// The loss became NaN or infinite.
    Diverged,
}

/// Plain cross-entropy and accuracy on one split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitScore {
    /// Can be infinite or NaN on images that selected no epoch.
    #[serde(with = "any_number")]
    pub loss: f64,
    pub accuracy: f64,
}

/// The scores of the selected epoch's weights, and one of the last epoch's, all in evaluation mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Counted from 1.
    pub best_epoch: usize,
    pub train: SplitScore,
    pub val: SplitScore,
    pub test: SplitScore,
    /// On the test set.
    pub confusion: Confusion,
    /// Of the weights after the last epoch on the test set; none in results of older versions, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_test: Option<SplitScore>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the probabilities of the test images' classes say beyond the first choices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Share of images whose true class is among the three most probable ones.
    pub top3_accuracy: f64,
    /// Expected calibration error: how far confidence and accuracy lie apart, in the mean over images. Guo et al. 2017, with
    /// 15 bins of equal width.
    #[serde(with = "any_number")]
    pub ece: f64,
    /// Mean over images of the sum over classes of (p - y)², from 0 to 2. Brier 1950.
    #[serde(with = "any_number")]
    pub brier: f64,
}

/// A test image that the selected epoch's weights take for another class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Position in the test set, from 0.
    pub image: usize,
    pub truth: u8,
    pub predicted: u8,
    /// Of the predicted class: softmax of the logits, 0..=1.
    pub probability: f32,
}

/// The kernels of a network's first convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// [filters, 3, height, width]; empty where a network has none that see the image.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// What a report can show of a finished trial beside its numbers: `showcase.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Showcase {
    /// The surest ones, surest first.
    pub mistakes: Vec<Mistake>,
    pub filters: Filters,
}

/// How a trial ended: `result.json`, the last file a trial's directory gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub status: Status,
    /// How often the sweep that ended it had started the trial.
    pub attempts: usize,
    /// Why it failed or where it diverged.
    pub error: Option<String>,
    /// Finished epochs; fewer than configured after early stopping or divergence.
    pub epochs: usize,
    /// None unless `status` is `Done`.
    pub scores: Option<Scores>,
    /// Training, validation and checkpoints of all epochs, but for those at their ends.
    pub seconds: f64,
    /// Training images over training seconds, all epochs.
    pub images_per_second: f64,
    /// Largest resident memory so far of the worker process, whatever else it ran before.
    pub peak_bytes: u64,
    /// `model.parameters()`; earlier versions counted BatchNorm's running statistics too, so that tables count anew.
    pub parameters: u64,
    pub libtorch: String,
    pub device: String,
    pub threads: usize,
    /// The processor's name; empty in results of older versions, as the next.
    #[serde(default)]
    pub processor: String,
    /// The commit that the program was built from.
    #[serde(default)]
    pub git: String,
}

/// The sum of `seconds`; of none it is 0, where `sum` gives -0.
pub fn total(seconds: impl Iterator<Item = f64>) -> f64 {
    seconds.sum::<f64>() + 0.0
}

impl Outcome {
    /// Of a trial that failed for `error` before anything was measured.
    pub fn failed(error: String) -> Outcome {
        Outcome {
            status: Status::Failed,
            attempts: 0,
            error: Some(error),
            epochs: 0,
            scores: None,
            seconds: 0.0,
            images_per_second: 0.0,
            peak_bytes: 0,
            parameters: 0,
            libtorch: String::new(),
            device: String::new(),
            threads: 0,
            processor: String::new(),
            git: String::new(),
        }
    }
}

/// JSON has no NaN and no infinity, so they are stored as texts: `"NaN"`, `"inf"`, `"-inf"`.
mod any_number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Number(f64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if number.is_finite() { serializer.serialize_f64(*number) } else { serializer.collect_str(number) }
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<f64, D::Error> {
        match Stored::deserialize(deserializer)? {
            Stored::Number(number) => Ok(number),
            Stored::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Confusion, SplitScore, total};

    #[test]
    fn no_seconds_are_0_and_not_minus_0() {
        assert_eq!(total([].into_iter()).to_bits(), 0.0f64.to_bits());
        assert_eq!(total([0.5, 0.25].into_iter()), 0.75);
    }

    #[test]
    fn a_confusion_matrix_is_stored_by_its_rows_and_is_square() {
        let text = "[[3,1],[0,2]]";
        let confusion: Confusion = serde_json::from_str(text).unwrap();
        assert_eq!((confusion.classes(), confusion.right(), confusion.predicted(1)), (2, 5, 3));
        assert_eq!(serde_json::to_string(&confusion).unwrap(), text);
        let error = |text| serde_json::from_str::<Confusion>(text).unwrap_err().to_string();
        assert_eq!(error("[[3,1],[0]]"), "row 1 has not 2 counts, as there are rows");
    }

    #[test]
    fn scores_survive_json_exactly() {
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2, 5e-324, f64::MAX, -0.0, 2.0] {
            let text = serde_json::to_string(&SplitScore { loss, accuracy: 1.0 / 3.0 }).unwrap();
            let back: SplitScore = serde_json::from_str(&text).unwrap();
            assert_eq!((back.loss.to_bits(), back.accuracy), (loss.to_bits(), 1.0 / 3.0), "{text}");
        }
    }
}
