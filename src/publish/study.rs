//! An experiment and what is stored of it, as the report wants it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Error, Result};

use crate::data::Images;
use crate::record::Outcome;
use crate::report::{StoredTrial, Study, StudyBlock, StudyTuning, StudyVariant, TriedValue};
use crate::spec::{BlockMode, Candidate, Configuration, Experiment, Trial, Variant, flatten};
use crate::store::{Finished, Store};
use crate::verdict::asked::{Asked, Ended, Setting, Taken, Tuning, ask};

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

/// Whether what is needed depends on how trials end.
pub fn grows(experiment: &Experiment) -> bool {
    experiment.settle.is_some() || experiment.tune.is_some()
}

/// How every possible trial that is stored has ended, by id. `unreadable` says whether one that cannot be read is an error; else it
/// counts as failed.
pub fn stored_outcomes(
    experiment: &Experiment,
    store: &Store,
    mut unreadable: impl FnMut(&str, Error) -> Result<()>,
) -> Result<HashMap<String, Outcome>> {
    let mut outcomes = HashMap::new();
    for trial in experiment.trials() {
        match store.load(&trial.id) {
            Ok(found) => outcomes.extend(found.map(|finished| (trial.id, finished.outcome))),
            Err(error) => {
                let outcome = Outcome::failed(format!("{error:#}"));
                unreadable(&trial.id, error)?;
                outcomes.insert(trial.id, outcome);
            }
        }
    }
    Ok(outcomes)
}

pub fn ask_with(experiment: &Experiment, outcomes: &HashMap<String, Outcome>) -> Asked {
    ask(experiment, &|id| outcomes.get(id).map(Ended::new))
}

/// Every trial that the experiment needs by now, with its stored outcome if it has one. `known` spares reading a trial twice.
pub fn study(
    experiment: &Experiment,
    note: &DataNote,
    changed_plans: Vec<String>,
    store: &Store,
    known: &mut HashMap<String, StoredTrial>,
) -> Result<Study> {
    let labels = labels(experiment);
    for trial in experiment.trials().iter().filter(|trial| store.is_stored(&trial.id)) {
        if !known.contains_key(&trial.id) {
            known.insert(trial.id.clone(), stored_trial(trial, &labels[&trial.id], store));
        }
    }
    let asked = ask(experiment, &|id| Some(Ended::new(known.get(id)?.outcome.as_ref()?)));
    let stored =
        |trial: &Trial| known.get(&trial.id).cloned().unwrap_or_else(|| stored_trial(trial, &labels[&trial.id], store));
    let trials = asked.trials().map(stored).collect();
    // Once more next time: somebody may have mended them.
    known.retain(|_, trial| trial.unreadable().is_none());
    Ok(Study {
        name: experiment.name.clone(),
        description: experiment.description.clone(),
        targets: experiment.targets.clone(),
        class_names: note.class_names.clone(),
        dataset: experiment.base.data.dataset.clone(),
        official: note.official,
        dataset_note: note.text.clone(),
        test_images: note.test_images.clone(),
        margin: experiment.margin,
        replicates: asked.plan.replicates,
        changed_plans,
        blocks: blocks(experiment, &asked),
        trials,
        test_labels: store.test_labels()?,
    })
}

/// A trial with what is stored of it once it has ended. One that cannot be read counts as failed.
pub fn stored_trial(trial: &Trial, label: &str, store: &Store) -> StoredTrial {
    let (history, outcome, showcase, predictions) = match store.load(&trial.id) {
        Ok(Some(Finished { history, outcome, showcase, predictions, .. })) => {
            (history, Some(outcome), showcase, predictions)
        }
        Ok(None) => (vec![], None, None, None),
        Err(error) => (vec![], Some(Outcome::failed(format!("{error:#}"))), None, None),
    };
    StoredTrial {
        id: trial.id.clone(),
        seed: trial.seed,
        label: label.to_owned(),
        blocks: trial.blocks.clone(),
        is_tuning: trial.is_tuning,
        config: trial.config.clone(),
        keys: flatten(&trial.config),
        history,
        outcome,
        showcase,
        predictions,
    }
}

/// Each possible trial's configuration in words, by trial id: `base` for the experiment's own, else `block: label` from the
/// first block that names it.
pub fn labels(experiment: &Experiment) -> HashMap<String, String> {
    let name = |configuration: &Configuration| match experiment
        .variants()
        .find(|(_, variant)| variant.config == *configuration.config)
    {
        Some((block, variant)) if variant.config != experiment.base => format!("{}: {}", block.id, variant.label),
        _ => "base".to_owned(),
    };
    let mut labels = HashMap::new();
    for configuration in experiment.configurations() {
        let name = name(&configuration);
        for (candidate, trials) in configuration.candidates.iter().zip(experiment.tuning_trials(&configuration)) {
            labels.extend(trials.into_iter().map(|trial| (trial.id, format!("{name}, tried {}", candidate.label))));
        }
        let compared = experiment.compared_trials(&configuration).into_iter();
        labels.extend(compared.map(|trial| (trial.id, name.clone())));
    }
    labels
}

/// An experiment without blocks is one block with only its base.
fn blocks(experiment: &Experiment, asked: &Asked) -> Vec<StudyBlock> {
    let variant = |label: &str, settings: Vec<(String, String)>, place: usize, candidates: &[Candidate]| {
        let Setting { tuning, trials } = &asked.settings[place];
        StudyVariant {
            label: label.to_owned(),
            settings,
            configuration: place,
            trial_ids: trials.iter().map(|trial| trial.id.clone()).collect(),
            tuning: tuning.as_ref().map(|tuning| study_tuning(experiment, tuning, candidates)),
        }
    };
    if experiment.blocks.is_empty() {
        let base = variant("base", vec![], 0, &experiment.candidates);
        let title = experiment.description.clone();
        return vec![StudyBlock { id: "base".into(), title, terms: vec![], variants: vec![base] }];
    }
    let blocks = experiment.blocks.iter().zip(&asked.plan.blocks).map(|(block, places)| {
        let keys = || block.keys.iter().cloned();
        let settings = |own: &Variant| match block.mode {
            BlockMode::Ablate => own.settings.clone(),
            // A grid's cells need both coordinates, the base's too.
            BlockMode::Grid | BlockMode::Random => keys().zip(own.values.iter().cloned()).collect(),
        };
        let variants = block.variants.iter().zip(places);
        StudyBlock {
            id: block.id.clone(),
            title: block.title.clone(),
            terms: keys().zip(block.variants[0].values.iter().cloned()).collect(),
            variants: variants
                .map(|(own, &place)| variant(&own.label, settings(own), place, &own.candidates))
                .collect(),
        }
    });
    blocks.collect()
}

fn study_tuning(experiment: &Experiment, tuning: &Tuning, candidates: &[Candidate]) -> StudyTuning {
    let tried =
        candidates.iter().zip(&tuning.trials).zip(&tuning.means).map(|((candidate, trials), mean)| TriedValue {
            label: candidate.label.clone(),
            trial_ids: trials.iter().map(|trial| trial.id.clone()).collect(),
            mean: *mean,
        });
    let taken = match tuning.taken {
        Taken::Candidate(place) => Some(&candidates[place]),
        _ => None,
    };
    let (tried, at_edge) = (tried.collect(), taken.is_some_and(|taken| at_edge(taken, candidates)));
    StudyTuning { tried, taken: tuning.taken, at_edge, comparison_seeds: experiment.seeds.len() }
}

/// Whether one of its values is the first or the last that was tried, among at least two.
fn at_edge(taken: &Candidate, candidates: &[Candidate]) -> bool {
    let is_end = |key: usize| {
        let mut values: Vec<&String> = candidates.iter().map(|candidate| &candidate.values[key]).collect();
        values.dedup();
        let (first, last) = (values.first(), values.last());
        first != last && (first == Some(&&taken.values[key]) || last == Some(&&taken.values[key]))
    };
    (0..taken.values.len()).any(is_end)
}
