//! A network with stored weights, from this program's checkpoints or from a state dict that PyTorch saved.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tch::Device;

use crate::data::batches::{Resident, Scaling, Split};
use crate::data::{self, Dataset};
use crate::models::{Network, layers};
use crate::report::tables::status_word;
use crate::spec::config::{Config, Scale};
use crate::spec::{Experiment, Overrides};
use crate::sweep::store::{BEST, Identity, RESULT, read_limited};
use crate::train::checkpoint;
use crate::train::record::{Outcome, Status};

/// Larger files are no checkpoints of the five networks.
const MAX_BYTES: u64 = 1 << 30;

pub struct Loaded {
    pub path: PathBuf,
    /// The trial's id; none for a state dict of another program.
    pub id: Option<String>,
    pub seed: Option<u64>,
    pub config: Config,
    pub network: Network,
}

/// `path` is a trial's folder, whose `best.safetensors` is taken, or a safetensors file. A file that does not say what it
/// holds needs `experiment`, whose base configuration describes the network.
pub fn load(path: &Path, experiment: Option<&Path>, device: Device) -> Result<Loaded> {
    let file = if path.is_dir() { path.join(BEST) } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        bail!("{}", why_no_weights(path));
    }
    let bytes = read_limited(&file, MAX_BYTES)?;
    let read = || -> Result<Loaded> {
        let state = checkpoint::decode(&bytes)?;
        let identity = match experiment {
            Some(_) => None,
            None => checkpoint::description::<Identity>(&bytes).context("not the weights of a selected epoch")?,
        };
        let config = match (&identity, experiment) {
            (Some(identity), _) => identity.config.clone(),
            (None, Some(path)) => Experiment::load(path, &Overrides::default())?.base,
            (None, None) => bail!("the file does not say which network it holds; name an experiment with --experiment"),
        };
        let mut network = Network::new(layers(&config.model, config.regularization.dropout), config.activation);
        network.load_state(&state)?;
        network.move_to(device);
        let (id, seed) = identity.map(|identity| (identity.id, identity.seed)).unzip();
        Ok(Loaded { path: path.to_owned(), id, seed, config, network })
    };
    read().with_context(|| file.display().to_string())
}

/// Why a folder has no `best.safetensors`, and what to do about it.
fn why_no_weights(folder: &Path) -> String {
    let shown = folder.display();
    if folder.join("trials").is_dir() {
        return format!(
            "{shown}: a results folder; name one of its trials ({shown}/trials/ID, `runner show {shown}` lists them)"
        );
    }
    let result =
        std::fs::read(folder.join(RESULT)).ok().and_then(|bytes| serde_json::from_slice::<Outcome>(&bytes).ok());
    match result {
        None => format!("{shown}: not the folder of a finished trial (it has no {BEST})"),
        Some(Outcome { status: Status::Done, .. }) => {
            let id = folder.file_name().unwrap_or_default().display();
            format!(
                "{shown}: its weights are not here (no {BEST}); results that were copied or come from a repository often \
                 lack them; `runner sweep EXPERIMENT.yaml --only {id} --rerun all` trains the trial anew"
            )
        }
        Some(Outcome { status, error, .. }) => {
            let reason = error.map_or(String::new(), |error| format!(" ({error})"));
            format!("{shown}: the trial {}{reason} and so has no weights", status_word(status))
        }
    }
}

impl Loaded {
    /// The trial's data set as read from `folder`.
    pub fn dataset(&self, folder: &Path) -> Result<Dataset> {
        data::load(self.config.data.dataset, folder)
    }

    /// How images are scaled. Only `standardize` needs the data set, for its statistics.
    pub fn scaling(&self, folder: &Path, device: Device) -> Result<Scaling> {
        let data = &self.config.data;
        if data.scale != Scale::Standardize {
            return Ok(Scaling::fixed(data.scale, device));
        }
        let set = Resident::new(&self.dataset(folder)?.train, device);
        let split = Split::new(data, set.labels.size()[0] as usize);
        Ok(Scaling::new(data.scale, &set, &split.train))
    }
}
