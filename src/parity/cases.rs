//! What is compared: built-in cases, written as the experiment files under `cases/`, or a user's experiment.

use anyhow::Result;
use serde::Serialize;

use crate::spec::config::{Config, DatasetName};
use crate::spec::{Experiment, Overrides};

/// Short cases are about arithmetic, not scores: so many test images tell whether both sides score alike.
const SHORT_TEST_IMAGES: usize = 1_000;

/// One trial that both sides run.
#[derive(Clone, Debug)]
pub struct Case {
    /// `adam: adam, lr 0.01`: the block, then what differs from its base.
    pub name: String,
    pub config: Config,
    pub seed: u64,
    /// Stop after so many steps.
    pub max_steps: Option<usize>,
    /// Score the first so many images of the test set; `None` is all of it.
    pub test_images: Option<usize>,
    /// What Python does otherwise than this program. Only cases without it are promised to be identical.
    pub otherwise: Option<Otherwise>,
}

/// A way of computing the same trial that may change bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Python uses so many threads, this program as many as for every case.
    Threads(usize),
    /// Python lays images and kernels out as NHWC.
    ChannelsLast,
}

/// Every option of every part, some steps each: what the tests run.
pub fn short(dataset: DatasetName) -> Result<Vec<Case>> {
    let files = [include_str!("cases/options.yaml"), include_str!("cases/seeds.yaml")];
    let mut cases = vec![];
    for text in files {
        cases.extend(built_in(text, dataset)?);
    }
    cases.iter_mut().for_each(|case| case.test_images = Some(SHORT_TEST_IMAGES));
    Ok(cases)
}

/// Whole epochs on all images, scored on the whole test set.
pub fn long(dataset: DatasetName) -> Result<Vec<Case>> {
    built_in(include_str!("cases/long.yaml"), dataset)
}

/// LeNet-5 for an epoch, as Python computes it with two threads and on another memory layout. The outcome is shown,
/// whatever it is.
pub fn otherwise(dataset: DatasetName) -> Result<Vec<Case>> {
    let mut plain = short(dataset)?;
    plain.truncate(1);
    let ways = [("two threads in Python", Otherwise::Threads(2)), ("channels_last in Python", Otherwise::ChannelsLast)];
    let case = |(name, way): (&str, Otherwise)| Case {
        name: format!("otherwise: {name}"),
        otherwise: Some(way),
        ..plain[0].clone()
    };
    Ok(ways.into_iter().map(case).collect())
}

/// Each configuration of `experiment` once with each of its seeds, named by the first block that has it.
pub fn of(experiment: &Experiment) -> Vec<Case> {
    let base = ("base", "base", &experiment.base);
    let in_blocks = experiment.blocks.iter().flat_map(|block| {
        block.variants.iter().map(|variant| (block.id.as_str(), variant.label.as_str(), &variant.config))
    });
    let mut found: Vec<(&str, &str, &Config)> = vec![];
    for place in std::iter::once(base).filter(|_| experiment.blocks.is_empty()).chain(in_blocks) {
        if !found.iter().any(|(_, _, config)| *config == place.2) {
            found.push(place);
        }
    }
    let with_seeds = |(block, label, config): (&str, &str, &Config)| {
        let case = |&seed: &u64| {
            let seed_name = if experiment.seeds.len() > 1 { format!(", seed {seed}") } else { String::new() };
            let (name, config) = (format!("{block}: {label}{seed_name}"), config.clone());
            Case { name, config, seed, max_steps: None, test_images: None, otherwise: None }
        };
        experiment.seeds.iter().map(case).collect::<Vec<_>>()
    };
    found.into_iter().flat_map(with_seeds).collect()
}

fn built_in(text: &str, dataset: DatasetName) -> Result<Vec<Case>> {
    let overrides = Overrides { dataset: Some(dataset), ..Overrides::default() };
    Ok(of(&Experiment::parse("built-in cases", text, &overrides)?))
}
