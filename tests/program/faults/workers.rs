//! Row 22: a worker's end costs one attempt of its trial, three fail the trial, and no other trial notices.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use libc::{SIGABRT, SIGILL, SIGINT, SIGKILL, SIGSTOP, SIGTERM};

use crate::common::clock::{Steady, change_clocks};
use crate::common::{DONE, FAILED, INTERRUPTED, Lab, TINY, assert_same, kill, limit, long, names, one, wait_until};

/// TINY with one seed and, first in line, one trial that takes longer: four trials.
fn with_a_slow_trial() -> Lab {
    Lab::new(
        &TINY
            .replace("seeds: [0, 1]", "seeds: [0]")
            .replace("blocks:", "blocks:\n  - {id: slow, axes: {epochs: [30]}}"),
    )
}

/// The id of the trial with 30 epochs, once it runs.
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

/// Sends a signal to the worker of the slow trial as soon as its `attempt` has begun.
fn strike(lab: &Lab, id: &str, attempt: usize, signal: i32) {
    lab.wait_for_attempt(id, attempt);
    let workers = lab.workers();
    assert_eq!(workers.len(), 1);
    kill(workers[0], signal);
}

/// The log that a worker writes to, which names its trial.
fn log_of(worker: i32) -> PathBuf {
    fs::read_link(format!("/proc/{worker}/fd/2")).unwrap_or_default()
}

#[test]
fn row_22_a_dead_worker_costs_one_attempt() {
    let lab = with_a_slow_trial();
    let sweep = lab.start_sweep("--jobs 1");
    let id = slow_trial(&lab);
    strike(&lab, &id, 1, SIGKILL);
    sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: its worker died: signal: 9"]);
    let attempts = lab.column("attempts");
    assert!(attempts.len() == 4 && attempts.iter().all(|(trial, count)| count == if *trial == id { "2" } else { "1" }));
}

#[test]
fn row_22_three_deaths_fail_the_trial_and_no_other_until_it_is_run_again() {
    let lab = with_a_slow_trial();
    let sweep = lab.start_sweep("--jobs 1");
    let id = slow_trial(&lab);
    [SIGKILL, SIGABRT, SIGILL].into_iter().zip(1..).for_each(|(signal, attempt)| strike(&lab, &id, attempt, signal));
    let log = format!("results/tiny/trials/{id}/log.txt");
    let ended = sweep.end().expect(FAILED).saying(&[
        "attempt 1 of 3 failed: its worker died: signal: 9",
        "attempt 2 of 3 failed: its worker died: signal: 6",
        "failed after 3 attempts: its worker died: signal: 4",
    ]);
    let (meanwhile, table) = ended.err.split_once("failed trials:").expect("a table at the end");
    for part in [meanwhile, table] {
        assert!(part.contains("epochs=30, seed 0") && part.contains("signal: 4") && part.contains(&log), "{part}");
    }
    assert!(lab.path(&log).exists());
    let status = lab.column("status");
    assert!(
        status.len() == 4
            && status.iter().all(|(trial, status)| status == if *trial == id { "failed" } else { "done" })
    );
    assert!(lab.column("error")[&id].contains("signal: 4"));

    // Nothing runs, but nobody is told that all is well.
    lab.sweep("").expect(FAILED).saying(&["4 of 4 trials are stored already", "--rerun failed", &log]);
    lab.sweep("--rerun failed").expect(DONE).saying(&["3 of 4 trials are stored already"]);
    assert!(lab.column("status").values().all(|status| status == "done"));
}

#[test]
fn row_22_the_log_of_a_trial_that_never_began_says_why() {
    let lab = Lab::new(&one("epochs: 1"));
    let sweep = lab.start_sweep("");
    let mut killed = BTreeSet::new();
    wait_until("three workers were killed as soon as they were there", || {
        lab.workers().into_iter().filter(|&worker| killed.insert(worker)).for_each(|worker| kill(worker, SIGKILL));
        killed.len() >= 3
    });
    let ended = sweep.end().expect(FAILED).saying(&["failed after 3 attempts: its worker died: signal: 9"]);
    let id = &lab.stored()[0];
    let log = format!("results/tiny/trials/{id}/log.txt");
    for words in [format!("(log: {log})"), format!("log: {log}\n")] {
        assert!(ended.err.contains(&words), "{words}: {}", ended.err);
    }
    let said = fs::read_to_string(lab.path(&log)).unwrap();
    assert!(said.contains("failed after 3 attempts: its worker died: signal: 9"), "{said}");
}

#[test]
fn row_22_a_trial_that_another_sweep_has_taken_meanwhile_is_left_to_it() {
    let lab = Lab::new(&one("epochs: 1"));
    let sweep = lab.start_sweep("");
    let mut killed = BTreeSet::new();
    wait_until("two workers were killed", || {
        lab.workers().into_iter().filter(|&worker| killed.insert(worker)).for_each(|worker| kill(worker, SIGKILL));
        killed.len() >= 2
    });
    wait_until("a third one is there", || lab.workers().iter().any(|worker| !killed.contains(worker)));
    let third = lab.workers().into_iter().find(|worker| !killed.contains(worker)).unwrap();
    kill(third, SIGSTOP);
    // As a worker on another machine would.
    let id = lab.run("sweep tiny.yaml --plan").out.split_whitespace().next().unwrap().to_owned();
    let folder = lab.result("work").join(id);
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    kill(third, SIGKILL);
    wait_until("the trial is left alone", || sweep.said().contains("another sweep on this folder"));
    drop(lock);
    let ended = sweep.end().expect(DONE);
    assert!(!ended.err.contains("failed after"), "{}", ended.err);
}

#[test]
fn row_22_a_worker_told_to_stop_by_somebody_else_costs_one_attempt() {
    let lab = long();
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    kill(lab.workers()[0], SIGTERM);
    let words = ["attempt 1 of 3 failed: its worker was told to stop by a signal", "goes on after epoch"];
    let ended = sweep.end().expect(DONE).saying(&words);
    assert!(ended.out.contains("1 done, 0 diverged, 0 failed"), "{}", ended.out);
}

#[test]
fn row_22_overdue_trials_are_killed_even_while_others_are_heard() {
    let lab = Lab::new(&one("epochs: 10000").replace("seeds: [0]", "seeds: [0, 1, 2, 3, 4, 5]"));
    let ended = lab.sweep("--jobs 5 --timeout 1s --max-failures 1").expect(FAILED);
    let ended = ended.saying(&["took longer than 1 s", "the most failures allowed are reached"]);
    assert!(lab.stored().len() < 6, "{}", ended.err);
    assert!(lab.column("status").values().all(|status| status == "failed"));
    assert!(lab.workers().is_empty());
}

#[test]
fn row_22_a_hanging_worker_is_killed_at_its_timeout() {
    let lab = long();
    let sweep = lab.start_sweep("--timeout 60s");
    lab.wait_for_checkpoint();
    drop(sweep);
    lab.wait_for_no_workers();
    // From its checkpoint the rest takes a moment, unless somebody stops it.
    let sweep = lab.start_sweep("--timeout 5s");
    wait_until("a worker is there", || !lab.workers().is_empty());
    lab.workers().into_iter().for_each(|worker| kill(worker, SIGSTOP));
    sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: took longer than 5 s"]);
}

/// The sweep's clock runs a thousand times as fast, for its patience is half an hour.
#[test]
fn row_22_a_silent_worker_is_killed_without_any_timeout() {
    let lab = Lab::new(&one("epochs: 10000").replace("seeds: [0]", "seeds: [0, 1]"));
    let mut command = lab.command("sweep tiny.yaml --jobs 2");
    if !change_clocks(&lab, &mut command, Steady::TimesAsFast(1000)) {
        return;
    }
    let sweep = lab.start_command(command);
    let both_at_work = || {
        let workers = lab.workers();
        workers.len() == 2 && workers.iter().all(|&worker| log_of(worker).with_file_name("last.safetensors").exists())
    };
    wait_until("both trials have a checkpoint", both_at_work);
    let stopped = lab.workers()[0];
    let id = log_of(stopped).parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    kill(stopped, SIGSTOP);
    wait_until("the silence is noticed", || sweep.said().contains("its worker said nothing for 30 min"));
    sweep.signal(SIGINT);
    let ended = sweep.end().expect(INTERRUPTED).saying(&["attempt 1 of 3 failed: its worker said nothing for 30 min"]);
    let blamed = ended.err.lines().filter(|line| line.contains("said nothing"));
    blamed.for_each(|line| assert!(line.contains(&id), "the worker that spoke was killed: {line}"));
}

#[test]
fn row_22_an_idle_worker_that_hangs_does_not_hold_up_the_end() {
    let lab = with_a_slow_trial();
    let sweep = lab.start_sweep("--jobs 2");
    let slow = slow_trial(&lab);
    wait_until("the others are done", || sweep.said().matches("test accuracy").count() == 3);
    assert!(!lab.stored().contains(&slow));
    let idle: Vec<i32> =
        lab.workers().into_iter().filter(|&worker| !log_of(worker).to_str().unwrap().contains(&slow)).collect();
    assert_eq!(idle.len(), 1);
    kill(idle[0], SIGSTOP);
    sweep.end().expect(DONE);
    lab.wait_for_no_workers();
}

/// The most address space that a worker of an ordinary trial takes.
fn ordinary_bytes() -> u64 {
    let lab = long();
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    let status = fs::read_to_string(format!("/proc/{}/status", lab.workers()[0])).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    drop(sweep);
    peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn row_22_a_trial_without_memory_fails_alone_and_unchanged() {
    // Three kernels of 604 MB each.
    let fat = "{name: leaky_cnn, channels: [4096, 4096, 4096, 4096]}";
    let blocks =
        format!("blocks:\n  - {{id: fat, axes: {{model: [{fat}]}}}}\n  - {{id: init, axes: {{init: [keras]}}}}\n");
    let lab = Lab::new(&(one("epochs: 2, activation: relu") + &blocks));
    let mut command = lab.command("sweep tiny.yaml --jobs 1");
    limit(&mut command, libc::RLIMIT_AS, ordinary_bytes() + (500 << 20));
    let ended = lab.start_command(command).end().expect(FAILED);
    let ended =
        ended.saying(&["attempt 1 of 3 failed", "attempt 2 of 3 failed", "failed after 3 attempts", "allocate"]);
    assert!(ended.out.contains("2 done, 0 diverged, 1 failed"), "{}", ended.out);
    let failed: Vec<_> = lab.table("trials.csv").into_iter().filter(|row| row["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0]["model.channels"].as_str(), failed[0]["batch_size"].as_str()),
        ("[4096, 4096, 4096, 4096]", "64")
    );
    assert!(failed[0]["error"].contains("allocate"), "{}", failed[0]["error"]);
    let log = fs::read_to_string(lab.result("trials").join(&failed[0]["id"]).join("log.txt")).unwrap();
    assert!(log.contains("panicked") && log.matches("attempt ").count() == 3, "{log}");

    // The others are what they are with all the memory in the world.
    let roomy = Lab::new(&(one("epochs: 2, activation: relu") + "blocks:\n  - {id: init, axes: {init: [keras]}}\n"));
    roomy.sweep("").expect(DONE);
    let of_trials = |lab: &Lab| {
        let mut essence = lab.essence();
        essence.retain(|name, _| name.starts_with("trials/") && !name.contains(&failed[0]["id"]));
        essence
    };
    assert_same(&of_trials(&lab), &of_trials(&roomy));
}
