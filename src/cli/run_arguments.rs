//! What `runner sweep` and `runner train` have in common: which experiment, with which changes, how and where it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use tch::Device;

use super::common::DataFolder;
use super::completions;
use crate::engine::device;
use crate::host;
use crate::spec::config::Mode;
use crate::spec::{Imports, Overrides};
use crate::sweep::{Options, Rerun};

#[derive(Args)]
pub struct RunArguments {
    /// The experiment file
    #[arg(add = completions::experiments())]
    pub experiment: PathBuf,
    /// Results folder [default: results/<experiment name>, or results/<experiment name>-train for train]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic|NAME")]
    dataset: Option<String>,
    /// auto, cpu, cuda or cuda:N; trials are spread over several such as cuda:0,cuda:1
    #[arg(long, default_value = "auto")]
    device: String,
    /// Change one key of the base configuration, such as epochs=2 or optimizer.lr=0.1
    #[arg(long, value_name = "KEY=VALUE", add = completions::settings())]
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
    pub rerun: Option<Rerun>,
    /// Kill and retry a trial that takes longer, such as 90s, 30m or 2h
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Plain lines instead of progress bars
    #[arg(long)]
    no_progress: bool,
    /// Where the files lie that the experiment names, for a copy of it
    #[arg(long, hide = true)]
    copied_from: Option<PathBuf>,
}

impl RunArguments {
    /// The options as words that mean the same in any folder, but for the experiment, its results, and what runs again.
    pub fn typed(&self) -> Result<Vec<String>> {
        let data = text(&std::path::absolute(self.folder.path())?)?;
        let beside = || self.experiment.parent().unwrap_or(Path::new("")).to_owned();
        // Of nothing but a name the folder is this one.
        let folder = std::env::current_dir()?.join(self.copied_from.clone().unwrap_or_else(beside));
        let mut words = vec![format!("--data={data}"), format!("--copied-from={}", text(&folder)?)];
        words.push(format!("--device={}", self.device));
        words.push(format!("--mode={}", self.mode.as_str()));
        words.extend(self.dataset.iter().map(|name| format!("--dataset={name}")));
        words.extend(self.set.iter().map(|change| format!("--set={change}")));
        words.extend(self.timeout.map(|timeout| format!("--timeout={}s", timeout.as_secs_f64())));
        words.extend(self.trace.then(|| "--trace".to_owned()));
        words.push("--no-progress".to_owned());
        Ok(words)
    }

    pub fn overrides(&self, seed: Option<u64>) -> Overrides {
        let imports = Imports::in_folder(self.folder.path());
        let (set, dataset, folder) = (self.set.clone(), self.dataset.clone(), self.copied_from.clone());
        Overrides { set, dataset, mode: self.mode, seed, imports, folder, is_sketch: false }
    }

    pub fn options(&self, out: PathBuf, jobs: Option<usize>) -> Result<Options> {
        let devices = device::parse_list(&self.device)?;
        let computes_here = jobs != Some(0);
        if self.mode == Mode::FastTf32 && devices.contains(&Device::Cpu) && computes_here {
            bail!("--mode fast-tf32 is for GPUs; on a CPU: exact, fast, fast-bf16");
        }
        let jobs = jobs.unwrap_or_else(|| if devices.contains(&Device::Cpu) { host::cores() } else { devices.len() });
        Ok(Options {
            out,
            data: self.folder.path(),
            devices,
            jobs,
            waits: true,
            trace: self.trace,
            max_failures: None,
            timeout: self.timeout,
            rerun: self.rerun.unwrap_or_default(),
            progress: !self.no_progress,
        })
    }
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

/// A path as a word of a command line.
pub fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{}: the path is no text, so nothing can be launched there", path.display()))?;
    Ok(text.to_owned())
}
