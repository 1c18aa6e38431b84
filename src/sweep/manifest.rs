//! `manifest.json`: what a results folder was made from, and the check that it is not continued with something else.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::store::Store;
use super::store::files::cannot;
use crate::native;
use crate::spec::Experiment;

const FILE: &str = "manifest.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub runner: String,
    /// The commit the program was built from; like the next four, of the last sweep that had something to run.
    pub git: String,
    pub libtorch: String,
    pub device: String,
    pub threads_per_worker: usize,
    pub processor: String,
    /// SHA-256 of each data set's labels and pixels.
    pub data: BTreeMap<String, DataSource>,
    /// With every default filled in.
    pub experiment: Experiment,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataSource {
    pub sha256: String,
    /// Whether these are the published pixels; an invented set has none to differ from.
    pub official: bool,
    pub source: String,
    pub class_names: Vec<String>,
}

impl Manifest {
    pub fn new(
        experiment: &Experiment,
        data: BTreeMap<String, DataSource>,
        device: String,
        threads: usize,
    ) -> Manifest {
        Manifest {
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("RUNNER_GIT").to_owned(),
            libtorch: native::libtorch_version().to_owned(),
            device,
            threads_per_worker: threads,
            processor: processor(),
            data,
            experiment: experiment.clone(),
        }
    }

    pub fn load(store: &Store) -> Result<Option<Manifest>> {
        let path = store.root().join(FILE);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| cannot("read", &path, error))?,
        };
        Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{}: not a manifest", path.display()))?))
    }

    /// Takes over which data the folder's earlier trials were made from, and refuses to mix trials of different images.
    pub fn follow(&mut self, earlier: &Manifest, store: &Store) -> Result<()> {
        for (name, source) in &self.data {
            earlier.check_data(name, &source.sha256, &source.source, store)?;
        }
        for (name, source) in &earlier.data {
            self.data.entry(name.clone()).or_insert(source.clone());
        }
        Ok(())
    }

    /// The same experiment and data, but the program and machine of `earlier`: nothing new was computed.
    pub fn computed_by(self, earlier: Manifest) -> Manifest {
        Manifest { data: self.data, experiment: self.experiment, ..earlier }
    }

    /// Fails if data set `name`, read from `source`, is not the one this folder's trials were made from.
    pub fn check_data(&self, name: &str, sha256: &str, source: &str, store: &Store) -> Result<()> {
        let Some(before) = self.data.get(name).filter(|before| before.sha256 != sha256) else { return Ok(()) };
        bail!(
            "{}: its trials were made from other {name} images (sha256 {} there, {sha256} in {source}); \
             use another --out, or the data of that time",
            store.root().display(),
            before.sha256,
        )
    }

    pub fn write(&self, store: &Store) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        store.write(FILE, &bytes)
    }
}

/// The processor's name where the system tells it.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    line.trim_start_matches([' ', '\t', ':']).to_owned()
}
