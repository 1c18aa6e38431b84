//! Rows 35 and 36: other users, and other programs that read and write at the same moment.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::storage::obey_permissions;
use super::strace;
use crate::common::clock::preload;
use crate::common::skip::skip;
use crate::common::{DONE, Ended, FAILED, Lab, TINY, TINY_TRIALS, files, names, wait_until, works};

const STRANGER: u32 = 12_345;
const OF_STRANGER: &str = "of user 12345: Permission denied";

/// Gives `path` and what is below it to another user, who lets others read it if `mode` does. False where only root could.
fn give_away(path: &Path, mode: u32) -> bool {
    // SAFETY: geteuid only asks.
    if unsafe { libc::geteuid() } != 0 {
        skip("only root can give files away");
        return false;
    }
    let below = if path.is_dir() { files(path) } else { vec![] };
    for path in below.iter().map(|path| path.as_path()).chain([path]) {
        let searched = if path.is_dir() { mode & 0o444 | (mode & 0o444) >> 2 | 0o300 } else { mode };
        fs::set_permissions(path, fs::Permissions::from_mode(searched)).unwrap();
        chown(path, Some(STRANGER), None).unwrap();
    }
    true
}

/// A run of the program by somebody who is not root.
fn start(lab: &Lab, arguments: &str) -> crate::common::Running {
    let mut command = lab.command(arguments);
    obey_permissions(&mut command);
    lab.start_command(command)
}

fn run(lab: &Lab, arguments: &str) -> Ended {
    start(lab, arguments).end()
}

/// The first trial's id, in whose folder in work/ another user has a lock.
fn begun_by_a_stranger(lab: &Lab, mode: u32) -> Option<String> {
    let plan = lab.sweep("--plan").expect(DONE).out;
    let id = plan.split_whitespace().next().unwrap().to_owned();
    let folder = lab.result("work").join(&id);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lock"), "").unwrap();
    give_away(&folder, mode).then_some(id)
}

#[test]
fn row_35_a_trial_that_another_user_began_is_left_and_named() {
    let lab = Lab::new(TINY);
    for mode in [0o600, 0o644] {
        let Some(id) = begun_by_a_stranger(&lab, mode) else { return };
        let ended = run(&lab, "sweep tiny.yaml").expect(FAILED).saying(&["not done:", &id, OF_STRANGER]);
        assert!(ended.out.contains("5 done, 0 diverged, 0 failed"), "{}", ended.out);
        assert!(!ended.err.contains("attempt"), "{}", ended.err);
        assert_eq!((lab.stored().len(), lab.table("trials.csv").len()), (TINY_TRIALS - 1, TINY_TRIALS - 1));
    }
    lab.sweep("").expect(DONE);
}

#[test]
fn row_35_a_trial_that_another_user_runs_is_waited_for() {
    let lab = Lab::new(TINY);
    let Some(id) = begun_by_a_stranger(&lab, 0o644) else { return };
    let held = File::open(lab.result("work").join(&id).join("lock")).unwrap();
    held.lock().unwrap();
    let mut sweep = start(&lab, "sweep tiny.yaml");
    wait_until("the sweep waits", || sweep.said().contains("waiting for those"));
    wait_until("the others are done", || lab.result("trials").exists() && lab.stored().len() == TINY_TRIALS - 1);
    assert!(sweep.is_running());
    drop(held);
    sweep.end().expect(FAILED).saying(&[&id, OF_STRANGER]);
}

#[test]
fn row_35_tables_that_another_user_makes_are_named_after_all_trials() {
    let lab = Lab::new(TINY);
    fs::create_dir_all(lab.result("work")).unwrap();
    let lock = lab.result("work/publish.lock");
    fs::write(&lock, "").unwrap();
    if !give_away(&lock, 0o644) {
        return;
    }
    let words = ["not done:", "the tables and plots: ", "cannot lock results/tiny/work/publish.lock", OF_STRANGER];
    let ended = run(&lab, "sweep tiny.yaml").expect(FAILED).saying(&words);
    assert!(ended.out.contains("6 done, 0 diverged, 0 failed"), "{}", ended.out);
    assert!(!ended.err.contains("the sweep stopped"), "{}", ended.err);
    assert_eq!(lab.stored().len(), TINY_TRIALS);
    fs::remove_file(lock).unwrap();
    run(&lab, "report results/tiny").expect(DONE);
    assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
}

#[test]
fn row_35_a_stored_trial_of_another_user_is_kept_whole() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let id = lab.stored()[0].clone();
    let folder = lab.result("trials").join(&id);
    for (mode, words) in [(0o644, "cannot remove"), (0o600, "cannot read")] {
        if !give_away(&folder, mode) {
            return;
        }
        let before = files(&folder);
        run(&lab, "sweep tiny.yaml --rerun all").expect(FAILED).saying(&["not done:", words, &id, OF_STRANGER]);
        assert_eq!(files(&folder), before);
        assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
        let others = lab.starts().into_iter().filter(|&starts| starts == 1);
        assert_eq!(others.count(), TINY_TRIALS);
    }
    // As long as it cannot be read, it is there and counts as failed.
    run(&lab, "sweep tiny.yaml").expect(FAILED).saying(&["cannot read", &id, OF_STRANGER]);
    let status = lab.column("status");
    assert!(status.iter().all(|(trial, status)| status == if *trial == id { "failed" } else { "done" }));
    lab.sweep("").expect(DONE);
}

/// Where a trial's history was, a pipe: who reads it waits until the test has done something.
fn at_its_history(lab: &Lab, arguments: &str, meanwhile: impl FnOnce()) -> Ended {
    let history = lab.result("trials").join(&lab.stored()[0]).join("history.csv");
    fs::remove_file(&history).unwrap();
    assert!(works(&format!("mkfifo {}", history.display())));
    let reader = lab.start(arguments);
    let mut pipe = None;
    wait_until("the trial is read", || {
        pipe = fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&history).ok();
        pipe.is_some()
    });
    meanwhile();
    pipe.unwrap().write_all(b"half").unwrap();
    reader.end()
}

#[test]
fn row_36_a_trial_that_is_moved_away_while_it_is_read_is_not_stored() {
    for arguments in ["show results/tiny", "report results/tiny", "sweep tiny.yaml"] {
        let lab = Lab::new(TINY);
        lab.sweep("").expect(DONE);
        let id = lab.stored()[0].clone();
        let ended = at_its_history(&lab, arguments, || {
            fs::rename(lab.result("trials").join(&id), lab.path("moved")).unwrap();
        });
        let ended = ended.expect(DONE);
        match arguments {
            "sweep tiny.yaml" => assert_eq!(lab.stored().len(), TINY_TRIALS),
            "report results/tiny" => assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS - 1),
            _ => assert!(ended.err.contains("5 done, 1 waiting"), "{}", ended.err),
        }
    }
}

#[test]
fn row_36_a_trial_that_is_replaced_while_it_is_read_is_whole() {
    for arguments in ["show results/tiny", "report results/tiny", "sweep tiny.yaml"] {
        let lab = Lab::new(TINY);
        lab.sweep("").expect(DONE);
        let tables = fs::read(lab.result("trials.csv")).unwrap();
        let id = lab.stored()[0].clone();
        let (trial, whole) = (lab.result("trials").join(&id), lab.path("whole"));
        assert!(works(&format!("cp -r {} {}", trial.display(), whole.display())));
        let ended = at_its_history(&lab, arguments, || {
            fs::rename(&trial, lab.path("moved")).unwrap();
            fs::rename(&whole, &trial).unwrap();
        });
        ended.expect(DONE);
        assert_eq!(fs::read(lab.result("trials.csv")).unwrap(), tables);
    }
}

/// A process number says nothing: the writer may be in another container, or on another machine.
#[test]
fn row_36_scratch_that_is_locked_is_left_alone() {
    let lab = Lab::new(TINY);
    for folder in ["trials/.scratch-999999999-0-0-x", "work", "plots"] {
        fs::create_dir_all(lab.result(folder)).unwrap();
    }
    let ours =
        ["trials/.scratch-999999999-0-0-x/lock", ".scratch-1-0-0-trials.csv", "plots/.scratch-999999999-0-0-a.png"];
    let held = ours.map(|name| File::create(lab.result(name)).unwrap());
    held.iter().for_each(|file| file.lock().unwrap());
    lab.sweep("").expect(DONE);
    assert_eq!(lab.scratch().len(), ours.len(), "{:?}", lab.scratch());
    drop(held);
    lab.sweep("").expect(DONE);
    assert!(lab.scratch().is_empty() && names(&lab.result("trials")).len() == TINY_TRIALS, "{:?}", lab.scratch());
}

/// The second sweep starts, with numbers of its own, while the first writes its manifest.
#[test]
fn row_36_sweeps_of_two_containers_share_a_folder() {
    if !strace::is_there() {
        return;
    }
    if !works("unshare --map-root-user --pid --fork true") {
        return skip("no process numbers of one's own here (unshare --pid)");
    }
    let lab = Lab::new(TINY);
    let slow = strace::with_fault(&lab, "fsync", "delay_enter=5000000:when=1", "sweep tiny.yaml --jobs 1");
    let first = lab.start_command(slow);
    wait_until("the first writes", || lab.path("results").exists() && !lab.scratch().is_empty());
    let mut second = Command::new("unshare");
    second.args(["--map-root-user", "--pid", "--fork"]).arg(crate::common::program());
    second.args(["sweep", "tiny.yaml", "--jobs", "1"]);
    lab.start_command(lab.settle(second)).end().expect(DONE);
    first.end().expect(DONE);
    assert_eq!(lab.starts(), [1; TINY_TRIALS]);
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
}

/// NFS keeps a removed file while it is open, and with it its folder.
#[test]
fn row_33_a_folder_is_removed_though_its_lock_was_held() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let id = lab.stored()[0].clone();
    let left = lab.result("work").join(&id);
    assert!(works(&format!("cp -r {} {}", lab.result("trials").join(&id).display(), left.display())));
    fs::remove_file(left.join("result.json")).unwrap();
    let mut command = lab.command("prune results/tiny --yes");
    command.env("KEEP_OPEN", "1");
    if preload(&lab, &mut command, "program/faults/disk.c") {
        lab.start_command(command).end().expect(DONE);
        assert_eq!(names(&lab.result("work")), ["publish.lock"]);
    }
}

/// What another machine replaces on NFS is gone for who was reading it.
#[test]
fn row_33_a_file_that_is_replaced_while_it_is_read_is_read_again() {
    if !strace::is_there() {
        return;
    }
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let result = lab.result("trials").join(&lab.stored()[0]).join("result.json");
    let traced = strace::with_fault(&lab, "read", "error=ESTALE:when=1", "show results/tiny");
    let mut command = Command::new("strace");
    command.arg("-P").arg(&result).args(traced.get_args());
    let ended = lab.start_command(lab.settle(command)).end().expect(DONE);
    assert!(strace::calls(&lab).contains("ESTALE") && ended.err.contains("6 done"), "{}", ended.err);
}
