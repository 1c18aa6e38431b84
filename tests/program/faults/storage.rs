//! Rows 3 to 6 and 9: file systems that refuse, vanish or hold what they should not.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::SIGINT;

use super::strace;
use crate::common::skip::skip;
use crate::common::{
    BAD_INPUT, DONE, FAILED, INTERRUPTED, Lab, TINY, TINY_TRIALS, assert_same, files, limit, long, names, one, program,
    works,
};

/// Runs a sweep with a fault, checks what it says, and then completes it without.
fn survives(call: &str, fault: &str, code: i32, words: &[&str]) {
    let lab = Lab::new(&one("epochs: 2"));
    let command = strace::with_fault(&lab, call, fault, "sweep tiny.yaml --jobs 1");
    lab.start_command(command).end().expect(code).saying(words);
    let calls = strace::calls(&lab);
    assert!(calls.contains("(INJECTED)"), "{calls}");
    let mut synced = HashMap::new();
    for line in calls.lines().filter(|line| line.contains("fsync(") && line.contains(".scratch-")) {
        *synced.entry(line.split(['<', '>']).nth(1).unwrap()).or_insert(0) += 1;
    }
    assert!(call != "fsync" || !synced.is_empty());
    assert!(synced.values().all(|&times| times == 1), "a file was fsynced twice:\n{calls}");
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    lab.sweep("--rerun failed").expect(DONE);
    let undisturbed = Lab::new(&one("epochs: 2"));
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

const IO_ERROR: &str = "Input/output error (os error 5)";

#[test]
fn row_03_fsync_fails() {
    if !strace::is_there() {
        return;
    }
    // The sweep's own first file, before anything runs.
    survives("fsync", "error=EIO:when=1", BAD_INPUT, &["cannot write results/tiny/manifest.json", IO_ERROR]);
    // The worker's second checkpoint, and then one of the tables: each thread counts for itself.
    let words = ["attempt 1 of 3 failed: cannot write results/tiny/work/", "/last.safetensors: ", IO_ERROR];
    survives("fsync", "error=EIO:when=9", FAILED, &words);
    // The folder after the checkpoint is in it.
    let words = ["attempt 1 of 3 failed: cannot fsync results/tiny/work/", IO_ERROR];
    survives("fsync", "error=EIO:when=10", FAILED, &words);
}

#[test]
fn row_03_rename_fails() {
    if !strace::is_there() {
        return;
    }
    survives("/^rename", "error=EIO:when=1", BAD_INPUT, &["cannot write results/tiny/manifest.json", IO_ERROR]);
    let words = ["attempt 1 of 3 failed: cannot write results/tiny/work/", "/last.safetensors: ", IO_ERROR];
    survives("/^rename", "error=EIO:when=3", FAILED, &words);
    // All renames of all attempts.
    survives("/^rename", "error=EIO:when=3+", FAILED, &["attempt 2 of 3 failed", "results/tiny/", IO_ERROR]);
}

#[test]
fn row_03_a_table_that_cannot_be_replaced_keeps_its_old_content() {
    if !strace::is_there() {
        return;
    }
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let table = lab.result("trials.csv");
    for call in ["fsync", "/^rename"] {
        fs::write(&table, "old").unwrap();
        let command = strace::with_fault(&lab, call, "error=EIO:when=1+", "report results/tiny");
        let words = ["cannot write results/tiny/trials.csv", IO_ERROR];
        lab.start_command(command).end().expect(BAD_INPUT).saying(&words);
        assert_eq!(fs::read(&table).unwrap(), b"old");
        assert!(lab.scratch().is_empty());
    }
    lab.run("report results/tiny").expect(DONE);
    assert_eq!(lab.table("trials.csv").len(), 1);
}

#[test]
fn row_04_a_file_size_limit_is_named_and_survived() {
    let lab = Lab::new(&one("epochs: 2"));
    let mut command = lab.command("sweep tiny.yaml");
    limit(&mut command, libc::RLIMIT_FSIZE, 300_000);
    let ended = lab.start_command(command).end().expect(FAILED);
    ended.saying(&["attempt 1 of 3 failed: cannot write", "last.safetensors: File too large"]);
    assert!(lab.scratch().is_empty());
    lab.sweep("--rerun failed").expect(DONE);
    let undisturbed = Lab::new(&one("epochs: 2"));
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

/// In a file system of its own, where that is allowed.
#[test]
fn row_04_a_full_disk_is_named_and_survived() {
    if !works("unshare --mount --map-root-user true") {
        return skip("no file system can be mounted here (unshare --mount --map-root-user)");
    }
    let lab = Lab::new(&one("epochs: 2"));
    fs::create_dir(lab.path("results")).unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=8m tmpfs results
        head -c 7900000 /dev/zero > results/filler
        "$0" sweep tiny.yaml && echo first 0 >&2 || echo first $? >&2
        rm results/filler
        "$0" sweep tiny.yaml --rerun failed
        cp -r results/tiny kept"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script]).arg(program());
    let ended = lab.start_command(lab.settle(command)).end().expect(DONE);
    let (first, second) = ended.err.split_once("first ").unwrap();
    assert!(first.contains("results/tiny/") && first.contains("No space left on device"), "{first}");
    assert!(!second.starts_with('0'), "{}", ended.err);
    fs::rename(lab.path("kept"), lab.path("results/tiny")).unwrap();
    let undisturbed = Lab::new(&one("epochs: 2"));
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

#[test]
fn row_05_results_that_are_a_file() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("taken"), "mine").unwrap();
    lab.sweep("--out taken").expect(BAD_INPUT).saying(&["taken"]);
    assert_eq!(fs::read(lab.path("taken")).unwrap(), b"mine");
}

/// Root may read and write anywhere, so it gives those rights up first.
pub fn obey_permissions(command: &mut Command) {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;
    // SAFETY: prctl is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
            Ok(())
        });
    }
}

#[test]
fn row_05_a_read_only_results_folder() {
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
fn row_05_results_that_vanish_end_the_sweep_with_their_name() {
    let lab = Lab::new(&one("epochs: 3000"));
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    fs::rename(lab.path("results"), lab.path("moved")).unwrap();
    let ended = sweep.end().expect(FAILED).saying(&["results/tiny"]);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    lab.wait_for_no_workers();
}

#[test]
fn row_05_links_are_not_followed() {
    let lab = Lab::new(TINY);
    lab.sweep("--only init").expect(DONE);
    let (victim, folder) = (lab.path("victim"), lab.path("folder"));
    fs::write(&victim, "mine").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("kept"), "mine").unwrap();
    symlink(&victim, lab.result(".scratch-999999999-plan.csv")).unwrap();
    symlink(&folder, lab.result("trials/.scratch-999999999-x")).unwrap();
    fs::remove_file(lab.result("trials.csv")).unwrap();
    symlink(&victim, lab.result("trials.csv")).unwrap();
    lab.sweep("").expect(DONE);
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert!(folder.join("kept").exists());
    assert!(lab.scratch().is_empty());
    assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
}

#[test]
fn row_06_stale_scratch_is_cleaned() {
    let lab = Lab::new(TINY);
    let plan = lab.sweep("--plan").expect(DONE).out;
    let trial = plan.split_whitespace().next().unwrap();
    for folder in ["trials/.scratch-999999999-0-0-abc", "work/.scratch-999999999-0-1-abc", &format!("work/{trial}")] {
        fs::create_dir_all(lab.result(folder)).unwrap();
        fs::write(lab.result(folder).join(".scratch-999999999-0-2-last.safetensors"), "half").unwrap();
    }
    for name in [".scratch-999999999-manifest.json", "trials/.scratch-999999999-0-3-x"] {
        fs::write(lab.result(name), "half").unwrap();
    }
    lab.sweep("").expect(DONE);
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    let clean = Lab::new(TINY);
    clean.sweep("").expect(DONE);
    assert_same(&lab.essence(), &clean.essence());
}

/// Stops a long trial at a checkpoint and returns its folder.
fn interrupted(lab: &Lab, options: &str) -> std::path::PathBuf {
    let sweep = lab.start_sweep(options);
    lab.wait_for_checkpoint();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    lab.wait_for_checkpoint().parent().unwrap().to_owned()
}

/// Nothing is read back from logs, so nothing can be wrong with them.
#[test]
fn row_09_a_damaged_log_does_not_matter() {
    let lab = long();
    let log = interrupted(&lab, "").join("log.txt");
    let text = fs::read(&log).unwrap();
    fs::write(&log, [&text[..text.len() / 3], b"\xff\xfe\0 half a li"].concat()).unwrap();
    lab.sweep("").expect(DONE).saying(&["goes on after epoch"]);
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

#[test]
fn row_09_a_damaged_trace_costs_a_fresh_start() {
    let undisturbed = long();
    undisturbed.sweep("--trace").expect(DONE);
    let torn = |text: &str| text[..text.len() / 2].to_owned();
    let without_a_row_in_the_middle = |text: &str| text.replacen("\n3,", "\n33,", 1);
    for damage in [torn as fn(&str) -> String, without_a_row_in_the_middle] {
        let lab = long();
        let steps = interrupted(&lab, "--trace").join("steps.csv");
        let text = fs::read_to_string(&steps).unwrap();
        fs::write(&steps, damage(&text)).unwrap();
        lab.sweep("--trace").expect(DONE).saying(&["steps.csv has no step", "the trial starts afresh"]);
        assert_same(&lab.essence(), &undisturbed.essence());
    }
}

#[test]
fn row_09_damaged_tables_of_a_stored_trial_are_refused_with_their_name() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let id = &lab.stored()[0];
    let trial = lab.result("trials").join(id);
    let way_on = format!("trials/{id}: damaged; `--rerun all --only {id}` runs the trial again");
    for name in ["history.csv", "result.json", "config.json"] {
        let path = trial.join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = whole.lines().collect();
        let torn = whole[..whole.len() / 2].to_owned();
        for damaged in [torn, rows[..rows.len() - 1].join("\n"), whole.replacen(':', "=", 1).replacen(',', ";", 1)] {
            fs::write(&path, damaged).unwrap();
            lab.sweep("").expect(BAD_INPUT).saying(&[&way_on, name]);
        }
        let rest = ["warning: ", &way_on, name, "1 of 6 trials cannot be read and count as failed"];
        lab.run("report results/tiny").expect(FAILED).saying(&rest);
        let status = lab.column("status");
        assert!(status.iter().all(|(trial, status)| status == if trial == id { "failed" } else { "done" }));
        let shown = lab.run("show results/tiny").expect(FAILED).saying(&rest).saying(&["5 done, 1 failed"]);
        assert_eq!(shown.out.lines().count(), 1 + TINY_TRIALS);
        fs::write(&path, whole).unwrap();
    }
    lab.sweep("").expect(DONE);
}

/// The rest is not touched, and neither is what was there.
#[test]
fn row_09_a_damaged_trial_runs_again_when_asked_to() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let whole = lab.essence();
    let id = &lab.stored()[0];
    let damaged = ["history.csv", "result.json", "config.json", "showcase.json"];
    for (name, which) in damaged.iter().zip([&format!("all --only {id}"), "failed", "failed", "failed"]) {
        let path = lab.result("trials").join(id).join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let plan = lab.sweep(&format!("--plan --rerun {which}")).expect(DONE).out;
        let of_trial = plan.lines().find(|line| line.starts_with(id)).unwrap();
        assert!(of_trial.contains(" again") && (*name == "history.csv" || plan.contains(" 1 to run")), "{plan}");
        lab.sweep(&format!("--rerun {which}")).expect(DONE).saying(&["warning: ", name, "damaged/"]);
        let (damaged, aside) = (lab.result("damaged"), lab.path("aside"));
        fs::rename(&damaged, &aside).unwrap();
        assert_same(&lab.essence(), &whole);
        fs::rename(&aside, &damaged).unwrap();
    }
    let kept = names(&lab.result("damaged"));
    assert_eq!(kept.len(), damaged.len());
    assert!(
        kept.iter()
            .all(|kept| kept.starts_with(id) && lab.result("damaged").join(kept).join("best.safetensors").exists())
    );
}

#[test]
fn row_09_a_damaged_trial_stops_no_sweep_of_others() {
    let lab = Lab::new(TINY);
    lab.sweep("--only activation").expect(DONE);
    let id = lab.table("trials.csv").into_iter().find(|row| row["blocks"] == "activation").unwrap()["id"].clone();
    fs::write(lab.result("trials").join(&id).join("result.json"), "{").unwrap();
    let ended = lab.sweep("--only init").expect(FAILED).saying(&["not done:", &id, "result.json"]);
    assert!(ended.out.contains("4 done, 0 diverged, 0 failed"), "{}", ended.out);
    assert_eq!(lab.column("status").into_values().filter(|status| status == "done").count(), 5);
}

/// What the program makes anew does not have to be whole.
#[test]
fn row_09_damaged_tables_of_the_report_are_made_anew() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.bytes();
    for path in files(&lab.path("results")).iter().filter(|path| path.extension().is_some_and(|kind| kind == "csv")) {
        if path.parent() == Some(&lab.path("results/tiny")) {
            fs::write(path, "trial,ep").unwrap();
        }
    }
    lab.sweep("").expect(DONE);
    let mut after = lab.bytes();
    // Somebody may have meant them, so they are kept beside the new ones.
    let kept: Vec<_> = after.extract_if(.., |path, _| path.extension().is_some_and(|kind| kind == "kept")).collect();
    assert!(kept.len() > 5 && kept.iter().all(|(_, bytes)| bytes == b"trial,ep"));
    assert!(after == before);
    let manifest = lab.result("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    lab.sweep("").expect(BAD_INPUT).saying(&["results/tiny/manifest.json: not a manifest"]);
}
