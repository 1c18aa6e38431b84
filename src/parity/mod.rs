//! `runner parity`: the same trials in this program and in plain PyTorch, compared to the last bit.
//!
//! `cases` says what is run, `trace` runs it here, `python` runs it there, `compare` finds the first difference, and
//! `table` shows it. Both sides compute at the same time, each in one process, in the same order.

pub mod cases;
pub mod compare;
pub mod python;
pub mod table;
pub mod trace;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tch::Device;

use crate::data;
use crate::data::batches::Resident;
use crate::spec::config::DatasetName;
use crate::spec::{Experiment, Overrides};
use crate::train::trial::Sets;
use cases::Case;
use compare::Comparison;
use python::{Job, Theirs};
use table::{Row, Summary, Table};

/// What to compare and how to show it.
pub struct Options {
    /// Every configuration of this file with its first seed; the built-in cases if None.
    pub experiment: Option<PathBuf>,
    /// Where CIFAR-10 lies: [`data::directory`]'s answer.
    pub data: PathBuf,
    /// Instead of the experiment's own; the built-in cases use CIFAR-10 if None.
    pub dataset: Option<DatasetName>,
    /// Only cases whose names start with one of these; all if empty.
    pub cases: Vec<String>,
    /// Cut every case short, at least 1.
    pub max_steps: Option<usize>,
    /// On both sides, at least 1.
    pub threads: usize,
    /// Of both sides. On a GPU, agreement within `table`'s tolerances is enough.
    pub device: Device,
    /// Print one JSON document at the end instead of lines as cases finish.
    pub json: bool,
    /// Also write the table to this CSV file.
    pub out: Option<PathBuf>,
}

/// Compares the cases that `options` ask for and prints the table.
///
/// True if all that is promised to be identical is. An error means that nothing could be compared: bad input, no images,
/// no Python.
pub fn run(options: &Options) -> Result<bool> {
    let cases = chosen_cases(options)?;
    let python = python::find()?;
    let dataset = data::load(dataset_of(&cases)?, &options.data)?;
    let scratch = Scratch::new()?;
    let job = Job {
        python: &python,
        folder: &scratch.0,
        dataset: &dataset,
        data: &options.data,
        threads: options.threads,
        device: options.device,
        wrapper: None,
    };
    let mut table = Table::new(&cases, options.json)?;
    let torch = compare_all(&job, &cases, |row| table.add(row))?;
    let summary = Summary::new(&table.rows, torch, options, &dataset);
    table.close(&summary, options.out.as_deref())?;
    Ok(summary.differ == 0)
}

/// Runs `cases` on both sides and hands each row to `each` as it is there. Returns Python's version of torch.
///
/// Uses the default generator, of which a process has one: no two of these, nor other trials, at a time.
pub fn compare_all(job: &Job, cases: &[Case], mut each: impl FnMut(Row) -> Result<()>) -> Result<String> {
    tch::set_num_threads(i32::try_from(job.threads)?);
    let resident = |images| Resident::new(images, job.device);
    let all = Sets { train: resident(&job.dataset.train), test: resident(&job.dataset.test) };
    let mut theirs = Theirs::start(job, cases)?;
    let mut torch = String::new();
    for case in cases {
        let compared = compare_one(case, &all, &mut theirs, &mut torch)?;
        each(Row::new(case, compared, job.device))?;
    }
    Ok(torch)
}

/// The inner error is one side's failure in this case.
fn compare_one(case: &Case, all: &Sets, theirs: &mut Theirs, torch: &mut String) -> Result<Result<Comparison>> {
    let ours = trace::ours(case, &first_test_images(all, case.test_images));
    let theirs = theirs.next(case)?;
    Ok(ours.and_then(|ours| {
        let theirs = theirs?;
        *torch = theirs.torch;
        Ok(compare::compare(&ours, &theirs.trace))
    }))
}

/// The same images with a shorter test set; nothing is copied.
fn first_test_images(sets: &Sets, count: Option<usize>) -> Sets {
    let first = |set: &Resident, count: i64| Resident {
        images: set.images.narrow(0, 0, count),
        labels: set.labels.narrow(0, 0, count),
    };
    let (train, test) = (sets.train.labels.size()[0], sets.test.labels.size()[0]);
    Sets { train: first(&sets.train, train), test: first(&sets.test, count.map_or(test, |count| count as i64)) }
}

fn chosen_cases(options: &Options) -> Result<Vec<Case>> {
    let mut cases = match &options.experiment {
        Some(path) => experiment_cases(path, options.dataset)?,
        None => built_in_cases(options.dataset.unwrap_or(DatasetName::Cifar10))?,
    };
    let is_chosen = |case: &Case| options.cases.iter().any(|prefix| case.name.starts_with(prefix.as_str()));
    cases.retain(|case| options.cases.is_empty() || is_chosen(case));
    ensure!(!cases.is_empty(), "no case's name starts with {}", options.cases.join(" or "));
    cases.iter_mut().for_each(|case| case.max_steps = options.max_steps);
    Ok(cases)
}

fn experiment_cases(path: &Path, dataset: Option<DatasetName>) -> Result<Vec<Case>> {
    let mut experiment = Experiment::load(path, &Overrides { dataset, ..Overrides::default() })?;
    experiment.seeds.truncate(1);
    Ok(cases::of_experiment(&experiment))
}

fn built_in_cases(dataset: DatasetName) -> Result<Vec<Case>> {
    Ok([cases::short(dataset)?, cases::otherwise(dataset)?, cases::long(dataset)?].concat())
}

fn dataset_of(cases: &[Case]) -> Result<DatasetName> {
    let dataset = cases[0].config.data.dataset;
    let is_same = cases.iter().all(|case| case.config.data.dataset == dataset);
    ensure!(is_same, "the experiment uses two data sets; choose one with --dataset");
    Ok(dataset)
}

/// A folder of this process for files that nobody keeps.
pub struct Scratch(pub PathBuf);

impl Scratch {
    #[allow(clippy::disallowed_methods, reason = "a temporary folder")]
    pub fn new() -> Result<Scratch> {
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let folder = std::env::temp_dir().join(format!("runner-parity-{}-{unique}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    #[allow(clippy::disallowed_methods, reason = "a temporary folder")]
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
