//! Row 23: signals and outputs that nobody reads.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use libc::{SIGINT, SIGSTOP, SIGTERM};

use crate::common::{DONE, INTERRUPTED, Lab, TINY, TINY_TRIALS, assert_same, kill, long, program};

#[test]
fn row_23_one_signal_stops_after_checkpoints_and_a_rerun_completes() {
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    for signal in [SIGINT, SIGTERM] {
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
