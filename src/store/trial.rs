//! What is stored of a trial, as files and as values.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::files::{self, cannot, is_at, is_refused, look_anew, read_if_there};
use super::layout::{CONFIG, HISTORY, PREDICTIONS, RESULT, SHOWCASE, Store, TRIALS};
use super::npy;
use crate::record::{Epoch, Outcome, Scores, Showcase};
use crate::spec::Trial;
use crate::spec::config::Config;

/// Each try fails only if another sweep has put a new folder in the trial's place meanwhile.
const MAX_LOAD_TRIES: usize = 1000;

/// What `config.json` of a trial says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub seed: u64,
    pub config: Config,
}

impl From<&Trial> for Identity {
    fn from(Trial { id, seed, config, .. }: &Trial) -> Identity {
        Identity { id: id.clone(), seed: *seed, config: config.clone() }
    }
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

impl Store {
    /// The stored trial, whole, or None if it has not finished or another sweep takes it away meanwhile.
    pub fn load(&self, id: &str) -> Result<Option<Finished>> {
        let folder = self.trial_dir(id);
        for _ in 0..MAX_LOAD_TRIES {
            look_anew(&self.root().join(TRIALS));
            // Open until all is read, so that no other folder gets its number.
            let open = match File::open(&folder) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Ok(None);
                }
                opened => opened.map_err(|error| cannot("read", &folder, error))?,
            };
            let read = self.is_stored(id).then(|| read(&folder, id)).transpose();
            match read {
                _ if !is_at(&open, &folder) => continue,
                Err(_) if !self.is_stored(id) => return Ok(None),
                Err(error) if is_refused(&error) => return Err(error),
                read => {
                    let way_on = format!("`--rerun all --only {id}` runs the trial again, or remove this folder");
                    return read.with_context(|| format!("{}: damaged; {way_on}", folder.display()));
                }
            }
        }
        bail!("cannot read {}: it keeps being replaced", folder.display())
    }

    /// The finished epochs of a trial that has not ended, as far as they are stored.
    pub fn history_so_far(&self, id: &str) -> Vec<Epoch> {
        let bytes = files::read(&self.work_dir(id).join(HISTORY));
        bytes.ok().and_then(|bytes| parse_history(&bytes).ok()).unwrap_or_default()
    }

    /// The ids of all stored trials.
    pub fn stored_ids(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.root().join(TRIALS))?.collect::<io::Result<Vec<_>>>()?;
        let stored = entries.into_iter().filter(|entry| entry.path().join(RESULT).exists());
        Ok(stored.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// Whether the trial has ended. One that is not for this user to read has.
    pub fn is_stored(&self, id: &str) -> bool {
        look_anew(&self.root().join(TRIALS));
        let result = fs::symlink_metadata(self.trial_dir(id).join(RESULT));
        result.map_or_else(|error| error.kind() == ErrorKind::PermissionDenied, |_| true)
    }
}

/// Reads the stored trial `id` in its folder.
fn read(folder: &Path, id: &str) -> Result<Finished> {
    let read = |name: &str| {
        let path = folder.join(name);
        files::read(&path).map_err(|error| cannot("read", &path, error))
    };
    let broken = |name: &str| format!("{}: not what this program writes", folder.join(name).display());
    let identity: Identity = serde_json::from_slice(&read(CONFIG)?).with_context(|| broken(CONFIG))?;
    ensure!(identity.id == id, "{}: belongs to trial {}", folder.display(), identity.id);
    let outcome: Outcome = serde_json::from_slice(&read(RESULT)?).with_context(|| broken(RESULT))?;
    let counted = outcome.scores.as_ref().map_or(0, |scores| scores.confusion.classes());
    let classes = identity.config.data.dataset.classes();
    ensure!(
        outcome.scores.is_none() || counted == classes,
        "{}: a confusion matrix of {counted} classes, not {classes}",
        broken(RESULT)
    );
    let history = parse_history(&read(HISTORY)?).with_context(|| broken(HISTORY))?;
    let (found, all) = (history.len(), outcome.epochs);
    ensure!(found == all, "{}: it has {found} of {all} epochs", broken(HISTORY));
    // Only a trial that is done has these; of older versions, no predictions.
    let showcase = read_if_there(&folder.join(SHOWCASE))?.map(|bytes| serde_json::from_slice(&bytes));
    let showcase = showcase.transpose().with_context(|| broken(SHOWCASE))?;
    let scored = read_if_there(&folder.join(PREDICTIONS))?.zip(outcome.scores.as_ref());
    let predictions = scored.map(|(bytes, scores)| parse_predictions(&bytes, scores));
    let predictions = predictions.transpose().with_context(|| broken(PREDICTIONS))?;
    Ok(Finished { identity, history, outcome, showcase, predictions })
}

/// One row an epoch; floats in the shortest form that reads back exactly.
pub fn history_csv(history: &[Epoch]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(vec![]);
    // All rows have the same columns.
    let is_timed = history.iter().all(|epoch| epoch.ended.is_some());
    for epoch in history {
        writer.serialize(Epoch { ended: epoch.ended.filter(|_| is_timed), ..epoch.clone() })?;
    }
    Ok(writer.into_inner()?)
}

pub fn parse_history(bytes: &[u8]) -> Result<Vec<Epoch>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| Ok(row?)).collect()
}

/// Fails unless each class is predicted as often as the confusion matrix of `scores` says.
fn parse_predictions(bytes: &[u8], scores: &Scores) -> Result<Vec<u8>> {
    let predictions = npy::decode(bytes)?;
    let confusion = &scores.confusion;
    let mut left: Vec<u64> = (0..confusion.classes()).map(|class| confusion.predicted(class)).collect();
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
            ended: Some(1764136817.123),
        };
        let back = parse_history(&history_csv(std::slice::from_ref(&epoch)).unwrap()).unwrap();
        assert_eq!(format!("{:?}", back), format!("{:?}", [&epoch]));
        // Begun by an older version, which kept no times of day.
        let older = Epoch { ended: None, ..epoch.clone() };
        let back = parse_history(&history_csv(&[older.clone(), epoch]).unwrap()).unwrap();
        assert_eq!(format!("{:?}", back), format!("{:?}", [&older, &older]));
    }
}
