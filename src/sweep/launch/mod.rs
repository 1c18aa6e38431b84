//! A sweep that other machines run: everything is checked here, then a launcher submits tasks, each of which is a sweep that takes
//! trials of the shared folder by their locks, and after them a last job that makes the tables.

mod launcher;
mod script;
mod slurm;
mod standing;
mod submitted;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Options, Prepared, Report, prepare};
use crate::host::print;
use crate::publish::study::labels;
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::files::make_folder;
use crate::words::{count, some, trial_name};
pub use launcher::Launcher;
use launcher::{FOLDER, Names, Submission};
pub use script::Script;
pub use slurm::Slurm;
pub use standing::Standing;
use submitted::Submitted;

/// The experiment as it was launched, whatever becomes of its file.
const EXPERIMENT: &str = "slurm/experiment.yaml";
/// Unfinished trials that are named.
const NAMED: usize = 12;

/// The command lines of a task and of the last job.
type TaskAndLast = [Vec<String>; 2];

/// How to launch.
pub struct Order<'a> {
    pub launcher: &'a dyn Launcher,
    /// At most so many tasks.
    pub most_tasks: usize,
    /// The file of the experiment.
    pub file: &'a Path,
    /// Of the experiment in this file into this folder.
    pub commands: &'a dyn Fn(&Path, &Path) -> Result<TaskAndLast>,
    /// Whether this is that last job.
    pub is_last: bool,
}

/// Submits tasks for what is missing, if anything is. As the last job, it makes the tables and says what is unfinished, and submits
/// only what the stored trials have made necessary since.
pub fn launch(experiment: &Experiment, trials: &[Trial], options: &Options, order: &Order) -> Result<Report> {
    let Prepared { needs, store, mut publisher, kept, .. } = prepare(experiment, trials, options)?;
    let mut report = Report { undone: [needs.refused.clone(), kept].concat(), ..Report::default() };
    let labels = labels(experiment);
    let mut seen = HashSet::new();
    let (ended, open): (Vec<&Trial>, Vec<&Trial>) =
        needs.trials().filter(|trial| seen.insert(&trial.id)).partition(|trial| needs.outcomes.contains_key(&trial.id));
    for trial in ended {
        let name = trial_name(&labels[&trial.id], trial.seed, &trial.id);
        report.count(&needs.outcomes[&trial.id], name, store.log_path(&trial.id));
    }
    if order.is_last || open.is_empty() {
        publisher.finish()?;
    }
    if order.is_last {
        let earlier = Submitted::read(&store).context("cannot tell which trials are unfinished")?;
        let is_unfinished = |trial: &&&Trial| earlier.trials.contains(&trial.id);
        let unfinished: Vec<String> = open.iter().filter(is_unfinished).map(|trial| say_of(trial, &store)).collect();
        if !unfinished.is_empty() {
            let (all, names) = (count(earlier.trials.len(), "trial"), some(&unfinished, NAMED));
            report.undone.push(format!(
                "{} of {all} are unfinished: {names}; the same sweep submits them again",
                unfinished.len()
            ));
            return Ok(report);
        }
    }
    report.submitted = submit(experiment, &open, &store, order)?;
    Ok(report)
}

fn say_of(trial: &Trial, store: &Store) -> String {
    let runs = if store.is_running(&trial.id) { ", which somebody runs now" } else { "" };
    format!("{}{runs}", trial.id)
}

/// None where nothing is to be submitted.
fn submit(experiment: &Experiment, open: &[&Trial], store: &Store, order: &Order) -> Result<Option<String>> {
    let earlier = Submitted::read(store).map_or(Names::default(), |earlier| earlier.names);
    let waiting = order.launcher.states(&earlier.tasks).map_or(0, |states| states.len());
    if waiting > 0 {
        print(&format!("an earlier launch still has {} in the queue", count(waiting, "task")));
    }
    let tasks = order.most_tasks.min(open.len()).saturating_sub(waiting);
    if tasks == 0 {
        return Ok(None);
    }
    let results = store.root().canonicalize()?;
    make_folder(&results.join(FOLDER))?;
    let text = fs::read(order.file).with_context(|| format!("cannot read {}", order.file.display()))?;
    store.write(EXPERIMENT, &text)?;
    let trials: Vec<String> = open.iter().map(|trial| trial.id.clone()).collect();
    let keep = |names: Names| Submitted { names, trials: trials.clone() }.write(store);
    // The last job may come before this one knows its name.
    keep(earlier.clone())?;
    let [task, last] = (order.commands)(&results.join(EXPERIMENT), &results)?;
    let submission = Submission { name: experiment.name.clone(), results, tasks, task, last };
    let names = order.launcher.submit(&submission)?;
    keep(if waiting > 0 { earlier.and(&names) } else { names.clone() })?;
    Ok(Some(format!("{} for {} submitted as job {}", count(tasks, "task"), count(open.len(), "trial"), names.tasks)))
}
