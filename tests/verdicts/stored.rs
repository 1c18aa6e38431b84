//! The studies in `results/`, as the rule sees them.

use std::fs;
use std::path::{Path, PathBuf};

use runner::spec::Experiment;
use runner::verdict::End;
use runner::verdict::asked::{Asked, Ended, ask};
use serde_json::Value;

pub struct Stored {
    pub name: String,
    pub experiment: Experiment,
    pub asked: Asked,
    /// By configuration and seed.
    pub ends: Vec<Vec<End>>,
}

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub fn read(name: &str) -> Stored {
    let manifest = json(&results().join(name).join("manifest.json"));
    judged(name, serde_json::from_value(manifest["experiment"].clone()).unwrap())
}

/// With the three seeds and the blocks that the study had when the reference values were computed.
pub fn read_as_referenced(name: &str) -> Stored {
    let mut experiment = read(name).experiment;
    experiment.settle = None;
    experiment.seeds = vec![0, 1, 2];
    experiment.blocks.retain(|block| block.id != "early_stopping");
    judged(name, experiment)
}

fn judged(name: &str, experiment: Experiment) -> Stored {
    let folder = results().join(name);
    let known = |id: &str| {
        let path = folder.join("trials").join(id).join("result.json");
        path.exists().then(|| Ended::new(&serde_json::from_value(json(&path)).unwrap()))
    };
    let asked = ask(&experiment, &known);
    let end = |id: &str| known(id).map_or(End::Pending, |ended| ended.end);
    let ends =
        asked.settings.iter().map(|setting| setting.trials.iter().map(|trial| end(&trial.id)).collect()).collect();
    Stored { name: name.to_owned(), experiment, asked, ends }
}

/// Every one of them.
pub fn all() -> Vec<Stored> {
    let folders = fs::read_dir(results()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = folders
        .filter(|folder| folder.join("manifest.json").exists())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.iter().map(|name| read(name)).collect()
}

/// Test accuracies of what is done, in percent.
pub fn accuracies(ends: &[End]) -> Vec<f64> {
    let accuracy = |end: &End| match end {
        End::Done { accuracy, .. } => Some(*accuracy),
        _ => None,
    };
    ends.iter().filter_map(accuracy).collect()
}
