//! From a YAML file to the unique trials it asks for. Needs no libtorch.
//!
//! Text becomes nodes with places (`yaml.rs`), nodes become combinations of settings (`expand.rs`, `block.rs`,
//! `settings.rs`), and each combination becomes a [`config::Config`] in which nothing can be wrong (`check.rs`, `fields.rs`).

pub mod config;

mod block;
mod check;
mod error;
mod expand;
mod experiment;
mod fields;
mod label;
mod settings;
mod yaml;

#[cfg(test)]
mod tests;

pub use check::MODELS;
pub use error::{InputError, Result};
pub use expand::{MAX_TRIALS, Overrides};
pub use experiment::{Block, BlockMode, Experiment, Trial, Variant, trial_id};
pub use fields::choices;
pub use label::flatten;

/// The configuration of the network called `model` with every default filled in.
pub fn defaults(model: &str) -> Result<config::Config> {
    check::config(&yaml::parse("network", &format!("{{model: {model}, optimizer: sgd}}"))?, config::Mode::Exact)
}
