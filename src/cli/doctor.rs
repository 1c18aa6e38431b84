//! `runner doctor`: what of this machine the program can use.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::common::{DataFolder, say_json_or};
use crate::engine::device;
use crate::native::gpus::{self, Driver};
use crate::spec::config::{DatasetName, Imported};
use crate::spec::imports::{Found, find};
use crate::store::Store;
use crate::store::files::{NAMES_MAY_BE_LOST, try_sync_folder};
use crate::store::mounts::FileSystem;
use crate::{data, host, native};

#[derive(Args)]
pub struct DoctorArguments {
    /// Where results are to lie, such as a folder that several machines share
    #[arg(default_value = "results")]
    results: PathBuf,
    #[command(flatten)]
    folder: DataFolder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &DoctorArguments) -> Result<()> {
    let findings = examine(&arguments.results, &arguments.folder.path());
    say_json_or(arguments.json, &findings, &findings)
}

#[derive(Clone, Debug, Serialize)]
struct Findings {
    runner: &'static str,
    git: &'static str,
    libtorch: String,
    /// Those that libtorch can use.
    gpus: i64,
    /// What NVIDIA's driver says, or why it says nothing.
    driver: Result<Driver, String>,
    /// Why libtorch cannot use a GPU.
    gpu_support: Result<(), &'static str>,
    cores: usize,
    /// Where CIFAR-10 was found, or why it was not.
    cifar10: Result<String, String>,
    /// What `data import` made there.
    imports: Result<Vec<String>, String>,
    results_folder: PathBuf,
    /// Whether results can be written there, and the bytes that are free.
    results: Result<u64, String>,
    /// What the folder is on.
    file_system: Option<FileSystem>,
    /// Whether a folder there can be fsynced; None where that cannot be tried.
    syncs_folders: Option<bool>,
}

/// Looks at everything and changes nothing but that an empty folder for results is made.
fn examine(results: &Path, data_folder: &Path) -> Findings {
    let found = Store::writable(results).and_then(|bytes| Ok((bytes, try_sync_folder(results)?)));
    let cifar10 = data::load(&DatasetName::Cifar10, data_folder).map(|set| set.source);
    Findings {
        runner: env!("CARGO_PKG_VERSION"),
        git: env!("RUNNER_GIT"),
        libtorch: native::libtorch_version().to_owned(),
        gpus: device::count_gpus(),
        driver: gpus::driver(),
        gpu_support: native::load_gpu_support(),
        cores: host::cores(),
        imports: find(data_folder).map(|found| found.iter().map(in_words).collect()),
        cifar10: cifar10.map_err(|error| format!("{error:#}")),
        results_folder: results.to_owned(),
        file_system: FileSystem::of(results),
        syncs_folders: found.as_ref().ok().map(|(_, is_synced)| *is_synced),
        results: found.map(|(bytes, _)| bytes).map_err(|error| format!("{error:#}")),
    }
}

/// `flowers, 970 images in 7 classes (data/flowers)`
fn in_words(Found { folder, imported }: &Found) -> String {
    let Imported { name, train, test, classes, .. } = imported;
    format!("{name}, {} images in {} classes ({})", train + test, classes.len(), folder.display())
}

impl Findings {
    fn write_gpus(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.gpus {
            0 => writeln!(f, "GPU         none that libtorch can use: --device auto takes the CPU")?,
            count => {
                let recorded = native::find_graph_functions();
                let steps = recorded.map_or_else(|lack| lack, |()| "fast steps are recorded as CUDA graphs".to_owned());
                writeln!(f, "GPU         {count}: --device auto takes cuda:0; {steps}")?
            }
        }
        let Ok(driver) = &self.driver else { return Ok(()) };
        for gpu in &driver.gpus {
            writeln!(f, "            {gpu}, driver {}", driver.version)?;
        }
        let lack = driver.lacks().or_else(|| self.gpu_support.err().map(str::to_owned));
        lack.filter(|_| self.gpus == 0).map_or(Ok(()), |lack| writeln!(f, "            {lack}"))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "runner      {} (built from {})", self.runner, self.git)?;
        writeln!(f, "libtorch    {}", self.libtorch)?;
        self.write_gpus(f)?;
        writeln!(f, "processor   {} cores: a sweep runs so many trials at a time, one thread each", self.cores)?;
        let (Ok(found) | Err(found)) = &self.cifar10;
        writeln!(f, "CIFAR-10    {found}")?;
        match &self.imports {
            Ok(found) => found.iter().try_for_each(|import| writeln!(f, "import      {import}"))?,
            Err(problem) => writeln!(f, "import      {problem}")?,
        }
        match &self.results {
            Ok(bytes) => {
                let folder = self.results_folder.display();
                write!(f, "results     {folder} can be written, {:.1} GB free", *bytes as f64 / 1e9)?
            }
            Err(reason) => write!(f, "results     {reason}")?,
        }
        self.file_system.iter().try_for_each(|system| write!(f, "\n            {}", system.in_words()))?;
        match self.syncs_folders {
            Some(true) => write!(f, "; folders can be fsynced"),
            Some(false) => write!(f, "; {NAMES_MAY_BE_LOST}"),
            None => Ok(()),
        }
    }
}
