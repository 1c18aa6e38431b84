//! The checked experiment and the trials it asks for.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::advice::guess;
use super::config::Config;
use super::error::{Mark, Result};
use super::fields::{default, typed};
use super::keys::MARGIN;

/// A selector shorter than this is a block's name, not the beginning of a trial's id.
const MIN_ID_PREFIX: usize = 4;
const ID_DIGITS: usize = 12;

/// Trials that only choose a setting's best values have seeds from here on; those of comparisons lie below.
pub const FIRST_TUNING_SEED: u64 = 1 << 31;
/// From so many settings on, the base of a study that settles itself has twice the seeds of a setting.
const SETTINGS_FOR_A_LARGER_BASE: usize = 3;

/// One experiment file: what is compared, on which seeds.
///
/// Stored in manifests, so a field that comes later has a default and is left out where it has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// 1 to 64 characters of `[a-z0-9_-]`; safe as a folder's name.
    pub name: String,
    pub description: Option<String>,
    /// 1 to 1000 different replicates, in the order of the file; with `settle` all that there may be, from 0.
    pub seeds: Vec<u64>,
    /// Points of test accuracy that matter, in (0, 100).
    #[serde(default = "default_margin", skip_serializing_if = "is_default_margin")]
    pub margin: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<Tune>,
    /// Validation accuracies in (0, 1), ascending, whose first epoch is reported.
    pub targets: Vec<f64>,
    pub base: Config,
    /// What the base may be tuned to, with [`Experiment::tune`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    pub blocks: Vec<Block>,
    /// What each network takes of the files that it starts from.
    #[serde(skip)]
    pub notes: Vec<String>,
}

fn default_margin() -> f64 {
    typed(default(&MARGIN))
}

fn is_default_margin(margin: &f64) -> bool {
    *margin == default_margin()
}

/// Each setting gets as many seeds as its verdicts need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Of a setting, 3 to 1000.
    pub max_seeds: usize,
}

/// Each configuration is compared at its own best values, chosen on the validation images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tune {
    /// What is tried, as written: `optimizer.lr`.
    pub keys: Vec<String>,
    /// Trials of each value, 1 to 100.
    pub seeds: usize,
}

/// Values that a configuration may be tuned to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// `lr=0.01`
    pub label: String,
    /// The value of each of [`Tune::keys`].
    pub values: Vec<String>,
    pub config: Config,
}

/// How many seeds the base of so many settings has where each setting has `seeds`: it is in every comparison.
pub fn base_seeds(settings: usize, seeds: usize) -> usize {
    if settings >= SETTINGS_FOR_A_LARGER_BASE { 2 * seeds } else { seeds }
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
    /// The base, then combinations that were drawn.
    Random,
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
    /// What it may be tuned to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// A configuration as it is written, once, whichever blocks name it.
pub struct Configuration<'a> {
    pub config: &'a Config,
    pub candidates: &'a [Candidate],
    /// Ids of the blocks that name it; none where the experiment has no blocks.
    pub blocks: Vec<String>,
    /// The most trials that its comparisons can need.
    pub most_seeds: usize,
}

impl Configuration<'_> {
    /// What may be compared: itself or, where it is tuned, each of its candidates.
    pub fn compared(&self) -> impl Iterator<Item = &Config> {
        let own = self.candidates.is_empty().then_some(self.config);
        own.into_iter().chain(self.candidates.iter().map(|candidate| &candidate.config))
    }

    /// The same for equal configurations that may be tuned to the same values.
    pub fn id(&self) -> String {
        let all: Vec<String> =
            std::iter::once(self.config).chain(self.candidates.iter().map(|own| &own.config)).map(canonical).collect();
        hashed(&all.join("\n"))
    }
}

/// One configuration with one seed, whichever blocks ask for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub id: String,
    pub seed: u64,
    pub config: Config,
    /// Ids of the blocks that name it; none where the experiment has no blocks.
    pub blocks: Vec<String>,
    /// Whether it only helps to choose its configuration's values.
    pub is_tuning: bool,
}

impl Experiment {
    /// Every trial that the experiment could ask for, once, in the order of block, variant and seed. With fixed seeds and nothing
    /// to tune it asks for all of them.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for configuration in self.configurations() {
            trials.extend(self.tuning_trials(&configuration).into_iter().flatten());
            trials.extend(self.compared_trials(&configuration));
        }
        trials
    }

    /// Each block's variants, with their block.
    pub fn variants(&self) -> impl Iterator<Item = (&Block, &Variant)> {
        self.blocks.iter().flat_map(|block| block.variants.iter().map(move |variant| (block, variant)))
    }

    /// One trial of the base, as it is written.
    pub fn base_alone(mut self) -> Experiment {
        self.seeds.truncate(1);
        self.blocks.clear();
        Experiment { settle: None, tune: None, candidates: vec![], ..self }
    }

    /// Those that choose a configuration's values, by candidate.
    pub fn tuning_trials(&self, configuration: &Configuration) -> Vec<Vec<Trial>> {
        let seeds = self.tune.as_ref().map_or(0, |tune| tune.seeds as u64);
        let tried = |candidate: &Candidate| {
            let seeds = (0..seeds).map(|seed| FIRST_TUNING_SEED + seed);
            let blocks = &configuration.blocks;
            seeds.map(|seed| Trial { is_tuning: true, ..trial(&candidate.config, seed, blocks.clone()) }).collect()
        };
        configuration.candidates.iter().map(tried).collect()
    }

    /// Those that its comparisons may need, whichever candidate is taken.
    pub fn compared_trials(&self, configuration: &Configuration) -> Vec<Trial> {
        let Configuration { blocks, most_seeds, .. } = configuration;
        let compared = configuration.compared();
        compared.flat_map(|config| self.comparison_trials(config, blocks, *most_seeds)).collect()
    }

    /// Those of the first `seeds` seeds.
    pub fn comparison_trials(&self, config: &Config, blocks: &[String], seeds: usize) -> Vec<Trial> {
        self.seeds.iter().take(seeds).map(|&seed| trial(config, seed, blocks.to_vec())).collect()
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
            let problem = match blocks.as_slice() {
                [] => "there is no such trial, and the experiment has no blocks; `--plan` shows its trials".to_string(),
                blocks => format!(
                    "there is no such block or trial; blocks: {}{}; `--plan` shows the trials",
                    blocks.join(", "),
                    guess(stray, blocks)
                ),
            };
            return Err(Mark::whole(format!("--only {stray}")).error(problem));
        }
        trials.retain(|trial| selectors.is_empty() || selectors.iter().any(|selector| names(selector, trial)));
        Ok(trials)
    }

    /// The different configurations, as they are written.
    pub fn configurations(&self) -> Vec<Configuration<'_>> {
        let all = self.seeds.len();
        if self.blocks.is_empty() {
            let (config, candidates) = (&self.base, self.candidates.as_slice());
            return vec![Configuration { config, candidates, blocks: Vec::new(), most_seeds: all }];
        }
        let most_seeds = self.settle.map_or(all, |settle| settle.max_seeds);
        let mut found: Vec<Configuration> = Vec::new();
        let mut places = HashMap::new();
        for (block, Variant { config, candidates, .. }) in self.variants() {
            let place = *places.entry(canonical(config)).or_insert(found.len());
            match found.get_mut(place) {
                Some(configuration) => configuration.blocks.push(block.id.clone()),
                None => found.push(Configuration { config, candidates, blocks: vec![block.id.clone()], most_seeds }),
            }
        }
        for (base, settings) in self.groups().into_iter().filter(|_| self.settle.is_some()) {
            found[places[&base]].most_seeds = base_seeds(settings.len(), most_seeds);
        }
        found
    }

    /// Each different base with the different settings that are compared with it.
    fn groups(&self) -> HashMap<String, HashSet<String>> {
        let mut groups: HashMap<String, HashSet<String>> = HashMap::new();
        for block in &self.blocks {
            let mut variants = block.variants.iter().map(|variant| canonical(&variant.config));
            if let Some(base) = variants.next() {
                groups.entry(base).or_default().extend(variants);
            }
        }
        groups
    }
}

fn trial(config: &Config, seed: u64, blocks: Vec<String>) -> Trial {
    Trial { id: trial_id(config, seed), seed, config: config.clone(), blocks, is_tuning: false }
}

/// The first 12 hex digits of the SHA-256 of `{"config":…,"seed":…}`, with [`Config`]'s own order of keys, that no reader of
/// tables takes for a number.
pub fn trial_id(config: &Config, seed: u64) -> String {
    hashed(&format!(r#"{{"config":{},"seed":{seed}}}"#, canonical(config)))
}

fn hashed(text: &str) -> String {
    let digest = Sha256::digest(text);
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
