//! How far a sweep is that other machines run, or other programs here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::launcher::Names;
use super::slurm;
use super::submitted::Submitted;
use crate::record::{Status, total};
use crate::report::StoredTrial;
use crate::store::Store;
use crate::words::{count, rounded_duration};

/// What there is of a sweep at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    trials: usize,
    done: usize,
    running: usize,
    waiting: usize,
    diverged: usize,
    failed: usize,
    /// None where nothing was launched.
    launch: Option<Launch>,
    /// Of those that were launched, or of all where nothing was, how many have not ended.
    #[serde(skip)]
    pub left: usize,
    /// What the trials that have not ended take those that run now, by the epochs that were trained so far.
    pub seconds_left: Option<f64>,
}

/// The last launch.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Launch {
    job: String,
    /// How many are in which state; none where squeue knows nothing of them.
    tasks: Option<BTreeMap<String, usize>>,
    /// Whether no task is left, and the job that makes the tables is still to come.
    is_at_last_job: bool,
}

impl Standing {
    /// From the trials that are needed by now, each with what is stored of it so far.
    pub fn read(store: &Store, trials: &[StoredTrial]) -> Standing {
        let with = |status| trials.iter().filter(|trial| trial.status() == Some(status)).count();
        let open: Vec<&StoredTrial> = trials.iter().filter(|trial| trial.outcome.is_none()).collect();
        let running = open.iter().filter(|trial| store.is_running(&trial.id)).count();
        let launched = Submitted::read(store).ok();
        let is_launched = |trial: &&&StoredTrial| launched.as_ref().is_none_or(|all| all.trials.contains(&trial.id));
        Standing {
            trials: trials.len(),
            done: with(Status::Done),
            running,
            waiting: open.len() - running,
            diverged: with(Status::Diverged),
            failed: with(Status::Failed),
            left: open.iter().filter(is_launched).count(),
            seconds_left: seconds_left(trials, running),
            launch: launched.map(|launched| Launch::read(launched.names)),
        }
    }

    /// Whether nothing is left to do, or nobody who would: no trial runs, and no job of it is in the queue. As long as a queue
    /// cannot be asked, somebody may come.
    pub fn is_over(&self) -> bool {
        let may_come = |launch: &Launch| match &launch.tasks {
            Some(tasks) => !tasks.is_empty() || launch.is_at_last_job,
            None => self.left > 0,
        };
        self.running == 0 && !self.launch.as_ref().is_some_and(may_come)
    }

    /// `12 trials: 9 done, 1 running, 2 failed`
    pub fn trials_in_words(&self) -> String {
        let Standing { done, running, waiting, diverged, failed, .. } = self;
        let kinds =
            [(done, "done"), (running, "running"), (waiting, "waiting"), (diverged, "diverged"), (failed, "failed")];
        format!("{}: {}", count(self.trials, "trial"), list(kinds))
    }

    /// `job 17, tasks: 2 running · about 3 min left with 2 trials at a time`; empty where neither is known.
    pub fn ahead_in_words(&self) -> String {
        let left = self.seconds_left.map(|seconds| {
            format!("about {} left with {} at a time", rounded_duration(seconds), count(self.running, "trial"))
        });
        let both = [self.launch.as_ref().map(Launch::in_words), left];
        both.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

impl Launch {
    fn read(Names { tasks: job, last }: Names) -> Launch {
        let tasks = slurm::states(&job).map(|states| {
            let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
            states.iter().for_each(|state| *kinds.entry(state.to_lowercase()).or_default() += 1);
            kinds
        });
        let is_empty = tasks.as_ref().is_some_and(BTreeMap::is_empty);
        let is_at_last_job =
            is_empty && !last.is_empty() && slurm::states(&last).is_none_or(|states| !states.is_empty());
        Launch { job, tasks, is_at_last_job }
    }

    fn in_words(&self) -> String {
        let tasks = match &self.tasks {
            None => "of which squeue says nothing".to_owned(),
            Some(tasks) if !tasks.is_empty() => {
                format!("tasks: {}", list(tasks.iter().map(|(state, tasks)| (tasks, state.as_str()))))
            }
            Some(_) if self.is_at_last_job => "no tasks left but the last job".to_owned(),
            Some(_) => "no tasks left".to_owned(),
        };
        format!("job {}, {tasks}", self.job)
    }
}

/// `2 running, 1 pending`, without those of which there is none.
fn list<'a>(kinds: impl IntoIterator<Item = (&'a usize, &'a str)>) -> String {
    let kinds = kinds.into_iter().filter(|(count, _)| **count > 0);
    kinds.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

fn seconds_left(trials: &[StoredTrial], running: usize) -> Option<f64> {
    let epochs: Vec<f64> = trials.iter().flat_map(|trial| &trial.history).map(|epoch| epoch.seconds).collect();
    let open = trials.iter().filter(|trial| trial.outcome.is_none());
    let left: usize = open.map(|trial| trial.config.epochs.saturating_sub(trial.history.len())).sum();
    let mean = total(epochs.iter().copied()) / epochs.len() as f64;
    (running > 0 && !epochs.is_empty()).then(|| mean * left as f64 / running as f64)
}
