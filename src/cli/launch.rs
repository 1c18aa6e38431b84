//! `runner sweep --launch`: who runs the trials, and what is typed there.

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::run_arguments::text;
use crate::spec::{Experiment, Trial};
use crate::sweep::launch::{Launcher, Order, Script, Slurm, launch};
use crate::sweep::{Options, Report};

const LOCAL: &str = "local";
const SLURM: &str = "slurm";
const DEFAULT_TASKS: u16 = 10;

#[derive(Args)]
pub struct LaunchArguments {
    /// Who runs the trials: local (this machine), slurm (an array of tasks that share the results folder), or a program of your
    /// own, such as ./submit, which finds RUNNER_TASKS, RUNNER_TASK (the command line of each), RUNNER_LAST (that of a job after
    /// all of them), RUNNER_NAME and RUNNER_RESULTS in its environment and prints the job's name
    #[arg(long, default_value = LOCAL, value_name = "local|slurm|PROGRAM")]
    launch: String,
    /// At most so many tasks, and no more than there are trials to run [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    tasks: Option<u16>,
    /// Options of sbatch, such as 'partition=gpu,time=4:00:00,gres=gpu:1,cpus-per-task=4'; see slurm/task.sh in the results folder
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME=VALUE,...")]
    slurm: String,
    /// Leave when other sweeps on the folder run all that is left, and at a look of `settle`, as tasks do; the last of them makes
    /// the tables
    #[arg(long)]
    no_wait: bool,
    /// The job after all tasks
    #[arg(long, hide = true)]
    last: bool,
}

impl LaunchArguments {
    pub fn waits(&self) -> bool {
        !self.no_wait
    }

    /// Whether this machine runs the trials; options that are for others are an error then.
    pub fn is_local(&self) -> Result<bool> {
        let is_local = self.launch == LOCAL;
        ensure!(
            !is_local || self.tasks.is_none() && self.slurm.is_empty(),
            "--tasks and --slurm are for --launch slurm"
        );
        Ok(is_local)
    }

    /// The options with which the last job launches again.
    fn typed(&self) -> Result<Vec<String>> {
        let launch = if self.launch == SLURM { self.launch.clone() } else { text(&absolute(&self.launch)?)? };
        let mut words = vec![format!("--launch={launch}"), "--last".to_owned()];
        words.extend(self.tasks.map(|tasks| format!("--tasks={tasks}")));
        words.extend((!self.slurm.is_empty()).then(|| format!("--slurm={}", self.slurm)));
        Ok(words)
    }

    fn launcher(&self) -> Result<Box<dyn Launcher>> {
        if self.launch == SLURM {
            return Ok(Box::new(Slurm::new(&self.slurm)?));
        }
        ensure!(self.slurm.is_empty(), "--slurm is for --launch slurm");
        let path = PathBuf::from(&self.launch);
        ensure!(path.is_file(), "--launch {}: neither local nor slurm, and no such file is here", self.launch);
        Ok(Box::new(Script { path }))
    }

    /// Has the trials of the experiment in `file` run elsewhere, by the same command with the options `own`.
    pub fn submit(
        &self,
        file: &Path,
        own: Vec<String>,
        (experiment, trials, options): (&Experiment, &[Trial], &Options),
    ) -> Result<Report> {
        let launcher = self.launcher()?;
        let program = text(&std::env::current_exe().context("cannot find this program's own file")?)?;
        let again = self.typed()?;
        let commands = |file: &Path, results: &Path| {
            let places = [program.clone(), "sweep".into(), text(file)?, format!("--out={}", text(results)?)];
            let command = |more: &[String]| [&places, &own[..], more].concat();
            Ok([command(&["--no-wait".into()]), command(&again)])
        };
        let order = Order {
            launcher: launcher.as_ref(),
            most_tasks: self.tasks.unwrap_or(DEFAULT_TASKS).into(),
            file,
            commands: &commands,
            is_last: self.last,
        };
        launch(experiment, trials, options, &order)
    }
}
