//! What a file means, and what every bad one is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

mod advice;
mod blocks;
mod files;
mod layers;
mod mistakes;
mod random;
mod starting;
mod trials;
mod values;

use super::config::*;
use super::*;
use crate::networks;

/// Line 1 to 6 of every experiment below.
const HEAD: &str = "schema: 1\nname: t\nseeds: [0, 1]\nbase:\n  model: lenet5\n  optimizer: {name: sgd, lr: 0.01}\n";

/// Copies of this repository's experiments, with the weights beside them that one of them starts from.
pub fn experiments() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    std::os::unix::fs::symlink(from.join("networks"), folder.path().join("networks")).unwrap();
    starting::weights(&folder.path().join("resnet18.safetensors"), &[("bn1.weight", &[64])]);
    let copy = |path: PathBuf| {
        let copy = folder.path().join(path.file_name().unwrap());
        std::fs::copy(&path, &copy).unwrap();
        copy
    };
    let all = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
    let copies = all.filter(|path| path.extension() == Some("yaml".as_ref())).map(copy).collect();
    (folder, copies)
}

/// What the reader says may stand beside `file`, and that itself.
pub fn keys_of_a_network_in_a_file() -> std::collections::BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.yaml"), "name: small\nlayers: [flatten, {dense: classes}]\n").unwrap();
    let path = folder.path().join("e.yaml");
    std::fs::write(&path, HEAD.replace("lenet5", "{file: small.yaml, bogus_key: 1}")).unwrap();
    let error = Experiment::load(&path, &Overrides::default()).unwrap_err().to_string();
    let list = error.split_once("valid: ").unwrap_or_else(|| panic!("{error}")).1;
    list.split(';').next().unwrap().split(", ").map(str::to_owned).collect()
}

fn parse(text: &str) -> Result<Experiment> {
    Experiment::parse("x.yaml", text, &Overrides::default())
}

/// An experiment with more lines of `base` and of the top level.
fn with(rest: &str) -> Experiment {
    parse(&format!("{HEAD}{rest}")).unwrap_or_else(|error| panic!("{error}"))
}

fn error_with(rest: &str) -> String {
    error_of(&format!("{HEAD}{rest}"))
}

fn error_of(text: &str) -> String {
    parse(text).expect_err("should be refused").to_string()
}

fn set(options: &[&str]) -> Result<Experiment> {
    let set = options.iter().map(|option| option.to_string()).collect();
    Experiment::parse("x.yaml", HEAD, &Overrides { set, ..Overrides::default() })
}

fn lenet5(channels: &[i64], dense: &[i64]) -> Model {
    serde_json::from_value(serde_json::json!({"name": "lenet5", "channels": channels, "dense": dense})).unwrap()
}

fn labels(block: &Block) -> Vec<&str> {
    block.variants.iter().map(|variant| variant.label.as_str()).collect()
}

/// `0.001, 0.002, 0.003, ...`
fn numbers(count: usize) -> String {
    (1..=count).map(|i| format!("0.{i:03}")).collect::<Vec<_>>().join(", ")
}

/// What this thread has computed so far; other programs' work does not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[track_caller]
fn assert_starts(error: &str, wanted: &str) {
    assert!(error.starts_with(wanted), "got    {error}\nwanted {wanted}");
}

/// One of the mistakes begins so.
#[track_caller]
fn assert_among(error: &str, wanted: &str) {
    assert!(error.lines().any(|line| line.starts_with(wanted)), "got    {error}\nwanted {wanted}");
}

/// The mistakes without their messages: `x.yaml:7:3`.
fn places(error: &str) -> Vec<String> {
    let place = |line: &str| line.split(": ").next().unwrap_or_default().to_string();
    error.lines().filter(|line| !line.ends_with(" mistakes:")).map(place).collect()
}
