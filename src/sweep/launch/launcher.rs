//! What a launcher has to do.

use std::path::PathBuf;

use anyhow::Result;

/// In the results folder: the script and the logs of tasks.
pub const FOLDER: &str = "slurm";

/// Whoever runs commands on other machines.
pub trait Launcher {
    /// Has so many tasks run, and one job after all of them, however they end. Returns by what name they are known.
    fn submit(&self, submission: &Submission) -> Result<String>;

    /// What becomes of the tasks that have not ended, each in the launcher's own word; None if it cannot tell.
    fn states(&self, job: &str) -> Option<Vec<String>>;
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
