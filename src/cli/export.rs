//! `runner export`: a stored network for PyTorch alone.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tch::Device;

use super::common::{DataFolder, say, write_new};
use crate::inference::export::files;
use crate::inference::load::load;

const EXPORT_HELP: &str = "\
OUT gets NAME.safetensors, a plain PyTorch state dict, and NAME.py with a class of plain torch.nn modules that loads it; NAME is
the network's, as Python can import it. The class gives the same logits as this program, and needs nothing of it.";

#[derive(Args)]
#[command(after_help = EXPORT_HELP)]
pub struct ExportArguments {
    /// A trial folder (results/NAME/trials/ID) or its best.safetensors
    #[arg(value_name = "TRIAL_DIR|CHECKPOINT")]
    trial: PathBuf,
    /// The folder for the two files [default: NETWORK-ID here]
    out: Option<PathBuf>,
    /// Whose base configuration describes the network, for a state dict that PyTorch saved
    #[arg(long, value_name = "EXPERIMENT.yaml")]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
}

pub fn run(arguments: &ExportArguments) -> Result<()> {
    let ExportArguments { trial, out, experiment, folder } = arguments;
    let folder = folder.path();
    let loaded = load(trial, experiment.as_deref(), &folder, Device::Cpu)?;
    let name = &module_name(loaded.config.model.as_str());
    let id = loaded.id.as_deref().unwrap_or("export");
    let out = out.clone().unwrap_or_else(|| format!("{name}-{id}").into());
    let files = files(&loaded, &loaded.scaling(&folder, Device::Cpu)?, name)?;
    write_new(&out, &files, "folder as OUT")?;
    let out = out.display();
    say(format!("{out}/{name}.py and {out}/{name}.safetensors; `python {out}/{name}.py` prints the network"))
}

/// A name that Python can import.
fn module_name(network: &str) -> String {
    let name = network.replace('-', "_");
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("network_{name}") } else { name }
}
