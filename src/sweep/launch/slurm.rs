//! Slurm: one array of tasks and, after it, one job that makes the tables.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::launcher::{FOLDER, Launcher, Names, Submission};
use crate::store::files::write_atomically;

const TASK: &str = include_str!("task.sh");
/// What only this program says to sbatch.
const OWN: [&str; 6] = ["array", "dependency", "parsable", "test-only", "wait", "wrap"];
/// What only tasks need.
const FOR_TASKS: [&str; 6] = ["gres", "gpus", "gpus-per-node", "gpus-per-task", "cpus-per-task", "cpus-per-gpu"];

pub struct Slurm {
    /// Options of sbatch without their dashes: `time=1:00:00`, `exclusive`.
    options: Vec<String>,
}

impl Slurm {
    /// From `partition=gpu,time=1:00:00,gres=gpu:1`; commas in brackets belong to a value.
    pub fn new(options: &str) -> Result<Slurm> {
        let mut depth = 0;
        let parts = options.split(|letter: char| {
            depth += i32::from(letter == '[') - i32::from(letter == ']');
            letter == ',' && depth == 0
        });
        let options: Vec<String> = parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
        for option in &options {
            let name = name(option);
            let is_plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
            ensure!(
                is_plain && !option.starts_with('-'),
                "--slurm: {option:?} is no long option of sbatch without its dashes; write 'partition=gpu,time=1:00:00'"
            );
            ensure!(!OWN.contains(&name), "--slurm: {name} is not for you to set, as this program does");
        }
        Ok(Slurm { options })
    }

    /// Submits a job that runs `command`, `own` being what sbatch is told of its place. Returns its number.
    fn batch(&self, to: &Submission, own: &str, log: &str, command: &[String]) -> Result<String> {
        let is_task = own.starts_with("--array");
        let mut batch = Command::new("sbatch");
        batch.args(["--parsable", own]).arg(format!("--job-name=runner-{}", to.name));
        batch.arg(output(&to.results, log)?);
        for option in self.options.iter().filter(|option| is_task || !FOR_TASKS.contains(&name(option))) {
            batch.arg(format!("--{option}"));
        }
        said(batch.arg(task_script(&to.results)?).args(command))
    }
}

/// Where logs called `log` go, of which sbatch reads the whole path as a pattern: a percent sign is written twice, and behind a
/// backslash nothing would mean what it says.
fn output(results: &Path, log: &str) -> Result<String> {
    let folder = results.join(FOLDER).display().to_string();
    ensure!(
        !folder.contains('\\'),
        "{}: sbatch writes no logs where a path has a backslash; choose another folder with --out",
        results.display()
    );
    Ok(format!("--output={}/{log}", folder.replace('%', "%%")))
}

fn name(option: &str) -> &str {
    option.split('=').next().unwrap_or_default()
}

impl Launcher for Slurm {
    fn submit(&self, submission: &Submission) -> Result<Names> {
        let array = format!("--array=0-{}", submission.tasks - 1);
        let tasks = self.batch(submission, &array, "%A_%a.log", &submission.task)?;
        let after = format!("--dependency=afterany:{tasks}");
        match self.batch(submission, &after, "%j_tables.log", &submission.last) {
            Ok(last) => Ok(Names { tasks, last }),
            Err(error) => {
                let _ = said(Command::new("scancel").arg(&tasks));
                Err(error.context("the job that makes the tables was refused, so the tasks were taken back"))
            }
        }
    }

    fn states(&self, job: &str) -> Option<Vec<String>> {
        states(job)
    }
}

/// The states of a job's tasks that squeue lists, to which one that has long ended is unknown; None where it does not answer, or
/// where `job` is another launcher's name.
pub fn states(job: &str) -> Option<Vec<String>> {
    if job.is_empty() || !job.chars().all(|letter| letter.is_ascii_digit() || letter == ',') {
        return None;
    }
    let mut squeue = Command::new("squeue");
    // What a user wants to see of a queue otherwise.
    std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQUEUE_")).for_each(|(name, _)| {
        squeue.env_remove(name);
    });
    match said(squeue.args(["--noheader", "--array", "--format=%T", "--jobs", job])) {
        Ok(states) => Some(states.lines().map(str::to_owned).collect()),
        Err(error) if format!("{error:#}").contains("Invalid job id") => Some(vec![]),
        Err(_) => None,
    }
}

/// The script that every task runs, which is written where it is not there.
fn task_script(results: &Path) -> Result<PathBuf> {
    let path = results.join(FOLDER).join("task.sh");
    if !path.exists() {
        write_atomically(&path, TASK.as_bytes())?;
    }
    Ok(path)
}

/// What a command prints, up to the `;` behind which sbatch names a cluster.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}; is this a machine of the cluster?"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        bail!("{name}: {}", text(&output.stderr));
    }
    Ok(text(&output.stdout).split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sbatchs_without_dashes() {
        let options = |text| Slurm::new(text).map(|slurm| slurm.options);
        let expected = ["partition=gpu", "time=1:00:00", "gres=gpu:1", "nodelist=n[1,3]", "exclusive"];
        assert_eq!(options("partition=gpu,time=1:00:00, gres=gpu:1,nodelist=n[1,3],exclusive").unwrap(), expected);
        assert!(options("").unwrap().is_empty());
        for wrong in ["--partition=gpu", "p gpu", "=x", "array=0-3"] {
            assert!(options(wrong).unwrap_err().to_string().starts_with("--slurm: "), "{wrong}");
        }
    }
}
