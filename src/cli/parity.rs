//! `runner parity`: the same trials here and in PyTorch.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::common::DataFolder;
use crate::engine::device;
use crate::parity::cases::{self, Case};
use crate::parity::compare_all;
use crate::parity::output::{Output, Summary};
use crate::parity::python::{self, Job};
use crate::spec::config::CIFAR10;
use crate::spec::{Experiment, Imports, Overrides};
use crate::{data, exit};

#[derive(Args)]
pub struct ParityArguments {
    /// Compare this experiment's configurations, each with its first seed [default: the built-in cases]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic|NAME")]
    dataset: Option<String>,
    /// Only cases whose names start so
    #[arg(long, value_name = "PREFIX")]
    cases: Vec<String>,
    /// Stop each case after so many steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_steps: Option<u32>,
    /// Threads on both sides; identity is promised for 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// cpu, cuda or cuda:N; identity is promised for cpu, closeness for a GPU
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the table to this CSV file
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
}

/// The exit code says whether all that is promised to be identical is. An error means that nothing could be compared.
pub fn run(arguments: &ParityArguments) -> Result<i32> {
    let device = device::parse(&arguments.device)?;
    let cases = chosen_cases(arguments)?;
    let python = python::find()?;
    let data = arguments.folder.path();
    let dataset = data::load(&cases[0].config.data.dataset, &data)?;
    let scratch = tempfile::Builder::new().prefix("runner-parity-").tempdir().context("no temporary folder")?;
    let (folder, threads) = (scratch.path(), arguments.threads.into());
    let job = Job { python: &python, folder, dataset: &dataset, data: &data, threads, device, wrapper: None };
    let mut output = Output::new(&cases, arguments.json)?;
    let torch = compare_all(&job, &cases, |row| output.add(row))?;
    let summary = Summary::new(&output.rows, torch, &job);
    output.close(&summary, arguments.out.as_deref())?;
    Ok(if summary.differ == 0 { exit::DONE } else { exit::FAILED })
}

fn chosen_cases(arguments: &ParityArguments) -> Result<Vec<Case>> {
    let mut cases = match &arguments.experiment {
        Some(path) => {
            let imports = Imports::in_folder(arguments.folder.path());
            let overrides = Overrides { dataset: arguments.dataset.clone(), imports, ..Overrides::default() };
            let mut experiment = Experiment::load(path, &overrides)?;
            experiment.seeds.truncate(1);
            cases::of_experiment(&experiment)
        }
        None => {
            let dataset = arguments.dataset.as_deref().unwrap_or(CIFAR10);
            [cases::short(dataset)?, cases::otherwise(dataset)?, cases::long(dataset)?].concat()
        }
    };
    let is_chosen = |case: &Case| arguments.cases.iter().any(|prefix| case.name.starts_with(prefix.as_str()));
    cases.retain(|case| arguments.cases.is_empty() || is_chosen(case));
    ensure!(!cases.is_empty(), "no case's name starts with {}", arguments.cases.join(" or "));
    let max_steps = arguments.max_steps.map(|steps| steps as usize);
    cases.iter_mut().for_each(|case| case.max_steps = max_steps);
    Ok(cases)
}
