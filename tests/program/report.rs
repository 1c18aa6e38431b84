//! What reports say after real sweeps: of trials that failed or diverged, and of several experiments beside each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{BAD_INPUT, DONE, FAILED, Lab, kill, names};
use libc::SIGKILL;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not said in:\n{text}"));
}

// ---- accidents ----

/// Both seeds of the first setting diverge; the second one takes long enough to be killed at work.
const ACCIDENTS: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
seeds: [0, 1]
base:
  model: lenet5
  activation: relu
  epochs: 2
  batch_size: 64
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9}
blocks:
  - id: changes
    include:
      - {optimizer: {name: sgd, lr: 1.0e+30}}
      - {epochs: 30}
      - {init: orthogonal}
";

/// The id of a planned trial.
fn planned(lab: &Lab, label: &str, seed: u64) -> String {
    let plan = lab.sweep("--plan").expect(DONE).out;
    let is_wanted = |line: &&str| line.contains(label) && line.contains(&format!("seed {seed} "));
    plan.lines().find(is_wanted).unwrap_or_else(|| panic!("{label}, seed {seed} is not in {plan}"))[..12].to_owned()
}

/// Kills the only worker whenever it begins an attempt of the trial, until the trial has failed.
fn fail(lab: &Lab, id: &str) {
    for attempt in 1..=3 {
        lab.wait_for_attempt(id, attempt);
        lab.workers().into_iter().for_each(|worker| kill(worker, SIGKILL));
    }
}

#[test]
fn a_report_owns_up_to_failed_and_diverged_trials() {
    let lab = Lab::new(ACCIDENTS);
    let slow = planned(&lab, "epochs=30", 1);
    let sweep = lab.start_sweep("--jobs 1");
    fail(&lab, &slow);
    let ended = sweep.end().expect(FAILED);
    assert!(ended.out.contains("5 done, 2 diverged, 1 failed"), "{}", ended.out);

    let status = |word: &str| lab.column("status").into_values().filter(|status| status == word).count();
    assert_eq!((status("done"), status("diverged"), status("failed")), (5, 2, 1));
    assert_says(&lab.column("error")[&slow], &["its worker died: signal: 9"]);

    let summary: BTreeMap<String, _> =
        lab.table("summary.csv").into_iter().map(|row| (row["label"].clone(), row)).collect();
    let counts = |label: &str| ["n", "failed", "diverged", "pending"].map(|column| summary[label][column].clone());
    assert_eq!(counts("base"), ["2", "0", "0", "0"]);
    assert_eq!(counts("epochs=30"), ["1", "1", "0", "0"]);
    assert_eq!(counts("sgd, lr 1e30"), ["0", "0", "2", "0"]);
    assert_eq!(summary["sgd, lr 1e30"]["test_accuracy_mean"], "");
    assert_eq!(summary["epochs=30"]["test_accuracy_n"], "1");

    let tables = read(&lab.result("summary.md"));
    assert_says(&tables, &["| epochs=30 | 1, 1 of 2 failed |", "| sgd, lr 1e30 | 0, 2 of 2 diverged |"]);
    let report = read(&lab.result("report.md"));
    let words = [
        "1 of 8 trials failed, 2 of 8 trials diverged",
        "8 trials in 1 block: 5 done, 1 failed, 2 diverged, 0 to come",
        "n = 1, 1 of 2 failed, one trial cannot tell a difference from chance",
        "**Unstable**: 2 of 3: sgd, lr 1e30 (n = 0, 2 of 2 diverged, trials diverged",
        "## Trials that did not finish",
        &format!("| {slow} | changes: epochs=30 | 1 | failed |"),
        "training loss is NaN",
        "signal: 9",
    ];
    assert_says(&report, &words);
    assert_eq!(names(&lab.result("plots")).iter().filter(|name| name.starts_with("changes_")).count(), 6);
}

// ---- several experiments ----

fn experiment(name: &str, model: &str, val: usize, blocks: &str) -> String {
    format!(
        "schema: 1\nname: {name}\ndata: {{dataset: synthetic, train: 256, val: {val}}}\nseeds: [0, 1]\n\
         base: {{model: {model}, epochs: 2, batch_size: 64, optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}}}\n{blocks}"
    )
}

/// The experiments `plain` and `wide`, both done.
fn two_experiments(val_of_wide: usize) -> Lab {
    let lab = Lab::new("");
    let blocks = "blocks:\n  - {id: rate, axes: {optimizer.lr: [0.05]}}\n";
    for (name, text) in [
        ("plain", experiment("plain", "lenet5", 100, blocks)),
        ("wide", experiment("wide", "{name: lenet5, channels: [12, 32]}", val_of_wide, "")),
    ] {
        fs::write(lab.path(&format!("{name}.yaml")), text).unwrap();
        lab.run(&format!("sweep {name}.yaml")).expect(DONE);
    }
    lab
}

fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn several_results_folders_make_one_comparison() {
    let lab = two_experiments(100);
    let before = lab.bytes();
    let ended = lab.run("report results/plain results/wide --out both").expect(DONE);
    assert!(!ended.err.contains("note:"), "{}", ended.err);
    assert!(lab.bytes() == before, "the experiments' own folders stay as they are");

    let summary = table(&lab.path("both/summary.csv"));
    let bases: Vec<_> = summary.iter().filter(|row| row["block"] == "experiments").collect();
    let cells = |column: &str| bases.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
    assert_eq!(cells("label"), ["plain", "wide"]);
    assert_eq!(cells("parameters"), ["62006", "117678"]);
    assert_eq!((cells("n"), cells("look")), (vec!["2", "2"], vec!["", "2"]));
    // The same numbers as in the experiment's own table.
    let own = &table(&lab.path("results/wide/summary.csv"))[0];
    assert_eq!(bases[1]["test_accuracy_mean"], own["test_accuracy_mean"]);

    // The setting with the higher validation accuracy, whatever its test accuracy.
    let plain = table(&lab.path("results/plain/summary.csv"));
    let accuracy = |row: &BTreeMap<String, String>| row["val_accuracy_mean"].parse::<f64>().unwrap();
    assert_ne!(accuracy(&plain[0]), accuracy(&plain[1]));
    let chosen: Vec<_> = summary.iter().filter(|row| row["block"] == "chosen").collect();
    match accuracy(&plain[1]) > accuracy(&plain[0]) {
        true => assert_eq!(chosen[0]["label"], "plain: lr=0.05"),
        false => assert!(chosen.is_empty(), "both choices are the bases, which are compared already"),
    }

    let report = read(&lab.path("both/report.md"));
    let words = ["SYNTHETIC", "plain, wide side by side", "Base, plain:", "| wide | 117,678 |", "experiments_size.png"];
    assert_says(&report, &words);
    for name in ["experiments_difference", "experiments_size", "experiments_accuracy", "experiments_confusion_base"] {
        assert!(lab.path(&format!("both/plots/{name}.png")).exists(), "{name}");
    }
}

#[test]
fn different_splits_are_named_and_different_images_refused() {
    let lab = two_experiments(200);
    let refused = |arguments: &str, words: &[&str]| {
        lab.run(&format!("report {arguments}")).expect(BAD_INPUT).saying(words);
        assert!(!lab.path("both").exists(), "{arguments}: something was made");
    };
    refused("results/plain results/wide", &["--out DIR"]);
    refused("results/plain --out both", &["several results folders"]);
    refused("results/plain results/plain --out both", &["results/plain: named twice"]);
    refused("results/plain results/wide --out results/wide", &["holds trials of its own", "another --out"]);
    refused("results/plain results/none --out both", &["results/none: not a results folder"]);

    let manifest = lab.path("results/wide/manifest.json");
    let text = read(&manifest);
    let digest = text.split("\"sha256\": \"").nth(1).unwrap()[..8].to_owned();
    fs::write(&manifest, text.replace(&digest, "00000000")).unwrap();
    refused("results/plain results/wide --out both", &["plain and wide cannot be compared", "their images differ"]);
    fs::write(&manifest, text).unwrap();

    let note = "note: Some settings split the images differently: 256 to train on and 100 to validate, split seed 0 \
                (plain); 256 to train on and 200 to validate, split seed 0 (wide)";
    lab.run("report results/plain results/wide --out both").expect(DONE).saying(&[note]);
    let wide = &table(&lab.path("both/summary.csv"))[1];
    // They share the test images, so there is a difference all the same.
    assert_eq!((wide["n"].as_str(), wide["look"].as_str(), wide["verdict"].is_empty()), ("2", "2", false));
    assert_says(&read(&lab.path("both/report.md")), &["split the images differently", "may be due to that"]);
}
