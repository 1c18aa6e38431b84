//! Every fault and bad input that this program survives, each with a test named after its row here, through the program as a
//! user runs it.
//!
//! `RUNNER_STORM_KILLS=200 cargo test --release --test faults storm` kills so often instead of a dozen times. A test that needs
//! strace, a C compiler or the right to mount is skipped where that is not to be had.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // tests/sweep.rs uses the rest.
#[path = "../common/mod.rs"]
mod common;

mod checkpoints;
mod data;
mod filesystems;
mod images;
mod input;
mod kills;
mod others;
mod signals;
mod storage;
mod strace;
mod surroundings;
mod trials;
mod workers;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Rows 1 to 36.
const ROWS: [&str; 36] = [
    "SIGKILL at a random moment: the sweep, a worker or both, many times",
    "a kill at the k-th rename, fsync or write",
    "fsync or rename fails",
    "a full disk, a limit on the size of files",
    "a results folder that is read-only, a file, gone, or full of links",
    "scratch files of programs that were killed",
    "several sweeps on one folder",
    "a clock that jumps",
    "torn and damaged text files",
    "a checkpoint that is truncated or has a flipped bit",
    "a checkpoint of another model or format, with other shapes or with weights that are not finite",
    "a pickle where a checkpoint is expected",
    "a hostile safetensors header",
    "data files of a wrong size, with labels that are no class, or swapped",
    "data that changed since the folder's other trials",
    "a download cut short",
    "an archive with paths, links or a bomb in it",
    "an experiment file that is a bomb, deep, huge or no text",
    "keys and numbers that are wrong",
    "names, axes and sizes that are out of bounds",
    "a loss that is NaN or infinite",
    "a worker that dies, panics, hangs, falls silent or has no memory left",
    "SIGINT, SIGTERM, and outputs that nobody reads",
    "an experiment that was edited between runs",
    "NaN and infinity in stored numbers",
    "pictures that are none, or of odd sizes and kinds",
    "a GPU that is asked for and not there",
    "locale, time zone, home, and terminals of any kind",
    "ten thousand trials",
    "random bytes in every file",
    "the folder holds files of the user's own (a report.md, plots)",
    "results on overlayfs (folder rename: EXDEV), CIFS or FUSE (folder fsync: EINVAL, ENOTSUP), no locks (ENOSYS, ENOLCK)",
    "NFS 4 with two machines",
    "the binary is replaced while a sweep runs; thread, process or descriptor limits",
    "another user's files and locks in the folder",
    "a trial is read while it is moved or replaced; scratch files of another container or machine",
];

#[test]
fn every_row_has_a_test() {
    let tests = common::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let mut tested = BTreeSet::new();
    for path in tests.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let names = text.split("#[test]\nfn row_").skip(1);
        tested.extend(names.map(|name| name.split('_').next().unwrap().parse::<usize>().unwrap()));
    }
    assert_eq!(tested, (1..=ROWS.len()).collect());
}
