//! A launcher of the user's own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use libc::SIGUSR1;

use super::twelve;
use crate::common::{BAD_INPUT, DONE, Lab, assert_same, wait_until, write_script};

/// Runs all tasks at once, and then the last job; prints as what they are known.
const SUBMIT: &str = r#"#!/bin/sh
cd /
( for task in $(seq "$RUNNER_TASKS"); do eval "$RUNNER_TASK" & done; wait; eval "$RUNNER_LAST" ) > "$RUNNER_RESULTS/$RUNNER_NAME.log" 2>&1
echo here-1
"#;

#[test]
fn a_program_of_the_users_own_runs_the_tasks_and_the_last_job() {
    let lab = Lab::new(&twelve(1));
    write_script(&lab.path("sub mit"), SUBMIT);
    let launch = |options: &[&str]| {
        let mut command = lab.command("sweep tiny.yaml --jobs 1 --launch");
        command.args(options);
        lab.start_command(command).end()
    };
    launch(&["./sub mit", "--tasks", "2"]).expect(DONE).saying(&["2 tasks for 12 trials submitted as job here-1"]);
    let log = fs::read_to_string(lab.result("tiny.log")).unwrap();
    assert!(log.contains("12 done, 0 diverged, 0 failed"), "{log}");
    assert_eq!(lab.starts(), [1; 12]);
    let undisturbed = Lab::new(&twelve(1));
    undisturbed.sweep("").expect(DONE);
    let mut essence = lab.essence();
    essence.retain(|name, _| !name.starts_with("slurm/") && name != "tiny.log");
    assert_same(&essence, &undisturbed.essence());
    // What is wrong is said before anything is submitted.
    launch(&["nowhere"]).expect(BAD_INPUT).saying(&["--launch nowhere: neither local nor slurm"]);
    launch(&["slurm", "--slurm", "array=0-3"]).expect(BAD_INPUT).saying(&["--slurm: array is not for you to set"]);
    launch(&["local", "--tasks", "2"]).expect(BAD_INPUT).saying(&["--tasks and --slurm are for --launch slurm"]);
    launch(&["slurm", "--set", "epochs=0"]).expect(BAD_INPUT);
}

#[test]
fn a_folder_whose_name_is_no_text_is_refused() {
    let lab = Lab::new(&twelve(1));
    let mut command = lab.command("sweep tiny.yaml --launch /bin/true --out");
    command.arg(OsStr::from_bytes(b"not\xffutf8"));
    lab.start_command(command)
        .end()
        .expect(BAD_INPUT)
        .saying(&["the path is no text, so nothing can be launched there"]);
}

/// A program that says that it runs, but does not listen to signals yet.
const DEAF: &str = "#!/bin/sh\n: > started\nexec sleep 60\n";

/// Notes what it is asked for, and refuses.
const SCONTROL: &str = "#!/bin/sh\necho \"$*\" >> asked\nexit 1\n";

#[test]
fn a_task_out_of_time_is_sent_back_even_if_its_program_was_only_starting() {
    let lab = Lab::new(&twelve(1));
    write_script(&lab.path("deaf"), DEAF);
    write_script(&lab.path("scontrol"), SCONTROL);
    let mut task = lab.settle(Command::new("bash"));
    task.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sweep/launch/task.sh")).arg("./deaf");
    task.env("PATH", format!("{}:{}", lab.path("").display(), std::env::var("PATH").unwrap()));
    task.envs([("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3")]);
    let running = lab.start_command(task);
    wait_until("the program runs", || lab.path("started").exists());
    running.signal(SIGUSR1);
    running.end().expect(143);
    assert_eq!(fs::read_to_string(lab.path("asked")).unwrap(), "requeue 7_3\n");
}
