//! Tables, plots and texts of a results folder, made anew from what is stored.

pub mod made;
pub mod study;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::data::{self, Images};
use crate::host::{print, start_thread};
use crate::report::join::join;
use crate::report::summary::summarize;
use crate::report::{Rendered, StoredTrial, Study, events, html, pixels_label, render_all};
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::manifest::Manifest;
use made::Wanted;
use study::{DataNote, stored_trial, study};

/// Rendering takes at most about one part in so many of a sweep's time.
const REST_FACTOR: u32 = 20;
/// When there may be a thread for it again.
const REST_AFTER_REFUSAL: Duration = Duration::from_secs(60);
const DIGEST_SHOWN: usize = 12;

/// Makes every table, plot and event file of `experiment` from the trials in `store`.
pub fn publish(
    store: &Store,
    experiment: &Experiment,
    note: &DataNote,
    known: &mut HashMap<String, StoredTrial>,
) -> Result<Study> {
    let _turn = store.turn_to_publish()?;
    let mut manifest = Manifest::load(store)?;
    let changed = manifest.as_ref().map_or_else(Vec::new, |manifest| manifest.changed_plans(experiment));
    let study = study(experiment, note, changed, store, known)?;
    if let Some(manifest) = &mut manifest
        && manifest.keep_plans(experiment, &looked_at(&study))
    {
        manifest.write(store)?;
    }
    write(store, &study)?;
    for trial in study.trials.iter().filter(|trial| trial.outcome.is_some() && trial.unreadable().is_none()) {
        store.extend(&events::path(trial), &events::event_file(trial))?;
    }
    store.keep_only_runs(events::FOLDER, events::FILE, &study.trials.iter().map(events::run_name).collect())?;
    Ok(study)
}

/// The bases whose settings have had a look.
fn looked_at(study: &Study) -> Vec<usize> {
    let progress = summarize(study).into_iter().map(|block| block.progress);
    progress.filter(|progress| progress.look > 0).map(|progress| progress.base).collect()
}

/// The same for a results folder, which knows its experiment; `data` may have its test images.
pub fn publish_stored(folder: &Path, data: &Path) -> Result<Study> {
    let (store, manifest) = open(folder)?;
    let note = note(&manifest, &manifest.experiment, test_images(&manifest, data));
    publish(&store, &manifest.experiment, &note, &mut HashMap::new())
}

/// Makes the report in `out` that compares the experiments of several results folders, the first being the others' base.
pub fn publish_comparison(folders: &[PathBuf], out: &Path, data: &Path) -> Result<Study> {
    made::ensure_comparison(out)?;
    let mut experiments: Vec<(String, Study)> = vec![];
    for (place, folder) in folders.iter().enumerate() {
        ensure!(!folders[..place].contains(folder), "{}: named twice", folder.display());
        let (store, manifest) = open(folder)?;
        let images = if place == 0 { test_images(&manifest, data) } else { None };
        let note = note(&manifest, &manifest.experiment, images);
        let experiment = &manifest.experiment;
        let study = study(experiment, &note, vec![], &store, &mut HashMap::new())?;
        experiments.push((experiment.name.clone(), study));
    }
    // Runs of one experiment are told apart by their folders.
    let names: HashSet<String> = experiments.iter().map(|(name, _)| name.clone()).collect();
    if names.len() < folders.len() {
        experiments.iter_mut().zip(folders).for_each(|((name, _), folder)| *name = folder.display().to_string());
    }
    let title = out.file_name().map_or("comparison".into(), |name| name.to_string_lossy());
    let study = join(&title, &experiments)?;
    write(&Store::for_report(out)?, &study)?;
    Ok(study)
}

/// A results folder with what it says of itself.
pub fn open(folder: &Path) -> Result<(Store, Manifest)> {
    let store = Store::open(folder)?;
    let manifest = Manifest::load(&store)?;
    Ok((store, manifest.with_context(|| format!("{}: no manifest.json here", folder.display()))?))
}

/// What was in the way is said, and never lost.
fn write(store: &Store, study: &Study) -> Result<()> {
    let files = render_all(study)?;
    let bytes_of = |path: &str| files.iter().find(|file| file.path == path)?.bytes.clone();
    // A picture that cannot be made here may still lie there.
    let picture = |path: &str| {
        let shown = files.iter().any(|file| file.path == path);
        shown.then(|| bytes_of(path).or_else(|| store.read(path)))?
    };
    let report = bytes_of("report.md").context("there is no report.md")?;
    let page = html::page(&study.name, &String::from_utf8_lossy(&report), picture);
    let mut wanted: Vec<Wanted> =
        files.iter().map(|Rendered { path, bytes }| Wanted { name: path, bytes: bytes.as_deref() }).collect();
    wanted.push(Wanted { name: "report.html", bytes: Some(page.as_bytes()) });
    made::replace(store, &wanted)?.iter().for_each(|note| print(note));
    Ok(())
}

/// Brings the event file of a trial up to date, whose stored epochs have just become more.
pub fn publish_epochs(store: &Store, trial: &Trial, label: &str) -> Result<()> {
    // Before it is asked whether the trial has ended, for it then takes its epochs along.
    let epochs = store.history_so_far(&trial.id);
    let mut trial = stored_trial(trial, label, store);
    if trial.outcome.is_none() {
        trial.history = epochs;
    }
    store.extend(&events::path(&trial), &events::event_file(&trial))
}

/// How captions name the data that `manifest` records.
pub fn note(manifest: &Manifest, experiment: &Experiment, test_images: Option<Arc<Images>>) -> DataNote {
    let name = &experiment.base.data.dataset;
    let source = manifest.data.get(name.as_str());
    let class_names =
        source.map_or_else(|| (0..name.classes()).map(|class| class.to_string()).collect(), |s| s.class_names.clone());
    let digest = source.map_or("unknown", |source| &source.sha256[..DIGEST_SHOWN.min(source.sha256.len())]);
    let official = source.is_some_and(|source| source.official);
    let text = format!("{} (sha256 {digest}…)", pixels_label(name, official));
    DataNote { class_names, official, text, test_images }
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
        self.rest_until = Instant::now() + REST_AFTER_REFUSAL;
        let thread = start_thread(move || {
            let started = Instant::now();
            let result = publish(&store, &experiment, &note, &mut known).map(drop);
            Published { result, known, rest_until: Instant::now() + started.elapsed() * REST_FACTOR }
        });
        self.running = Some(thread.context("the tables wait")?);
        Ok(())
    }

    /// Everything stored so far is in the tables afterwards.
    pub fn finish(&mut self) -> Result<Study> {
        self.join()?;
        // All read anew: another sweep may have run a trial again.
        publish(&self.store, &self.experiment, &self.note, &mut HashMap::new())
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.running.take() else { return Ok(()) };
        let published = thread.join().map_err(|_| anyhow::anyhow!("the report panicked"))?;
        self.known = published.known;
        self.rest_until = published.rest_until;
        published.result.context("cannot write the report")
    }
}

/// The test images that the experiment in `manifest` was scored on, if `folder` has them.
fn test_images(manifest: &Manifest, folder: &Path) -> Option<Arc<Images>> {
    let name = &manifest.experiment.base.data.dataset;
    let source = manifest.data.get(name.as_str())?;
    let set = data::load(name, folder).ok()?;
    (set.sha256() == source.sha256).then(|| Arc::new(set.test))
}
