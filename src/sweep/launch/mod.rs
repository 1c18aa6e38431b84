//! A sweep that other machines run: everything is checked here, then a launcher submits tasks, each of which is a sweep that takes
//! trials of the shared folder by their locks, and after them a last job that makes the tables.

mod launcher;
mod script;
mod slurm;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Options, Prepared, Report, prepare};
use crate::host::print;
use crate::publish::study::labels;
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::files::{make_folder, pretty};
use crate::words::{count, some};
pub use launcher::Launcher;
use launcher::{FOLDER, Submission};
pub use script::Script;
pub use slurm::Slurm;

/// The experiment as it was launched, whatever becomes of its file.
const EXPERIMENT: &str = "slurm/experiment.yaml";
const SUBMITTED: &str = "slurm/submitted.json";
/// Unfinished trials that are named.
const NAMED: usize = 12;

/// How to launch.
pub struct Order<'a> {
    pub launcher: &'a dyn Launcher,
    /// At most so many tasks.
    pub most_tasks: usize,
    /// The file of the experiment.
    pub file: &'a Path,
    /// The command lines of a task and of the last job, of the experiment in this file into this folder.
    pub commands: &'a dyn Fn(&Path, &Path) -> [Vec<String>; 2],
    /// Whether this is that last job.
    pub is_last: bool,
}

/// What was submitted last.
#[derive(Serialize, Deserialize)]
struct Submitted {
    /// Several with commas, where an earlier one had tasks left.
    job: String,
    /// The trials that had not ended then, by id.
    trials: Vec<String>,
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
        let name = format!("{}, seed {} ({})", labels[&trial.id], trial.seed, trial.id);
        report.count(&needs.outcomes[&trial.id], name, store.log_path(&trial.id));
    }
    if order.is_last || open.is_empty() {
        publisher.finish()?;
    }
    if order.is_last {
        let earlier = submitted(&store).context("cannot tell which trials are unfinished")?;
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
    let earlier = submitted(store).map_or(String::new(), |earlier| earlier.job);
    let waiting = states(order.launcher, &earlier).map_or(0, |states| states.len());
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
    let keep = |job: &str| store.write(SUBMITTED, &pretty(&Submitted { job: job.to_owned(), trials: trials.clone() })?);
    // The last job may come before this one knows its name.
    keep(&earlier)?;
    let [task, last] = (order.commands)(&results.join(EXPERIMENT), &results);
    let submission = Submission { name: experiment.name.clone(), results, tasks, task, last };
    let job = order.launcher.submit(&submission)?;
    keep(&if waiting > 0 { format!("{earlier},{job}") } else { job.clone() })?;
    Ok(Some(format!("{} for {} submitted as job {job}", count(tasks, "task"), count(open.len(), "trial"))))
}

fn states(launcher: &dyn Launcher, job: &str) -> Option<Vec<String>> {
    if job.is_empty() { None } else { launcher.states(job) }
}

fn submitted(store: &Store) -> Result<Submitted> {
    let bytes = store.read(SUBMITTED).with_context(|| format!("{SUBMITTED} cannot be read"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{SUBMITTED} is damaged"))
}

/// How many tasks of the last launch on Slurm are in which state, as its queue has them; None where nothing was launched or the
/// queue cannot be asked.
pub fn tasks_in_words(store: &Store) -> Option<String> {
    let Submitted { job, .. } = submitted(store).ok()?;
    let states = states(&Slurm::new("").ok()?, &job)?;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    states.iter().for_each(|state| *kinds.entry(state.to_lowercase()).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(state, tasks)| format!("{tasks} {state}")).collect();
    let tasks = if kinds.is_empty() { "no tasks left".to_owned() } else { format!("tasks: {}", kinds.join(", ")) };
    Some(format!("job {job}, {tasks}"))
}
