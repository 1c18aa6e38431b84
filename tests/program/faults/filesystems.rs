//! Row 32: file systems that lack what others have.

use std::fs;
use std::process::Command;

use libc::{EINVAL, EIO, ENOLCK, ENOSYS, EOPNOTSUPP, SIGINT, SIGKILL};

use super::strace;
use crate::common::clock::preload;
use crate::common::skip::skip;
use crate::common::{
    BAD_INPUT, DONE, Ended, FAILED, INTERRUPTED, Lab, TINY, TINY_TRIALS, assert_same, kill, long, names, one, program,
    works,
};

/// Runs the program where `fault` of `disk.c` is an error. None where no compiler is.
fn with_error(lab: &Lab, fault: &str, error: i32, arguments: &str) -> Option<Ended> {
    let mut command = lab.command(arguments);
    command.env(fault, error.to_string());
    preload(lab, &mut command, "program/faults/disk.c").then(|| lab.start_command(command).end())
}

#[test]
fn row_32_a_file_system_that_cannot_fsync_folders_is_named_once() {
    let undisturbed = Lab::new(TINY);
    undisturbed.sweep("").expect(DONE);
    let words = "this file system cannot fsync a folder, so a crash of the machine may lose the last files";
    for error in [EINVAL, EOPNOTSUPP, ENOSYS] {
        let lab = Lab::new(TINY);
        let Some(ended) = with_error(&lab, "FSYNC_FOLDER", error, "sweep tiny.yaml") else { return };
        let ended = ended.expect(DONE);
        assert_eq!(ended.err.matches(words).count(), 1, "{}", ended.err);
        assert!(!ended.err.contains("failed"), "{}", ended.err);
        assert_same(&lab.essence(), &undisturbed.essence());
        let doctor = with_error(&lab, "FSYNC_FOLDER", error, "doctor").unwrap().expect(DONE);
        assert!(doctor.out.contains("can be written") && doctor.out.contains(words), "{}", doctor.out);
    }
    assert!(!undisturbed.run("doctor").expect(DONE).out.contains(words));
    let lab = Lab::new(TINY);
    let words = ["cannot fsync results/tiny", "Input/output error"];
    with_error(&lab, "FSYNC_FOLDER", EIO, "sweep tiny.yaml").unwrap().expect(BAD_INPUT).saying(&words);
}

#[test]
fn row_32_a_file_system_that_cannot_lock_is_refused_before_anything_runs() {
    for error in [ENOSYS, ENOLCK, EOPNOTSUPP] {
        let lab = Lab::new(TINY);
        let Some(ended) = with_error(&lab, "FLOCK", error, "sweep tiny.yaml") else { return };
        ended.expect(BAD_INPUT).saying(&["results/tiny: this file system cannot lock files", "--out"]);
        assert!(!lab.result("manifest.json").exists() && lab.scratch().is_empty());
        let doctor = with_error(&lab, "FLOCK", error, "doctor").unwrap().expect(DONE);
        assert!(doctor.out.contains("results: this file system cannot lock files"), "{}", doctor.out);
        lab.sweep("").expect(DONE);
        // Nobody else downloads.
        let fetch = with_error(&lab, "FLOCK", error, "data fetch --data fetched").unwrap().expect(BAD_INPUT);
        fetch.saying(&["cifar-10-binary.tar.gz.part: cannot be locked ("]);
    }
}

/// Runs a shell script, in which $0 is the program, where `results` is an overlay over what was there, as in a container whose
/// image has results. False where none can be mounted.
fn over_a_layer(lab: &Lab, script: &str) -> Option<Ended> {
    let script = format!(
        r#"
        mkdir -p layers kept && mount -t tmpfs tmpfs layers || exit 77
        mkdir layers/lower layers/upper layers/work && cp -r results/. layers/lower
        mount -t overlay -o lowerdir=layers/lower,upperdir=layers/upper,workdir=layers/work,userxattr overlay results ||
            exit 77
        set -e
        {script}
        cp -r results/. kept"#
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]).arg(program());
    let ended = works("unshare --mount --map-root-user true").then(|| lab.start_command(lab.settle(command)).end());
    let ended = ended.filter(|ended| ended.code() != 77);
    if ended.is_none() {
        skip("no overlay can be mounted here (unshare --mount --map-root-user)");
        return None;
    }
    fs::remove_dir_all(lab.path("results")).unwrap();
    fs::rename(lab.path("kept"), lab.path("results")).unwrap();
    ended
}

/// Nothing is left of folders that had to be copied.
#[track_caller]
fn assert_clean(lab: &Lab) {
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    assert_eq!(names(&lab.result("work")), ["publish.lock"]);
}

#[test]
fn row_32_trials_of_an_image_layer_run_again() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.essence();
    let Some(ended) = over_a_layer(&lab, r#""$0" sweep tiny.yaml --rerun all"#) else { return };
    ended.expect(DONE);
    assert_same(&lab.essence(), &before);
    assert_eq!(lab.starts(), [1; TINY_TRIALS]);
    assert_clean(&lab);
}

/// A long trial that was stopped at a checkpoint.
fn stopped() -> Lab {
    let lab = long();
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    lab
}

#[test]
fn row_32_a_trial_stopped_in_an_image_layer_goes_on() {
    let lab = stopped();
    let Some(ended) = over_a_layer(&lab, r#""$0" sweep tiny.yaml"#) else { return };
    ended.expect(DONE).saying(&["goes on after epoch"]);
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
    assert_clean(&lab);
}

#[test]
fn row_32_a_trial_failed_in_an_image_layer_goes_on() {
    let lab = Lab::new(&one("epochs: 200"));
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    let id = names(&lab.result("work")).into_iter().find(|name| name != "publish.lock").unwrap();
    for attempt in 1..=3 {
        lab.wait_for_attempt(&id, attempt);
        lab.workers().into_iter().for_each(|worker| kill(worker, SIGKILL));
    }
    sweep.end().expect(FAILED);
    let Some(ended) = over_a_layer(&lab, r#""$0" sweep tiny.yaml --rerun failed"#) else { return };
    ended.expect(DONE).saying(&["goes on after epoch"]);
    assert_eq!(lab.column("epochs_run")[&id], "200");
    assert_clean(&lab);
}

/// The trial is copied, renamed and removed from the layer; wherever that ends, it is there once and whole.
#[test]
fn row_32_a_sweep_over_an_image_layer_is_killed_anywhere() {
    if !strace::is_there() {
        return;
    }
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    let mut killed = 0;
    for (call, moments) in [("/^unlink", [1, 2, 7]), ("fchmod,copy_file_range,sendfile", [1, 2, 5])] {
        for moment in moments {
            let lab = stopped();
            let script = format!(
                r#"strace -f -qq -o calls -e trace={call} -e inject={call}:signal=KILL:when={moment} "$0" sweep tiny.yaml --jobs 1 ||
                    echo killed >&2
                "$0" sweep tiny.yaml --rerun failed"#
            );
            let Some(ended) = over_a_layer(&lab, &script) else { return };
            let ended = ended.expect(DONE);
            killed += usize::from(ended.err.contains("killed") || ended.err.contains("its worker died: signal: 9"));
            assert_same(&lab.essence(), &undisturbed.essence());
            assert_clean(&lab);
        }
    }
    assert!(killed > 3, "only {killed} were killed");
}
