//! `runner sweep` and `runner train`: what is to run, and how it ended.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::common::say;
use super::completions;
use super::launch::LaunchArguments;
use super::run_arguments::RunArguments;
use crate::publish::study::{ask_with, grows, stored_outcomes};
use crate::record::Status;
use crate::report::status_word;
use crate::spec::{Configuration, Experiment, Trial};
use crate::store::Store;
use crate::store::files::is_refused;
use crate::sweep::{self, Options, Report, Rerun};
use crate::words::count;
use crate::{exit, host};

#[derive(Args)]
pub struct SweepArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Trials at a time [default: one a processor core; 1 on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Show the trials and how many are new, and run nothing
    #[arg(long)]
    plan: bool,
    /// Only these blocks or trial ids
    #[arg(long, value_name = "BLOCK|ID", add = completions::parts())]
    only: Vec<String>,
    /// Stop after this many failed trials
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
    #[command(flatten)]
    launch: LaunchArguments,
}

impl SweepArguments {
    /// The same, and what only sweeps have.
    fn typed(&self) -> Result<Vec<String>> {
        let mut words = self.run.typed()?;
        words.extend(self.only.iter().map(|part| format!("--only={part}")));
        words.extend(self.jobs.map(|jobs| format!("--jobs={jobs}")));
        words.extend(self.max_failures.map(|most| format!("--max-failures={most}")));
        Ok(words)
    }
}

#[derive(Args)]
pub struct TrainArguments {
    #[command(flatten)]
    run: RunArguments,
    /// The trial's seed [default: the experiment's first]
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run_sweep(arguments: &SweepArguments) -> Result<i32> {
    let run = &arguments.run;
    let experiment = Experiment::load(&run.experiment, &run.overrides(None))?;
    let trials = experiment.only(&arguments.only)?;
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(&experiment.name));
    let launch = &arguments.launch;
    let max_failures = arguments.max_failures.map(|most| most as usize);
    let is_local = launch.is_local()?;
    let jobs = if is_local { arguments.jobs.map(usize::from) } else { Some(0) };
    let options = Options { max_failures, waits: launch.waits(), ..run.options(out.clone(), jobs)? };
    experiment.notes.iter().for_each(|note| host::print(note));
    if arguments.plan {
        show_plan(&experiment, &trials, &out, run.rerun.unwrap_or_default())?;
        return Ok(exit::DONE);
    }
    let report = match is_local {
        true => sweep::run(&experiment, &trials, &options)?,
        false => launch.submit(&run.experiment, arguments.typed()?, (&experiment, &trials, &options))?,
    };
    Ok(finish(&report, &options.out))
}

pub fn run_train(arguments: &TrainArguments) -> Result<i32> {
    let run = &arguments.run;
    let experiment = Experiment::load(&run.experiment, &run.overrides(arguments.seed))?.base_alone();
    experiment.notes.iter().for_each(|note| host::print(note));
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(format!("{}-train", experiment.name)));
    let options = run.options(out, Some(1))?;
    Ok(finish(&sweep::run(&experiment, &experiment.trials(), &options)?, &options.out))
}

pub fn exit_code(report: &Report) -> i32 {
    match (report.interrupted, report.failures.is_empty() && report.undone.is_empty()) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::DONE,
        (false, false) => exit::FAILED,
    }
}

/// Says how the sweep ended and where its results are; returns the exit code.
pub fn finish(report: &Report, out: &Path) -> i32 {
    if !report.failures.is_empty() {
        host::print("\nfailed trials:");
        for (name, error, log) in &report.failures {
            host::print(&format!("  {name}: {error}\n    log: {}", log.display()));
        }
        host::print("`--rerun failed` tries them again");
    }
    if !report.undone.is_empty() {
        host::print(&format!("\nnot done:\n  {}", report.undone.join("\n  ")));
    }
    // The code stands even where nobody reads the line.
    report.submitted.iter().for_each(|submitted| host::print(submitted));
    if report.left > 0 {
        host::print(&format!(
            "{} left to the sweeps that run them, which make the tables",
            count(report.left, "trial")
        ));
    }
    let Report { done, diverged, failures, .. } = report;
    let line = format!("{done} done, {diverged} diverged, {} failed; results in {}", failures.len(), out.display());
    let _ = writeln!(std::io::stdout(), "{line}");
    if report.interrupted {
        host::print("interrupted; the same command goes on from here");
    }
    exit_code(report)
}

/// What `--plan` prints: the trials, and which of them would run.
fn show_plan(experiment: &Experiment, trials: &[Trial], out: &Path, rerun: Rerun) -> Result<()> {
    let may_run: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let stored = match Store::open(out) {
        Err(_) => HashMap::new(),
        Ok(store) => stored_outcomes(experiment, &store, |id, error| {
            let may_be_damaged = rerun != Rerun::None || !may_run.contains(id);
            if may_be_damaged || is_refused(&error) { Ok(()) } else { Err(error) }
        })?,
    };
    let is_again = |id: &str, status| may_run.contains(id) && sweep::is_rerun(rerun, status);
    let mut ended = stored.clone();
    ended.retain(|id, outcome| !is_again(id, outcome.status));
    let (mut lines, mut new, mut seen) = (vec![], 0, HashSet::new());
    let asked = ask_with(experiment, &ended);
    for trial in asked.trials().filter(|trial| may_run.contains(trial.id.as_str()) && seen.insert(trial.id.clone())) {
        let state = match stored.get(&trial.id) {
            None => "new",
            Some(outcome) if is_again(&trial.id, outcome.status) => "again",
            Some(outcome) if outcome.status == Status::Done => "stored",
            Some(outcome) => status_word(outcome.status),
        };
        new += usize::from(["new", "again"].contains(&state));
        lines.push(format!("{}  seed {:<4} {state:<8}  {}", trial.id, trial.seed, plan_names(experiment, trial)));
    }
    let most = match grows(experiment) {
        true => format!(", at most {} in the end", at_most(experiment, &may_run)),
        false => String::new(),
    };
    let failed = ended.values().filter(|outcome| outcome.status == Status::Failed).count();
    let failed = if failed > 0 { format!(", {failed} failed (--rerun failed runs them again)") } else { String::new() };
    lines.push(format!("{}, {new} to run{most}{failed}; results in {}", count(lines.len(), "trial"), out.display()));
    say(lines.join("\n"))
}

/// How many of the trials that may run there can be: only one of a configuration's candidates is compared.
fn at_most(experiment: &Experiment, may_run: &HashSet<&str>) -> usize {
    let count = |trials: Vec<Trial>| trials.iter().filter(|trial| may_run.contains(trial.id.as_str())).count();
    let trials_of = |configuration: Configuration| {
        let tried: usize = experiment.tuning_trials(&configuration).into_iter().map(count).sum();
        let Configuration { blocks, most_seeds, .. } = &configuration;
        let compared =
            configuration.compared().map(|config| count(experiment.comparison_trials(config, blocks, *most_seeds)));
        tried + compared.max().unwrap_or_default()
    };
    experiment.configurations().into_iter().map(trials_of).sum()
}

/// `init: orthogonal; start: orthogonal`
fn plan_names(experiment: &Experiment, trial: &Trial) -> String {
    let tries = if trial.is_tuning { "tries" } else { "at" };
    let names: Vec<String> = experiment
        .variants()
        .filter_map(|(block, variant)| {
            let own = format!("{}: {}", block.id, variant.label);
            if variant.candidates.is_empty() {
                return (variant.config == trial.config).then_some(own);
            }
            let tuned = variant.candidates.iter().find(|candidate| candidate.config == trial.config)?;
            Some(format!("{own} {tries} {}", tuned.label))
        })
        .collect();
    let tried = experiment.candidates.iter().find(|candidate| candidate.config == trial.config);
    match (names.is_empty(), tried) {
        (false, _) => names.join("; "),
        (true, None) => "base".to_owned(),
        (true, Some(tried)) => format!("base {tries} {}", tried.label),
    }
}
