//! What a launcher has to do.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// In the results folder: the script and the logs of tasks.
pub const FOLDER: &str = "slurm";

/// Whoever runs commands on other machines.
pub trait Launcher {
    /// Has so many tasks run, and one job after all of them, however they end.
    fn submit(&self, submission: &Submission) -> Result<Names>;

    /// What becomes of the tasks that have not ended, each in the launcher's own word; None if it cannot tell.
    fn states(&self, job: &str) -> Option<Vec<String>>;
}

/// By what names the launcher knows what it runs.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Names {
    /// All tasks together; several with commas, where an earlier submission had some left.
    #[serde(rename = "job")]
    pub tasks: String,
    /// The job after them; empty where it has none of its own, and in results of older versions.
    #[serde(default)]
    pub last: String,
}

impl Names {
    /// Those of two submissions, with commas.
    pub fn and(&self, other: &Names) -> Names {
        let both = |one: &str, other: &str| format!("{one},{other}").trim_matches(',').to_owned();
        Names { tasks: both(&self.tasks, &other.tasks), last: both(&self.last, &other.last) }
    }
}

/// What is to run on other machines. Paths are absolute, and [`FOLDER`] is there.
pub struct Submission {
    pub name: String,
    pub results: PathBuf,
    pub tasks: usize,
    /// What each task runs.
    pub task: Vec<String>,
    /// What runs after all of them.
    pub last: Vec<String>,
}
