//! `runner show --follow`, with a queue that a script in the place of `squeue` tells of.

use std::fs;
use std::io::Read;
use std::process::Command;

use libc::SIGINT;
use serde_json::Value;

use crate::common::clock::preload;
use crate::common::terminal::terminal;
use crate::common::{DONE, FAILED, Lab, TINY, kill, wait_until, write_script};

/// Of the job in its last argument there is a file; asks are counted.
const SQUEUE: &str = r#"#!/bin/sh
echo >> asked
for job; do :; done
cat "queue.$job" 2> /dev/null || { echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; }
"#;

/// Of six trials `done` are done, four or none; job 7 runs the others, and job 8 is to make the tables.
fn launched(done: usize) -> Lab {
    let lab = Lab::new(TINY);
    lab.sweep(if done > 0 { "--only init" } else { "--launch /bin/true" }).expect(DONE);
    let plan = lab.sweep("--plan").expect(DONE).out;
    let new: Vec<&str> =
        plan.lines().filter(|line| line.contains(" new ")).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(new.len(), 6 - done, "{plan}");
    fs::create_dir_all(lab.result("slurm")).unwrap();
    let submitted = serde_json::json!({"job": "7", "last": "8", "trials": new});
    fs::write(lab.result("slurm/submitted.json"), submitted.to_string()).unwrap();
    write_script(&lab.path("bin/squeue"), SQUEUE);
    lab
}

/// The queue has tasks of the job in these states, or does not know it.
fn queue(lab: &Lab, job: u32, states: &[&str]) {
    let file = lab.path(&format!("queue.{job}"));
    if states.is_empty() {
        let _ = fs::remove_file(file);
        return;
    }
    // Whole or not there.
    fs::write(lab.path("queue.new"), states.join("\n") + "\n").unwrap();
    fs::rename(lab.path("queue.new"), file).unwrap();
}

/// None where sleeping cannot be shortened.
fn follow(lab: &Lab, options: &str) -> Option<Command> {
    let mut command = lab.command(&format!("show results/tiny --follow {options}"));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", lab.path("bin").display()));
    preload(lab, &mut command, "common/hurry.c").then_some(command)
}

#[test]
fn lines_say_what_changes_until_no_trial_is_left_and_no_job() {
    let lab = launched(4);
    queue(&lab, 7, &["PENDING", "PENDING"]);
    queue(&lab, 8, &["PENDING"]);
    let Some(command) = follow(&lab, "") else { return };
    let follower = lab.start_command(command);
    let wait_for = |words: &str| wait_until(words, || follower.printed().contains(words));
    wait_for("6 trials: 4 done, 2 waiting · job 7, tasks: 2 pending\n");
    queue(&lab, 7, &["RUNNING", "PENDING"]);
    wait_for(" · job 7, tasks: 1 pending, 1 running");
    lab.sweep("--only activation --jobs 1").expect(DONE);
    wait_for("6 trials: 6 done · job 7, tasks: 1 pending, 1 running\n");
    queue(&lab, 7, &[]);
    wait_for("6 trials: 6 done · job 7, no tasks left but the last job\n");
    queue(&lab, 8, &[]);
    let out = follower.end().expect(DONE).out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.last(), Some(&"6 done, 0 diverged, 0 failed; results in results/tiny"));
    let what = |line: &&str| line.split_once(' ').unwrap().1.split(" · about").next().unwrap().to_owned();
    let said: Vec<String> = lines.iter().map(what).collect();
    assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "{out}");
    assert!(lines[..lines.len() - 1].iter().all(|line| line.as_bytes()[19] == b'Z'), "{out}");
    // Unasked-for lines would be found, and so would asking without pause.
    let asked = fs::read_to_string(lab.path("asked")).unwrap().len();
    assert!(asked < 200, "squeue was asked {asked} times");
}

#[test]
fn it_ends_as_the_sweep_would_have() {
    let lab = launched(4);
    let Some(command) = follow(&lab, "") else { return };
    // Nobody runs the other two, and no queue has them.
    let ended = lab.start_command(command).end().expect(FAILED);
    ended.saying(&["not done:", "2 trials, which nobody runs now; the same sweep goes on"]);
    let as_json = || lab.start_command(follow(&lab, "--json").unwrap()).end();
    let line: Value = serde_json::from_str(as_json().expect(FAILED).out.trim()).unwrap();
    assert_eq!((&line["done"], &line["waiting"], &line["seconds_left"]), (&4.into(), &2.into(), &Value::Null));
    assert_eq!(line["launch"], serde_json::json!({"job": "7", "tasks": {}, "is_at_last_job": false}));
    assert_eq!(line["time"].as_str().unwrap().len(), 20);
    lab.sweep("").expect(DONE);
    assert!(as_json().expect(DONE).out.contains("\"done\":6"));
    let result = lab.result(&format!("trials/{}/result.json", lab.stored()[0]));
    let text = fs::read_to_string(&result).unwrap();
    fs::write(&result, text.replace("\"status\": \"done\"", "\"status\": \"failed\"")).unwrap();
    let ended = lab.start_command(follow(&lab, "").unwrap()).end().expect(FAILED).saying(&["failed trials:"]);
    assert!(ended.out.ends_with("5 done, 0 diverged, 1 failed; results in results/tiny\n"), "{ended:?}");
    assert_eq!(as_json().code(), FAILED);
}

#[test]
fn a_queue_that_does_not_answer_ends_nothing_and_neither_does_the_end_of_following_it() {
    let lab = launched(0);
    fs::write(lab.path("bin/squeue"), "#!/bin/sh\nexit 1\n").unwrap();
    let Some(command) = follow(&lab, "") else { return };
    let mut follower = lab.start_command(command);
    wait_until("it says so", || follower.printed().contains("6 waiting · job 7, of which squeue says nothing\n"));
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert!(follower.is_running(), "two looks later");
    let before = lab.bytes();
    follower.signal(SIGINT);
    assert_eq!(follower.end().code(), -SIGINT);
    assert_eq!(lab.bytes(), before);
}

#[test]
fn a_terminal_shows_the_last_look_alone() {
    let lab = launched(0);
    queue(&lab, 7, &["RUNNING"]);
    let Some(mut command) = follow(&lab, "") else { return };
    let (mut ours, theirs) = terminal(30);
    let mut child = command.env("TERM", "xterm").stdout(theirs).spawn().unwrap();
    drop(command);
    let (mut drawn, mut part) = (String::new(), [0; 4096]);
    while let Ok(count @ 1..) = ours.read(&mut part) {
        drawn += &String::from_utf8_lossy(&part[..count]);
        if drawn.matches("job 7, tasks: 1 running").count() == 3 {
            kill(child.id() as i32, SIGINT);
        }
    }
    assert!(!child.wait().unwrap().success());
    // Cut off at 30 columns, and drawn over by going up two lines.
    assert!(drawn.contains("Z 6 trials…") && drawn.contains("\u{1b}[2A"), "{drawn:?}");
}
