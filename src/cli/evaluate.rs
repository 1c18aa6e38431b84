//! `runner evaluate`: stored networks' scores on a split.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;

use super::common::{DataFolder, say_json_or, terminal_width};
use crate::engine::device;
use crate::host;
use crate::inference::evaluate::{SplitName, evaluate_all};
use crate::inference::load::load;
use crate::inference::side_by_side;
use crate::store::files::{make_folder, write_atomically};

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
    let networks =
        arguments.checkpoints.iter().map(|path| load(path, experiment, device)).collect::<Result<Vec<_>>>()?;
    // Standard error; nothing where that is no terminal.
    let bar = indicatif::ProgressBar::new(networks.len() as u64);
    let evaluations = evaluate_all(&networks, arguments.split, &arguments.folder.path(), device, || bar.inc(1))?;
    bar.finish_and_clear();
    say_json_or(arguments.json, &evaluations, side_by_side::describe(&evaluations, terminal_width()))?;
    if let Some(folder) = &arguments.plots {
        write_new(folder, &side_by_side::plots(&evaluations)?)?;
        host::print(&format!("plots in {}", folder.display()));
    }
    Ok(())
}

/// Writes files into a folder where none of these names is taken, unless by the same bytes.
fn write_new(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    make_folder(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let free = !path.exists() || std::fs::read(&path).is_ok_and(|there| there == *bytes);
        ensure!(free, "{}: is there already and differs; choose another --plots folder, or remove it", path.display());
    }
    files.iter().try_for_each(|(name, bytes)| write_atomically(&folder.join(name), bytes))
}
