//! What is stored of a trial, as files and as values.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::files::cannot;
use super::npy;
use super::{CONFIG, HISTORY, PREDICTIONS, RESULT, SHOWCASE};
use crate::record::CLASSES;
use crate::record::{Epoch, Outcome, Scores, Showcase};
use crate::spec::config::Config;

/// What `config.json` of a trial says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub seed: u64,
    pub config: Config,
}

/// A finished trial as stored.
#[derive(Clone, Debug)]
pub struct Finished {
    pub identity: Identity,
    pub history: Vec<Epoch>,
    pub outcome: Outcome,
    /// Of a trial that is done.
    pub showcase: Option<Showcase>,
    /// The class of each test image by the selected epoch's weights; none in results of older versions.
    pub predictions: Option<Vec<u8>>,
}

/// What only a trial that is done has: the selected epoch's weights as bytes of a safetensors file, what to show of them, and
/// the class that they give each test image.
pub struct Kept {
    pub best: Vec<u8>,
    pub showcase: Showcase,
    pub predictions: Vec<u8>,
}

/// Reads the stored trial `id` in its folder.
pub fn read(folder: &Path, id: &str) -> Result<Finished> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|error| cannot("read", &path, error))
    };
    let broken = |name: &str| format!("{}: not what this program writes", folder.join(name).display());
    let identity: Identity = serde_json::from_slice(&read(CONFIG)?).with_context(|| broken(CONFIG))?;
    ensure!(identity.id == id, "{}: belongs to trial {}", folder.display(), identity.id);
    let outcome: Outcome = serde_json::from_slice(&read(RESULT)?).with_context(|| broken(RESULT))?;
    let history = parse_history(&read(HISTORY)?).with_context(|| broken(HISTORY))?;
    ensure!(
        history.len() == outcome.epochs,
        "{}: it has {} of {} epochs",
        broken(HISTORY),
        history.len(),
        outcome.epochs
    );
    // Only a trial that is done has these; of older versions, no predictions.
    let read_optional = |name: &str| match fs::read(folder.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read(name).map(Some),
    };
    let showcase = read_optional(SHOWCASE)?.map(|bytes| serde_json::from_slice(&bytes));
    let showcase = showcase.transpose().with_context(|| broken(SHOWCASE))?;
    let scored = read_optional(PREDICTIONS)?.zip(outcome.scores.as_ref());
    let predictions = scored.map(|(bytes, scores)| parse_predictions(&bytes, scores));
    let predictions = predictions.transpose().with_context(|| broken(PREDICTIONS))?;
    Ok(Finished { identity, history, outcome, showcase, predictions })
}

pub fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One row an epoch; floats in the shortest form that reads back exactly.
pub fn history_csv(history: &[Epoch]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for epoch in history {
        writer.serialize(epoch)?;
    }
    Ok(writer.into_inner()?)
}

pub fn parse_history(bytes: &[u8]) -> Result<Vec<Epoch>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| Ok(row?)).collect()
}

/// Fails unless each class is predicted as often as the confusion matrix of `scores` says.
fn parse_predictions(bytes: &[u8], scores: &Scores) -> Result<Vec<u8>> {
    let predictions = npy::decode(bytes)?;
    let mut left: Vec<u64> = (0..CLASSES).map(|class| scores.confusion.iter().map(|row| row[class]).sum()).collect();
    for &class in &predictions {
        let left = left.get_mut(usize::from(class)).with_context(|| format!("there is no class {class}"))?;
        *left = left.checked_sub(1).with_context(|| format!("{RESULT} has fewer images taken for class {class}"))?;
    }
    let missing: u64 = left.iter().sum();
    ensure!(missing == 0, "it has {missing} images fewer than {RESULT}");
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_survives_its_csv_exactly() {
        let epoch = Epoch {
            epoch: 1,
            lr: 0.1 + 0.2,
            train_loss: f64::NAN,
            train_accuracy: 1.0 / 3.0,
            penalty: f64::INFINITY,
            val_loss: f64::MIN_POSITIVE,
            val_accuracy: 0.0,
            train_seconds: 1e300,
            seconds: 5e-324,
        };
        let back = parse_history(&history_csv(std::slice::from_ref(&epoch)).unwrap()).unwrap();
        assert_eq!(format!("{:?}", back), format!("{:?}", [epoch]));
    }
}
