//! Row 23: signals, terminals that are closed, and outputs that nobody reads.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use libc::{SIGHUP, SIGINT, SIGSTOP, SIGTERM};

use crate::common::terminal::terminal;
use crate::common::{
    DONE, INTERRUPTED, Lab, TINY, TINY_TRIALS, assert_same, kill, long, names, one, program, wait_until,
};

#[test]
fn row_23_one_signal_stops_after_checkpoints_and_a_rerun_completes() {
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let lab = long();
        let sweep = lab.start_sweep("");
        lab.wait_for_checkpoint();
        sweep.signal(signal);
        let ended =
            sweep.end().expect(INTERRUPTED).saying(&["stopping after a checkpoint", "the same command goes on"]);
        assert!(lab.workers().is_empty() && lab.stored().is_empty(), "{ended:?}");
        lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
        assert_same(&lab.essence(), &undisturbed.essence());
    }
}

#[test]
fn row_23_a_second_signal_stops_at_once() {
    let lab = long();
    let mut sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    // A worker that does not react must not hold the end up.
    lab.workers().into_iter().for_each(|worker| kill(worker, SIGSTOP));
    sweep.signal(SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(sweep.is_running(), "the first signal waits for the worker");
    sweep.signal(SIGTERM);
    sweep.end().expect(INTERRUPTED);
    lab.wait_for_no_workers();
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
}

/// A shell that loses its terminal passes the signal on, and the terminal sends it as well, to the workers too.
#[test]
fn row_23_a_closed_terminal_stops_after_a_checkpoint_however_often_it_is_said() {
    let lab = long();
    let mut command = lab.command("sweep tiny.yaml");
    command.process_group(0);
    let sweep = lab.start_command(command);
    lab.wait_for_checkpoint();
    (0..5).for_each(|_| sweep.signal_group(SIGHUP));
    let ended = sweep.end().expect(INTERRUPTED).saying(&["stopping after a checkpoint", "the same command goes on"]);
    assert!(!ended.err.contains("attempt 1 of 3 failed") && !ended.err.contains("at once;"), "{}", ended.err);
    assert!(lab.workers().is_empty());
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
}

#[test]
fn row_23_a_terminal_that_is_really_closed_leaves_a_checkpoint() {
    let lab = long();
    let (ours, theirs) = terminal(100);
    let mut command = lab.command("sweep tiny.yaml");
    command.env("TERM", "xterm").stdin(theirs.try_clone().unwrap());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let own_the_terminal = || match unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 } {
        true => Ok(()),
        false => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: both calls are safe between fork and exec.
    unsafe { command.pre_exec(own_the_terminal) };
    let mut child = command.spawn().unwrap();
    drop(command);
    lab.wait_for_checkpoint();
    drop(ours);
    wait_until("the sweep ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED));
    lab.wait_for_no_workers();
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
}

#[test]
fn row_23_under_nohup_a_closed_terminal_changes_nothing() {
    let lab = long();
    let mut command = Command::new("nohup");
    command.arg(program()).args(["sweep", "tiny.yaml"]).process_group(0);
    let sweep = lab.start_command(lab.settle(command));
    lab.wait_for_checkpoint();
    (0..3).for_each(|_| sweep.signal_group(SIGHUP));
    let ended = sweep.end().expect(DONE);
    assert!(!ended.err.contains("stopping") && !ended.err.contains("attempt 1 of 3"), "{}", ended.err);
    assert!(lab.is_complete(1));
}

/// One trial of few steps and one epoch, whose scoring takes a while.
fn slowly_scored() -> Lab {
    let experiment = one("epochs: 1").replace("model: lenet5", "model: keras_cnn").replace("train: 256", "train: 2048");
    Lab::new(&experiment)
}

/// Waits until a log under `work/` has `words`.
fn wait_for_log(lab: &Lab, words: &str) {
    wait_until("the log says so", || {
        let work = lab.result("work");
        let log = |name: String| fs::read_to_string(work.join(name).join("log.txt")).unwrap_or_default();
        work.exists() && names(&work).into_iter().any(|name| log(name).contains(words))
    });
}

#[test]
fn row_23_a_signal_while_the_last_trial_is_scored_leaves_nothing_to_go_on_with() {
    let lab = slowly_scored();
    let sweep = lab.start_sweep("");
    wait_for_log(&lab, "epoch 1: ");
    sweep.signal(SIGINT);
    let ended = sweep.end().expect(DONE).saying(&["or its end", "test accuracy"]);
    assert!(!ended.err.contains("interrupted"), "{}", ended.err);
    assert_eq!(lab.table("trials.csv").len(), 1);
    let again = lab.sweep("").expect(DONE).saying(&["1 of 1 trials are stored already"]);
    assert!(again.out.contains("1 done"));
}

#[test]
fn row_23_what_goes_on_in_the_middle_of_its_first_epoch_says_so() {
    let lab = slowly_scored();
    let sweep = lab.start_sweep("");
    wait_for_log(&lab, "attempt 1,");
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED).saying(&["the same command goes on from here"]);
    assert!(lab.result("work").exists() && lab.stored().is_empty());
    lab.sweep("").expect(DONE).saying(&["goes on in the middle of epoch 1"]);
}

#[test]
fn row_23_what_is_trained_already_is_only_scored() {
    let lab = slowly_scored();
    let mut command = lab.command("sweep tiny.yaml");
    command.process_group(0);
    let sweep = lab.start_command(command);
    wait_for_log(&lab, "epoch 1: ");
    sweep.signal_group(libc::SIGKILL);
    sweep.end();
    lab.wait_for_no_workers();
    lab.sweep("").expect(DONE).saying(&["all its epochs are trained; its scores are what is left"]);
}

#[test]
fn row_23_a_signal_while_another_sweep_runs_the_trials_has_no_checkpoint_to_wait_for() {
    let lab = long();
    let first = lab.start_sweep("");
    lab.wait_for_checkpoint();
    lab.workers().into_iter().for_each(|worker| kill(worker, SIGSTOP));
    let second = lab.start_sweep("");
    wait_until("it waits", || second.said().contains("another sweep on this folder"));
    second.signal(SIGINT);
    let ended = second.end().expect(INTERRUPTED).saying(&["interrupted; the same command goes on from here"]);
    assert!(!ended.err.contains("checkpoint"), "{}", ended.err);
    drop(first);
}

#[test]
fn row_23_closed_outputs_end_quietly_with_all_results() {
    let lab = Lab::new(TINY);
    let mut command = lab.command("sweep tiny.yaml");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
    assert!(lab.is_complete(TINY_TRIALS));
    assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
    let trial = format!("results/tiny/trials/{}", lab.stored()[0]);
    for arguments in ["sweep tiny.yaml --plan", "report results/tiny", "models", "doctor", &format!("evaluate {trial}")]
    {
        let mut child = lab.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(DONE), ""), "{arguments}");
    }
}

#[test]
fn row_23_outputs_that_were_never_open_or_are_full_lose_nothing() {
    for outputs in [">&- 2>&-", "> /dev/full 2> /dev/full"] {
        let lab = Lab::new(TINY);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" sweep tiny.yaml {outputs}")]).arg(program());
        lab.start_command(lab.settle(command)).end().expect(DONE);
        assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
    }
}
