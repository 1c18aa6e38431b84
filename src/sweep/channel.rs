//! A worker's way out: events to its sweep, and whatever else this process prints to a trial's log.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::message::{Event, Said};

/// Where events go.
static EVENTS: OnceLock<File> = OnceLock::new();

/// Keeps standard output for events: what libraries print there would break a line of them, so it goes to standard error.
pub fn take_standard_output() -> Result<()> {
    let events = std::io::stdout().as_fd().try_clone_to_owned()?;
    EVENTS.get_or_init(|| events.into());
    redirect(libc::STDERR_FILENO, libc::STDOUT_FILENO)
}

/// Tells the sweep what happened to trial `of` of the job. One that is gone cannot be told anything; the end of input then
/// stops this worker.
pub fn send(of: usize, event: Event) {
    let mut line = serde_json::to_string(&Said { of, event }).expect("events are plain data");
    line.push('\n');
    let _ = EVENTS.get().map(|mut events| events.write_all(line.as_bytes()));
}

/// From here on whatever this process prints, libtorch's warnings and panics included, is in `log`.
pub fn print_to(log: &File) -> Result<()> {
    redirect(log.as_raw_fd(), libc::STDERR_FILENO)?;
    redirect(log.as_raw_fd(), libc::STDOUT_FILENO)
}

fn redirect(from: i32, to: i32) -> Result<()> {
    // SAFETY: both descriptors are open; dup2 leaves `from` to be closed by its owner.
    if unsafe { libc::dup2(from, to) } < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot redirect output");
    }
    Ok(())
}
