//! `runner evaluate`: stored networks' scores on a split.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::common::{DataFolder, say_json_or, terminal_width, write_new};
use crate::engine::device;
use crate::host;
use crate::inference::evaluate::{SplitName, evaluate_all};
use crate::inference::load::load;
use crate::inference::side_by_side;

#[derive(Args)]
pub struct EvaluateArguments {
    /// Trial folders (results/NAME/trials/ID) or safetensors files
    #[arg(required = true, value_name = "TRIAL_DIR|CHECKPOINT")]
    checkpoints: Vec<PathBuf>,
    /// Which images: the test set, or the validation or training part of each network's own split
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// Whose base configuration describes the network, for a state dict that PyTorch saved
    #[arg(long, value_name = "EXPERIMENT.yaml")]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Write each network's confusion matrix and scores by class into this folder, as PNGs
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Print JSON: a list with one object a checkpoint, shares in 0 to 1, the confusion matrix by rows of true classes
    #[arg(long)]
    json: bool,
}

/// All networks are read before the first is scored, so that a wrong path costs no time.
pub fn run(arguments: &EvaluateArguments) -> Result<()> {
    let device = device::parse(&arguments.device)?;
    let experiment = arguments.experiment.as_deref();
    let folder = arguments.folder.path();
    let networks =
        arguments.checkpoints.iter().map(|path| load(path, experiment, &folder, device)).collect::<Result<Vec<_>>>()?;
    // Standard error; nothing where that is no terminal.
    let bar = indicatif::ProgressBar::new(networks.len() as u64);
    let evaluations = evaluate_all(&networks, arguments.split, &folder, device, || bar.inc(1))?;
    bar.finish_and_clear();
    say_json_or(arguments.json, &evaluations, side_by_side::describe(&evaluations, terminal_width()))?;
    if let Some(folder) = &arguments.plots {
        write_new(folder, &side_by_side::plots(&evaluations)?, "--plots folder")?;
        host::print(&format!("plots in {}", folder.display()));
    }
    Ok(())
}
