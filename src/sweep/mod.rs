//! Runs an experiment's trials in worker processes and keeps the results folder's tables and plots up to date.

mod channel;
mod estimate;
mod looks;
pub mod message;
mod patience;
mod pool;
mod progress;
mod reporter;
mod schedule;
mod signals;
mod start;
pub mod worker;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::data::shared::SharedDataset;
use crate::data::{self, Images};
use crate::engine::device;
use crate::host::print;
use crate::publish::{self, made, note, study};
use crate::record::Status;
use crate::spec::config::DatasetName;
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::files::{NAMES_MAY_BE_LOST, is_refused, try_sync_folder};
use crate::store::manifest::{DataSource, Manifest};
use pool::Setup;
pub use pool::WORKER_COMMAND;
use schedule::{Input, Sweep};

/// How a sweep is to run; what it computes is the experiment's.
#[derive(Clone, Debug)]
pub struct Options {
    pub out: PathBuf,
    pub data: PathBuf,
    /// Workers take them in turn.
    pub devices: Vec<tch::Device>,
    /// Worker processes.
    pub jobs: usize,
    pub trace: bool,
    /// Stop starting trials after so many failed ones.
    pub max_failures: Option<usize>,
    /// For one attempt of one trial.
    pub timeout: Option<Duration>,
    pub rerun: Rerun,
    /// Bars on a terminal.
    pub progress: bool,
}

/// Which stored trials run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Rerun {
    #[default]
    #[value(skip)]
    None,
    /// Those that failed or diverged.
    Failed,
    All,
}

/// How a sweep ended: all its trials, those included that were stored before.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub done: usize,
    pub diverged: usize,
    /// Each failed trial: its label, its error and the path of its log.
    pub failures: Vec<(String, String, PathBuf)>,
    /// A signal came before all trials had ended.
    pub interrupted: bool,
    /// What was not done because a file could not be read or written, and why.
    pub undone: Vec<String>,
}

impl Report {
    /// How many trials have ended.
    pub fn ended(&self) -> usize {
        self.done + self.diverged + self.failures.len()
    }
}

/// The context of an error that ended a sweep after it had begun.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("the sweep stopped; what is stored stands, and the same command goes on from here")
    }
}

/// Threads a worker: results depend on it, and one thread a trial wastes least.
pub const THREADS_PER_WORKER: usize = 1;

/// Runs those of `trials` that are not stored yet. All of the experiment's stored trials are in the tables.
pub fn run(experiment: &Experiment, trials: &[Trial], options: &Options) -> Result<Report> {
    outlive_the_file_size_limit();
    made::ensure_results(&options.out)?;
    let Data { sources, test_images, images } = read_data(experiment, &options.data)?;
    let store = Store::create(&options.out)?;
    let devices: Vec<String> = options.devices.iter().map(|device| device::name(*device)).collect();
    let mut manifest = Manifest::new(experiment, sources, devices.join(","), THREADS_PER_WORKER);
    let earlier = Manifest::load(&store)?;
    if let Some(earlier) = &earlier {
        manifest.follow(earlier, &store)?;
    }
    let kept = run_again(&store, trials, options.rerun)?;
    let may_run: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let stored = study::stored_outcomes(experiment, &store, |id, error| {
        if may_run.contains(id) && !is_refused(&error) { Err(error) } else { Ok(()) }
    })?;
    let asked = study::ask_with(experiment, &stored);
    let mut wanted = asked.trials().filter(|trial| may_run.contains(trial.id.as_str()));
    if let Some(earlier) = earlier.filter(|_| wanted.all(|trial| store.is_stored(&trial.id))) {
        manifest = manifest.computed_by(earlier);
    }
    // Another sweep may have kept its plans meanwhile. Who may not take that turn has nothing of his own there yet.
    let turn = store.turn_to_publish();
    manifest.plans = Manifest::load(&store)?.map_or(vec![], |earlier| earlier.plans);
    manifest.write(&store)?;
    drop(turn);
    store.write_test_labels(&test_images.labels)?;
    if !try_sync_folder(&options.out)? {
        print(&format!("warning: {}: {NAMES_MAY_BE_LOST}", options.out.display()));
    }
    say_dropped(experiment, &store)?;
    let (results, data) = (options.out.clone(), options.data.clone());
    let setup = Setup { results, data, devices, threads: THREADS_PER_WORKER, images };
    let publisher =
        publish::Publisher::new(store.clone(), experiment.clone(), note(&manifest, experiment, Some(test_images)));
    let mut report = Sweep::new(experiment, trials, options, store, setup, publisher)?.run()?;
    report.undone.extend(kept);
    report.undone.sort();
    report.undone.dedup();
    Ok(report)
}

/// Whether a stored trial with this outcome is to run again.
pub fn is_rerun(rerun: Rerun, status: Status) -> bool {
    match rerun {
        Rerun::None => false,
        Rerun::Failed => status != Status::Done,
        Rerun::All => true,
    }
}

/// Takes the stored trials out of the finished ones that are to run again; returns why some are not for this user to move.
fn run_again(store: &Store, trials: &[Trial], rerun: Rerun) -> Result<Vec<String>> {
    let mut kept = vec![];
    for trial in trials.iter().filter(|_| rerun != Rerun::None) {
        match take_out(store, &trial.id, rerun) {
            Err(error) if is_refused(&error) => kept.push(format!("{error:#}")),
            taken => taken?,
        }
    }
    Ok(kept)
}

/// Takes a stored trial out of the finished ones if it is to run again, as a damaged one is. One that failed goes on from its
/// last checkpoint, for it was stopped by something outside it; one that diverged would only do so again.
fn take_out(store: &Store, id: &str, rerun: Rerun) -> Result<()> {
    let stored = match store.load(id) {
        Err(error) if is_damage(&error) => {
            let aside = store.put_aside(id, "damaged")?;
            let causes: Vec<String> = error.chain().skip(1).map(|cause| cause.to_string()).collect();
            let (causes, aside) = (causes.join(": "), aside.display());
            print(&format!("warning: {causes}; the trial runs again, and what is left of it is in {aside}"));
            return Ok(());
        }
        loaded => loaded?,
    };
    let aside = match stored.map(|stored| stored.outcome.status).filter(|status| is_rerun(rerun, *status)) {
        Some(Status::Failed) if rerun == Rerun::Failed => store.reopen(id)?,
        Some(_) => store.forget(id)?,
        None => None,
    };
    if let Some(aside) = aside {
        print(&format!("trial {id} has files of somebody's own; they are in {} now", aside.display()));
    }
    Ok(())
}

/// Whether what is stored is wrong, rather than out of reach for the moment.
fn is_damage(error: &anyhow::Error) -> bool {
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    failure.is_none_or(|failure| failure.raw_os_error().is_none() || failure.kind() == std::io::ErrorKind::NotFound)
}

/// An edited experiment may not name all that it once did.
fn say_dropped(experiment: &Experiment, store: &Store) -> Result<()> {
    let named: HashSet<String> = experiment.trials().into_iter().map(|trial| trial.id).collect();
    let dropped = store.stored_ids()?.iter().filter(|id| !named.contains(*id)).count();
    if dropped > 0 {
        print(&format!(
            "{dropped} stored trials are not in this experiment; they stay in {}/trials and out of its tables",
            store.root().display()
        ));
    }
    Ok(())
}

/// A file that grows beyond the limit (`ulimit -f`) is an error with its name, not the death of the process; workers
/// inherit this.
fn outlive_the_file_size_limit() {
    // SAFETY: to ignore a signal needs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// What a sweep needs of its data set.
struct Data {
    /// By the data set's name.
    sources: BTreeMap<String, DataSource>,
    /// For the report.
    test_images: Arc<Images>,
    /// For the workers.
    images: Option<Arc<SharedDataset>>,
}

/// Reads the experiment's data set once, so that what is wrong with it is said before anything runs.
fn read_data(experiment: &Experiment, folder: &Path) -> Result<Data> {
    let name = experiment.base.data.dataset;
    let set = data::load(name, folder)?;
    let images = SharedDataset::new(&set).map(Arc::new);
    let class_names = data::class_names(name).iter().map(|name| name.to_string()).collect();
    let (official, sha256) = match name {
        DatasetName::Cifar10 => {
            let found = data::inspect::verify(&set);
            (found.is_official(), found.sha256)
        }
        DatasetName::Synthetic => (true, set.sha256()),
    };
    let source = DataSource { sha256, official, source: set.source, class_names };
    let sources = BTreeMap::from([(name.as_str().to_owned(), source)]);
    Ok(Data { sources, test_images: Arc::new(set.test), images })
}
