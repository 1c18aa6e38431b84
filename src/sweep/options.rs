//! What a sweep is told when it starts, and what it says at its end.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::record::{Outcome, Status};

/// How a sweep is to run; what it computes is the experiment's.
#[derive(Clone, Debug)]
pub struct Options {
    pub out: PathBuf,
    pub data: PathBuf,
    /// Workers take them in turn.
    pub devices: Vec<tch::Device>,
    /// Worker processes; none where other machines run the trials.
    pub jobs: usize,
    /// Whether trials that other sweeps run are waited for.
    pub waits: bool,
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

/// Whether a stored trial with this outcome is to run again.
pub fn is_rerun(rerun: Rerun, status: Status) -> bool {
    match rerun {
        Rerun::None => false,
        Rerun::Failed => status != Status::Done,
        Rerun::All => true,
    }
}

/// How a sweep ended: all its trials, those included that were stored before.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub done: usize,
    pub diverged: usize,
    /// Each failed trial: its label, its error and the path of its log.
    pub failures: Vec<(String, String, PathBuf)>,
    /// How many trials were left to the other sweeps that run them.
    pub left: usize,
    /// What was submitted to run elsewhere.
    pub submitted: Option<String>,
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

    /// One more trial has ended; if it failed, with its label and the path of its log.
    pub fn count(&mut self, outcome: &Outcome, label: String, log: PathBuf) {
        match outcome.status {
            Status::Done => self.done += 1,
            Status::Diverged => self.diverged += 1,
            Status::Failed => self.failures.push((label, outcome.error.clone().unwrap_or_default(), log)),
        }
    }
}

/// The context of an error that ended a sweep after it had begun.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the sweep stopped; what is stored stands, and the same command goes on from here")
    }
}
