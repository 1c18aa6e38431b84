//! The machine this runs on: what it is, what it refuses at its limits.

use std::any::Any;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{gethostname, getpgrp, tcgetpgrp};

/// So many descriptors are left for the sweep's own files, whatever its workers take.
const SPARE_DESCRIPTORS: usize = 8;

/// Starts a thread, or says why there can be none: `std::thread::spawn` panics then.
pub fn start_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Builder::new().spawn(work).map_err(refused).context("cannot start a thread")
}

/// The error with the limit that is behind it.
pub fn refused(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            anyhow!("{error}; the limit of processes and threads is reached (ulimit -u, or the container's)")
        }
        Some(libc::EMFILE) => anyhow!("{error}; the limit of open files is reached (ulimit -n)"),
        _ => error.into(),
    }
}

/// Proves that there are descriptors to spare, which are so as soon as these are dropped.
pub fn spare_descriptors() -> io::Result<Vec<OwnedFd>> {
    (0..SPARE_DESCRIPTORS).map(|_| io::stderr().as_fd().try_clone_to_owned()).collect()
}

/// The processor cores that this process may use: those of its job, where Slurm has given it some.
pub fn cores() -> usize {
    let of_job = std::env::var("SLURM_CPUS_ON_NODE").ok().and_then(|cores| cores.parse().ok());
    let all = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    of_job.map_or(all, |cores: usize| cores.clamp(1, all))
}

/// This machine and its present start, as a part of a file's name: `node7-1b4e28ba`. Containers of one machine share them.
pub fn name_and_boot() -> &'static str {
    static BOTH: LazyLock<String> = LazyLock::new(read_name_and_boot);
    &BOTH
}

fn read_name_and_boot() -> String {
    let name = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').take(30).collect();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{name}-{}", boot.chars().take(8).collect::<String>())
}

/// Seconds since 1970 in UTC, to the millisecond; none where the clock is before that.
pub fn since_1970() -> Option<f64> {
    Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as f64 / 1000.0)
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}

/// The processor's name where the system tells it.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    line.trim_start_matches([' ', '\t', ':']).to_owned()
}

/// Whether an output is a terminal that can draw over its lines.
pub fn can_draw(output: &impl IsTerminal) -> bool {
    output.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How the terminal was before [`hide_control_characters`].
static TERMINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps the terminal from showing `^C`, which would begin a line of its own and leave a bar behind that is drawn over no more.
pub fn hide_control_characters() {
    let Some(before) = tcgetattr(io::stderr()).ok().filter(|_| is_in_foreground()) else { return };
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHOCTL);
    if tcsetattr(io::stderr(), SetArg::TCSANOW, &quiet).is_ok() {
        *TERMINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    }
}

/// Leaves the terminal as it was.
pub fn show_control_characters() {
    let before = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_in_foreground()) {
        let _ = tcsetattr(io::stderr(), SetArg::TCSANOW, &before);
    }
}

/// A program in the background that changes its terminal is stopped for it.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp())
}

/// A reader that has gone away (`2>&1 | head`) does not end the sweep.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
