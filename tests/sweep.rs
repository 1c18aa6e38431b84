//! The program as a whole: real sweeps of tiny experiments, with real faults. `RUNNER_STORM_KILLS=200 cargo test --release
//! --test sweep storm` kills as often as that.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Ended, Lab, Random, assert_same, files, head, kill, names, wait_until};
use libc::{SIGINT, SIGKILL, SIGSTOP, SIGTERM};

const DONE: i32 = 0;
const FAILED: i32 = 1;
const BAD_INPUT: i32 = 2;
const INTERRUPTED: i32 = 130;

/// Six trials.
const TINY: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
seeds: [0, 1]
base:
  model: lenet5
  epochs: 2
  batch_size: 64
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9}
blocks:
  - {id: init, axes: {init: [xavier_uniform]}}
  - {id: activation, axes: {activation: [relu]}}
";
const TINY_TRIALS: usize = 6;

/// One trial.
fn one(changes: &str) -> String {
    format!(
        "schema: 1\nname: tiny\ndata: {{dataset: synthetic, train: 256, val: 100}}\nseeds: [0]\n\
         base: {{model: lenet5, batch_size: 64, optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}, {changes}}}\n"
    )
}

/// One trial that takes long enough to be caught at work.
fn long() -> Lab {
    Lab::new(&one("epochs: 25"))
}

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
  - {{id: activation, axes: {{activation: [relu]}}}}
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

fn wait_for_checkpoint(lab: &Lab) -> std::path::PathBuf {
    let work = lab.path("results");
    let checkpoint = || files(&work).into_iter().find(|path| path.ends_with("last.safetensors"));
    wait_until("a checkpoint is there", || work.exists() && quietly(checkpoint).is_some());
    checkpoint().expect("just seen")
}

/// A folder may change while it is listed.
fn quietly<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).unwrap_or(None)
}

// ---- what a sweep leaves ----

#[test]
fn a_sweep_leaves_every_table_plot_and_trial() {
    let lab = Lab::new(TINY);
    let ended = lab.sweep("").expect(DONE);
    assert!(ended.out.contains("6 done, 0 diverged, 0 failed; results in results/tiny"), "{}", ended.out);
    for name in ["plan.csv", "history.csv", "classes.csv", "confusion.csv", "summary.csv", "manifest.json", "report.md"]
    {
        assert!(!head(&lab.result(name), 1).is_empty(), "{name}");
    }
    let trials = lab.table("trials.csv");
    assert_eq!(
        (trials.len(), lab.table("plan.csv").len(), lab.stored().len()),
        (TINY_TRIALS, TINY_TRIALS, TINY_TRIALS)
    );
    assert!(trials.iter().all(|row| row["parameters"] == "62006" && row["status"] == "done" && row["attempts"] == "1"));
    for id in lab.stored() {
        let mut left = names(&lab.result("trials").join(&id));
        left.sort();
        let expected = ["best.safetensors", "config.json", "history.csv", "last.safetensors", "log.txt", "result.json"];
        assert_eq!(left, expected);
    }
    let plots = files(&lab.result("plots"));
    assert!(plots.len() >= 6);
    for plot in plots {
        let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&plot).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap_or_else(|error| panic!("{}: {error}", plot.display()));
    }
    assert_eq!(names(&lab.result("work")), ["publish.lock"]);
}

#[test]
fn the_same_command_again_runs_nothing_and_changes_no_byte() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.bytes();
    lab.sweep("").expect(DONE).saying(&["6 of 6 trials are stored already"]);
    assert!(lab.bytes() == before);
    lab.run("report results/tiny").expect(DONE);
    assert!(lab.bytes() == before);
    for name in ["trials.csv", "plots", "work", "report.md"] {
        let path = lab.result(name);
        if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
    lab.run("report results/tiny").expect(DONE);
    assert!(lab.bytes() == before);
}

#[test]
fn a_second_run_of_all_trials_gives_the_same_bits() {
    let lab = Lab::new(TINY);
    lab.sweep("--jobs 1").expect(DONE);
    let before = lab.essence();
    lab.sweep("--rerun all --jobs 3").expect(DONE);
    assert_same(&lab.essence(), &before);
}

#[test]
fn an_edited_experiment_keeps_what_applies_and_says_what_it_drops() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    fs::write(lab.path("tiny.yaml"), TINY.replace("[relu]", "[silu]")).unwrap();
    lab.sweep("")
        .expect(DONE)
        .saying(&["4 of 6 trials are stored already", "2 stored trials are not in this experiment"]);
    assert_eq!((lab.table("trials.csv").len(), lab.stored().len()), (TINY_TRIALS, TINY_TRIALS + 2));
}

// ---- kills ----

/// What an undisturbed sweep of `stormy` leaves and how long it takes.
fn undisturbed(kills: usize) -> (std::collections::BTreeMap<String, String>, Duration) {
    let lab = Lab::new(&stormy(kills));
    let started = Instant::now();
    lab.sweep("--trace").expect(DONE);
    (lab.essence(), started.elapsed())
}

#[test]
fn storm_of_killed_sweeps_ends_with_the_same_bits() {
    let (mut left, mut random) = (storm_kills(), Random(1));
    let (expected, whole) = undisturbed(left);
    while left > 0 {
        let lab = Lab::new(&stormy(storm_kills()));
        while left > 0 && !lab.is_complete(STORMY_TRIALS) {
            let sweep = lab.start_sweep("--trace");
            std::thread::sleep(random.up_to(LONGEST_LIFE.min(whole / 3)));
            sweep.signal(SIGKILL);
            left -= 1;
        }
        // At once: the last orphans may still be at work.
        lab.sweep("--trace").expect(DONE);
        assert_same(&lab.essence(), &expected);
    }
}

#[test]
fn storm_of_killed_workers_ends_with_the_same_bits() {
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
fn workers_of_a_killed_sweep_stop_by_themselves() {
    let lab = long();
    let sweep = lab.start_sweep("");
    wait_for_checkpoint(&lab);
    sweep.signal(SIGKILL);
    lab.wait_for_no_workers();
    assert!(lab.stored().is_empty());
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
    assert_eq!(lab.starts(), [2]);
}

#[test]
fn several_sweeps_at_once_share_the_trials() {
    let lab = Lab::new(TINY);
    let sweeps: Vec<_> = (0..4).map(|_| lab.start_sweep("--jobs 2")).collect();
    for sweep in sweeps {
        sweep.end().expect(DONE);
        assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
    }
    assert_eq!(lab.starts(), [1; TINY_TRIALS]);
    let alone = Lab::new(TINY);
    alone.sweep("").expect(DONE);
    assert_same(&lab.essence(), &alone.essence());
}

// ---- signals ----

#[test]
fn one_interrupt_stops_after_checkpoints_and_a_rerun_completes() {
    let lab = long();
    let sweep = lab.start_sweep("");
    wait_for_checkpoint(&lab);
    sweep.signal(SIGINT);
    let ended = sweep.end().expect(INTERRUPTED).saying(&["stopping after a checkpoint", "the same command goes on"]);
    assert!(lab.workers().is_empty() && lab.stored().is_empty(), "{ended:?}");
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let lab = long();
    let sweep = lab.start_sweep("");
    wait_for_checkpoint(&lab);
    // A worker that does not react must not hold the end up.
    lab.workers().into_iter().for_each(|worker| kill(worker, SIGSTOP));
    sweep.signal(SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    assert!(asked.elapsed() < Duration::from_secs(10));
    lab.wait_for_no_workers();
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
}

// ---- failures ----

/// TINY and, first in line, one trial that takes longer.
fn with_a_slow_trial() -> Lab {
    Lab::new(
        &TINY
            .replace("seeds: [0, 1]", "seeds: [0]")
            .replace("blocks:", "blocks:\n  - {id: slow, axes: {epochs: [30]}}"),
    )
}

/// The work folder of the trial with 30 epochs.
fn slow_trial(lab: &Lab) -> String {
    let mut id = String::new();
    wait_until("the slow trial has begun", || {
        let work = lab.result("work");
        let is_slow = |name: &String| {
            let config = fs::read_to_string(work.join(name).join("config.json")).unwrap_or_default();
            config.contains("\"epochs\": 30")
        };
        let found = work.exists().then(|| names(&work).into_iter().find(is_slow)).flatten();
        found.map(|name| id = name).is_some()
    });
    id
}

/// Kills the worker of the slow trial as soon as its `attempt` has begun.
fn kill_attempt(lab: &Lab, id: &str, attempt: usize) {
    let log = lab.result("work").join(id).join("log.txt");
    let begun = || fs::read_to_string(&log).unwrap_or_default().contains(&format!("attempt {attempt},"));
    wait_until("the attempt has begun", begun);
    let workers = lab.workers();
    assert_eq!(workers.len(), 1);
    kill(workers[0], SIGKILL);
}

#[test]
fn a_dead_worker_costs_one_attempt() {
    let lab = with_a_slow_trial();
    let sweep = lab.start_sweep("--jobs 1");
    let id = slow_trial(&lab);
    kill_attempt(&lab, &id, 1);
    sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: its worker died: signal: 9"]);
    let attempts = lab.column("attempts");
    assert!(attempts.len() == 4 && attempts.iter().all(|(trial, count)| count == if *trial == id { "2" } else { "1" }));
}

#[test]
fn three_deaths_fail_the_trial_and_no_other_until_it_is_run_again() {
    let lab = with_a_slow_trial();
    let sweep = lab.start_sweep("--jobs 1");
    let id = slow_trial(&lab);
    (1..=3).for_each(|attempt| kill_attempt(&lab, &id, attempt));
    let log = format!("results/tiny/trials/{id}/log.txt");
    let ended =
        sweep.end().expect(FAILED).saying(&["failed after 3 attempts: its worker died: signal: 9", "failed trials:"]);
    assert_eq!(ended.err.matches(&log).count(), 2, "when it happens and at the end:\n{}", ended.err);
    assert!(lab.path(&log).exists());
    let status = lab.column("status");
    assert!(
        status.len() == 4
            && status.iter().all(|(trial, status)| status == if *trial == id { "failed" } else { "done" })
    );
    assert!(lab.column("error")[&id].contains("signal: 9"));

    // Nothing runs, but nobody is told that all is well.
    lab.sweep("").expect(FAILED).saying(&["4 of 4 trials are stored already", "--rerun failed", &log]);
    lab.sweep("--rerun failed").expect(DONE).saying(&["3 of 4 trials are stored already"]);
    assert!(lab.column("status").values().all(|status| status == "done"));
}

#[test]
fn overdue_trials_are_killed_even_while_others_are_heard() {
    let lab = Lab::new(&one("epochs: 10000").replace("seeds: [0]", "seeds: [0, 1, 2, 3, 4, 5]"));
    let ended = lab.sweep("--jobs 5 --timeout 1s --max-failures 1").expect(FAILED);
    let ended = ended.saying(&["took longer than 1 s", "the most failures allowed are reached"]);
    assert!(lab.stored().len() < 6, "{}", ended.err);
    assert!(lab.column("status").values().all(|status| status == "failed"));
    assert!(lab.workers().is_empty());
}

#[test]
fn a_hanging_worker_costs_one_attempt() {
    let lab = long();
    let sweep = lab.start_sweep("--timeout 60s");
    wait_for_checkpoint(&lab);
    drop(sweep);
    lab.wait_for_no_workers();
    // From its checkpoint the rest takes a moment, unless somebody stops it.
    let sweep = lab.start_sweep("--timeout 5s");
    wait_until("a worker is there", || !lab.workers().is_empty());
    lab.workers().into_iter().for_each(|worker| kill(worker, SIGSTOP));
    sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: took longer than 5 s"]);
}

#[test]
fn a_diverging_trial_keeps_its_history_and_the_sweep_goes_on() {
    let stages = "schedule: [{name: staged, stages: [{epochs: 1, lr: 0.01}, {epochs: 1, lr: 1e30}]}]";
    let experiment = TINY.replace("lenet5", "lenet5\n  activation: relu").replace("[relu]", "[tanh]");
    let lab = Lab::new(&experiment.replace("init: [xavier_uniform]", stages));
    let ended = lab.sweep("--trace").expect(DONE).saying(&["diverged: epoch 2, step"]);
    assert!(ended.out.contains("4 done, 2 diverged, 0 failed"), "{}", ended.out);
    let diverged: Vec<_> = lab.table("trials.csv").into_iter().filter(|row| row["status"] == "diverged").collect();
    assert_eq!(diverged.len(), 2);
    for row in diverged {
        let trial = lab.result("trials").join(&row["id"]);
        assert_eq!(fs::read_to_string(trial.join("history.csv")).unwrap().lines().count(), 2, "one epoch is finished");
        let steps = fs::read_to_string(trial.join("steps.csv")).unwrap();
        assert!(steps.lines().last().unwrap().contains("NaN"), "the step that diverged is traced:\n{steps}");
    }
    let summary = lab.table("summary.csv");
    assert!(summary.iter().any(|row| row["block"] == "init" && row["diverged"] == "2" && row["n"] == "0"));
    // It is an outcome, not an accident: nothing runs again unless asked.
    lab.sweep("").expect(DONE).saying(&["6 of 6 trials are stored already"]);
}

// ---- bad input and bad places ----

#[test]
fn bad_input_exits_2_before_anything_is_made() {
    let refused = |experiment: &str, options: &str, words: &[&str]| {
        let lab = Lab::new(experiment);
        lab.sweep(options).expect(BAD_INPUT).saying(words);
        assert!(!lab.path("results").exists(), "{options}: something was made");
    };
    refused(&TINY.replace("epochs:", "epoch:"), "", &["tiny.yaml:8:3", "epochs"]);
    refused(&TINY.replace("lr: 0.01", "lr: .nan"), "", &["tiny.yaml:10:30"]);
    refused(TINY, "--dataset cifar10", &["runner data fetch", "--data", "--dataset synthetic"]);
    refused(TINY, "--only nonsense", &["--only nonsense", "init, activation"]);
    refused(TINY, "--set epoch=1", &["--set epoch=1", "epochs"]);
    refused(TINY, "--device tpu", &["tpu", "auto, cpu, cuda"]);
    refused(TINY, "--timeout never", &["90s, 30m or 2h"]);
    if !tch::Cuda::is_available() {
        refused(TINY, "--device cuda", &["cuda: libtorch sees no GPU here", "cpu"]);
    }
    Lab::new(TINY).run("sweep missing.yaml").expect(BAD_INPUT).saying(&["missing.yaml"]);
    Lab::new(TINY).run("report .").expect(BAD_INPUT).saying(&["not a results folder"]);
}

#[test]
fn results_that_are_a_file_are_refused() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("taken"), "mine").unwrap();
    lab.sweep("--out taken").expect(BAD_INPUT).saying(&["taken"]);
    assert_eq!(fs::read(lab.path("taken")).unwrap(), b"mine");
}

/// Root may write anywhere, so it gives that right up first.
fn obey_permissions(command: &mut Command) {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    // SAFETY: prctl is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
            Ok(())
        });
    }
}

#[test]
fn a_read_only_results_folder_is_refused() {
    let lab = Lab::new(TINY);
    let folder = lab.path("locked");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = lab.command("sweep tiny.yaml --out locked");
    obey_permissions(&mut command);
    lab.start_command(command).end().expect(BAD_INPUT).saying(&["locked", "Permission denied"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    lab.sweep("--out locked").expect(DONE);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = lab.command("sweep tiny.yaml --out locked --rerun all");
    obey_permissions(&mut command);
    lab.start_command(command).end().expect(BAD_INPUT).saying(&["locked", "Permission denied"]);
    assert_eq!(names(&folder.join("trials")).len(), TINY_TRIALS);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn other_images_than_before_are_refused() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let manifest = lab.result("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hash = value["data"]["synthetic"]["sha256"].as_str().unwrap();
    fs::write(&manifest, text.replace(hash, &"0".repeat(64))).unwrap();
    let before = lab.bytes();
    lab.sweep("--rerun all").expect(BAD_INPUT).saying(&["other synthetic images", "--out", hash]);
    assert!(lab.bytes() == before);
}

#[test]
fn a_file_size_limit_is_named_and_survived() {
    let lab = Lab::new(&one("epochs: 2"));
    let mut command = lab.command("sweep tiny.yaml");
    let limit = libc::rlimit { rlim_cur: 300_000, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: setrlimit is safe between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            Ok(())
        });
    }
    let ended = lab.start_command(command).end().expect(FAILED);
    ended.saying(&["attempt 1 of 3 failed: cannot write", "last.safetensors: File too large"]);
    assert!(files(&lab.path("results")).iter().all(|path| !path.to_str().unwrap().contains("scratch")));
    lab.sweep("--rerun failed").expect(DONE);
    let undisturbed = Lab::new(&one("epochs: 2"));
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

/// In a file system of its own, where that is allowed.
#[test]
fn a_full_disk_is_named_and_survived() {
    let lab = Lab::new(&one("epochs: 2"));
    fs::create_dir(lab.path("results")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs results || exit 99
         head -c 7900000 /dev/zero > results/filler
         {0} sweep tiny.yaml; echo first $? >&2
         rm results/filler
         {0} sweep tiny.yaml --rerun failed; echo second $? >&2",
        env!("CARGO_BIN_EXE_runner")
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]).current_dir(lab.path(""));
    let ended = lab.start_command(command).end();
    if ended.code() != DONE && !ended.err.contains("first") {
        eprintln!("skipped: no file system can be mounted here (unshare --mount --map-root-user)");
        return;
    }
    let (first, second) = ended.err.split_once("first ").unwrap();
    assert!(first.contains("results/tiny/") && first.contains("No space left on device"), "{first}");
    assert!(!second.starts_with('0') && second.contains("second 0"), "{}", ended.err);
}

#[test]
fn results_that_vanish_end_the_sweep_with_their_name() {
    let lab = Lab::new(&one("epochs: 3000"));
    let sweep = lab.start_sweep("");
    wait_for_checkpoint(&lab);
    fs::rename(lab.path("results"), lab.path("moved")).unwrap();
    let ended = sweep.end().saying(&["results/tiny"]);
    assert!(ended.code() != DONE && !ended.err.contains("panicked"), "{}", ended.err);
    lab.wait_for_no_workers();
}

#[test]
fn stale_scratch_is_cleaned_and_its_links_are_not_followed() {
    let lab = Lab::new(TINY);
    fs::create_dir_all(lab.result("trials")).unwrap();
    let (victim, folder) = (lab.path("victim"), lab.path("folder"));
    fs::write(&victim, "mine").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("kept"), "mine").unwrap();
    for name in [".scratch-999999999-manifest.json", "trials/.scratch-999999999-0-0-abc"] {
        fs::write(lab.result(name), "half").unwrap();
    }
    symlink(&victim, lab.result(".scratch-999999999-plan.csv")).unwrap();
    symlink(&folder, lab.result("trials/.scratch-999999999-x")).unwrap();
    symlink(&victim, lab.result("trials.csv")).unwrap();
    lab.sweep("").expect(DONE);
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert!(folder.join("kept").exists());
    assert!(files(&lab.path("results")).iter().all(|path| !path.to_str().unwrap().contains("scratch")));
    assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
}

// ---- damaged checkpoints ----

fn truncate(checkpoint: &Path) {
    let bytes = fs::read(checkpoint).unwrap();
    fs::write(checkpoint, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip_a_bit_of_a_weight(checkpoint: &Path) {
    let mut bytes = fs::read(checkpoint).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(checkpoint, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_noticed_and_the_trial_starts_afresh() {
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    let empty = |checkpoint: &Path| fs::write(checkpoint, "").unwrap();
    for damage in [truncate, flip_a_bit_of_a_weight, empty] {
        let lab = long();
        let sweep = lab.start_sweep("");
        wait_for_checkpoint(&lab);
        sweep.signal(SIGINT);
        sweep.end().expect(INTERRUPTED);
        damage(&wait_for_checkpoint(&lab));
        lab.sweep("").expect(DONE).saying(&["the checkpoint is damaged", "the trial starts afresh"]);
        assert_same(&lab.essence(), &undisturbed.essence());
    }
}

#[test]
fn a_damaged_stored_trial_is_refused_with_its_file() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let result = lab.result("trials").join(&lab.stored()[0]).join("result.json");
    truncate(&result);
    lab.sweep("").expect(BAD_INPUT).saying(&["result.json", &lab.stored()[0]]);
    lab.run("report results/tiny").expect(BAD_INPUT).saying(&["result.json"]);
}

// ---- options ----

#[test]
fn a_plan_runs_nothing_and_counts_what_is_new() {
    let lab = Lab::new(TINY);
    let plan = lab.sweep("--plan").expect(DONE).out;
    assert!(plan.contains("6 trials, 6 new; results in results/tiny"), "{plan}");
    assert!(!lab.path("results").exists());
    lab.sweep("--only init").expect(DONE);
    assert_eq!((lab.table("trials.csv").len(), lab.table("plan.csv").len()), (4, TINY_TRIALS));
    assert!(lab.sweep("--plan").expect(DONE).out.contains("6 trials, 2 new"));
    let last =
        lab.sweep("--plan").expect(DONE).out.lines().find(|line| line.contains(" new ")).unwrap()[..12].to_owned();
    lab.sweep(&format!("--only {last}")).expect(DONE);
    assert_eq!(lab.table("trials.csv").len(), 5);
}

#[test]
fn set_changes_one_key_of_every_trial() {
    let lab = Lab::new(TINY);
    lab.sweep("--set epochs=1 --set optimizer.lr=0.5").expect(DONE);
    assert!(lab.column("epochs").values().all(|epochs| epochs == "1"));
    assert!(lab.column("optimizer.lr").values().all(|rate| rate == "0.5"));
}

#[test]
fn train_runs_the_base_alone_in_its_own_folder() {
    let lab = Lab::new(TINY);
    let ended = lab.run("train tiny.yaml --seed 7 --trace").expect(DONE);
    assert!(ended.out.contains("1 done, 0 diverged, 0 failed; results in results/tiny-train"), "{}", ended.out);
    let trials = names(&lab.path("results/tiny-train/trials"));
    assert_eq!(trials.len(), 1);
    let trial = lab.path("results/tiny-train/trials").join(&trials[0]);
    assert!(fs::read_to_string(trial.join("config.json")).unwrap().contains("\"seed\": 7"));
    let steps = fs::read_to_string(trial.join("steps.csv")).unwrap();
    assert_eq!(steps.lines().next(), Some("step,lr,loss,loss_hex"));
    for (place, row) in steps.lines().skip(1).enumerate() {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[0], (place + 1).to_string());
        assert_eq!(cells[2].parse::<f32>().unwrap().to_bits(), u32::from_str_radix(cells[3], 16).unwrap());
    }
    assert_eq!(steps.lines().count(), 1 + 2 * 4);
    assert!(!lab.path("results/tiny").exists());
}

// ---- surroundings ----

#[test]
fn surroundings_change_neither_results_nor_plain_output() {
    let lab = Lab::new(TINY);
    let clean = |ended: Ended| {
        assert!(!(ended.err + &ended.out).contains('\u{1b}'), "escape codes without a terminal");
    };
    clean(lab.sweep("").expect(DONE));
    for (locale, zone) in [("de_DE.UTF-8", "Asia/Kolkata"), ("tr_TR.UTF-8", "America/St_Johns")] {
        let other = Lab::new(TINY);
        let mut command = other.command("sweep tiny.yaml");
        command.env_remove("HOME").env_remove("PATH").envs([("LANG", locale), ("LC_ALL", locale), ("TZ", zone)]);
        clean(
            other
                .start_command({
                    command.env("TERM", "dumb");
                    command
                })
                .end()
                .expect(DONE),
        );
        assert_same(&other.essence(), &lab.essence());
    }
}

/// Runs `command` with its standard error on a terminal of 100 columns, and returns the exit code and what it drew there.
fn on_a_terminal(mut command: Command) -> (i32, String) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: openpty fills the two descriptors, which are owned from then on.
    let (mut ours, theirs) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none as _, &size), 0);
        (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs))
    };
    let mut child = command.env("TERM", "xterm").stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    drop(command);
    let mut drawn = vec![];
    // The end of a terminal is an error.
    let _ = ours.read_to_end(&mut drawn);
    (child.wait().unwrap().code().unwrap_or(-1), String::from_utf8_lossy(&drawn).into_owned())
}

#[test]
fn a_terminal_shows_a_line_a_worker_and_the_time_left() {
    let lab = long();
    let (code, drawn) = on_a_terminal(lab.command("sweep tiny.yaml"));
    assert_eq!(code, DONE, "{drawn}");
    for words in ["epoch ", "/25", "images/s", "0/1 trials", "% of the work", " left", "test accuracy"] {
        assert!(drawn.contains(words), "{words:?} was never shown:\n{drawn}");
    }
    let (code, drawn) = on_a_terminal(lab.command("sweep tiny.yaml --rerun all --no-progress"));
    assert!(code == DONE && !drawn.contains('\u{1b}'), "{drawn}");
}

#[test]
fn closed_outputs_end_quietly_with_all_results() {
    let lab = Lab::new(TINY);
    let mut command = lab.command("sweep tiny.yaml");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
    assert!(lab.is_complete(TINY_TRIALS));
    assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
    let mut child =
        lab.command("sweep tiny.yaml --plan").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(DONE), ""));
}
