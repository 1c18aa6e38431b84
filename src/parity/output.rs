//! What a comparison prints: lines as cases finish, a closing line, JSON or CSV for scripts.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use tch::Device;

use super::bits::Comparison;
use super::cases::{Case, Otherwise};
use super::python::Job;
use crate::engine::device;
use crate::words;

/// On a GPU a case passes if no step's loss and no weight at the end differs by more.
const GPU_LOSS_TOLERANCE: f64 = 1e-3;
const GPU_WEIGHT_TOLERANCE: f64 = 1e-3;
/// Longer names are cut off on the screen; the CSV file and JSON have them whole.
const WIDEST_NAME: usize = 72;
const CSV_COLUMNS: &str = "case,seed,steps,verdict,first_difference,largest_loss_difference,largest_weight_difference";
/// Hex digits of the data set's checksum in the closing line.
const SHOWN_DIGITS: usize = 12;

/// One case's outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub case: String,
    pub seed: u64,
    /// How Python computed it otherwise; such a row does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    pub steps: usize,
    pub verdict: Verdict,
    /// The first thing that differs, or why the case failed; empty where all is identical.
    pub first: String,
    pub largest_loss_difference: f64,
    pub largest_weight_difference: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Identical,
    /// On a GPU: within the tolerances.
    Close,
    Differs,
    /// One side could not run it.
    Failed,
}

impl Row {
    pub fn new(case: &Case, compared: Result<Comparison>, device: Device) -> Row {
        let failed = compared.is_err();
        let found =
            compared.unwrap_or_else(|error| Comparison { first: Some(format!("{error:#}")), ..Comparison::default() });
        let near = found.loss_gap <= GPU_LOSS_TOLERANCE && found.weight_gap <= GPU_WEIGHT_TOLERANCE;
        let verdict = match found.first {
            _ if failed => Verdict::Failed,
            None => Verdict::Identical,
            Some(_) if device != Device::Cpu && near && found.as_far => Verdict::Close,
            Some(_) => Verdict::Differs,
        };
        Row {
            case: case.name.clone(),
            seed: case.seed,
            otherwise: case.otherwise,
            steps: found.steps,
            verdict,
            first: found.first.unwrap_or_default(),
            largest_loss_difference: found.loss_gap,
            largest_weight_difference: found.weight_gap,
        }
    }

    fn line(&self, width: usize) -> String {
        let verdict = match self.verdict {
            Verdict::Identical => "identical".to_owned(),
            Verdict::Close => format!("close; {}", self.first),
            Verdict::Differs => self.first.clone(),
            Verdict::Failed => format!("failed: {}", self.first),
        };
        let gaps = match self.verdict {
            Verdict::Close | Verdict::Differs => {
                format!("  {:<10.2e}  {:.2e}", self.largest_loss_difference, self.largest_weight_difference)
            }
            _ => String::new(),
        };
        let name = match self.case.char_indices().nth(width) {
            Some(_) => self.case.chars().take(width - 1).chain(['…']).collect(),
            None => self.case.clone(),
        };
        format!("{name:<width$}  {:>5}  {verdict:<28}{gaps}", self.steps).trim_end().to_owned()
    }
}

/// What the closing line says.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub cases: usize,
    pub identical: usize,
    /// Within the tolerances of a GPU.
    pub close: usize,
    /// Failures included.
    pub differ: usize,
    /// Of this program and of Python.
    pub libtorch: &'static str,
    pub torch: String,
    pub threads: usize,
    pub device: String,
    pub dataset: String,
    pub sha256: String,
}

impl Summary {
    pub fn new(rows: &[Row], torch: String, job: &Job) -> Summary {
        let counted: Vec<&Row> = rows.iter().filter(|row| row.otherwise.is_none()).collect();
        let count = |verdict| counted.iter().filter(|row| row.verdict == verdict).count();
        let (identical, close) = (count(Verdict::Identical), count(Verdict::Close));
        Summary {
            cases: counted.len(),
            identical,
            close,
            differ: counted.len() - identical - close,
            libtorch: crate::native::libtorch_version(),
            torch,
            threads: job.threads,
            device: device::name(job.device),
            dataset: job.dataset.name.as_str().to_owned(),
            sha256: job.dataset.sha256(),
        }
    }

    /// `207 cases, 207 identical, 0 differ; torch 2.11.0, cpu, 1 thread, cifar10 (sha256 9f8e7d6c5b4a…)`
    fn line(&self) -> String {
        let Summary { cases, identical, close, differ, libtorch, threads, device, dataset, .. } = self;
        let close = match close {
            0 => String::new(),
            _ => format!("{close} within {GPU_LOSS_TOLERANCE} of losses and {GPU_WEIGHT_TOLERANCE} of weights, "),
        };
        // `2.11.0+cpu` and `2.11.0+cu130` are builds of one version.
        let torch = match self.torch.split('+').next() {
            Some(version) if version == *libtorch => format!("torch {version}"),
            _ => format!("libtorch {libtorch} here, torch {} in Python", self.torch),
        };
        let threads = words::count(*threads, "thread");
        let digits = &self.sha256[..SHOWN_DIGITS];
        format!(
            "{cases} cases, {identical} identical, {close}{differ} differ; {torch}, {device}, {threads}, {dataset} \
              (sha256 {digits}…)"
        )
    }
}

/// Rows so far; prints each as it comes unless JSON is wanted.
pub struct Output {
    pub rows: Vec<Row>,
    width: usize,
    json: bool,
}

impl Output {
    pub fn new(cases: &[Case], json: bool) -> Result<Output> {
        let width = cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
        let output = Output { rows: vec![], width, json };
        output.say(&format!(
            "{:<width$}  {:>5}  {:<28}  {:<10}  {}",
            "case", "steps", "first difference", "of losses", "of weights"
        ))?;
        Ok(output)
    }

    pub fn add(&mut self, row: Row) -> Result<()> {
        self.say(&row.line(self.width))?;
        self.rows.push(row);
        Ok(())
    }

    /// The closing line or the JSON document, and the CSV file if there is to be one.
    pub fn close(&self, summary: &Summary, csv: Option<&Path>) -> Result<()> {
        if self.rows.iter().any(|row| row.otherwise.is_some()) {
            self.say("cases named `otherwise` are computed otherwise in Python; they are shown, not counted")?;
        }
        self.say(&summary.line())?;
        if self.json {
            let document = serde_json::json!({"summary": summary, "cases": self.rows});
            writeln!(std::io::stdout(), "{document:#}")?;
        }
        csv.map_or(Ok(()), |path| self.write_csv(path).with_context(|| path.display().to_string()))
    }

    #[allow(clippy::disallowed_methods, reason = "the user names the file, outside any results folder")]
    fn write_csv(&self, path: &Path) -> Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(CSV_COLUMNS.split(','))?;
        for row in &self.rows {
            let Row { case, seed, steps, verdict, first, .. } = row;
            let gaps = (row.largest_loss_difference, row.largest_weight_difference);
            writer.serialize((case, seed, steps, verdict, first, gaps))?;
        }
        Ok(writer.flush()?)
    }

    fn say(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { Ok(writeln!(std::io::stdout(), "{text}")?) }
    }
}
