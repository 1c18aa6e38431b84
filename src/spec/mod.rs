//! From a YAML file to the unique trials it asks for. Needs no libtorch.
//!
//! Text becomes nodes with places (`yaml.rs`), nodes become combinations of settings (`load.rs`, `expand.rs`, `settings.rs`),
//! and each combination becomes a [`config::Config`] in which nothing can be wrong: by the table of keys (`keys.rs`, by which
//! `fields.rs` and `slot.rs` read; `layers.rs` has those of own networks), then by what keys must have in common (`check.rs`, and
//! `starting.rs` for weights and frozen layers). `included.rs` reads the files that an experiment names, `random.rs` draws
//! combinations; every mistake is kept (`error.rs`), and `advice.rs` knows what to write instead. `guide/` says the table to people
//! and editors.

pub mod config;
pub mod guide;

mod advice;
mod changed_network;
mod check;
mod error;
mod expand;
mod experiment;
mod fields;
mod file_name;
pub mod imports;
mod included;
mod keys;
mod label;
mod layer_names;
mod layer_text;
mod layers;
mod load;
mod overrides;
mod random;
mod settings;
mod slips;
mod slot;
mod start;
mod starting;
mod tune;
mod weights_file;
mod yaml;

#[cfg(test)]
mod tests;

use config::DatasetName;

pub use advice::choices;
pub use error::{InputError, Result};
pub use experiment::{
    Block, BlockMode, Candidate, Configuration, Experiment, FIRST_TUNING_SEED, Settle, Trial, Tune, Variant,
    base_seeds, trial_id,
};
pub use keys::MAX_TRIALS;
pub use label::{Cell, Kind, flatten};
pub use layer_text::layer_text;
pub use overrides::{Imports, Overrides};

/// Fails unless an experiment file could have asked for `config`. A configuration that was stored has passed no other check.
pub fn check_stored(config: &config::Config) -> Result<()> {
    let about = "the stored configuration";
    let imports = match &config.data.dataset {
        DatasetName::Imported(own) => {
            imports::refusal(own).map_or(Ok(()), |why| Err(error::Mark::whole(about).error(why)))?;
            Imports::only(own)
        }
        _ => Imports::default(),
    };
    let mut keys = serde_json::to_value(config).expect("numbers from JSON are finite");
    // What a file writes in another way: the mode is an option, a metric an object, and what is not there is left out.
    keys["select"] = serde_json::json!({"metric": keys["select"]});
    keys["data"]["dataset"] = config.data.dataset.as_str().into();
    let keys = keys.as_object_mut().expect("a configuration is an object");
    keys.shift_remove("mode");
    keys.retain(|_, value| !value.is_null());
    keys["data"].as_object_mut().expect("data is an object").retain(|_, value| !value.is_null());
    let text = serde_json::to_string(keys).expect("JSON is text");
    let overrides = Overrides { mode: config.mode, imports, ..Overrides::default() };
    let checked = check::computable(&yaml::parse_option(about, &text)?, &overrides)?;
    if checked == *config { Ok(()) } else { Err(error::Mark::whole(about).error("no experiment asks for it")) }
}

/// A configuration with each different network in a file: those of an experiment, the base's first, or the one that is shared by
/// several.
pub fn networks_in(path: &std::path::Path, imports: Imports) -> Result<Vec<config::Config>> {
    let overrides = Overrides { imports, ..Overrides::default() };
    let (name, mut mistakes) = (path.display().to_string(), error::Mistakes::default());
    let document = yaml::parse(&name, &yaml::read_file(path)?, &mut mistakes);
    if let Some(network) = document.filter(included::is_network) {
        let base = yaml::parse_option("network", "{optimizer: sgd}")?;
        let key = yaml::Key { at: network.at.clone(), name: keys::MODEL.name.to_owned() };
        return Ok(vec![check::config(&settings::changed(&base, &[(&key, &network)])?, &overrides)?]);
    }
    let mut configs: Vec<config::Config> = vec![];
    for Configuration { config, .. } in Experiment::load(path, &overrides)?.configurations() {
        if !configs.iter().any(|known| known.model == config.model) {
            configs.push(config.clone());
        }
    }
    Ok(configs)
}

/// The configuration of the network called `model` with every default filled in.
pub fn defaults(model: &str) -> Result<config::Config> {
    check::config(
        &yaml::parse_option("network", &format!("{{model: {model}, optimizer: sgd}}"))?,
        &Overrides::default(),
    )
}
