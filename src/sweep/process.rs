//! A worker's process: this same binary, told what to do over its standard input and heard over its standard output.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};

use super::message::{Job, Said};
use crate::data::shared::SharedDataset;
use crate::host::{refused, spare_descriptors, start_thread};

/// The hidden subcommand that `cli.rs` hands to [`super::worker`].
pub const WORKER_COMMAND: &str = "worker";

/// What every worker of a sweep is told when it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    pub results: PathBuf,
    pub data: PathBuf,
    /// The first worker's, the second one's and so on, from the start again after the last.
    pub devices: Vec<String>,
    pub threads: usize,
    /// The experiment's images, which workers map rather than read.
    pub images: Option<Arc<SharedDataset>>,
}

/// What a sweep waits for.
#[derive(Debug)]
pub enum Input {
    Worker(Message),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

/// What arrives from a worker, started as its `generation`-th process.
#[derive(Debug)]
pub struct Message {
    pub worker: usize,
    pub generation: usize,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    Said(Said),
    /// The worker closed its output: it is about to end.
    Closed,
}

pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Process {
    pub fn start(setup: &Setup, worker: usize, generation: usize, inputs: Sender<Input>) -> Result<Process> {
        let _spare = spare_descriptors().map_err(refused)?;
        let mut child = command(setup, worker)?.spawn().map_err(refused)?;
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("its output is piped"));
        let mut process = Process { child, input };
        let send = move |content| inputs.send(Input::Worker(Message { worker, generation, content })).is_ok();
        if let Err(error) = start_thread(move || pass_on(output, send)) {
            process.kill();
            process.wait()?;
            return Err(error);
        }
        Ok(process)
    }

    /// A worker that cannot be written to is dying; its end is reported through the channel.
    pub fn send(&mut self, job: &Job) {
        let mut line = serde_json::to_string(job).expect("a job is plain data");
        line.push('\n');
        if let Some(input) = &mut self.input {
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
    }

    /// Asks for a checkpoint and the end.
    pub fn stop(&mut self) {
        self.input = None;
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub fn wait(mut self) -> std::io::Result<ExitStatus> {
        self.input = None;
        self.child.wait()
    }
}

fn command(setup: &Setup, worker: usize) -> Result<Command> {
    let mut command = Command::new(program()?);
    command
        .arg0(std::env::args_os().next().unwrap_or_default())
        .arg(WORKER_COMMAND)
        .arg(option("--results", &setup.results))
        .arg(option("--data", &setup.data))
        .args(["--device", &setup.devices[worker % setup.devices.len()], "--threads", &setup.threads.to_string()])
        .args(setup.images.iter().map(|images| option("--images", &images.path())))
        // The thread pools that libtorch does not size itself.
        .env("OMP_NUM_THREADS", setup.threads.to_string())
        .env("MKL_NUM_THREADS", setup.threads.to_string())
        // The allocator keeps what is freed: every step needs the same tensors again, and pages that went back to the kernel
        // must be cleared anew. On two cores a fast sweep of LeNets becomes a sixth quicker, with 5 % more resident memory.
        .env("MALLOC_MMAP_MAX_", "0")
        .env("MALLOC_TRIM_THRESHOLD_", i32::MAX.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

/// A value that begins with a dash is none of its own accord.
fn option(name: &str, value: &Path) -> OsString {
    [OsStr::new(name), value.as_os_str()].join(OsStr::new("="))
}

/// The file of the program that is running, whatever lies at its path by now: a rebuild must not end a sweep, or mix programs.
fn program() -> Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().context("cannot find this program's own file")
}

/// Lists of processes call a program that was started as `/proc/self/exe` just `exe`.
#[allow(clippy::disallowed_methods, reason = "no file of results")]
pub fn restore_name() {
    let _ = std::fs::write("/proc/self/comm", env!("CARGO_PKG_NAME"));
}

/// Passes on what a worker says, until it or the sweep has ended.
fn pass_on(output: ChildStdout, send: impl Fn(Content) -> bool) {
    for line in BufReader::new(output).lines() {
        let said = line.ok().and_then(|line| serde_json::from_str(&line).ok());
        // Half a line is what a dying worker leaves; its end is reported next.
        let Some(said) = said else { continue };
        if !send(Content::Said(said)) {
            return;
        }
    }
    send(Content::Closed);
}
