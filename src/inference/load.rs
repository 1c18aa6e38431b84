//! A network with stored weights, from this program's checkpoints or from a state dict that PyTorch saved.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tch::Device;

use crate::data;
use crate::data::batches::{Resident, Scaling, Split};
use crate::engine::{Network, State};
use crate::record::{Outcome, Status};
use crate::report::status_word;
use crate::spec::config::Config;
use crate::spec::{Experiment, Imports, Overrides, check_stored};
use crate::store::files::read_limited;
use crate::store::{BEST, Identity, RESULT};
use crate::train::{checkpoint, course};

/// Larger files are no weights of networks for small images.
const MAX_BYTES: u64 = 4 << 30;
const F32_BYTES: i64 = 4;
/// Of DataParallel, torch.compile and Lightning. scripts/convert.py has the same.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

pub struct Loaded {
    pub path: PathBuf,
    /// The trial's id; none for a state dict of another program.
    pub id: Option<String>,
    pub seed: Option<u64>,
    pub config: Config,
    pub network: Network,
}

/// `path` is a trial's folder, whose `best.safetensors` is taken, or a safetensors file. A file that does not say what it
/// holds needs `experiment`, whose base configuration describes the network, and whose data set may be an import in `data`.
pub fn load(path: &Path, experiment: Option<&Path>, data: &Path, device: Device) -> Result<Loaded> {
    let file = if path.is_dir() { path.join(BEST) } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        bail!("{}", why_no_weights(path));
    }
    let bytes = read_limited(&file, MAX_BYTES)?;
    let overrides = Overrides { imports: Imports::in_folder(data.to_owned()), ..Overrides::default() };
    let experiment = experiment.map(|path| Experiment::load(path, &overrides)).transpose()?;
    let read = read(&bytes, experiment.map(|experiment| experiment.base));
    let (identity, config, mut network) = read.with_context(|| file.display().to_string())?;
    network.move_to(device);
    let (id, seed) = identity.map(|identity| (identity.id, identity.seed)).unzip();
    Ok(Loaded { path: path.to_owned(), id, seed, config, network })
}

/// The network in a file's bytes, with its trial and configuration, or `base` in the trial's place.
pub fn read(bytes: &[u8], base: Option<Config>) -> Result<(Option<Identity>, Config, Network)> {
    let checkpoint = checkpoint::decode(bytes)?;
    ensure!(
        !course::is_to_go_on_from(&checkpoint),
        "this is the checkpoint from which a sweep goes on with a trial, not the weights of its selected epoch; those are in \
         {BEST} once the trial has ended, so name that file or the folder of the finished trial"
    );
    let (identity, config) = match base {
        Some(base) => (None, base),
        None => {
            let identity = checkpoint.description::<Identity>().context("not the weights of a selected epoch")?;
            let identity = identity
                .context("the file does not say which network it holds; name an experiment with --experiment")?;
            check_stored(&identity.config)?;
            // The network gets its memory before its weights are looked for.
            let parameters = identity.config.table().parameters();
            ensure!(
                F32_BYTES * parameters <= bytes.len() as i64,
                "the file is too short for its {parameters} parameters"
            );
            let config = identity.config.clone();
            (Some(identity), config)
        }
    };
    let mut network = Network::new(&config);
    let state = checkpoint.state()?;
    refuse_prefixes(&state)?;
    network.load_state(&state)?;
    Ok((identity, config, network))
}

/// A network inside another object has that one's name for it before all of its own names.
fn refuse_prefixes(state: &State) -> Result<()> {
    let mut prefix = String::new();
    let common = |prefix: &str| !state.is_empty() && state.iter().all(|(name, _)| name.starts_with(prefix));
    while let Some(longer) = PREFIXES.iter().map(|next| format!("{prefix}{next}")).find(|longer| common(longer)) {
        prefix = longer;
    }
    ensure!(
        prefix.is_empty(),
        "every name begins with `{prefix}`, which one of PyTorch's wrappers has put there; \
         `scripts/convert.py IN OUT.safetensors` strips it"
    );
    Ok(())
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
    /// How images are scaled. Only `standardize` needs the data set, for its statistics.
    pub fn scaling(&self, folder: &Path, device: Device) -> Result<Scaling> {
        let settings = &self.config.data;
        if let Some(scaling) = Scaling::fixed(settings.scale, device) {
            return Ok(scaling);
        }
        let set = Resident::new(&data::load(&settings.dataset, folder)?.train, device);
        let split = Split::new(settings, set.labels.size()[0] as usize);
        Ok(Scaling::new(settings.scale, &set, &split.train))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{defaults, trial_id};

    /// A stored LeNet-5 whose description is `changed`.
    fn stored(changed: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
        let config = defaults("lenet5").unwrap();
        let state = Network::new(&config).state();
        let mut identity = serde_json::to_value(Identity { id: trial_id(&config, 0), seed: 0, config }).unwrap();
        changed(&mut identity);
        checkpoint::encode(&state, &identity).unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(BEST), bytes).unwrap();
        format!("{:#}", load(folder.path(), None, folder.path(), Device::Cpu).err().expect("should be refused"))
    }

    #[test]
    fn a_stored_network_is_read_and_every_kind_of_damage_is_refused_with_its_reason() {
        let bytes = stored(|_| ());
        let (identity, config, network) = read(&bytes, None).unwrap();
        let id = identity.map(|identity| identity.id);
        assert_eq!((id, config), (Some(trial_id(&defaults("lenet5").unwrap(), 0)), defaults("lenet5").unwrap()));
        assert_eq!(network.state().len(), 10);
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        assert!(error(&flipped).ends_with("best.safetensors: the file is damaged: its checksum is wrong"));
        assert!(error(&bytes[..bytes.len() / 2]).contains("not a whole safetensors file"));
        assert!(error(&checkpoint::encode(&vec![], &"text").unwrap()).contains("not the weights of a selected epoch"));
    }

    #[test]
    fn prefixes_that_wrappers_of_pytorch_leave_are_named() {
        let config = defaults("lenet5").unwrap();
        let state = Network::new(&config).state();
        let read_with = |prefix: &str, from: usize| {
            let renamed = state.iter().enumerate().map(|(at, (name, tensor))| {
                let prefix = if at < from { "" } else { prefix };
                (format!("{prefix}{name}"), tensor.shallow_clone())
            });
            let bytes = checkpoint::encode(&renamed.collect(), &serde_json::Value::Null).unwrap();
            read(&bytes, Some(config.clone())).map(|_| ()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read_with("", 0), Ok(()));
        for prefix in ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."] {
            let error = read_with(prefix, 0).unwrap_err();
            let named = format!("every name begins with `{prefix}`");
            assert!(error.contains(&named) && error.contains("scripts/convert.py"), "{error}");
        }
        assert!(read_with("module.", 1).unwrap_err().contains("this model has no such tensor"));
        assert!(read_with("backbone.", 0).unwrap_err().contains("this model has no such tensor"));
    }

    #[test]
    fn a_hostile_description_is_refused_before_it_takes_memory() {
        let refused = |key: &str, value: serde_json::Value, words: &str| {
            let error = error(&stored(|identity| identity["config"]["model"][key] = value.clone()));
            assert!(error.contains(words), "{error}");
        };
        refused("channels", vec![i64::MAX, 16].into(), "model.channels[0]: expected a whole number from 1 to 4096");
        refused("channels", vec![0i64; 0].into(), "model.channels: expected a list of 1 to 2 values, found 0");
        refused("dense", vec![-1i64].into(), "model.dense[0]");
        refused("channels", vec![4096i64, 4096].into(), "the file is too short for its 432044926 parameters");
        refused(
            "channels",
            vec![5i64, 16].into(),
            "conv1.weight: shape [6, 3, 5, 5], but this model needs [5, 3, 5, 5]",
        );
    }
}
