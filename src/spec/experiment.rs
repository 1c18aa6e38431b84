//! The checked experiment and the trials it asks for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::Config;
use super::error::{InputError, Result};

/// A selector shorter than this is a block's name, not the beginning of a trial's id.
const MIN_ID_PREFIX: usize = 4;
const ID_DIGITS: usize = 12;

/// One experiment file: what is compared, on which seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// 1 to 64 characters of `[a-z0-9_-]`; safe as a folder's name.
    pub name: String,
    pub description: Option<String>,
    /// 1 to 1000 different replicates, in the order of the file.
    pub seeds: Vec<u64>,
    /// Validation accuracies in (0, 1), ascending, whose first epoch is reported.
    pub targets: Vec<f64>,
    pub base: Config,
    pub blocks: Vec<Block>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub id: String,
    pub title: Option<String>,
    pub mode: BlockMode,
    /// Every key the block varies: its axes, its zips', its includes', as written (`optimizer.lr`).
    pub keys: Vec<String>,
    /// Different configurations; the first is the block's base.
    pub variants: Vec<Variant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockMode {
    /// The base, then one change at a time.
    Ablate,
    /// The base, then every combination.
    Grid,
}

/// One configuration of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The keys this variant sets, with their values on one line: `("optimizer", "{name: adam, lr: 0.001}")`. Empty for the base.
    pub settings: Vec<(String, String)>,
    /// The value of each of [`Block::keys`], also where it is the base's: a cell's place in a table or heatmap.
    pub values: Vec<String>,
    /// A short name for plots: `base`, `init=xavier_uniform`, `adam, lr 0.001 · batch_size=4`.
    pub label: String,
    pub config: Config,
}

/// One configuration with one seed, whichever blocks ask for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub id: String,
    pub seed: u64,
    pub config: Config,
    /// Ids of the blocks that name it; none where the experiment has no blocks.
    pub blocks: Vec<String>,
}

impl Experiment {
    /// Every trial once, in the order of block, variant and seed; the base's alone where there are no blocks.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (config, blocks) in self.configurations() {
            trials.extend(self.seeds.iter().map(|&seed| trial(config, seed, blocks.clone())));
        }
        trials
    }

    /// The trials that `selectors` name: block ids, trial ids or their beginnings. No selectors select every trial.
    pub fn only(&self, selectors: &[String]) -> Result<Vec<Trial>> {
        let mut trials = self.trials();
        let is_block = |name: &String| self.blocks.iter().any(|block| block.id == *name);
        let names = |selector: &String, trial: &Trial| match is_block(selector) {
            true => trial.blocks.contains(selector),
            false => selector.len() >= MIN_ID_PREFIX && trial.id.starts_with(selector.as_str()),
        };
        if let Some(stray) = selectors.iter().find(|selector| !trials.iter().any(|trial| names(selector, trial))) {
            let blocks: Vec<&str> = self.blocks.iter().map(|block| block.id.as_str()).collect();
            let choices = super::fields::choices(stray, &blocks);
            return Err(InputError::of(format!("--only {stray}"), format!("no block or trial; blocks: {choices}")));
        }
        trials.retain(|trial| selectors.is_empty() || selectors.iter().any(|selector| names(selector, trial)));
        Ok(trials)
    }

    /// The different configurations and the blocks that name each.
    pub(super) fn configurations(&self) -> Vec<(&Config, Vec<String>)> {
        if self.blocks.is_empty() {
            return vec![(&self.base, Vec::new())];
        }
        let mut found: Vec<(&Config, Vec<String>)> = Vec::new();
        let mut places = HashMap::new();
        for block in &self.blocks {
            for variant in &block.variants {
                let place = *places.entry(canonical(&variant.config)).or_insert(found.len());
                match found.get_mut(place) {
                    Some((_, blocks)) => blocks.push(block.id.clone()),
                    None => found.push((&variant.config, vec![block.id.clone()])),
                }
            }
        }
        found
    }
}

fn trial(config: &Config, seed: u64, blocks: Vec<String>) -> Trial {
    Trial { id: trial_id(config, seed), seed, config: config.clone(), blocks }
}

/// The first 12 hex digits of the SHA-256 of `{"config":…,"seed":…}`, with [`Config`]'s own order of keys, that no reader of
/// tables takes for a number.
pub fn trial_id(config: &Config, seed: u64) -> String {
    let digest = Sha256::digest(format!(r#"{{"config":{},"seed":{seed}}}"#, canonical(config)));
    id(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// `012345678901` would lose its zero and `1234567e8901` become infinite.
fn id(digits: &str) -> String {
    let is_text = |start: &usize| digits[*start..][..ID_DIGITS].contains(['a', 'b', 'c', 'd', 'f']);
    let start = (0..=digits.len() - ID_DIGITS).find(is_text).unwrap_or_default();
    digits[start..][..ID_DIGITS].to_owned()
}

/// The JSON that decides whether two configurations are one.
pub(super) fn canonical(config: &Config) -> String {
    serde_json::to_string(config).expect("a checked configuration has only finite numbers and names")
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn an_id_is_never_a_number() {
        assert_eq!(id("0427c16f2c19ab"), "0427c16f2c19");
        assert_eq!(id("01234567890123c4"), "34567890123c");
        assert_eq!(id("1234567e8901d2"), "234567e8901d");
    }
}
