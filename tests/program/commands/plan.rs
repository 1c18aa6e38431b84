//! What `sweep` says before and while it runs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;

use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::common::terminal::terminal;
use crate::common::{BAD_INPUT, DONE, INTERRUPTED, Lab, TINY, long};

/// Changes how a stored trial has ended.
fn end_otherwise(lab: &Lab, id: &str, status: &str) {
    let path = lab.result(&format!("trials/{id}/result.json"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"status\": \"done\"", &format!("\"status\": \"{status}\""))).unwrap();
}

#[test]
fn a_plan_tells_what_failed_and_what_would_run_again() {
    let lab = Lab::new(TINY);
    lab.sweep("--only init").expect(DONE);
    let ids = lab.stored();
    end_otherwise(&lab, &ids[0], "failed");
    end_otherwise(&lab, &ids[1], "diverged");
    let states = |options: &str| {
        let plan = lab.sweep(&format!("--plan {options}")).expect(DONE).out;
        let state =
            |id: &String| plan.lines().find(|line| line.starts_with(id.as_str())).unwrap().split_whitespace().nth(3);
        (
            state(&ids[0]).unwrap().to_owned(),
            state(&ids[1]).unwrap().to_owned(),
            plan.lines().last().unwrap().to_owned(),
        )
    };
    let (failed, diverged, last) = states("");
    assert_eq!((failed.as_str(), diverged.as_str()), ("failed", "diverged"));
    assert_eq!(last, "6 trials, 2 to run, 1 failed (--rerun failed runs them again); results in results/tiny");
    let (failed, diverged, last) = states("--rerun failed");
    assert_eq!((failed.as_str(), diverged.as_str()), ("again", "again"));
    assert_eq!(last, "6 trials, 4 to run; results in results/tiny");
}

#[test]
fn a_plan_refuses_what_the_sweep_would_refuse() {
    let lab = Lab::new(TINY);
    for options in ["--device gpu", "--device cuda:99", "--device cpu --mode fast-tf32"] {
        let [plan, sweep] = ["--plan", ""].map(|plan| lab.sweep(&format!("{plan} {options}")).expect(BAD_INPUT).err);
        assert_eq!(plan, sweep, "{options}");
    }
}

#[test]
fn plain_lines_say_when() {
    let lab = Lab::new(TINY);
    let said = lab.sweep("--only init").expect(DONE).err;
    assert!(said.lines().count() >= 4, "{said}");
    for line in said.lines() {
        let time: String = line.chars().take(21).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(time, "0000-00-00T00:00:00Z ", "{line}");
    }
}

/// A terminal shows `^C` in a line of its own, after which the bars would be drawn one line lower.
#[test]
fn ctrl_c_leaves_no_bar_behind_and_the_terminal_as_it_was() {
    let lab = long();
    let (mut ours, theirs) = terminal(80);
    let shows_control = |terminal: &File| tcgetattr(terminal).unwrap().local_flags.contains(LocalFlags::ECHOCTL);
    assert!(shows_control(&ours));
    let mut command = lab.command("sweep tiny.yaml");
    let [input, errors] = [theirs.try_clone().unwrap(), theirs];
    command.stdin(input).stdout(File::create(lab.path("said")).unwrap()).stderr(errors).env("TERM", "xterm");
    // SAFETY: both are safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            assert!(libc::setsid() > 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    // Its copies of the program's end keep the terminal open.
    drop(command);
    let mut text = vec![];
    let (mut part, mut is_stopped) = ([0; 4096], false);
    while let Ok(count @ 1..) = ours.read(&mut part) {
        text.extend(&part[..count]);
        if !is_stopped && has_checkpoint(&lab) {
            is_stopped = true;
            assert!(!shows_control(&ours), "while there are bars");
            ours.write_all(b"\x03").unwrap();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED), "{}", String::from_utf8_lossy(&text));
    assert!(!String::from_utf8_lossy(&text).contains("^C"));
    assert!(shows_control(&ours));
}

fn has_checkpoint(lab: &Lab) -> bool {
    let trials = fs::read_dir(lab.result("work")).into_iter().flatten().flatten();
    trials.map(|trial| trial.path().join("last.safetensors")).any(|path| path.exists())
}
