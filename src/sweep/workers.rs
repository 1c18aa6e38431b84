//! The workers of a sweep: processes of this same binary, told what to do over their standard input and heard over their standard
//! output. One that dies is started again when it is next needed; where one cannot be started, for want of processes, threads or
//! descriptors, the sweep goes on with the others.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::message::{Event, Job, Progress, Said};
use super::watchdog::Watchdog;
use crate::data::shared::SharedDataset;
use crate::engine::RECORDED_NOTHING;
use crate::host::{refused, spare_descriptors, start_thread};

/// The hidden subcommand that `cli/worker.rs` hands to [`super::worker`].
pub const WORKER_COMMAND: &str = "worker";

/// How long after a worker could not be started another one is tried, while some run.
const BETWEEN_TRIES: Duration = Duration::from_secs(60);

/// What every worker of a sweep is told when it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    pub results: PathBuf,
    pub data: PathBuf,
    /// The first worker's, the second one's and so on, from the start again after the last.
    pub devices: Vec<String>,
    pub threads: usize,
    /// Whether steps on a GPU are recorded as CUDA graphs, where that can be done.
    pub records_steps: bool,
    /// The experiment's images, which workers map rather than read.
    pub images: Option<Arc<SharedDataset>>,
}

/// What a sweep waits for.
#[derive(Debug)]
pub enum Input {
    /// From the process of this number.
    Said(usize, Said),
    /// The process of this number has closed its output: it is about to end.
    Closed(usize),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

pub struct Workers {
    pub setup: Setup,
    /// For one attempt of one trial.
    timeout: Option<Duration>,
    /// Each worker's, while it has one.
    processes: Vec<Option<Process>>,
    /// How many processes there have been; the latest has this number.
    pub started: usize,
    inputs: Sender<Input>,
    /// Once a worker could not be started: when it was last tried.
    last_try: Option<Instant>,
}

struct Process {
    number: usize,
    child: Child,
    input: Option<ChildStdin>,
    /// It was started while no other was, because there may be no room for two.
    alone: bool,
    /// While it is at work.
    watchdog: Option<Watchdog>,
    progress: Option<Progress>,
    /// Set when the sweep itself killed it, and why.
    killed: Option<String>,
}

impl Workers {
    pub fn new(count: usize, setup: Setup, timeout: Option<Duration>, inputs: Sender<Input>) -> Workers {
        let processes = (0..count).map(|_| None).collect();
        Workers { setup, timeout, processes, started: 0, inputs, last_try: None }
    }

    pub fn count(&self) -> usize {
        self.processes.len()
    }

    /// The worker whose process has this number. It is no one's any more once its end was waited for.
    pub fn with_process(&self, number: usize) -> Option<usize> {
        self.processes.iter().position(|process| process.as_ref().is_some_and(|process| process.number == number))
    }

    /// Whether the worker has a process, which is started if there may be one. `say` hears of a shortage.
    pub fn is_up(&mut self, worker: usize, say: impl Fn(&str)) -> Result<bool> {
        if self.processes[worker].is_some() {
            return Ok(true);
        }
        // Once one could not be started, the others are tried one by one, lest they take from each other what each needs.
        if self.last_try.is_some_and(|tried| tried.elapsed() < BETWEEN_TRIES) && self.has_any() {
            return Ok(false);
        }
        match self.start_process(worker) {
            Ok(process) => {
                self.started += 1;
                self.processes[worker] = Some(process);
                // The next one waits until this one is up.
                self.last_try = self.last_try.map(|_| Instant::now());
                Ok(true)
            }
            Err(error) => self.do_without(error, true, say).map(|()| false),
        }
    }

    fn start_process(&self, worker: usize) -> Result<Process> {
        let _spare = spare_descriptors().map_err(refused)?;
        let (number, alone) = (self.started + 1, self.last_try.is_some());
        let mut child = command(&self.setup, worker)?.spawn().map_err(refused)?;
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("its output is piped"));
        let inputs = self.inputs.clone();
        if let Err(error) = start_thread(move || pass_on(number, output, &inputs)) {
            let _ = child.kill();
            child.wait()?;
            return Err(error);
        }
        Ok(Process { number, child, input, alone, watchdog: None, progress: None, killed: None })
    }

    fn has_any(&self) -> bool {
        self.processes.iter().any(Option::is_some)
    }

    /// A worker has found that it cannot work here.
    pub fn cannot_start(&mut self, worker: usize, error: anyhow::Error, say: impl Fn(&str)) -> Result<()> {
        let alone = self.processes[worker].as_ref().is_some_and(|process| process.alone);
        self.wait(worker)?;
        self.do_without(error, alone, say)
    }

    /// A worker has found that it cannot record steps, and ends.
    pub fn cannot_record(&mut self, worker: usize) -> Result<()> {
        self.setup.records_steps = false;
        self.wait(worker).map(drop)
    }

    /// An error if there is no worker and trying again is of no use: this one was tried `alone`.
    fn do_without(&mut self, error: anyhow::Error, alone: bool, say: impl Fn(&str)) -> Result<()> {
        if alone && !self.has_any() {
            return Err(error).context("cannot start a worker");
        }
        if self.last_try.replace(Instant::now()).is_none() {
            say(&format!("cannot start a worker: {error:#}; the sweep goes on with fewer workers"));
        }
        Ok(())
    }

    /// Gives a worker that is up something to do. One that cannot be written to is dying, and its end is heard of.
    pub fn start(&mut self, worker: usize, job: &Job) {
        let process = self.processes[worker].as_mut().expect("it is up");
        process.watchdog = Some(Watchdog::new(self.timeout));
        let mut line = serde_json::to_string(job).expect("a job is plain data");
        line.push('\n');
        if let Some(input) = &mut process.input {
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
    }

    /// Takes note of what a worker says.
    pub fn heard(&mut self, worker: usize, event: &Event) {
        let Some(Process { watchdog: Some(watchdog), progress, .. }) = &mut self.processes[worker] else { return };
        watchdog.heard();
        match event {
            Event::Started { .. } => watchdog.started(),
            Event::Progress(latest) => *progress = Some(*latest),
            _ => {}
        }
    }

    pub fn progress(&self, worker: usize) -> Option<Progress> {
        self.processes[worker].as_ref()?.progress
    }

    /// A worker has nothing left to do.
    pub fn rest(&mut self, worker: usize) -> Result<()> {
        let Some(process) = &mut self.processes[worker] else { return Ok(()) };
        (process.watchdog, process.progress) = (None, None);
        // It finished just before the kill reached it; the next trial must not go to a dying worker.
        if process.killed.is_some() { self.wait(worker).map(drop) } else { Ok(()) }
    }

    /// Waits for the end of a worker that ends by itself, and says why it did. None if that was done before.
    pub fn wait(&mut self, worker: usize) -> Result<Option<String>> {
        let Some(mut process) = self.processes[worker].take() else { return Ok(None) };
        process.input = None;
        let status = process.child.wait().context("cannot learn how a worker ended")?;
        Ok(Some(process.killed.unwrap_or_else(|| format!("its worker died: {status}"))))
    }

    /// Kills workers that take too long or are silent. `passed` is the time since this was last done.
    pub fn kill_overdue(&mut self, passed: Duration) {
        for process in self.processes.iter_mut().flatten().filter(|process| process.killed.is_none()) {
            process.killed = process.watchdog.as_mut().and_then(|watchdog| watchdog.look(passed));
            if process.killed.is_some() {
                let _ = process.child.kill();
            }
        }
    }

    /// Asks each for a checkpoint and the end.
    pub fn stop(&mut self) {
        self.processes.iter_mut().flatten().for_each(|process| process.input = None);
    }

    /// Ends them all at once.
    pub fn kill(&mut self) {
        self.processes.iter_mut().flatten().for_each(|process| drop(process.child.kill()));
    }

    /// Waits until they have ended.
    pub fn wait_for_all(&mut self) -> Result<()> {
        (0..self.count()).try_for_each(|worker| self.wait(worker).map(drop))
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
        .envs((!setup.records_steps).then_some((RECORDED_NOTHING, "1")))
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
fn pass_on(number: usize, output: ChildStdout, inputs: &Sender<Input>) {
    for line in BufReader::new(output).lines() {
        let said = line.ok().and_then(|line| serde_json::from_str(&line).ok());
        // Half a line is what a dying worker leaves; its end is reported next.
        let Some(said) = said else { continue };
        if inputs.send(Input::Said(number, said)).is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::Closed(number));
}
