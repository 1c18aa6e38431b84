//! `runner parity`: the same trials here and in PyTorch.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::folder::DataFolder;
use crate::engine::device;
use crate::spec::config::DatasetName;
use crate::{exit, parity};

#[derive(Args)]
pub struct ParityArguments {
    /// Compare this experiment's configurations, each with its first seed [default: the built-in cases]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic")]
    dataset: Option<DatasetName>,
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

pub fn run(arguments: ParityArguments) -> Result<i32> {
    let identical = parity::run(&parity::Options {
        experiment: arguments.experiment,
        data: arguments.folder.path(),
        dataset: arguments.dataset,
        cases: arguments.cases,
        max_steps: arguments.max_steps.map(|steps| steps as usize),
        threads: arguments.threads.into(),
        device: device::parse(&arguments.device)?,
        json: arguments.json,
        out: arguments.out,
    })?;
    Ok(if identical { exit::DONE } else { exit::FAILED })
}
