//! Rows 1 and 2: whatever is killed, whenever, the same command ends with the bits of a run that never was.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use libc::{SIGKILL, SIGTERM};

use super::strace;
use crate::common::{DONE, INTERRUPTED, Lab, Random, assert_same, kill, long};

/// Twelve trials with dropout, augmentation, a plateau schedule and Adam among them; more epochs for more kills.
fn stormy(kills: usize) -> String {
    format!(
        "
schema: 1
name: tiny
data: {{dataset: synthetic, train: 256, val: 100}}
seeds: [0, 1, 2]
base:
  model: lenet5_dropout
  epochs: {}
  batch_size: 32
  optimizer: {{name: adam, lr: 0.001}}
  schedule: {{name: plateau, patience: 0}}
blocks:
  - {{id: optimizer, axes: {{optimizer: [{{name: sgd, lr: 0.01, momentum: 0.9}}]}}}}
  - {{id: augment, axes: {{augment: [{{flip: true, crop: 4}}]}}}}
  - {{id: activation, axes: {{activation: [tanh]}}}}
",
        3 + kills / 12
    )
}
const STORMY_TRIALS: usize = 12;
/// The longest that a sweep lives in a storm: long enough to get on, short enough for many kills.
const LONGEST_LIFE: Duration = Duration::from_secs(2);

fn storm_kills() -> usize {
    std::env::var("RUNNER_STORM_KILLS").map_or(12, |text| text.parse().expect("RUNNER_STORM_KILLS is a number"))
}

/// What an undisturbed sweep of `stormy` leaves and how long it takes.
fn undisturbed(kills: usize) -> (BTreeMap<String, String>, Duration) {
    let lab = Lab::new(&stormy(kills));
    let started = Instant::now();
    lab.sweep("--trace").expect(DONE);
    let whole = started.elapsed();
    // A storm over a sweep that can never be complete would not end.
    assert!(lab.is_complete(STORMY_TRIALS), "{:?}", lab.stored());
    (lab.essence(), whole)
}

#[test]
fn row_01_storm_of_killed_sweeps() {
    let (mut left, mut random) = (storm_kills(), Random(1));
    let (expected, whole) = undisturbed(left);
    while left > 0 {
        let lab = Lab::new(&stormy(storm_kills()));
        while left > 0 && !lab.is_complete(STORMY_TRIALS) {
            let mut command = lab.command("sweep tiny.yaml --trace");
            command.process_group(0);
            let sweep = lab.start_command(command);
            std::thread::sleep(random.up_to(LONGEST_LIFE.min(whole / 3)));
            match random.below(2) {
                0 => sweep.signal(SIGKILL),
                _ => sweep.signal_group(SIGKILL),
            }
            left -= 1;
        }
        // At once: the last orphans may still be at work.
        lab.sweep("--trace").expect(DONE);
        assert_same(&lab.essence(), &expected);
    }
}

#[test]
fn row_01_storm_of_killed_workers() {
    let (mut left, mut random) = (storm_kills(), Random(2));
    let (expected, whole) = undisturbed(left);
    while left > 0 {
        let lab = Lab::new(&stormy(storm_kills()));
        while left > 0 && !lab.is_complete(STORMY_TRIALS) {
            // Three deaths of one trial in one sweep would be too many.
            let mut sweep = lab.start_sweep("--trace");
            for _ in 0..2.min(left) {
                std::thread::sleep(random.up_to(LONGEST_LIFE.min(whole / 5)));
                let workers = lab.workers();
                if sweep.is_running() && !workers.is_empty() {
                    kill(workers[random.below(workers.len())], SIGKILL);
                    left -= 1;
                }
            }
            sweep.signal(SIGTERM);
            assert!([DONE, INTERRUPTED, -SIGTERM].contains(&sweep.end().code()));
        }
        lab.sweep("--trace").expect(DONE);
        assert_same(&lab.essence(), &expected);
    }
}

#[test]
fn row_01_workers_of_a_killed_sweep_stop_by_themselves() {
    let lab = long();
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    sweep.signal(SIGKILL);
    lab.wait_for_no_workers();
    assert!(lab.stored().is_empty());
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
    assert_eq!(lab.starts(), [2]);
}

/// Two trials: the sweep publishes while the second runs.
const PAIR: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 128, val: 100}
seeds: [0, 1]
base: {model: lenet5_dropout, epochs: 2, batch_size: 32, optimizer: {name: adam, lr: 0.001}}
";

/// Kills whatever thread's process comes to its k-th `call`, once for each k, and completes what is left. Between them the
/// `moments` must hit both the sweep and a worker.
fn kill_at(call: &str, moments: &[usize]) {
    if !strace::is_there() {
        return;
    }
    let undisturbed = Lab::new(PAIR);
    undisturbed.sweep("--jobs 1 --trace").expect(DONE);
    let expected = undisturbed.essence();
    let (mut sweeps, mut workers) = (0, 0);
    for moment in moments {
        let lab = Lab::new(PAIR);
        let fault = format!("signal=KILL:when={moment}");
        let ended = lab.start_command(strace::with_fault(&lab, call, &fault, "sweep tiny.yaml --jobs 1 --trace")).end();
        lab.wait_for_no_workers();
        let (sweep, worker) = (ended.code() == -SIGKILL, ended.err.contains("its worker died: signal: 9"));
        assert!(sweep || worker, "nothing died at {call} {moment}: {ended:?}");
        (sweeps, workers) = (sweeps + usize::from(sweep), workers + usize::from(worker));
        // A trial that died three times is a failed one.
        lab.sweep("--jobs 1 --trace --rerun failed").expect(DONE);
        assert_same(&lab.essence(), &expected);
        assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    }
    assert!(sweeps > 0 && workers > 0, "{sweeps} sweeps and {workers} workers were killed");
}

#[test]
fn row_02_killed_at_a_rename() {
    kill_at("/^rename", &[1, 2, 4, 7, 11, 12]);
}

#[test]
fn row_02_killed_at_an_fsync() {
    kill_at("fsync", &[1, 2, 5, 8, 14, 23]);
}

#[test]
fn row_02_killed_at_a_write() {
    kill_at("write", &[2, 5, 9, 13, 22]);
}
