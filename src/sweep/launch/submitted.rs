//! What was submitted last, as the results folder keeps it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::launcher::{FOLDER, Names};
use crate::store::Store;
use crate::store::files::{look_anew, pretty};

const FILE: &str = "slurm/submitted.json";

#[derive(Serialize, Deserialize)]
pub struct Submitted {
    #[serde(flatten)]
    pub names: Names,
    /// The trials that had not ended then, by id.
    pub trials: Vec<String>,
}

impl Submitted {
    pub fn read(store: &Store) -> Result<Submitted> {
        look_anew(&store.root().join(FOLDER));
        let bytes = store.read(FILE).with_context(|| format!("{FILE} cannot be read"))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{FILE} is damaged"))
    }

    pub fn write(&self, store: &Store) -> Result<()> {
        store.write(FILE, &pretty(self)?)
    }
}
