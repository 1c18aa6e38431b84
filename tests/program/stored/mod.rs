//! What earlier versions stored stays readable, keeps its ids, and is gone on from.
//!
//! Each folder of `tests/program/stored/` is named after the commit whose program left it: a results folder with one finished trial
//! and one that was interrupted in its second epoch, beside its experiment, `guard.yaml`. They are never changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{DONE, Lab, files, names};
use runner::record::{Outcome, Showcase};
use runner::spec::config::Config;
use runner::spec::{Experiment, Overrides, Trial, trial_id};
use runner::store::manifest::Manifest;
use runner::store::{Identity, Store};
use runner::train::checkpoint;
use runner::train::course::{Reached, reached};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Its finished trial has one epoch of 500 steps, the other one three.
const STORED: [Stored; 1] = [Stored { commit: "10b0175", finished: "a1c09611d51e", interrupted: "3c060cedc4f5" }];

struct Stored {
    commit: &'static str,
    finished: &'static str,
    interrupted: &'static str,
}

impl Stored {
    fn path(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/stored").join(self.commit).join(name)
    }

    fn trial(&self, name: &str) -> PathBuf {
        self.path("trials").join(self.finished).join(name)
    }

    fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(self.interrupted).join(name)
    }

    /// A lab whose results folder holds a copy.
    fn lab(&self) -> Lab {
        let lab = Lab::new(&fs::read_to_string(self.path("guard.yaml")).unwrap());
        for file in files(&self.path("")) {
            let copy = lab.path("results/guard").join(file.strip_prefix(self.path("")).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(file, copy).unwrap();
        }
        lab
    }
}

/// Reads a file and writes it again, with nothing lost, added or moved. A new key that is written where it has its default
/// shows here.
#[track_caller]
fn same_when_written_again<T: DeserializeOwned + Serialize>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap();
    let value: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let again = match text.ends_with('\n') {
        true => serde_json::to_string_pretty(&value).unwrap() + "\n",
        false => serde_json::to_string(&value).unwrap(),
    };
    assert_eq!(again, text, "{}", path.display());
    value
}

#[test]
fn stored_files_are_read_and_would_be_written_the_same() {
    for stored in &STORED {
        same_when_written_again::<Outcome>(&stored.trial("result.json"));
        same_when_written_again::<Showcase>(&stored.trial("showcase.json"));
        same_when_written_again::<Manifest>(&stored.path("manifest.json"));
        for (path, id) in
            [(stored.trial("config.json"), stored.finished), (stored.work("config.json"), stored.interrupted)]
        {
            let identity: Identity = same_when_written_again(&path);
            assert_eq!((identity.id.as_str(), trial_id(&identity.config, identity.seed)), (id, id.to_owned()));
        }
    }
}

#[test]
fn a_stored_trial_is_loaded_with_what_it_has() {
    for stored in &STORED {
        let store = Store::open(&stored.path("")).unwrap();
        let trial = store.load(stored.finished).unwrap().unwrap();
        let scores = trial.outcome.scores.unwrap();
        assert_eq!((scores.best_epoch, scores.test.accuracy, trial.history.len()), (1, 0.304, 1));
        assert_eq!((scores.val.loss, scores.val.accuracy), (trial.history[0].val_loss, trial.history[0].val_accuracy));
        assert_eq!((scores.last_test, scores.evidence, trial.predictions), (None, None, None));
        assert!(trial.showcase.is_some_and(|showcase| showcase.mistakes.len() == 25));
        assert!(store.load(stored.interrupted).unwrap().is_none());
        assert!(Manifest::load(&store).unwrap().is_some());
    }
}

#[test]
fn the_experiment_of_then_names_the_trials_of_then() {
    for stored in &STORED {
        let manifest: Manifest = same_when_written_again(&stored.path("manifest.json"));
        let today = Experiment::load(&stored.path("guard.yaml"), &Overrides::default()).unwrap();
        for experiment in [manifest.experiment, today] {
            let ids: Vec<String> = experiment.trials().into_iter().map(|trial| trial.id).collect();
            assert_eq!(ids, [stored.finished, stored.interrupted]);
        }
    }
}

#[test]
fn a_stored_checkpoint_belongs_to_its_trial() {
    for stored in &STORED {
        let identity: Identity = same_when_written_again(&stored.work("config.json"));
        let bytes = fs::read(stored.work("last.safetensors")).unwrap();
        let checkpoint = checkpoint::decode(&bytes).unwrap();
        let expected = Reached { epochs: 1, steps: 505, order_seed: Some(8_521_222_245_808_033_955) };
        assert_eq!(reached(&checkpoint, &identity.config, identity.seed).unwrap(), expected);
    }
}

#[test]
fn an_interrupted_trial_goes_on_and_old_rows_keep_their_numbers() {
    for stored in &STORED {
        let lab = stored.lab();
        lab.sweep("").expect(DONE).saying(&["1 of 2 trials are stored already", "goes on after epoch 1"]);
        let trials = lab.path("results/guard/trials");
        assert_eq!(names(&trials).len(), 2);
        let history = |path: &Path| fs::read_to_string(path.join("history.csv")).unwrap();
        let (before, after) = (history(&stored.work("")), history(&trials.join(stored.interrupted)));
        assert!(after.starts_with(&before) && after.lines().count() == 4, "{after}");
        for name in names(&stored.trial("")) {
            let [was, is] =
                [stored.trial(&name), trials.join(stored.finished).join(&name)].map(|path| fs::read(path).unwrap());
            assert_eq!(was, is, "{name}");
        }
        let row = |path: &Path| {
            let mut table = csv::Reader::from_path(path).unwrap();
            let rows = table.deserialize().map(|row| row.unwrap());
            rows.map(|row: std::collections::BTreeMap<String, String>| row)
                .find(|row| row["id"] == stored.finished)
                .unwrap()
        };
        let new = row(&lab.path("results/guard/trials.csv"));
        for (column, cell) in row(&stored.path("trials.csv")) {
            // Lists had no brackets then.
            let is_list =
                ["model.channels", "model.dense", "optimizer.betas"].contains(&column.as_str()) && !cell.is_empty();
            let cell = if is_list { format!("[{}]", cell.replace(' ', ", ")) } else { cell };
            assert_eq!(new[&column], cell, "{column}");
        }
        assert_eq!(["last_test_accuracy", "test_ece"].map(|column| new[column].as_str()), ["", ""]);
        lab.run(&format!("evaluate results/guard/trials/{}", stored.finished)).expect(DONE);
    }
}

/// Every study under `results/`: what is stored there is to be found for good.
#[test]
fn every_published_trial_keeps_its_id_and_is_named_by_its_experiment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = 0;
    for study in names(&root.join("results")) {
        let folder = root.join("results").join(&study);
        if !folder.join("manifest.json").exists() {
            continue;
        }
        let manifest: Manifest = same_when_written_again(&folder.join("manifest.json"));
        let overrides = Overrides { mode: manifest.experiment.base.mode, ..Overrides::default() };
        let store = Store::open(&folder).unwrap();
        let experiment = format!("experiments/{}.yaml", manifest.experiment.name);
        let today = Experiment::load(&root.join(&experiment), &overrides).unwrap();
        // On other images it is the same experiment, and what it names is told by what the study says of them.
        let (own, of_study) = (&today.base.data, &manifest.experiment.base.data);
        let data = if own.dataset.as_str() == of_study.dataset.as_str() { own } else { of_study };
        let id = |trial: Trial| trial_id(&Config { data: data.clone(), ..trial.config }, trial.seed);
        let named: Vec<String> = today.trials().into_iter().map(id).collect();
        for id in names(&folder.join("trials")) {
            let trial = folder.join("trials").join(&id);
            let identity: Identity = same_when_written_again(&trial.join("config.json"));
            assert!(store.load(&id).unwrap().is_some(), "{study}: {id}");
            assert_eq!((&identity.id, &trial_id(&identity.config, identity.seed)), (&id, &id), "{study}");
            assert!(named.contains(&id), "{study}: {experiment} no longer names {id}");
            runner::spec::check_stored(&identity.config).unwrap();
            trials += 1;
        }
    }
    assert!(trials >= 163, "only {trials} trials were looked at");
}
