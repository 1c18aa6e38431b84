//! `runner sweep --launch`: who runs the trials, and what is typed there.

use std::path::{PathBuf, absolute};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::run_arguments::{RunArguments, text};
use crate::spec::{Experiment, Trial};
use crate::sweep::launch::{Launcher, Order, Script, Slurm, launch};
use crate::sweep::{Options, Report};

const LOCAL: &str = "local";
const SLURM: &str = "slurm";

#[derive(Args)]
pub struct LaunchArguments {
    /// Who runs the trials: local (this machine), slurm (an array of tasks that share the results folder), or a program of your
    /// own, such as ./submit, which finds RUNNER_TASKS, RUNNER_TASK (the command line of each), RUNNER_LAST (that of a job after
    /// all of them), RUNNER_NAME and RUNNER_RESULTS in its environment and prints the job's name
    #[arg(long, default_value = LOCAL, value_name = "local|slurm|PROGRAM")]
    launch: String,
    /// At most so many tasks, and no more than there are trials to run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    tasks: u16,
    /// Options of sbatch, such as 'partition=gpu,time=4:00:00,gres=gpu:1,cpus-per-task=4'; see slurm/task.sh in the results folder
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME=VALUE,...")]
    slurm: String,
    /// Leave when other sweeps on the folder run all that is left, as tasks do; the last of them makes the tables
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

    pub fn is_local(&self) -> bool {
        self.launch == LOCAL
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

    /// Has the trials run elsewhere, by the same command with the options `own`.
    pub fn submit(
        &self,
        run: &RunArguments,
        own: Vec<String>,
        (experiment, trials, options): (&Experiment, &[Trial], &Options),
    ) -> Result<Report> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let launch_path = if self.launch == SLURM { self.launch.clone() } else { text(&absolute(&self.launch)?)? };
        let program = text(&program)?;
        let command = |file: &Path, results: &Path, more: &[String]| {
            let places = [format!("{}", file.display()), format!("--out={}", results.display())];
            [&[program.clone(), "sweep".to_owned()], &places[..], &own, more].concat()
        };
        let commands = |file: &Path, results: &Path| {
            let last = ["--last".into(), format!("--launch={launch_path}"), format!("--tasks={}", self.tasks)];
            let slurm = (!self.slurm.is_empty()).then(|| format!("--slurm={}", self.slurm));
            let last: Vec<String> = last.into_iter().chain(slurm).collect();
            [command(file, results, &["--no-wait".to_owned()]), command(file, results, &last)]
        };
        let launcher = self.launcher()?;
        let order = Order {
            launcher: launcher.as_ref(),
            most_tasks: self.tasks.into(),
            file: &run.experiment,
            commands: &commands,
            is_last: self.last,
        };
        launch(experiment, trials, options, &order)
    }
}
