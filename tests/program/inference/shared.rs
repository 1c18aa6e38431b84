//! The finished sweep, and what its trials are.

use std::fs;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::common::{DONE, Lab};

/// Three trials, of which one diverges.
pub const TINY: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 1000, val: 200}
seeds: [7]
base:
  model: lenet5
  epochs: 3
  batch_size: 20
  optimizer: {name: adam, lr: 0.003}
blocks:
  - {id: activation, axes: {activation: [relu]}}
  - {id: rate, zip: [{activation: [relu], optimizer.lr: [1e30]}]}
";

pub static LAB: OnceLock<Lab> = OnceLock::new();

/// The folder with the finished sweep, removed when the tests end: nothing drops what is static.
pub fn lab() -> &'static Lab {
    extern "C" fn remove() {
        LAB.get().map(|lab| fs::remove_dir_all(lab.path("")));
    }
    LAB.get_or_init(|| {
        // SAFETY: the function touches nothing but a static that outlives every thread.
        unsafe { libc::atexit(remove) };
        let lab = Lab::new(TINY);
        lab.sweep("").expect(DONE);
        lab
    })
}

/// The stored trials by what they are.
pub struct Trials {
    pub base: String,
    pub relu: String,
    pub diverged: String,
}

pub fn trials() -> Trials {
    let rows = lab().table("trials.csv");
    let id = |activation: &str, status: &str| {
        let row = rows.iter().find(|row| row["activation.name"] == activation && row["status"] == status);
        row.map(|row| row["id"].clone()).unwrap_or_else(|| panic!("no {activation} trial is {status}"))
    };
    Trials { base: id("tanh", "done"), relu: id("relu", "done"), diverged: id("relu", "diverged") }
}

pub fn folder(id: &str) -> String {
    format!("results/tiny/trials/{id}")
}

pub fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// What a command writes to a terminal of 80 columns.
pub fn on_a_terminal(mut command: Command) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 30, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: openpty fills the two descriptors, which are owned from then on.
    let (mut ours, theirs) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none as _, &size), 0);
        (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs))
    };
    let mut child = command.env("TERM", "xterm").stdout(theirs).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let mut written = vec![];
    // The end of a terminal is an error.
    let _ = ours.read_to_end(&mut written);
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
    String::from_utf8(written).unwrap()
}

/// What `evaluate` says of the shared lab's networks to scripts.
pub fn evaluated(arguments: &str) -> Json {
    json(&lab().run(&format!("evaluate {arguments} --json")).expect(DONE).out)
}
