//! The hidden command by which `runner sweep` starts its workers.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::engine::device;
use crate::store::Store;
use crate::sweep::worker::Worker;

#[derive(Args)]
pub struct WorkerArguments {
    #[arg(long)]
    results: PathBuf,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    device: String,
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    images: Option<PathBuf>,
}

pub fn run(arguments: WorkerArguments) -> Result<()> {
    let WorkerArguments { results, data, device, threads, images } = arguments;
    Worker { store: Store::open(&results)?, data, device: device::parse(&device)?, threads, images }.serve()
}
