//! A worker: runs the trials that its sweep sends, one after another, and reports events.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tch::Device;

use super::device;
use super::manifest::Manifest;
use super::message::{Event, Job, Progress};
use super::progress::print;
use super::store::{Claim, Store};
use crate::data::batches::Resident;
use crate::data::shared::{self, Ticket};
use crate::spec::config::{Config, DatasetName, Mode};
use crate::train::checkpoint;
use crate::train::course::{Reached, reached};
use crate::train::pack;
use crate::train::record::{Epoch, Outcome, Status};
use crate::train::trial::{self, Ended, Observer, Sets, Step};
use crate::{models, native};

/// A checkpoint at least this often where epochs are longer.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// How a worker is set up, for all its trials.
pub struct Worker {
    pub store: Store,
    pub data: PathBuf,
    pub device: Device,
    pub threads: usize,
    /// Images that the sweep has read already.
    pub images: Option<Ticket>,
}

impl Worker {
    /// Serves jobs from standard input until it ends, SIGTERM comes or a trial is interrupted.
    pub fn serve(&self) -> Result<()> {
        take_standard_output()?;
        tch::set_num_threads(self.threads as i32);
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.clone())?;
        // A terminal's Ctrl-C reaches the whole group; the sweep decides what becomes of it.
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false)))?;
        let jobs = read_jobs(stop.clone());
        let mut sets = None;
        while let Ok(job) = jobs.recv() {
            let event = match self.run(&job, &mut sets, &stop) {
                Ok(event) => event,
                Err(error) => Event::Failed { error: format!("{error:#}") },
            };
            send(&event);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    fn run(&self, job: &Job, loaded: &mut Option<(DatasetName, Sets)>, stop: &AtomicBool) -> Result<Event> {
        let Some(claim) = self.store.claim(&job.trial)? else { return Ok(Event::Busy) };
        log_output(&claim)?;
        print(&format!("attempt {}, libtorch {}, {} thread(s)", job.attempt, native::libtorch_version(), self.threads));
        let name = job.trial.config.data.dataset;
        if loaded.as_ref().is_none_or(|(loaded, _)| *loaded != name) {
            *loaded = Some((name, self.load(name)?));
        }
        let (_, sets) = loaded.as_ref().expect("just loaded");
        let Start { resume, reached, trace, note } = Start::find(&claim, job.trace)?;
        send(&Event::Started { finished_epochs: reached.epochs, note });
        let mut observer = Reporter::new(&claim, trace, stop, reached);
        let (config, seed) = (&job.trial.config, job.trial.seed);
        let trained = AssertUnwindSafe(|| match config.mode {
            Mode::Exact => trial::run(config, seed, sets, self.device, resume.as_deref(), &mut observer),
            Mode::Fast => {
                let resume = resume.map(|bytes| [bytes]);
                let resume = resume.as_ref().map(|checkpoint| checkpoint.as_slice());
                let ended = pack::run(&[config], seed, sets, self.device, resume, &mut [&mut observer]);
                ended.map(|mut ended| ended.remove(0))
            }
        });
        match catch_unwind(trained) {
            Ok(ended) => {
                observer.store_trace()?;
                self.store_outcome(claim, job, ended?)
            }
            Err(panic) => Ok(Event::Failed { error: panic_message(panic) }),
        }
    }

    fn load(&self, name: DatasetName) -> Result<Sets> {
        if let Some(ticket) = self.images.filter(|ticket| ticket.name == name) {
            let [train, test] = shared::map(ticket)?.map(|images| Resident::mapped(images, self.device));
            return Ok(Sets { train, test });
        }
        let set = crate::data::load(name, &self.data)?;
        // The sweep has looked at these files before, but maybe days ago.
        if let Some(manifest) = Manifest::load(&self.store)? {
            manifest.check_data(name.as_str(), &set.sha256(), &set.source, &self.store)?;
        }
        Ok(Sets { train: Resident::new(&set.train, self.device), test: Resident::new(&set.test, self.device) })
    }

    fn store_outcome(&self, claim: Claim, job: &Job, ended: Ended) -> Result<Event> {
        let (status, error, scores, kept, history) = match ended {
            Ended::Interrupted => return Ok(Event::Interrupted),
            Ended::Done { scores, showcase, best, history } => {
                let best = checkpoint::encode(&best, &job.trial)?;
                (Status::Done, None, Some(*scores), Some((best, showcase)), history)
            }
            Ended::Diverged { reason, history } => (Status::Diverged, Some(reason), None, None, history),
        };
        let outcome = Outcome {
            status,
            attempts: job.attempt,
            error,
            epochs: history.len(),
            scores,
            seconds: history.iter().map(|epoch| epoch.seconds).sum(),
            images_per_second: images_per_second(&job.trial.config, &history),
            peak_bytes: peak_bytes(),
            parameters: models::table_of(&job.trial.config).parameters() as u64,
            libtorch: native::libtorch_version().to_owned(),
            device: device::name(self.device),
            threads: self.threads,
        };
        print(&format!("{status:?} after {} epochs", outcome.epochs));
        claim.finish(&outcome, &history, kept.as_ref().map(|(best, showcase)| (best.as_slice(), showcase)))?;
        Ok(Event::Ended { outcome: Box::new(outcome) })
    }
}

/// From where a trial goes on.
#[derive(Default)]
struct Start {
    /// The checkpoint's bytes; None for a fresh start.
    resume: Option<Vec<u8>>,
    reached: Reached,
    /// The rows of `steps.csv` until there, where steps are traced.
    trace: Option<String>,
    /// Why a checkpoint that is there was not taken.
    note: Option<String>,
}

impl Start {
    /// At the stored checkpoint, if there is one that can be used. A trial once traced stays so: its `steps.csv` is to hold
    /// every step.
    fn find(claim: &Claim, wants_trace: bool) -> Result<Start> {
        let steps = claim.read_steps();
        let traced = wants_trace || steps.is_some();
        let afresh = |note| Start { trace: traced.then(|| STEPS_HEADER.to_owned()), note, ..Start::default() };
        let Some(bytes) = claim.read_checkpoint()? else { return Ok(afresh(None)) };
        let steps = traced.then(|| steps.unwrap_or_default());
        Start::at(bytes, steps.as_deref()).or_else(|error| {
            let note = format!("{error:#}; the trial starts afresh");
            print(&note);
            claim.discard_checkpoint()?;
            Ok(afresh(Some(note)))
        })
    }

    /// At the checkpoint in `bytes`, until which the stored `steps` must go.
    fn at(bytes: Vec<u8>, steps: Option<&[u8]>) -> Result<Start> {
        checkpoint::decode(&bytes).context("the checkpoint is damaged")?;
        let reached = reached(&bytes)?;
        let trace = steps.map(|steps| steps_until(steps, reached.steps)).transpose()?;
        Ok(Start { resume: Some(bytes), reached, trace, note: None })
    }
}

/// Passes a trial's progress on and keeps its checkpoints.
struct Reporter<'a> {
    claim: &'a Claim,
    /// The rows of `steps.csv` so far, where they are wanted.
    trace: Option<String>,
    stop: &'a AtomicBool,
    finished_epochs: usize,
    last_checkpoint: Instant,
    last_progress: Instant,
    /// Since the last progress event.
    images: usize,
}

impl<'a> Reporter<'a> {
    fn new(claim: &'a Claim, trace: Option<String>, stop: &'a AtomicBool, reached: Reached) -> Reporter<'a> {
        let now = Instant::now();
        let finished_epochs = reached.epochs;
        Reporter { claim, trace, stop, finished_epochs, last_checkpoint: now, last_progress: now, images: 0 }
    }

    /// A trial that diverges has steps after its last checkpoint.
    fn store_trace(&self) -> Result<()> {
        self.trace.as_ref().map_or(Ok(()), |trace| self.claim.write_steps(trace.as_bytes()))
    }
}

impl Observer for Reporter<'_> {
    fn step(&mut self, step: &Step) {
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "{},{:?},{},{:08x}", step.step, step.lr, step.loss, step.loss.to_bits())
                .expect("writing to a string succeeds");
        }
        self.images += step.images;
        let elapsed = self.last_progress.elapsed();
        if elapsed >= PROGRESS_INTERVAL {
            send(&Event::Progress(Progress {
                epoch: step.epoch,
                batch: step.batch,
                batches: step.batches,
                loss: step.loss.is_finite().then_some(step.loss),
                images_per_second: self.images as f64 / elapsed.as_secs_f64(),
            }));
            self.images = 0;
            self.last_progress = Instant::now();
        }
    }

    fn evaluated_batch(&mut self) {
        send(&Event::Evaluating);
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, history: &[Epoch]) -> Result<()> {
        self.store_trace()?;
        self.claim.write_checkpoint(&bytes, history)?;
        self.last_checkpoint = Instant::now();
        if let Some(epoch) = history.last().filter(|epoch| epoch.epoch > self.finished_epochs) {
            self.finished_epochs = epoch.epoch;
            print(&format!(
                "epoch {}: training loss {:.4}, validation loss {:.4}, validation accuracy {:.2} %, {:.1} s",
                epoch.epoch,
                epoch.train_loss,
                epoch.val_loss,
                100.0 * epoch.val_accuracy,
                epoch.seconds
            ));
            send(&Event::Epoch(epoch.clone()));
        }
        Ok(())
    }

    fn wants_checkpoint(&mut self) -> bool {
        self.wants_stop() || self.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL
    }

    fn wants_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

const STEPS_HEADER: &str = "step,lr,loss,loss_hex\n";

/// The header and the first `steps` rows of a stored `steps.csv`.
fn steps_until(stored: &[u8], steps: usize) -> Result<String> {
    let stored = String::from_utf8_lossy(stored);
    let mut rows = stored.lines().skip(1);
    let mut kept = STEPS_HEADER.to_owned();
    for step in 1..=steps {
        let row = rows.next().filter(|row| is_row(row, step));
        writeln!(kept, "{}", row.with_context(|| format!("steps.csv has no step {step} of {steps}"))?)?;
    }
    Ok(kept)
}

/// Whether `row` is that of `step` and whole: its loss is there twice.
fn is_row(row: &str, step: usize) -> bool {
    let cells: Vec<&str> = row.split(',').collect();
    let [number, _, loss, bits] = cells[..] else { return false };
    let same_bits = |loss: f32| u32::from_str_radix(bits, 16) == Ok(loss.to_bits());
    number.parse() == Ok(step) && loss.parse().is_ok_and(same_bits)
}

/// Reads jobs in the background, so that the end of input (the sweep is gone) stops a trial under way.
fn read_jobs(stop: Arc<AtomicBool>) -> Receiver<Job> {
    let (sender, jobs) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let job = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            if job.is_none_or(|job| sender.send(job).is_err()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    jobs
}

/// Where events go.
static EVENTS: OnceLock<File> = OnceLock::new();

/// Keeps standard output for events: what libraries print there would break a line of them, so it goes to standard error.
fn take_standard_output() -> Result<()> {
    let events = std::io::stdout().as_fd().try_clone_to_owned()?;
    EVENTS.get_or_init(|| events.into());
    redirect(libc::STDERR_FILENO, libc::STDOUT_FILENO)
}

/// A sweep that is gone cannot be told anything; the end of input then stops this worker.
fn send(event: &Event) {
    let mut line = serde_json::to_string(event).expect("events are plain data");
    line.push('\n');
    let _ = EVENTS.get().map(|mut events| events.write_all(line.as_bytes()));
}

/// From here on whatever this process prints, libtorch's warnings and panics included, is in the trial's log.
fn log_output(claim: &Claim) -> Result<()> {
    let log = claim.log()?;
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

fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or("panicked".into())
}

fn images_per_second(config: &Config, history: &[Epoch]) -> f64 {
    let seconds: f64 = history.iter().map(|epoch| epoch.train_seconds).sum();
    let images = history.len() * config.data.training_images();
    if seconds > 0.0 { images as f64 / seconds } else { 0.0 }
}

/// The largest resident memory of this process so far.
fn peak_bytes() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct it is given; all zeros is a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    usage.ru_maxrss as u64 * unit
}
