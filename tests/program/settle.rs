//! Studies that settle themselves, through the program as a user runs it: as many seeds as the verdicts need, whatever happens.

use std::fs;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::common::{BAD_INPUT, DONE, Lab, Random, assert_same};
use libc::SIGKILL;

/// Each of four configurations tries two rates and then gets three to five seeds.
const SETTLING: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 480, val: 100}
settle: {max_seeds: 5}
tune: {axes: {optimizer.lr: [0.001, 0.002]}, seeds: 1}
margin: 2
base: {model: lenet5, epochs: 3, batch_size: 16, optimizer: {name: adam, lr: 0.001}, init: xavier_uniform}
blocks:
  - {id: init, axes: {init: [orthogonal]}}
  - {id: activation, axes: {activation: [sigmoid]}}
  - {id: clip, axes: {clip: [{norm: 1000}]}}
";
const KILLS: usize = 10;

fn verdicts(lab: &Lab) -> Vec<(String, String, String)> {
    let row = |row: std::collections::BTreeMap<String, String>| {
        (row["label"].clone(), row["verdict"].clone(), row["look"].clone())
    };
    lab.table("summary.csv").into_iter().map(row).collect()
}

#[test]
fn a_study_settles_alike_however_often_it_is_killed_and_whoever_helps() {
    let undisturbed = Lab::new(SETTLING);
    let started = Instant::now();
    undisturbed.sweep("").expect(DONE).saying(&["look at 3 seeds, 3 comparisons:", "go on to 4 seeds"]);
    let whole = started.elapsed();
    let expected = undisturbed.essence();
    let looks: Vec<usize> = verdicts(&undisturbed).iter().filter_map(|(_, _, look)| look.parse().ok()).collect();
    assert!(looks.contains(&3) && looks.iter().any(|look| *look > 3), "none early and one late: {looks:?}");

    let roles = undisturbed.column("role").into_values().filter(|role| role == "tuning").count();
    assert_eq!(roles, 4 * 2, "four configurations try two values, once each");
    let report = fs::read_to_string(undisturbed.result("report.md")).unwrap();
    assert!(report.contains("Values tried before the comparison") && report.contains("| Taken |"), "{report}");
    assert!(undisturbed.result("plots/init_tuning.png").exists());

    let (killed, mut random) = (Lab::new(SETTLING), Random(14));
    for _ in 0..KILLS {
        let mut command = killed.command("sweep tiny.yaml");
        command.process_group(0);
        let sweep = killed.start_command(command);
        std::thread::sleep(Duration::from_millis(200) + random.up_to(whole / KILLS as u32));
        match random.below(2) {
            0 => sweep.signal(SIGKILL),
            _ => sweep.signal_group(SIGKILL),
        }
    }
    killed.sweep("").expect(DONE);
    assert_same(&killed.essence(), &expected);
    assert_eq!(verdicts(&killed), verdicts(&undisturbed));

    let shared = Lab::new(SETTLING);
    let other = shared.start_sweep("");
    shared.sweep("").expect(DONE);
    other.end().expect(DONE);
    assert_same(&shared.essence(), &expected);
    assert_eq!(shared.starts(), vec![1; shared.stored().len()], "a trial ran twice");
}

const FIXED: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
settle: {max_seeds: 4}
base: {model: lenet5, epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.01}}
blocks:
  - {id: init, axes: {init: [xavier_normal]}}
  - {id: rate, axes: {optimizer.lr: [0.02]}}
";

#[test]
fn the_plan_says_what_runs_now_and_what_at_most() {
    let lab = Lab::new(FIXED);
    let out = lab.sweep("--plan").expect(DONE).out;
    assert!(out.contains("9 trials, 9 to run, at most 12 in the end"), "{out}");
    let out = lab.sweep("--plan --only rate").expect(DONE).out;
    assert!(out.contains("6 trials, 6 to run"), "{out}");
    // Seeds on the command line are the ones that run, and once each.
    let out = lab.sweep("--plan --set seeds=[5]").expect(DONE).out;
    assert!(out.contains("3 trials, 3 to run; results"), "{out}");
    lab.run("train tiny.yaml --plan").expect(BAD_INPUT);
}

#[test]
fn a_part_runs_alone_and_nothing_is_judged_before_the_rest() {
    let lab = Lab::new(FIXED);
    lab.sweep("--only rate").expect(DONE);
    assert_eq!(lab.stored().len(), 6);
    assert!(lab.table("summary.csv").iter().all(|row| row["look"].is_empty()));
    let ended = lab.sweep("").expect(DONE).saying(&["6 of", "look at 3 seeds"]);
    assert!(ended.out.contains("0 failed"), "{}", ended.out);
}

#[test]
fn a_changed_plan_is_said_in_the_report() {
    let lab = Lab::new(FIXED);
    lab.sweep("").expect(DONE);
    let report = || fs::read_to_string(lab.result("report.md")).unwrap();
    assert!(!report().contains("another plan"));
    fs::write(lab.path("tiny.yaml"), FIXED.replace("max_seeds: 4", "max_seeds: 3")).unwrap();
    lab.sweep("").expect(DONE);
    let words = "Looks have been taken by another plan before (margin 1, at most 4 seeds, 2 comparisons)";
    assert!(report().contains(words), "{}", report());
    // What was said once stays true.
    lab.sweep("").expect(DONE);
    lab.run("report results/tiny").expect(DONE);
    assert!(report().contains(words));
}
