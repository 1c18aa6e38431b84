//! `runner evaluate`: stored networks' scores on one split.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tch::Device;

use super::load::Loaded;
use crate::data;
use crate::data::batches::{Scaling, Split};
use crate::record::Confusion;
use crate::report::measure::{ClassScores, macro_average, per_class};
use crate::spec::config::{Config, DatasetName};
use crate::train::Sets;
use crate::train::evaluate::evaluate_one;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SplitName {
    Test,
    Val,
    Train,
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// Plain cross-entropy and shares in 0..=1, in evaluation mode.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    pub checkpoint: String,
    /// None for the state dict of another program.
    pub trial: Option<String>,
    pub seed: Option<u64>,
    pub model: String,
    pub dataset: String,
    pub split: SplitName,
    pub images: u64,
    pub loss: f64,
    pub accuracy: f64,
    pub macro_average: ClassScores,
    pub class_names: Vec<String>,
    pub classes: Vec<ClassScores>,
    /// `confusion[true class][predicted class]`
    pub confusion: Confusion,
    pub config: Config,
}

/// Scores networks one after another, keeping the images from one to the next; `each` is called after each of them.
pub fn evaluate_all(
    networks: &[Loaded],
    split: SplitName,
    folder: &Path,
    device: Device,
    each: impl Fn(),
) -> Result<Vec<Evaluation>> {
    let mut kept: Option<(DatasetName, Sets)> = None;
    let evaluate_next = |loaded: &Loaded| {
        let name = loaded.config.data.dataset.clone();
        let sets = match kept.take() {
            Some((kept, sets)) if kept == name => sets,
            _ => Sets::new(&data::load(&name, folder)?, device),
        };
        let evaluation = score(loaded, split, &kept.insert((name, sets)).1);
        each();
        Ok(evaluation)
    };
    networks.iter().map(evaluate_next).collect()
}

fn score(loaded: &Loaded, split: SplitName, Sets { train, test }: &Sets) -> Evaluation {
    let config = &loaded.config;
    let parts = Split::new(&config.data, train.labels.size()[0] as usize);
    let scaling = Scaling::new(config.data.scale, train, &parts.train);
    let (set, index) = match split {
        SplitName::Train => (train, parts.train),
        SplitName::Val => (train, parts.val),
        SplitName::Test => (test, test.all()),
    };
    let (scored, confusion) = evaluate_one(&loaded.network, set, &scaling, &index);
    let classes = per_class(&confusion);
    Evaluation {
        checkpoint: loaded.path.display().to_string(),
        trial: loaded.id.clone(),
        seed: loaded.seed,
        model: config.model.as_str().to_owned(),
        dataset: config.data.dataset.as_str().to_owned(),
        split,
        images: confusion.iter().flatten().sum(),
        loss: scored.loss,
        accuracy: scored.accuracy,
        macro_average: macro_average(&classes),
        class_names: data::class_names(&config.data.dataset),
        classes,
        confusion,
        config: config.clone(),
    }
}
