//! An experiment and what is stored of it, as the report wants it.

use std::collections::HashMap;
use std::sync::Arc;

use super::store::{Finished, Store};
use crate::data::Images;
use crate::report::{StoredTrial, Study, StudyBlock, StudyVariant};
use crate::spec::{BlockMode, Experiment, Trial, flatten, trial_id};
use crate::train::record::Outcome;

/// The data set as results name it.
#[derive(Clone, Debug)]
pub struct DataNote {
    pub class_names: Vec<String>,
    /// Whether these are the published pixels.
    pub official: bool,
    /// Such as `cifar10 (sha256 0ce1…)`.
    pub text: String,
    /// The test set where it is at hand.
    pub test_images: Option<Arc<Images>>,
}

/// Every trial of the experiment with its stored outcome, if it has one. `known` spares reading a trial twice.
pub fn study(
    experiment: &Experiment,
    trials: &[Trial],
    note: &DataNote,
    store: &Store,
    known: &mut HashMap<String, StoredTrial>,
) -> Study {
    let labels = labels(experiment);
    let mut stored = vec![];
    for trial in trials {
        if let Some(trial) = known.get(&trial.id) {
            stored.push(trial.clone());
            continue;
        }
        let row = stored_trial(trial, &labels[&trial.id], store);
        if row.outcome.is_some() && row.unreadable().is_none() {
            known.insert(trial.id.clone(), row.clone());
        }
        stored.push(row);
    }
    Study {
        name: experiment.name.clone(),
        description: experiment.description.clone(),
        targets: experiment.targets.clone(),
        class_names: note.class_names.clone(),
        dataset: experiment.base.data.dataset,
        official: note.official,
        dataset_note: note.text.clone(),
        test_images: note.test_images.clone(),
        blocks: blocks(experiment),
        trials: stored,
    }
}

/// A trial with what is stored of it once it has ended. One that cannot be read counts as failed.
pub fn stored_trial(trial: &Trial, label: &str, store: &Store) -> StoredTrial {
    let (history, outcome, showcase) = match store.load(&trial.id) {
        Ok(Some(Finished { history, outcome, showcase, .. })) => (history, Some(outcome), showcase),
        Ok(None) => (vec![], None, None),
        Err(error) => (vec![], Some(Outcome::unreadable(format!("{error:#}"))), None),
    };
    StoredTrial {
        id: trial.id.clone(),
        seed: trial.seed,
        label: label.to_owned(),
        blocks: trial.blocks.clone(),
        config: trial.config.clone(),
        keys: flatten(&trial.config),
        history,
        outcome,
        showcase,
    }
}

/// Each trial's configuration in words, by trial id: `base` for the experiment's own, else `block: label` from the first
/// block that names it.
pub fn labels(experiment: &Experiment) -> HashMap<String, String> {
    let ids = |config| experiment.seeds.iter().map(move |&seed| trial_id(config, seed));
    let mut labels: HashMap<String, String> = ids(&experiment.base).map(|id| (id, "base".to_owned())).collect();
    for block in &experiment.blocks {
        for variant in &block.variants {
            for id in ids(&variant.config) {
                labels.entry(id).or_insert_with(|| format!("{}: {}", block.id, variant.label));
            }
        }
    }
    labels
}

/// An experiment without blocks is one block with only its base.
fn blocks(experiment: &Experiment) -> Vec<StudyBlock> {
    let ids = |config| experiment.seeds.iter().map(|&seed| trial_id(config, seed)).collect();
    if experiment.blocks.is_empty() {
        let base = StudyVariant { label: "base".into(), settings: vec![], trial_ids: ids(&experiment.base) };
        return vec![StudyBlock { id: "base".into(), title: experiment.description.clone(), variants: vec![base] }];
    }
    experiment
        .blocks
        .iter()
        .map(|block| StudyBlock {
            id: block.id.clone(),
            title: block.title.clone(),
            variants: block
                .variants
                .iter()
                .map(|variant| StudyVariant {
                    label: variant.label.clone(),
                    settings: match block.mode {
                        BlockMode::Ablate => variant.settings.clone(),
                        // A grid's cells need both coordinates, the base's too.
                        BlockMode::Grid => block.keys.iter().cloned().zip(variant.values.iter().cloned()).collect(),
                    },
                    trial_ids: ids(&variant.config),
                })
                .collect(),
        })
        .collect()
}
