//! `runner doctor`: what of this machine is usable.

use anyhow::Result;
use clap::Args;

use super::folder::DataFolder;
use super::output::say_json_or;
use crate::doctor;

#[derive(Args)]
pub struct DoctorArguments {
    #[command(flatten)]
    folder: DataFolder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &DoctorArguments) -> Result<()> {
    let findings = doctor::examine(&arguments.folder.path());
    say_json_or(arguments.json, &findings, &findings)
}
