//! A network with stored weights, from this program's checkpoints or from a state dict that PyTorch saved.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tch::Device;

use crate::data::batches::{Resident, Scaling, Split};
use crate::data::{self, Dataset};
use crate::models::{Network, layers};
use crate::spec::config::{Config, Scale};
use crate::spec::{Experiment, Overrides};
use crate::sweep::store::{BEST, Identity, read_limited};
use crate::train::checkpoint;

/// Larger files are no checkpoints of the five networks.
const MAX_BYTES: u64 = 1 << 30;

pub struct Loaded {
    pub path: PathBuf,
    /// The trial's id; none for a state dict of another program.
    pub id: Option<String>,
    pub config: Config,
    pub network: Network,
}

/// `path` is a trial's folder, whose `best.safetensors` is taken, or a safetensors file. A file that does not say what it
/// holds needs `experiment`, whose base configuration describes the network.
pub fn load(path: &Path, experiment: Option<&Path>, device: Device) -> Result<Loaded> {
    let file = if path.is_dir() { path.join(BEST) } else { path.to_owned() };
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
        Ok(Loaded { path: path.to_owned(), id: identity.map(|identity| identity.id), config, network })
    };
    read().with_context(|| file.display().to_string())
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
