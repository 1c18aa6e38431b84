//! What a report is made from: an experiment with whatever trials are stored so far.

use super::table::MISSING;
use crate::data::Images;
use crate::record::{Epoch, Outcome, Scores, Showcase, Status};
use crate::spec::Cell;
use crate::spec::config::{Config, DatasetName};
use crate::verdict::asked::Taken;
use crate::verdict::looks::Replicates;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An experiment with whatever trials are stored so far.
#[derive(Clone, Debug)]
pub struct Study {
    pub name: String,
    pub description: Option<String>,
    /// Validation accuracies in 0..=1 whose epochs and seconds tell the speed of convergence.
    pub targets: Vec<f64>,
    pub class_names: Vec<String>,
    pub dataset: DatasetName,
    /// Whether the images are the published ones, to the last bit.
    pub official: bool,
    /// Names the data as tables should: `cifar10 (sha256 ab12…)`.
    pub dataset_note: String,
    /// The test set where it is at hand, for the pictures that show some of it.
    pub test_images: Option<Arc<Images>>,
    /// Points of test accuracy that matter.
    pub margin: f64,
    pub replicates: Replicates,
    /// What was planned otherwise when earlier looks were taken, in words.
    pub changed_plans: Vec<String>,
    /// The true class of each test image; none in results of older versions.
    pub test_labels: Option<Vec<u8>>,
    pub blocks: Vec<StudyBlock>,
    pub trials: Vec<StoredTrial>,
}

/// One comparison. `variants[0]` is the base that the others are measured against.
#[derive(Clone, Debug)]
pub struct StudyBlock {
    pub id: String,
    pub title: Option<String>,
    /// The keys that it varies, with the base's values.
    pub terms: Vec<(String, String)>,
    pub variants: Vec<StudyVariant>,
}

/// One configuration of a block, with one trial a seed.
#[derive(Clone, Debug)]
pub struct StudyVariant {
    pub label: String,
    /// What sets it apart from the base; in a grid every axis, also for the base where it lies in the grid.
    pub settings: Vec<(String, String)>,
    /// Equal for variants that are the same configuration, in whatever block.
    pub configuration: usize,
    /// Of the comparison, in the order of the seeds; with seeds that are added, those that are needed by now.
    pub trial_ids: Vec<String>,
    /// What it was tuned to, where the study tunes.
    pub tuning: Option<StudyTuning>,
}

/// The values that a configuration has tried on the validation images.
#[derive(Clone, Debug)]
pub struct StudyTuning {
    /// Label, trials, and mean of the selection metric where all trials are done.
    pub tried: Vec<TriedValue>,
    pub taken: Taken,
    /// Whether the value taken is the first or last of one of the tuned keys' lists.
    pub at_edge: bool,
    /// How many seeds its comparison would have.
    pub comparison_seeds: usize,
}

impl StudyTuning {
    /// `lr=0.01 (at the edge)`: the values taken, and whether the best lie at an end of what was tried.
    pub fn words(&self) -> String {
        match self.taken {
            Taken::Open => "still tried".to_owned(),
            Taken::Nothing => "none".to_owned(),
            Taken::Candidate(place) => {
                let edge = if self.at_edge { " (at the edge)" } else { "" };
                format!("{}{edge}", self.tried[place].label)
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct TriedValue {
    /// `lr=0.01`
    pub label: String,
    pub trial_ids: Vec<String>,
    pub mean: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct StoredTrial {
    pub id: String,
    pub seed: u64,
    /// Its configuration in a few words: `base`, `optimizer: adam, lr 0.001`.
    pub label: String,
    /// Ids of the blocks that name it.
    pub blocks: Vec<String>,
    /// Whether it only helped to choose its setting's values.
    pub is_tuning: bool,
    pub config: Config,
    /// The resolved configuration as dotted keys, in order.
    pub keys: Vec<(String, Cell)>,
    pub history: Vec<Epoch>,
    /// None until the trial has ended.
    pub outcome: Option<Outcome>,
    pub showcase: Option<Showcase>,
    /// The class of each test image by the selected epoch's weights; none in results of older versions.
    pub predictions: Option<Vec<u8>>,
}

impl StoredTrial {
    /// Why it cannot be read, if it is stored and cannot.
    pub fn unreadable(&self) -> Option<&str> {
        let outcome = self.outcome.as_ref().filter(|outcome| outcome.attempts == 0);
        outcome.and_then(|outcome| outcome.error.as_deref())
    }

    pub fn status(&self) -> Option<Status> {
        self.outcome.as_ref().map(|outcome| outcome.status)
    }

    /// The selected epoch's scores; only a trial that is done has them.
    pub fn scores(&self) -> Option<&Scores> {
        self.outcome.as_ref().filter(|outcome| outcome.status == Status::Done)?.scores.as_ref()
    }
}

impl StudyVariant {
    /// What it was tuned to; a dash where the study does not tune.
    pub fn taken(&self) -> String {
        self.tuning.as_ref().map_or(MISSING.to_owned(), StudyTuning::words)
    }
}

impl Study {
    /// Of each trial that is stored and cannot be read, why.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.trials.iter().filter_map(StoredTrial::unreadable)
    }

    pub fn title<'a>(&self, block: &'a StudyBlock) -> &'a str {
        block.title.as_deref().unwrap_or(&block.id)
    }

    /// Whether seeds are added until the verdicts are settled.
    pub fn settles(&self) -> bool {
        self.replicates != Replicates::Fixed
    }

    /// As every caption names the data.
    pub fn data_label(&self) -> &str {
        pixels_label(&self.dataset, self.official)
    }

    /// What every caption ends in: data set and mode.
    pub fn source(&self) -> String {
        format!("{} · {}", self.data_label(), self.mode_label())
    }

    /// `exact mode`, `fast mode`, or several where trials of different ones meet.
    pub fn mode_label(&self) -> String {
        let modes: BTreeSet<&str> = self.trials.iter().map(|trial| trial.config.mode.as_str()).collect();
        if modes.is_empty() { "exact mode".to_owned() } else { format!("{} mode", Vec::from_iter(modes).join(" and ")) }
    }
}

/// The data set by name; invented images are called so whatever any note says.
pub fn data_label(dataset: &DatasetName) -> &str {
    match dataset {
        DatasetName::Synthetic => "SYNTHETIC data",
        dataset => dataset.as_str(),
    }
}

/// The same, where it is known whether the images are the published ones.
pub fn pixels_label(dataset: &DatasetName, official: bool) -> &str {
    match dataset {
        DatasetName::Cifar10 if !official => "cifar10, but not the official pixels",
        dataset => data_label(dataset),
    }
}

/// As tables and filters name it.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Diverged => "diverged",
    }
}
