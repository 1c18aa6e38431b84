//! A worker's way out: events to its sweep, and whatever else this process prints to a trial's log.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use anyhow::Result;
use nix::unistd::{dup2_stderr, dup2_stdout};

use super::message::Event;

/// Where events go.
static EVENTS: OnceLock<File> = OnceLock::new();

/// Keeps standard output for events: what libraries print there would break a line of them, so it goes to standard error.
pub fn take_standard_output() -> Result<()> {
    let events = std::io::stdout().as_fd().try_clone_to_owned()?;
    EVENTS.get_or_init(|| events.into());
    Ok(dup2_stdout(std::io::stderr())?)
}

/// Tells the sweep what happened to a trial, by its place in the job. One that is gone cannot be told anything; the end of input then
/// stops this worker.
pub fn send(index: usize, event: Event) {
    let mut line = serde_json::to_string(&(index, event)).expect("events are plain data");
    line.push('\n');
    let _ = EVENTS.get().map(|mut events| events.write_all(line.as_bytes()));
}

/// From here on whatever this process prints, libtorch's warnings and panics included, is in `log`.
pub fn print_to(log: &File) -> Result<()> {
    dup2_stderr(log)?;
    Ok(dup2_stdout(log)?)
}
