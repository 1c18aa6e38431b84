//! `runner data`: CIFAR-10 fetched, checked or described.

use anyhow::Result;
use clap::Subcommand;

use super::common::{DataFolder, say, say_json_or};
use crate::data::{self, Dataset};
use crate::spec::config::DatasetName;

#[derive(Subcommand)]
pub enum DataCommand {
    /// Download the official archive with resume and checksum
    Fetch(DataFolder),
    /// Read everything and compare it with the official checksums
    Verify(DataFolder),
    /// Counts, classes, channel statistics and checksum
    Info {
        #[command(flatten)]
        folder: DataFolder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Fetch(folder) => say(format!("CIFAR-10 is in {}", data::fetch::fetch(&folder.path())?.source)),
        DataCommand::Verify(folder) => say(data::inspect::verify(&cifar(folder)?)),
        DataCommand::Info { folder, json } => {
            let info = data::inspect::info(&cifar(folder)?);
            say_json_or(*json, &info, &info)
        }
    }
}

fn cifar(folder: &DataFolder) -> Result<Dataset> {
    data::load(DatasetName::Cifar10, &folder.path())
}
