//! Every fault and bad input that this program survives, each with a test named after its row here, through the program as a
//! user runs it.
//!
//! `RUNNER_STORM_KILLS=200 cargo test --release --test program storm` kills so often instead of a dozen times. A test that needs
//! strace, a C compiler or the right to mount is skipped where that is not to be had.

mod checkpoints;
mod cluster;
mod data;
mod filesystems;
mod images;
mod input;
mod kills;
mod others;
mod ownership;
mod processes;
mod signals;
mod storage;
mod strace;
mod surroundings;
mod trials;
mod workers;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// By the numbers of their rows.
const ROWS: [(usize, &str); 38] = [
    (1, "SIGKILL at a random moment: the sweep, a worker or both, many times"),
    (2, "a kill at the k-th rename, fsync or write"),
    (3, "fsync or rename fails"),
    (4, "a full disk, a limit on the size of files"),
    (5, "a results folder that is read-only, a file, gone, or full of links"),
    (6, "scratch files of programs that were killed"),
    (7, "several sweeps on one folder"),
    (8, "a clock that jumps"),
    (9, "torn and damaged text files"),
    (10, "a checkpoint that is truncated or has a flipped bit"),
    (11, "a checkpoint of another model or format, with other shapes or with weights that are not finite"),
    (12, "a pickle where a checkpoint is expected"),
    (13, "a hostile safetensors header"),
    (14, "data files of a wrong size, with labels that are no class, or swapped"),
    (15, "data that changed since the folder's other trials"),
    (16, "a download cut short"),
    (17, "an archive with paths, links or a bomb in it"),
    (18, "an experiment file that is a bomb, deep, huge or no text"),
    (19, "keys and numbers that are wrong"),
    (20, "names, axes and sizes that are out of bounds"),
    (21, "a loss that is NaN or infinite"),
    (22, "a worker that dies, panics, hangs, falls silent or has no memory left"),
    (23, "SIGINT, SIGTERM, a closed terminal, and outputs that nobody reads"),
    (24, "an experiment that was edited between runs"),
    (25, "NaN and infinity in stored numbers"),
    (26, "pictures that are none, or of odd sizes and kinds"),
    (27, "a GPU that is asked for and not there"),
    (28, "locale, time zone, home, and terminals of any kind"),
    (29, "ten thousand trials"),
    (30, "random bytes in every file"),
    (31, "a folder with files of the user's own"),
    (32, "file systems that cannot rename folders (overlays), sync them (CIFS, FUSE) or lock files"),
    (
        33,
        "two machines on NFS (cluster/): locks that are lost, names that are remembered, files that are gone while read",
    ),
    (34, "a program file that is replaced; limits of threads, processes and open files"),
    (35, "another user's files and locks in the folder"),
    (36, "a trial that is read while it is moved; scratch files of another container or machine"),
    (37, "pictures: every kind of TIFF, and JPEGs with bytes behind their end"),
    (38, "every option at the ends of its range"),
];

#[test]
fn every_row_has_a_test() {
    let tests = crate::common::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let mut tested = BTreeSet::new();
    for path in tests.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let names = text.split("#[test]\nfn row_").skip(1);
        tested.extend(names.map(|name| name.split('_').next().unwrap().parse::<usize>().unwrap()));
    }
    assert_eq!(tested, ROWS.map(|(row, _)| row).into());
}
