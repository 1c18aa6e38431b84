//! A site's own launcher: a program that is told in its environment what to submit.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::launcher::{Launcher, Names, Submission};

pub struct Script {
    pub path: PathBuf,
}

impl Launcher for Script {
    fn submit(&self, submission: &Submission) -> Result<Names> {
        let Submission { name, results, tasks, task, last } = submission;
        let about = || format!("cannot run {}", self.path.display());
        let mut command = Command::new(self.path.canonicalize().with_context(about)?);
        command.env("RUNNER_NAME", name).env("RUNNER_RESULTS", results).env("RUNNER_TASKS", tasks.to_string());
        command.env("RUNNER_TASK", line(task)).env("RUNNER_LAST", line(last)).stderr(Stdio::inherit());
        let output = command.output().with_context(about)?;
        ensure!(output.status.success(), "{}: {}", self.path.display(), output.status);
        Ok(Names { tasks: String::from_utf8_lossy(&output.stdout).trim().to_owned(), last: String::new() })
    }

    fn states(&self, _job: &str) -> Option<Vec<String>> {
        None
    }
}

/// As a shell reads it.
fn line(command: &[String]) -> String {
    let quoted = command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}
