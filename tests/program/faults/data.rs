//! Rows 14 to 17: CIFAR-10 files and archives that are not what they should be.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use libc::SIGKILL;
use runner::data::IMAGE_BYTES;
use runner::data::cifar::{BATCH_IMAGES, BATCH_NAMES, Layout};

use super::strace;
use crate::common::{BAD_INPUT, DONE, Ended, FAILED, Lab, assert_same, files, kill, limit, one};

const BATCH_BYTES: u64 = (BATCH_IMAGES * (1 + IMAGE_BYTES)) as u64;

/// An unpacked binary folder with the right counts and, but for the labels, little in it.
fn write_set(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut batch = vec![0; BATCH_BYTES as usize];
    for (number, image) in batch.chunks_exact_mut(1 + IMAGE_BYTES).enumerate() {
        image[0] = (number % 10) as u8;
        image[1..9].copy_from_slice(&number.to_le_bytes());
    }
    for number in 0..BATCH_NAMES.len() {
        fs::write(folder.join(Layout::Binary.file(number)), &batch).unwrap();
    }
}

fn set_byte(path: &Path, place: u64, byte: u8) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    file.write_all(&[byte]).unwrap();
}

fn resize(path: &Path, bytes: u64) {
    File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// One trial on few of the images.
fn on_cifar(changes: &str) -> String {
    one(changes).replace("synthetic", "cifar10")
}

#[test]
fn row_14_wrong_data_files_are_named_with_the_record() {
    let lab = Lab::new(&on_cifar("epochs: 1"));
    write_set(&lab.path("set"));
    let refused = |words: &[&str]| {
        lab.sweep("--data set").expect(BAD_INPUT).saying(words);
        lab.run("data verify --data set").expect(BAD_INPUT).saying(words);
        assert!(!lab.path("results").exists());
    };
    let third = lab.path("set/data_batch_3.bin");
    for bytes in [BATCH_BYTES - 1, BATCH_BYTES + 1] {
        resize(&third, bytes);
        refused(&["set/data_batch_3.bin", &format!("{bytes} bytes instead of {BATCH_BYTES}")]);
    }
    resize(&third, BATCH_BYTES);
    let of_record = |record: u64| record * (1 + IMAGE_BYTES as u64);
    set_byte(&third, of_record(412), 17);
    refused(&["set/data_batch_3.bin: record 412: label 17 is not in 0..=9"]);
    set_byte(&third, of_record(412), 3);
    refused(&["the training batches: 4999 images of class 2 (bird) instead of 5000"]);
    set_byte(&third, of_record(412), 2);
    fs::remove_file(lab.path("set/test_batch.bin")).unwrap();
    refused(&["test_batch.bin", "missing"]);
    // In the official files no training batch has the test batch's counts; here the second has not.
    write_set(&lab.path("set"));
    for (batch, label) in [("test_batch", 1), ("data_batch_1", 0)] {
        set_byte(&lab.path("set").join(format!("{batch}.bin")), of_record(u64::from(batch == "data_batch_1")), label);
    }
    refused(&["the test batch: 999 images of class 0 (airplane) instead of 1000", "swapped"]);
}

#[test]
fn row_15_other_images_than_before_are_refused() {
    let lab = Lab::new(&on_cifar("epochs: 1"));
    write_set(&lab.path("set"));
    lab.sweep("--data set").expect(DONE);
    // Another data set in between does not make the folder forget.
    lab.sweep("--dataset synthetic").expect(DONE);
    set_byte(&lab.path("set/test_batch.bin"), BATCH_BYTES - 1, 9);
    let before = lab.bytes();
    let hash = serde_json::from_slice::<serde_json::Value>(&fs::read(lab.result("manifest.json")).unwrap()).unwrap()
        ["data"]["cifar10"]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.sweep("--data set --rerun all").expect(BAD_INPUT).saying(&["other cifar10 images", "--out", &hash]);
    assert!(lab.bytes() == before);
}

/// Starts a sweep, changes its images, kills its worker and returns how it ends.
fn changed_under_way(lab: &Lab, command: Command) -> Ended {
    write_set(&lab.path("set"));
    let sweep = lab.start_command(command);
    lab.wait_for_checkpoint();
    set_byte(&lab.path("set/test_batch.bin"), BATCH_BYTES - 1, 9);
    kill(lab.workers()[0], SIGKILL);
    sweep.end().saying(&["attempt 1 of 3 failed: its worker died"])
}

#[test]
fn row_15_images_that_change_while_a_sweep_runs_do_not_reach_it() {
    let lab = Lab::new(&on_cifar("epochs: 100"));
    changed_under_way(&lab, lab.command("sweep tiny.yaml --data set")).expect(DONE);
    let undisturbed = Lab::new(&on_cifar("epochs: 100"));
    write_set(&undisturbed.path("set"));
    undisturbed.sweep("--data set").expect(DONE);
    assert_same(&lab.essence(), &undisturbed.essence());
}

/// Where workers cannot share the sweep's copy, each reads the files for itself.
#[test]
fn row_15_images_that_change_under_a_worker_are_refused() {
    if !strace::is_there() {
        return;
    }
    let lab = Lab::new(&on_cifar("epochs: 1000"));
    let alone = strace::with_fault(&lab, "memfd_create", "error=ENOSYS", "sweep tiny.yaml --data set");
    let words = ["attempt 2 of 3 failed: results/tiny: its trials were made from other cifar10 images"];
    changed_under_way(&lab, alone).expect(FAILED).saying(&words);
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive whose members are named as no tool would name them.
fn archive(members: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(vec![]);
    for (name, kind, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

const FIRST: &str = "cifar-10-batches-bin/data_batch_1.bin";

#[test]
fn row_16_half_a_download_is_never_used() {
    let lab = Lab::new(&on_cifar("epochs: 1"));
    let whole = gzipped(&archive(&[(FIRST, tar::EntryType::Regular, &vec![1; BATCH_BYTES as usize])]));
    fs::create_dir(lab.path("data")).unwrap();
    // The part that `runner data fetch` goes on from is no data yet.
    fs::write(lab.path("data/cifar-10-binary.tar.gz.part"), &whole).unwrap();
    lab.sweep("").expect(BAD_INPUT).saying(&["no CIFAR-10 in data", "runner data fetch"]);
    fs::write(lab.path("data/cifar-10-binary.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    lab.sweep("").expect(BAD_INPUT).saying(&["data/cifar-10-binary.tar.gz"]);
    lab.run("data verify").expect(BAD_INPUT).saying(&["data/cifar-10-binary.tar.gz"]);
    assert!(!lab.path("results").exists());
}

#[test]
fn row_16_a_file_system_without_locks_is_no_other_download() {
    if !strace::is_there() {
        return;
    }
    let lab = Lab::new("");
    for error in ["ENOLCK", "ENOSYS", "EOPNOTSUPP"] {
        let fetch = strace::with_fault(&lab, "flock", &format!("error={error}"), "data fetch --data set");
        let ended = lab.start_command(fetch).end().expect(BAD_INPUT);
        let ended = ended.saying(&["set/cifar-10-binary.tar.gz.part", "this file system has no locks", "--data"]);
        assert!(!ended.err.contains("another download"), "{}", ended.err);
    }
}

#[test]
fn row_17_nothing_in_an_archive_becomes_a_path_or_fills_memory() {
    use tar::EntryType::{Regular, Symlink};
    let lab = Lab::new(&on_cifar("epochs: 1"));
    let bomb = vec![0; 250_000_000];
    let hostile = [
        archive(&[
            ("../escaped", Regular, b"x"),
            ("/tmp/runner-escaped", Regular, b"x"),
            ("cifar-10-batches-bin/../../up", Regular, b"x"),
        ]),
        archive(&[(FIRST, Symlink, b"")]),
        archive(&[(FIRST, Regular, &bomb)]),
        [archive(&[]), bomb.clone()].concat(),
    ];
    let words =
        ["is missing", "a link or other special member", "250000000 bytes instead of", "more than 200000000 bytes"];
    for (bytes, word) in hostile.iter().zip(words) {
        fs::write(lab.path("bad.tar.gz"), gzipped(bytes)).unwrap();
        let before = files(&lab.path(""));
        let mut command = lab.command("sweep tiny.yaml --data bad.tar.gz");
        limit(&mut command, libc::RLIMIT_AS, 8 << 30);
        lab.start_command(command).end().expect(BAD_INPUT).saying(&["bad.tar.gz", word]);
        let made: Vec<_> = files(&lab.path("")).into_iter().filter(|path| !before.contains(path)).collect();
        assert_eq!(made.len(), 2, "only the captured outputs: {made:?}");
        assert!(!Path::new("/tmp/runner-escaped").exists());
    }
}
