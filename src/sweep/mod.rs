//! Runs an experiment's trials in worker processes and keeps the results folder's tables and plots up to date.

mod channel;
mod estimate;
mod failure;
pub mod launch;
mod looks;
pub mod message;
mod needs;
mod options;
mod progress;
mod queue;
mod reporter;
mod signals;
mod start;
mod supervisor;
mod watchdog;
pub mod worker;
mod workers;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use signal_hook::consts::SIGXFSZ;

use crate::data::shared::SharedDataset;
use crate::data::{self, Images};
use crate::engine::device;
use crate::host::print;
use crate::publish::{Publisher, made, note};
use crate::record::Status;
use crate::spec::config::DatasetName;
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::files::{NAMES_MAY_BE_LOST, is_refused, try_sync_folder};
use crate::store::manifest::{DataSource, Manifest};
use needs::Needs;
pub use options::{Options, Report, Rerun, Stopped, is_rerun};
use supervisor::Supervisor;
use workers::Setup;
pub use workers::WORKER_COMMAND;

/// Threads a worker: results depend on it, and one thread a trial wastes least.
pub const THREADS_PER_WORKER: usize = 1;

/// A sweep that may begin: everything is checked and in its place.
struct Prepared<'a> {
    needs: Needs<'a>,
    store: Store,
    setup: Setup,
    publisher: Publisher,
    /// Why some stored trials are not run again.
    kept: Vec<String>,
}

/// Runs those of `trials` that are not stored yet. All of the experiment's stored trials are in the tables.
pub fn run(experiment: &Experiment, trials: &[Trial], options: &Options) -> Result<Report> {
    let Prepared { needs, store, setup, publisher, kept } = prepare(experiment, trials, options)?;
    let mut report = Supervisor::new(needs, options, store, setup, publisher)?.run()?;
    report.undone.extend(kept);
    report.undone.sort();
    report.undone.dedup();
    Ok(report)
}

/// Checks all that can be wrong before anything runs, and makes the results folder.
fn prepare<'a>(experiment: &'a Experiment, trials: &[Trial], options: &Options) -> Result<Prepared<'a>> {
    // A file that grows beyond the limit (`ulimit -f`) is an error with its name, not the death of the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    made::ensure_results(&options.out)?;
    let (source, images, test_images) = read_data(experiment, &options.data)?;
    let store = Store::create(&options.out)?;
    let devices: Vec<String> = options.devices.iter().map(|device| device::name(*device)).collect();
    let mut manifest = Manifest::new(experiment, source, devices.join(","), THREADS_PER_WORKER);
    let earlier = Manifest::load(&store)?;
    if let Some(earlier) = &earlier {
        manifest.follow(earlier, &store)?;
    }
    let kept = run_again(&store, trials, options.rerun)?;
    let needs = Needs::read(experiment, trials, &store)?;
    let computes = || options.jobs > 0 && needs.trials().any(|trial| !store.is_stored(&trial.id));
    if let Some(earlier) = earlier.filter(|_| !computes()) {
        manifest = manifest.computed_by(earlier);
    }
    write_manifest(&mut manifest, &store)?;
    store.write_test_labels(&test_images.labels)?;
    if !try_sync_folder(&options.out)? {
        print(&format!("warning: {}: {NAMES_MAY_BE_LOST}", options.out.display()));
    }
    say_dropped(experiment, &store)?;
    let (results, data) = (options.out.clone(), options.data.clone());
    let setup = Setup { results, data, devices, threads: THREADS_PER_WORKER, records_steps: true, images };
    let publisher = Publisher::new(store.clone(), experiment.clone(), note(&manifest, experiment, Some(test_images)));
    Ok(Prepared { needs, store, setup, publisher, kept })
}

/// Another sweep may have kept its plans meanwhile. Who may not take that turn has nothing of his own there yet.
fn write_manifest(manifest: &mut Manifest, store: &Store) -> Result<()> {
    let _turn = store.turn_to_publish();
    manifest.plans = Manifest::load(store)?.map_or(vec![], |earlier| earlier.plans);
    manifest.write(store)
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
        let place = format!("they stay in {}/trials and out of its tables", store.root().display());
        print(&format!("{dropped} stored trials are not in this experiment; {place}"));
    }
    Ok(())
}

/// Reads the experiment's data set once, so that what is wrong with it is said before anything runs. All images are for the
/// workers, those of the test set for the report.
fn read_data(experiment: &Experiment, folder: &Path) -> Result<(DataSource, Option<Arc<SharedDataset>>, Arc<Images>)> {
    let name = &experiment.base.data.dataset;
    let set = data::load(name, folder)?;
    let class_names = data::class_names(name);
    let (official, sha256) = match name {
        DatasetName::Cifar10 => {
            let found = data::inspect::verify(&set);
            (found.differing.is_empty(), found.sha256)
        }
        DatasetName::Synthetic | DatasetName::Imported(_) => (true, set.sha256()),
    };
    let images = SharedDataset::new(&set).map(Arc::new);
    Ok((DataSource { sha256, official, source: set.source, class_names }, images, Arc::new(set.test)))
}
