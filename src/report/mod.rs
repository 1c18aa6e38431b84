//! The study that a sweep leaves behind: stored trials in, bytes of tables, plots and text out.
//!
//! Everything here is a pure function; the caller writes the files. The order of work is
//! trials → [`summary`] (one row a configuration, over its seeds) → [`tables`], [`overview`], [`plots`] and [`text`].

pub mod metrics;
pub mod overview;
pub mod plots;
pub mod statistics;
pub mod summary;
pub mod tables;
pub mod words;
pub mod text;

#[cfg(test)]
mod example;

use crate::spec::config::{Config, DatasetName, Mode};
use crate::train::record::{Epoch, Outcome, Scores, Status};
use anyhow::Result;

/// An experiment with whatever trials are stored so far.
#[derive(Clone, Debug)]
pub struct Study {
    pub name: String,
    pub description: Option<String>,
    /// Validation accuracies in 0..=1 whose epochs and seconds tell the speed of convergence.
    pub targets: Vec<f64>,
    pub class_names: Vec<String>,
    pub dataset: DatasetName,
    /// Names the data as captions should: `cifar10 (sha256 ab12…)`.
    pub dataset_note: String,
    pub blocks: Vec<StudyBlock>,
    pub trials: Vec<StoredTrial>,
}

/// One comparison. `variants[0]` is the base that the others are measured against.
#[derive(Clone, Debug)]
pub struct StudyBlock {
    pub id: String,
    pub title: Option<String>,
    pub variants: Vec<StudyVariant>,
}

/// One configuration of a block, with one trial a seed.
#[derive(Clone, Debug)]
pub struct StudyVariant {
    pub label: String,
    /// What sets it apart from the base.
    pub settings: Vec<(String, String)>,
    pub trial_ids: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct StoredTrial {
    pub id: String,
    pub seed: u64,
    /// Ids of the blocks that name it.
    pub blocks: Vec<String>,
    pub config: Config,
    /// The resolved configuration as dotted keys, in order.
    pub keys: Vec<(String, String)>,
    pub history: Vec<Epoch>,
    /// None until the trial has ended.
    pub outcome: Option<Outcome>,
}

impl StoredTrial {
    pub fn status(&self) -> Option<Status> {
        self.outcome.as_ref().map(|outcome| outcome.status)
    }

    /// The selected epoch's scores; only a trial that is done has them.
    pub fn scores(&self) -> Option<&Scores> {
        self.outcome.as_ref().filter(|outcome| outcome.status == Status::Done)?.scores.as_ref()
    }
}

impl Study {
    pub fn title<'a>(&self, block: &'a StudyBlock) -> &'a str {
        block.title.as_deref().unwrap_or(&block.id)
    }

    /// The data set as every caption names it; invented images are called so whatever the note says.
    pub fn data_label(&self) -> String {
        match self.dataset {
            DatasetName::Synthetic => "SYNTHETIC data".to_owned(),
            DatasetName::Cifar10 => "cifar10".to_owned(),
        }
    }

    /// `exact mode`, `fast mode`, or both where trials of the two meet.
    pub fn mode_label(&self) -> &'static str {
        let any = |mode| self.trials.iter().any(|trial| trial.config.mode == mode);
        match (any(Mode::Exact), any(Mode::Fast)) {
            (true, true) => "exact and fast mode",
            (_, true) => "fast mode",
            _ => "exact mode",
        }
    }
}

/// Every table, plot and text, each with its path below the results folder.
pub fn render_all(study: &Study) -> Result<Vec<(String, Vec<u8>)>> {
    let blocks = summary::summarize(study);
    let figures = plots::figures(study, &blocks);
    let mut files = vec![
        ("plan.csv".to_owned(), tables::plan_csv(&study.trials)?),
        ("trials.csv".to_owned(), tables::trials_csv(&study.trials, &study.targets)?),
        ("history.csv".to_owned(), tables::history_csv(&study.trials)?),
        ("classes.csv".to_owned(), tables::classes_csv(study)?),
        ("confusion.csv".to_owned(), tables::confusion_csv(study)?),
        ("summary.csv".to_owned(), tables::summary_csv(&blocks, &study.targets)?),
        ("summary.md".to_owned(), overview::summary_md(study, &blocks).into_bytes()),
        ("summary.tex".to_owned(), overview::summary_tex(study, &blocks).into_bytes()),
        ("report.md".to_owned(), text::report_md(study, &blocks, &figures).into_bytes()),
    ];
    for figure in &figures {
        files.push((figure.path.clone(), figure.render(study)?));
    }
    Ok(files)
}
