//! Tables, plots and texts of a results folder, made anew from what is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result};

use super::manifest::Manifest;
use super::store::Store;
use super::study::{DataNote, study};
use crate::data::Images;
use crate::report::{Rendered, StoredTrial, render_all};
use crate::spec::Experiment;
use crate::spec::config::DatasetName;

/// Rendering takes at most about one part in so many of a sweep's time.
const REST_FACTOR: u32 = 20;
const DIGEST_SHOWN: usize = 12;

/// Makes every table and plot of `experiment` from the trials in `store`.
pub fn publish(
    store: &Store,
    experiment: &Experiment,
    note: &DataNote,
    known: &mut HashMap<String, StoredTrial>,
) -> Result<()> {
    let _turn = store.turn_to_publish()?;
    let study = study(experiment, &experiment.trials(), note, store, known)?;
    let files = render_all(&study)?;
    for Rendered { path, bytes } in &files {
        if let Some(bytes) = bytes {
            store.write(path, bytes)?;
        }
    }
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    store.keep_only_plots(&names)
}

/// How captions name the data that `manifest` records.
pub fn note(manifest: &Manifest, experiment: &Experiment, test_images: Option<Arc<Images>>) -> DataNote {
    let name = experiment.base.data.dataset;
    let source = manifest.data.get(name.as_str());
    let class_names =
        source.map_or_else(|| (0..10).map(|class| class.to_string()).collect(), |s| s.class_names.clone());
    let digest = source.map_or("unknown", |source| &source.sha256[..DIGEST_SHOWN.min(source.sha256.len())]);
    let text = match name {
        DatasetName::Cifar10 if source.is_some_and(|source| source.official) => format!("cifar10 (sha256 {digest}…)"),
        DatasetName::Cifar10 => format!("cifar10, but not the official pixels (sha256 {digest}…)"),
        DatasetName::Synthetic => format!("SYNTHETIC data (sha256 {digest}…)"),
    };
    DataNote { class_names, text, test_images }
}

/// Publishes in the background while trials run, and seldom enough not to slow them down.
pub struct Publisher {
    store: Store,
    experiment: Experiment,
    note: DataNote,
    running: Option<JoinHandle<Published>>,
    known: HashMap<String, StoredTrial>,
    rest_until: Instant,
}

/// What a finished rendering hands back.
struct Published {
    result: Result<()>,
    known: HashMap<String, StoredTrial>,
    rest_until: Instant,
}

impl Publisher {
    pub fn new(store: Store, experiment: Experiment, note: DataNote) -> Publisher {
        Publisher { store, experiment, note, running: None, known: HashMap::new(), rest_until: Instant::now() }
    }

    /// A trial has been stored: publishes unless that is under way or was done a moment ago.
    pub fn trial_stored(&mut self) -> Result<()> {
        if self.running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.join()?;
        if Instant::now() < self.rest_until {
            return Ok(());
        }
        let (store, experiment, note) = (self.store.clone(), self.experiment.clone(), self.note.clone());
        let mut known = std::mem::take(&mut self.known);
        self.running = Some(std::thread::spawn(move || {
            let started = Instant::now();
            let result = publish(&store, &experiment, &note, &mut known);
            Published { result, known, rest_until: Instant::now() + started.elapsed() * REST_FACTOR }
        }));
        Ok(())
    }

    /// Everything stored so far is in the tables afterwards.
    pub fn finish(&mut self) -> Result<()> {
        self.join()?;
        publish(&self.store, &self.experiment, &self.note, &mut self.known)
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.running.take() else { return Ok(()) };
        let published = thread.join().map_err(|_| anyhow::anyhow!("the report panicked"))?;
        self.known = published.known;
        self.rest_until = published.rest_until;
        published.result.context("cannot write the report")
    }
}
