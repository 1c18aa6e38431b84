//! The other side: `scripts/parity.py` in Python processes of its own, which take turns with the cases.
#![allow(clippy::disallowed_methods, reason = "files for Python in a temporary folder")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::Device;

use super::cases::{Case, Otherwise};
use super::trace::{EpochNumbers, StepTrace, Trace};
use crate::data::Dataset;
use crate::engine::device;
use crate::host::cores;
use crate::record::{Confusion, Scores, SplitScore};
use crate::spec::config::DatasetName;
use crate::train::checkpoint;

const SCRIPT: &str = include_str!("../../scripts/parity.py");
const VARIABLE: &str = "RUNNER_PYTHON";
/// This program needs about half of Python's time for a case.
const MOST_PROCESSES: usize = 2;
/// Lines of it that a failure shows.
const SHOWN_ERROR_LINES: usize = 12;

/// The Python that has torch: `RUNNER_PYTHON`, else that of the environment whose libtorch this program was built with.
pub fn find() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(python.into());
    }
    // <environment>/lib/python3.x/site-packages/torch
    let libtorch = Path::new(env!("RUNNER_LIBTORCH"));
    let environment = libtorch.ancestors().nth(4).filter(|environment| environment.join("bin/python").is_file());
    let environment = environment.with_context(|| {
        format!(
            "no Python beside libtorch ({}); set {VARIABLE} to a Python that has scripts/requirements.txt installed",
            libtorch.display()
        )
    })?;
    ensure!(
        !holds_libtorch_alone(environment),
        "the Python environment {} holds libtorch alone; `scripts/setup --whole` completes it, or set {VARIABLE} to a \
         Python that has scripts/requirements.txt installed",
        environment.display()
    );
    Ok(environment.join("bin/python"))
}

/// By the requirements that `scripts/setup` leaves in an environment of its own.
fn holds_libtorch_alone(environment: &Path) -> bool {
    fs::read_to_string(environment.join("complete")).is_ok_and(|requirements| !requirements.contains("numpy=="))
}

/// What Python is given.
pub struct Job<'a> {
    pub python: &'a Path,
    /// Empty, for the script, the images and the results.
    pub folder: &'a Path,
    pub dataset: &'a Dataset,
    /// Where CIFAR-10 lies.
    pub data: &'a Path,
    pub threads: usize,
    /// Of both sides.
    pub device: Device,
    /// A script that is run instead of `parity.py`, which lies beside it and can be imported.
    pub wrapper: Option<&'a str>,
}

/// Python at work on the cases: of some processes each has every so many-th.
pub struct Theirs {
    processes: Vec<Process>,
    folder: PathBuf,
    next: usize,
}

impl Theirs {
    pub fn start(job: &Job, cases: &[Case]) -> Result<Theirs> {
        let folder = job.folder;
        fs::write(folder.join("parity.py"), SCRIPT)?;
        fs::write(folder.join("wrapper.py"), job.wrapper.unwrap_or_default())?;
        let images = images(job)?;
        let count = MOST_PROCESSES.min(cores() / job.threads).min(cases.len()).max(1);
        let lines: Vec<String> = (0..).zip(cases).map(|(number, case)| line(job, number, case)).collect();
        let share = |first: usize| lines[first..].iter().step_by(count).map(String::as_str).collect::<String>();
        let processes = (0..count).map(|which| Process::start(job, which, &share(which), &images));
        Ok(Theirs { processes: processes.collect::<Result<_>>()?, folder: folder.to_owned(), next: 0 })
    }

    /// Waits for the next case, in the order in which they were given. The inner error is the case's own.
    pub fn next(&mut self, case: &Case) -> Result<Result<Finished>> {
        let which = self.next % self.processes.len();
        self.processes[which].wait_for(case)?;
        let out = results_folder(&self.folder, self.next);
        self.next += 1;
        let finished = read(&out);
        fs::remove_dir_all(&out)?;
        Ok(finished)
    }
}

/// A Python process; ended when dropped.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Where its error output goes.
    errors: PathBuf,
}

impl Process {
    /// `cases` are lines of JSON.
    fn start(job: &Job, which: usize, cases: &str, images: &[PathBuf]) -> Result<Process> {
        let path = |name: String| job.folder.join(name);
        let (list, errors) = (path(format!("cases-{which}.jsonl")), path(format!("errors-{which}.txt")));
        fs::write(&list, cases)?;
        let mut command = Command::new(job.python);
        command.arg(path(if job.wrapper.is_some() { "wrapper.py" } else { "parity.py" }.to_owned()));
        command.arg("--cases").arg(list).args(images).args(["--device", &device::name(job.device)]);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(fs::File::create(&errors)?);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", job.python.display()))?;
        let lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        Ok(Process { child, lines, errors })
    }

    fn wait_for(&mut self, case: &Case) -> Result<()> {
        let Some(line) = self.lines.next().transpose()? else {
            bail!("Python ended before the case `{}`:\n{}", case.name, self.last_errors());
        };
        ensure!(line.starts_with(&case.name), "Python reports `{line}` instead of the case `{}`", case.name);
        Ok(())
    }

    fn last_errors(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_ERROR_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless this side failed; neither call can then do harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn results_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("case-{number}"))
}

/// A line of a list of cases.
fn line(job: &Job, number: usize, case: &Case) -> String {
    let threads = match case.otherwise {
        Some(Otherwise::Threads(threads)) => threads,
        _ => job.threads,
    };
    let line = json!({
        "name": case.name,
        "config": case.config,
        "seed": case.seed,
        "weights": case.config.start.as_ref().and_then(|start| start.weights.file.as_ref()),
        "max_steps": case.max_steps,
        "test_images": case.test_images,
        "threads": threads,
        "channels_last": case.otherwise == Some(Otherwise::ChannelsLast),
        "out": results_folder(job.folder, number),
    });
    format!("{line}\n")
}

/// The arguments that say where the images are. Python reads the official binary files itself, where they are; of
/// anything else it gets a dump.
fn images(job: &Job) -> Result<[PathBuf; 2]> {
    if job.dataset.name == DatasetName::Cifar10 && job.data.join("cifar-10-batches-bin/data_batch_1.bin").is_file() {
        return Ok(["--data".into(), job.data.to_owned()]);
    }
    let path = job.folder.join("images.bin");
    let mut file = BufWriter::new(fs::File::create(&path)?);
    for part in [&job.dataset.train, &job.dataset.test] {
        file.write_all(&part.labels)?;
        file.write_all(&part.pixels)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(["--dataset-file".into(), path])
}

/// One case as Python saw it.
pub struct Finished {
    pub trace: Trace,
    /// `torch.__version__`
    pub torch: String,
}

/// `result.json`. The scores are there if an epoch was finished.
#[derive(Deserialize)]
struct Outcome {
    status: String,
    error: Option<String>,
    #[serde(default)]
    torch: String,
    best_epoch: Option<usize>,
    confusion: Option<Confusion>,
    /// `train_loss`, `test_accuracy`, ...
    #[serde(flatten)]
    scores: HashMap<String, Json>,
}

impl Outcome {
    fn scores(&self) -> Option<Scores> {
        let number = |name: String| self.scores.get(&name)?.as_f64();
        let score = |split: &str| {
            let (loss, accuracy) = (number(format!("{split}_loss"))?, number(format!("{split}_accuracy"))?);
            Some(SplitScore { loss, accuracy })
        };
        let (best_epoch, confusion) = (self.best_epoch?, self.confusion.clone()?);
        let (train, val, test) = (score("train")?, score("val")?, score("test")?);
        Some(Scores { best_epoch, train, val, test, confusion, last_test: None, evidence: None })
    }
}

fn read(out: &Path) -> Result<Finished> {
    let outcome: Outcome = serde_json::from_slice(&fs::read(out.join("result.json"))?)?;
    if outcome.status == "failed" {
        bail!("Python: {}", outcome.error.unwrap_or_default());
    }
    let diverged = outcome.status == "diverged";
    let read = |name: &str| checkpoint::decode(&fs::read(out.join(name))?)?.state();
    let state = |name: &str| read(name).with_context(|| name.to_owned());
    let when_sound = |name| if diverged { Ok(None) } else { state(name).map(Some) };
    let trace = Trace {
        initial: state("initial.safetensors")?,
        steps: csv_rows(&out.join("steps.csv"))?.into_iter().map(step_trace).collect::<Result<_>>()?,
        history: csv_rows::<(usize, EpochNumbers)>(&out.join("history.csv"))?.into_iter().map(|(_, row)| row).collect(),
        diverged,
        last: when_sound("final.safetensors")?,
        best: if outcome.best_epoch.is_some() { when_sound("best.safetensors")? } else { None },
        scores: outcome.scores().filter(|_| !diverged),
    };
    Ok(Finished { trace, torch: outcome.torch })
}

fn csv_rows<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>> {
    let about = || path.display().to_string();
    let mut reader = csv::Reader::from_path(path).with_context(about)?;
    reader.deserialize().collect::<Result<_, _>>().with_context(about)
}

/// Of `steps.csv`: the step, its rate, its loss as a decimal and by its bits, and the digest of the weights after it.
type StepRow = (String, f64, String, String, Option<String>);

fn step_trace((_, lr, _, bits, weights): StepRow) -> Result<StepTrace> {
    let loss = f32::from_bits(u32::from_str_radix(&bits, 16).context("loss_hex")?);
    Ok(StepTrace { lr, loss, weights })
}
