//! Large experiments, in memory that every machine has.
#![cfg(target_os = "linux")]

#[allow(dead_code)]
mod common;

use std::fs;

use common::{DONE, Lab, Random};
use nix::sys::resource::{UsageWho, getrusage};
use runner::record::{Epoch, Outcome};
use runner::spec::{Experiment, Overrides, Trial};
use runner::store::Identity;

const MOST_BYTES: i64 = 1 << 30;

/// The largest resident memory of any process that this test has waited for, or that they have.
fn peak_of_children() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() << 10
}

/// `0.001, 0.002, 0.003, ...`
fn numbers(count: usize) -> String {
    (1..=count).map(|i| format!("0.{i:03}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn row_29_ten_thousand_trials_are_planned_in_bounded_memory() {
    let lab = Lab::new(&format!(
        "schema: 1\nname: tiny\ndata: {{dataset: synthetic}}\nbase: {{model: lenet5, optimizer: {{name: sgd, lr: 0.5}}}}\n\
         blocks:\n  - {{id: a, mode: grid, axes: {{optimizer.lr: [{}], label_smoothing: [{}]}}}}\n",
        numbers(99),
        numbers(101)
    ));
    let plan = lab.sweep("--plan").expect(DONE).out;
    assert_eq!(plan.lines().last(), Some("10000 trials, 10000 to run; results in results/tiny"));
    assert_eq!(plan.lines().filter(|line| line.contains("seed 0    new     ")).count(), 10_000);
    assert!(peak_of_children() < MOST_BYTES, "{} bytes", peak_of_children());
}

/// 100 configurations with ten seeds: the base with 31 changes, and a grid of 68.
fn study() -> String {
    let momenta: Vec<String> = (0..17).map(|i| format!("{}", f64::from(i) / 20.0)).collect();
    format!(
        "
schema: 1
name: tiny
description: What a thousand trials look like
data: {{dataset: synthetic, train: 64, val: 100}}
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
base:
  model: lenet5
  epochs: 20
  batch_size: 64
  optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}
blocks:
  - {{id: init, axes: {{init: [xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, orthogonal, keras]}}}}
  - {{id: optimizer, axes: {{optimizer: [adam, adamw, rmsprop, adagrad, {{name: adam, lr: 0.01}}]}}}}
  - {{id: activation, axes: {{activation: [relu, leaky_relu, sigmoid, elu, gelu, silu]}}}}
  - {{id: batch_size, axes: {{batch_size: [4, 8, 16, 32, 48]}}}}
  - {{id: smoothing, axes: {{label_smoothing: [{}]}}}}
  - {{id: rates, mode: grid, axes: {{optimizer.lr: [0.001, 0.003, 0.03, 0.1], optimizer.momentum: [{}]}}}}
",
        numbers(9),
        momenta.join(", ")
    )
}
const TRIALS: usize = 1_000;
const CONFIGURATIONS: usize = TRIALS / 10;
const EPOCHS: usize = 20;

#[test]
fn row_29_a_thousand_trials_are_reported_in_bounded_memory() {
    let lab = Lab::new(&study());
    let trials = Experiment::load(&lab.path("tiny.yaml"), &Overrides::default()).unwrap().trials();
    assert_eq!(trials.len(), TRIALS);
    lab.sweep(&format!("--only {}", trials[0].id)).expect(DONE);
    let real = Stored::read(&lab, &trials[0]);
    let mut random = Random(1);
    trials[1..].iter().for_each(|trial| real.like(&mut random).write(&lab, trial));

    lab.run("report results/tiny").expect(DONE);
    let rows = |name: &str| lab.table(name).len();
    assert_eq!((rows("trials.csv"), rows("plan.csv")), (TRIALS, TRIALS));
    assert_eq!((rows("classes.csv"), rows("confusion.csv")), (10 * TRIALS, 100 * TRIALS));
    // Every block has the base's row.
    let summary = lab.table("summary.csv");
    assert_eq!(summary.len(), CONFIGURATIONS + 5);
    assert!(summary.iter().all(|row| row["n"] == "10"));
    let metrics = 8;
    assert_eq!(rows("history.csv"), metrics * EPOCHS * TRIALS);
    assert!(peak_of_children() < MOST_BYTES, "{} bytes", peak_of_children());
}

/// The files of one trial that a report reads.
struct Stored {
    outcome: Outcome,
    history: Vec<Epoch>,
    showcase: Vec<u8>,
}

impl Stored {
    fn read(lab: &Lab, trial: &Trial) -> Stored {
        let folder = lab.result("trials").join(&trial.id);
        let mut history = csv::Reader::from_path(folder.join("history.csv")).unwrap();
        Stored {
            outcome: serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap(),
            history: history.deserialize().map(|row| row.unwrap()).collect(),
            showcase: fs::read(folder.join("showcase.json")).unwrap(),
        }
    }

    /// With other numbers.
    fn like(&self, random: &mut Random) -> Stored {
        let Stored { mut outcome, mut history, showcase } =
            Stored { outcome: self.outcome.clone(), history: self.history.clone(), showcase: self.showcase.clone() };
        let mut vary = |value: &mut f64| *value *= 1.0 + random.below(1_000_000) as f64 / 1e7;
        for epoch in &mut history {
            [&mut epoch.train_loss, &mut epoch.train_accuracy, &mut epoch.val_loss, &mut epoch.val_accuracy]
                .into_iter()
                .for_each(&mut vary);
        }
        let scores = outcome.scores.as_mut().unwrap();
        [&mut scores.test.accuracy, &mut scores.test.loss, &mut scores.train.accuracy].into_iter().for_each(vary);
        Stored { outcome, history, showcase }
    }

    fn write(&self, lab: &Lab, trial: &Trial) {
        let folder = lab.result("trials").join(&trial.id);
        fs::create_dir(&folder).unwrap();
        let identity = Identity::from(trial);
        fs::write(folder.join("config.json"), serde_json::to_vec(&identity).unwrap()).unwrap();
        fs::write(folder.join("result.json"), serde_json::to_vec(&self.outcome).unwrap()).unwrap();
        fs::write(folder.join("showcase.json"), &self.showcase).unwrap();
        let mut history = csv::Writer::from_path(folder.join("history.csv")).unwrap();
        self.history.iter().for_each(|epoch| history.serialize(epoch).unwrap());
        history.flush().unwrap();
    }
}
