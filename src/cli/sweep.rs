//! `runner sweep` and `runner train`: what is to run, and how it ended.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use tch::Device;

use super::common::DataFolder;
use super::plan;
use crate::engine::device;
use crate::spec::config::{DatasetName, Mode};
use crate::spec::{Experiment, Overrides};
use crate::sweep::{self, Options, Report, Rerun};
use crate::{exit, host};

/// What `sweep` and `train` have in common.
#[derive(Args)]
struct RunArguments {
    /// The experiment file
    experiment: PathBuf,
    /// Results folder [default: results/<experiment name>, or results/<experiment name>-train for train]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic")]
    dataset: Option<DatasetName>,
    /// auto, cpu, cuda or cuda:N; trials are spread over several such as cuda:0,cuda:1
    #[arg(long, default_value = "auto")]
    device: String,
    /// Change one key of the base configuration, such as epochs=2 or optimizer.lr=0.1
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// exact: PyTorch's arithmetic to the bit; fast: several trials at once, with other last bits and dropout draws;
    /// fast-tf32, fast-bf16: the same with products of less precision (TF32 on GPUs, bfloat16 also on CPUs)
    #[arg(long, default_value = "exact", value_name = "exact|fast|fast-tf32|fast-bf16")]
    mode: Mode,
    /// Also store every step's learning rate and loss in steps.csv
    #[arg(long)]
    trace: bool,
    /// Run stored trials again: those that failed, from their last checkpoint, and those that diverged; or all
    #[arg(long, value_enum, value_name = "failed|all")]
    rerun: Option<Rerun>,
    /// Kill and retry a trial that takes longer, such as 90s, 30m or 2h
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Plain lines instead of progress bars
    #[arg(long)]
    no_progress: bool,
}

#[derive(Args)]
pub struct SweepArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Trials at a time [default: one a processor core; 1 on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Show the trials and how many are new, and run nothing
    #[arg(long)]
    plan: bool,
    /// Only these blocks or trial ids
    #[arg(long, value_name = "BLOCK|ID")]
    only: Vec<String>,
    /// Stop after this many failed trials
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
}

#[derive(Args)]
pub struct TrainArguments {
    #[command(flatten)]
    run: RunArguments,
    /// The trial's seed [default: the experiment's first]
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run_sweep(arguments: &SweepArguments) -> Result<i32> {
    let run = &arguments.run;
    let experiment = Experiment::load(&run.experiment, &overrides(run, None))?;
    let trials = experiment.only(&arguments.only)?;
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(&experiment.name));
    if arguments.plan {
        plan::show(&experiment, &trials, &out, run.rerun.unwrap_or_default())?;
        return Ok(exit::DONE);
    }
    let jobs = arguments.jobs.map(usize::from);
    let max_failures = arguments.max_failures.map(|most| most as usize);
    let options = Options { max_failures, ..options(run, out, jobs)? };
    finish(sweep::run(&experiment, &trials, &options)?, &options)
}

pub fn run_train(arguments: &TrainArguments) -> Result<i32> {
    let run = &arguments.run;
    let experiment = Experiment::load(&run.experiment, &overrides(run, arguments.seed))?.base_alone();
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(format!("{}-train", experiment.name)));
    let options = options(run, out, Some(1))?;
    finish(sweep::run(&experiment, &experiment.trials(), &options)?, &options)
}

fn overrides(run: &RunArguments, seed: Option<u64>) -> Overrides {
    Overrides { set: run.set.clone(), dataset: run.dataset, mode: run.mode, seed }
}

fn options(run: &RunArguments, out: PathBuf, jobs: Option<usize>) -> Result<Options> {
    let devices = device::parse_list(&run.device)?;
    if run.mode == Mode::FastTf32 && devices.contains(&Device::Cpu) {
        bail!("--mode fast-tf32 is for GPUs; on a CPU: exact, fast, fast-bf16");
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let jobs = jobs.unwrap_or(if devices.contains(&Device::Cpu) { cores } else { devices.len() });
    Ok(Options {
        out,
        data: run.folder.path(),
        devices,
        jobs,
        trace: run.trace,
        max_failures: None,
        timeout: run.timeout,
        rerun: run.rerun.unwrap_or_default(),
        progress: !run.no_progress,
    })
}

/// Says how the sweep ended and where its results are.
fn finish(report: Report, options: &Options) -> Result<i32> {
    if !report.failures.is_empty() {
        host::print("\nfailed trials:");
        for (name, error, log) in &report.failures {
            host::print(&format!("  {name}: {error}\n    log: {}", log.display()));
        }
        host::print("`--rerun failed` tries them again");
    }
    if !report.undone.is_empty() {
        host::print(&format!("\nnot done:\n  {}", report.undone.join("\n  ")));
    }
    let Report { done, diverged, .. } = report;
    let failed = report.failures.len();
    let code = match (report.interrupted, failed) {
        (true, _) => exit::INTERRUPTED,
        (false, 0) if report.undone.is_empty() => exit::DONE,
        (false, _) => exit::FAILED,
    };
    // The code stands even where nobody reads the line.
    let line = format!("{done} done, {diverged} diverged, {failed} failed; results in {}", options.out.display());
    let _ = writeln!(std::io::stdout(), "{line}");
    if report.interrupted {
        host::print("interrupted; the same command goes on from here");
    }
    Ok(code)
}

/// `90s`, `30m`, `2h`; a number alone is seconds.
fn parse_duration(text: &str) -> Result<Duration> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    Duration::try_from_secs_f64(seconds.context("not a duration; write 90s, 30m or 2h")?).context("too long")
}
