//! Row 33: two machines that sweep one folder on NFS 4.2. `nfs-machine` is what runs in their kernel.

use std::fs::{self, File};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use super::twelve;
use crate::common::clock::preload;
use crate::common::skip::leave_out;
use crate::common::{DONE, Lab, assert_same, files, names, program, works};

/// So that a trial takes a second there, and both machines have some.
const EPOCHS: usize = 6;

/// How often each test sweeps.
fn runs() -> u32 {
    std::env::var("RUNNER_NFS_RUNS").map_or(1, |text| text.parse().expect("RUNNER_NFS_RUNS is a number"))
}

/// So long may the machine take. A run takes some 25 seconds where nothing else is at work.
fn machine_limit() -> Duration {
    Duration::from_secs(400) * runs()
}

/// Runs the machine with `parameters`, after which the lab has the exports in `results`. False where there can be none.
fn boot(lab: &Lab, parameters: &[String]) -> bool {
    let missing =
        ["linux.uml --version", "exportfs -s", "mount.nfs4 -V", "ip -V", "mke2fs -V"].map(|tool| !works(tool));
    if missing.contains(&true) {
        leave_out("no User Mode Linux with NFS (apt-get install user-mode-linux kmod nfs-kernel-server nfs-common)");
        return false;
    }
    // Two of these machines at once would take each other's time.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    File::create(lab.path("disk")).unwrap().set_len(1 << 29).unwrap();
    let mut command = Command::new("timeout");
    command.args([
        "--kill-after=5",
        &machine_limit().as_secs().to_string(),
        "linux.uml",
        "mem=3G",
        "ro",
        "rootfstype=hostfs",
        "rootflags=/",
    ]);
    command.args(["quiet", "con=null", "con0=null,fd:1"]).arg(format!("ubd0={}", lab.path("disk").display()));
    command.arg(format!("init={}/tests/program/faults/cluster/nfs-machine", env!("CARGO_MANIFEST_DIR")));
    command.arg(format!("LAB={}", lab.path("").display())).arg(format!("PROGRAM={}", program().to_str().unwrap()));
    let mut command = lab.settle(command);
    command.args(parameters);
    if !preload(lab, &mut command, "program/faults/cluster/registers.c") {
        return false;
    }
    let ended = lab.start_command(command).end_within(machine_limit());
    if !lab.path("started").exists() {
        leave_out("User Mode Linux does not start here");
        return false;
    }
    println!("{}", ended.out);
    assert!(lab.path("ended").exists(), "the machine did not come to its end:\n{}", said(lab));
    fs::remove_file(lab.path("disk")).unwrap();
    true
}

/// By the sweeps, in all files that there are.
fn said(lab: &Lab) -> String {
    let named = |name: &String| name.ends_with(".err");
    names(&lab.path("")).into_iter().filter(named).map(|name| name.clone() + ":\n" + &read(lab, name)).collect()
}

fn read(lab: &Lab, name: String) -> String {
    fs::read_to_string(lab.path(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Each run's results are those of one undisturbed sweep, and nothing else is there; `starts` says how often a trial may be begun.
fn assert_shared(lab: &Lab, starts: impl Fn(usize) -> bool) {
    let undisturbed = Lab::new(&twelve(EPOCHS));
    undisturbed.sweep("").expect(DONE);
    // The processor is another one by name alone.
    let mut expected = undisturbed.essence();
    expected.values_mut().for_each(|text| *text = text.replace(&runner::host::processor(), "UML"));
    for run in 1..=runs() {
        let said = [1, 2].map(|client| read(lab, format!("{client}.{run}.err")));
        for client in [1, 2] {
            assert_eq!(read(lab, format!("{client}.{run}.code")), "0\n", "run {run}:\n{}\n{}", said[0], said[1]);
        }
        let shared = said.iter().all(|said| said.contains("test accuracy"));
        assert!(shared, "one did it all:\n{}\n{}", said[0], said[1]);
        fs::rename(lab.path(&format!("results/{run}")), lab.result("")).unwrap();
        assert_same(&lab.essence(), &expected);
        assert_eq!(names(&lab.result("work")), ["publish.lock"]);
        let mut left = files(&lab.result(""));
        left.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'));
        assert!(left.is_empty() && lab.scratch().is_empty(), "{left:?} {:?}", lab.scratch());
        assert!(lab.starts().into_iter().all(&starts), "{:?}", lab.starts());
        fs::remove_dir_all(lab.result("")).unwrap();
    }
}

#[test]
fn row_33_two_machines_on_nfs_share_the_trials() {
    let lab = Lab::new(&twelve(EPOCHS));
    if boot(&lab, &[format!("RUNS={}", runs())]) {
        assert_shared(&lab, |starts| starts == 1);
        let doctor = read(&lab, "doctor".into());
        assert!(doctor.contains("nfs4, locks are shared between machines; folders can be fsynced"), "{doctor}");
    }
}

/// The server gives the locks of the one that is gone to the other, which takes over the trial under way.
#[test]
fn row_33_a_machine_that_loses_its_network_comes_back() {
    let lab = Lab::new(&twelve(EPOCHS));
    if boot(&lab, &[format!("RUNS={}", runs()), "CUT=15".to_owned()]) {
        assert_shared(&lab, |starts| (1..=3).contains(&starts));
    }
}
