//! The command line: what can be asked, and one short function for each command.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use crate::doctor;
use crate::engine::device;
use crate::inference::evaluate::{Evaluator, SplitName};
use crate::inference::load::{Loaded, load};
use crate::inference::{predict, side_by_side};
use crate::networks;
use crate::publish::study::{ask_with, grows, stored_outcomes};
use crate::report::Study;
use crate::report::baseline::against;
use crate::report::compare::caveats;
use crate::report::show::{Choice, Listing, Request, View};
use crate::report::summary::summarize;
use crate::spec::config::{DatasetName, Mode};
use crate::spec::{self, Configuration, Experiment, Overrides, Trial};
use crate::store::Store;
use crate::store::files::{is_refused, make_folder, write_atomically};
use crate::store::manifest::Manifest;
use crate::sweep::worker::Worker;
use crate::sweep::{self, Options, Report, Rerun};
use crate::words::{count, grouped};
use crate::{data, exit, parity};
use crate::{host, publish, words};

/// So many columns without room are named.
const COLUMNS_NAMED: usize = 12;

/// Trains small CIFAR-10 networks with PyTorch's arithmetic and compares them in experiments.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every trial of an experiment that is not stored yet, then make its tables and plots
    ///
    /// The same command again goes on where it was stopped. Exit codes: 0 done, 1 some trials failed, 2 bad input,
    /// 130 interrupted.
    Sweep(SweepArguments),
    /// Run an experiment's base configuration alone, one trial
    Train(TrainArguments),
    /// List the trials of a results folder: settings that differ, status, scores; also while they run
    Show(ShowArguments),
    /// Make the tables and plots of a results folder anew from its stored trials, or compare several in one report
    ///
    /// Of several folders, the base configurations stand side by side, the first one's as the base of all, and then each
    /// experiment's configuration of highest validation accuracy. Their images must be the same.
    Report {
        /// Folders that `runner sweep` made, such as results/quickstart
        #[arg(required = true, value_name = "RESULTS_DIR")]
        results: Vec<PathBuf>,
        /// Where the comparison of several folders goes
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Compare every setting with this one instead, such as relu or 'activation: relu', print that and change no file
        #[arg(long, value_name = "SETTING", conflicts_with = "out")]
        baseline: Option<String>,
        /// With --baseline: print JSON
        #[arg(long, requires = "baseline")]
        json: bool,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Score stored networks on a split: loss, accuracy, precision, recall, specificity, F1, confusion matrix
    Evaluate(EvaluateArguments),
    /// Name the three most probable classes of image files; a folder gives CSV
    #[command(after_help = PREDICT_HELP)]
    Predict {
        /// A trial folder or a safetensors file
        #[arg(value_name = "TRIAL_DIR|CHECKPOINT")]
        checkpoint: PathBuf,
        /// PNG, JPEG, GIF, BMP, WebP or TIFF of any size, or folders of them
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
        /// Whose base configuration describes the network, for a state dict that PyTorch saved
        #[arg(long, value_name = "EXPERIMENT.yaml")]
        experiment: Option<PathBuf>,
        #[command(flatten)]
        folder: DataFolder,
        /// Print JSON: a list with one object a picture, its three classes in `top`, or why it could not be read in `error`
        #[arg(long)]
        json: bool,
    },
    /// Run the same trials here and in PyTorch and compare every bit: weights, losses, learning rates, metrics
    ///
    /// Exit code 1 if anything differs that is promised to be identical.
    Parity(ParityArguments),
    /// List the networks, or one network's layers: shapes, parameters, multiply-adds
    Models {
        /// lenet5, lenet5_dropout, keras_cnn, leaky_cnn or resnet
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Get CIFAR-10, or check and describe the copy that is there
    #[command(subcommand)]
    Data(DataCommand),
    /// Say what of this machine is usable: libtorch, devices, data set, disk
    Doctor {
        #[command(flatten)]
        folder: DataFolder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    #[command(name = sweep::WORKER_COMMAND, hide = true)]
    Worker(WorkerArguments),
}

#[derive(Subcommand)]
enum DataCommand {
    /// Download the official archive with resume and checksum
    Fetch(DataFolder),
    /// Read everything and compare it with the official checksums
    Verify(DataFolder),
    /// Counts, classes, channel statistics and checksum
    Info {
        #[command(flatten)]
        folder: DataFolder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct DataFolder {
    /// Where CIFAR-10 lies: a folder with either layout or either official archive [default: $RUNNER_DATA, else data/]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What `sweep` and `train` have in common.
#[derive(Args)]
struct RunArguments {
    /// The experiment file
    experiment: PathBuf,
    /// Results folder [default: results/<experiment name>, or results/<experiment name>-train for train]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic")]
    dataset: Option<DatasetName>,
    /// auto, cpu, cuda or cuda:N; trials are spread over several such as cuda:0,cuda:1
    #[arg(long, default_value = "auto")]
    device: String,
    /// Change one key of the base configuration, such as epochs=2 or optimizer.lr=0.1
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// exact: PyTorch's arithmetic to the bit; fast: several trials at once, with other last bits and dropout draws;
    /// fast-tf32, fast-bf16: the same with products of less precision (TF32 on GPUs, bfloat16 also on CPUs)
    #[arg(long, default_value = "exact", value_name = "exact|fast|fast-tf32|fast-bf16")]
    mode: Mode,
    /// Also store every step's learning rate and loss in steps.csv
    #[arg(long)]
    trace: bool,
    /// Run stored trials again: those that failed, from their last checkpoint, and those that diverged; or all
    #[arg(long, value_enum, value_name = "failed|all")]
    rerun: Option<Rerun>,
    /// Kill and retry a trial that takes longer, such as 90s, 30m or 2h
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Plain lines instead of progress bars
    #[arg(long)]
    no_progress: bool,
}

#[derive(Args)]
struct SweepArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Trials at a time [default: one a processor core; 1 on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Show the trials and how many are new, and run nothing
    #[arg(long)]
    plan: bool,
    /// Only these blocks or trial ids
    #[arg(long, value_name = "BLOCK|ID")]
    only: Vec<String>,
    /// Stop after this many failed trials
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
}

#[derive(Args)]
struct TrainArguments {
    #[command(flatten)]
    run: RunArguments,
    /// The trial's seed [default: the experiment's first]
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Args)]
#[command(after_help = SHOW_HELP)]
struct ShowArguments {
    /// A folder that `runner sweep` made, such as results/quickstart
    results: PathBuf,
    /// Order by this column: accuracies and the like highest first, all else lowest first
    #[arg(long, value_name = "COLUMN", default_value = "test_accuracy")]
    sort: String,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Only trials with this value, such as status=failed, optimizer=adam, 'lr>=0.01' or 'test_accuracy>55%'; may be repeated
    #[arg(long, value_name = "COLUMN=VALUE")]
    filter: Vec<String>,
    /// Show these columns, in this order
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', conflicts_with = "all")]
    columns: Vec<String>,
    /// Show every column
    #[arg(long)]
    all: bool,
    /// Print JSON: a list of objects with the columns of trials.csv, shares in 0 to 1
    #[arg(long)]
    json: bool,
}

const PREDICT_HELP: &str = "\
A network sees the middle square of a picture at 32×32 pixels, turned as its EXIF data say and on white where it is
transparent; of an animation it sees the first frame. A picture may take 512 MiB of memory, which 20,000×20,000 grey
pixels do not reach.

A TIFF or BigTIFF may have grey, RGB, CMYK or palette samples of 1 to 32 or 64 bits (a palette up to 16, YCbCr 8),
floating-point ones in 0 to 1, opacity, strips, tiles or planes, and no compression, LZW, Deflate, PackBits, JPEG or fax
group 4. What else there is (signed samples, Lab colours, Zstandard, ...) is refused by name.

A folder stands for the files in it, in the order of their names, without its subfolders and names that begin with a dot.
With a folder among the arguments the output is CSV (commas, quotes where a name needs them), one line a picture under
  image,first,first_probability,second,second_probability,third,third_probability
with probabilities in 0 to 1, the highest first.

A picture that cannot be read, or a folder without any, is named on standard error and does not stop the others; the exit
code is then 1.";

const SHOW_HELP: &str = "\
The columns are those of trials.csv; a configuration key may go by its last part where that is clear: lr, optimizer.
Besides = there are !=, >, >=, < and <=, which want quotes in a shell. Trials that have not ended are running or waiting.
On a terminal the least important columns give way to its width, which a note says; in a pipe all are there.";

#[derive(Args)]
struct EvaluateArguments {
    /// Trial folders (results/NAME/trials/ID) or safetensors files
    #[arg(required = true, value_name = "TRIAL_DIR|CHECKPOINT")]
    checkpoints: Vec<PathBuf>,
    /// Which images: the test set, or the validation or training part of each network's own split
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// Whose base configuration describes the network, for a state dict that PyTorch saved
    #[arg(long, value_name = "EXPERIMENT.yaml")]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Write each network's confusion matrix and scores by class into this folder, as PNGs
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Print JSON: a list with one object a checkpoint, shares in 0 to 1, the confusion matrix by rows of true classes
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ParityArguments {
    /// Compare this experiment's configurations, each with its first seed [default: the built-in cases]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Use this data set instead of the experiment's
    #[arg(long, value_name = "cifar10|synthetic")]
    dataset: Option<DatasetName>,
    /// Only cases whose names start so
    #[arg(long, value_name = "PREFIX")]
    cases: Vec<String>,
    /// Stop each case after so many steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_steps: Option<u32>,
    /// Threads on both sides; identity is promised for 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// cpu, cuda or cuda:N; identity is promised for cpu, closeness for a GPU
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the table to this CSV file
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct WorkerArguments {
    #[arg(long)]
    results: PathBuf,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    device: String,
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    images: Option<PathBuf>,
}

/// Runs the command and returns the exit code; an error means that nothing was run.
pub fn run(cli: Cli) -> Result<i32> {
    match cli.command {
        Command::Sweep(arguments) => run_sweep(&arguments),
        Command::Train(arguments) => run_train(&arguments),
        Command::Show(arguments) => run_show(arguments),
        Command::Report { results, baseline: Some(baseline), json, .. } => run_baseline(&results, &baseline, json),
        Command::Report { results, out, folder, .. } => {
            run_report(&results, out.as_deref(), &data::directory(folder.data.as_deref()))
        }
        Command::Evaluate(arguments) => run_evaluate(arguments),
        Command::Predict { checkpoint, images, experiment, folder, json } => {
            let loaded = load(&checkpoint, experiment.as_deref(), tch::Device::Cpu)?;
            run_predict(&loaded, &images, &data::directory(folder.data.as_deref()), json)
        }
        Command::Doctor { folder, json } => {
            let findings = doctor::examine(&data::directory(folder.data.as_deref()));
            say(&if json { serde_json::to_string_pretty(&findings)? } else { findings.to_string() })?;
            Ok(exit::DONE)
        }
        Command::Parity(arguments) => run_parity(arguments),
        Command::Models { name, json } => show_models(name.as_deref(), json),
        Command::Data(command) => run_data(command),
        Command::Worker(arguments) => run_worker(arguments),
    }
}

fn run_sweep(arguments: &SweepArguments) -> Result<i32> {
    let run = &arguments.run;
    let experiment = Experiment::load(&run.experiment, &overrides(run, None))?;
    let trials = experiment.only(&arguments.only)?;
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(&experiment.name));
    if arguments.plan {
        return show_plan(&experiment, &trials, &out, run.rerun.unwrap_or_default());
    }
    let jobs = arguments.jobs.map(usize::from);
    let max_failures = arguments.max_failures.map(|most| most as usize);
    let options = Options { max_failures, ..options(run, out, jobs)? };
    finish(sweep::run(&experiment, &trials, &options)?, &options)
}

fn run_train(arguments: &TrainArguments) -> Result<i32> {
    let run = &arguments.run;
    let mut experiment = Experiment::load(&run.experiment, &overrides(run, arguments.seed))?;
    experiment = experiment.base_alone();
    let out = run.out.clone().unwrap_or_else(|| Path::new("results").join(format!("{}-train", experiment.name)));
    let options = options(run, out, Some(1))?;
    finish(sweep::run(&experiment, &experiment.trials(), &options)?, &options)
}

fn overrides(run: &RunArguments, seed: Option<u64>) -> Overrides {
    Overrides { set: run.set.clone(), dataset: run.dataset, mode: run.mode, seed }
}

fn options(run: &RunArguments, out: PathBuf, jobs: Option<usize>) -> Result<Options> {
    let devices = device::parse_list(&run.device)?;
    if run.mode == Mode::FastTf32 && devices.contains(&tch::Device::Cpu) {
        bail!("--mode fast-tf32 is for GPUs; on a CPU: exact, fast, fast-bf16");
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let jobs = jobs.unwrap_or(if devices.contains(&tch::Device::Cpu) { cores } else { devices.len() });
    Ok(Options {
        out,
        data: data::directory(run.folder.data.as_deref()),
        devices,
        jobs,
        trace: run.trace,
        max_failures: None,
        timeout: run.timeout,
        rerun: run.rerun.unwrap_or_default(),
        progress: !run.no_progress,
    })
}

/// Says how the sweep ended and where its results are.
fn finish(report: Report, options: &Options) -> Result<i32> {
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
    let Report { done, diverged, .. } = report;
    let failed = report.failures.len();
    let code = match (report.interrupted, failed) {
        (true, _) => exit::INTERRUPTED,
        (false, 0) if report.undone.is_empty() => exit::DONE,
        (false, _) => exit::FAILED,
    };
    // The code stands even where nobody reads the line.
    let line = format!("{done} done, {diverged} diverged, {failed} failed; results in {}", options.out.display());
    let _ = writeln!(std::io::stdout(), "{line}");
    if report.interrupted {
        host::print("interrupted; the same command goes on from here");
    }
    Ok(code)
}

fn show_plan(experiment: &Experiment, trials: &[Trial], out: &Path, rerun: Rerun) -> Result<i32> {
    let may_run: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let store = Store::open(out).ok();
    let stored = store.map_or_else(
        || Ok(HashMap::new()),
        |store| {
            let may_be_damaged = |id: &str| rerun != Rerun::None || !may_run.contains(id);
            stored_outcomes(experiment, &store, |id, error| {
                if may_be_damaged(id) || is_refused(&error) { Ok(()) } else { Err(error) }
            })
        },
    )?;
    let is_again = |id: &str, status| may_run.contains(id) && sweep::is_rerun(rerun, status);
    let mut ended = stored.clone();
    ended.retain(|id, outcome| !is_again(id, outcome.status));
    let (mut lines, mut new, mut seen) = (vec![], 0, HashSet::new());
    let asked = ask_with(experiment, &ended);
    for trial in asked.trials().filter(|trial| may_run.contains(trial.id.as_str()) && seen.insert(trial.id.clone())) {
        let state = match stored.get(&trial.id) {
            None => "new",
            Some(outcome) if is_again(&trial.id, outcome.status) => "again",
            Some(_) => "stored",
        };
        new += usize::from(state != "stored");
        lines.push(format!("{}  seed {:<4} {state:<6}  {}", trial.id, trial.seed, plan_names(experiment, trial)));
    }
    let most = match grows(experiment) {
        true => format!(", at most {} in the end", most_of(experiment, &may_run)),
        false => String::new(),
    };
    lines.push(format!("{}, {new} to run{most}; results in {}", count(lines.len(), "trial"), out.display()));
    say(&lines.join("\n"))?;
    Ok(exit::DONE)
}

/// How many of the trials that may run there can be: only one of a configuration's candidates is compared.
fn most_of(experiment: &Experiment, may_run: &HashSet<&str>) -> usize {
    let count = |trials: Vec<Trial>| trials.iter().filter(|trial| may_run.contains(trial.id.as_str())).count();
    let of = |configuration: Configuration| {
        let tried: usize = experiment.tuning_trials(&configuration).into_iter().map(count).sum();
        let Configuration { config, candidates, blocks, most_seeds, .. } = &configuration;
        let configs =
            candidates.iter().map(|candidate| &candidate.config).chain(candidates.is_empty().then_some(*config));
        let compared = configs.map(|config| count(experiment.comparison_trials(config, blocks, *most_seeds)));
        tried + compared.max().unwrap_or_default()
    };
    experiment.configurations().into_iter().map(of).sum()
}

/// `init: orthogonal; start: orthogonal`
fn plan_names(experiment: &Experiment, trial: &Trial) -> String {
    let variants =
        experiment.blocks.iter().flat_map(|block| block.variants.iter().map(move |variant| (block, variant)));
    let names: Vec<String> = variants
        .filter_map(|(block, variant)| {
            let own = || Some(format!("{}: {}", block.id, variant.label));
            if variant.candidates.is_empty() {
                return if variant.config == trial.config { own() } else { None };
            }
            let tuned = variant.candidates.iter().find(|candidate| candidate.config == trial.config)?;
            let tries = if trial.is_tuning { "tries" } else { "at" };
            Some(format!("{} {tries} {}", own()?, tuned.label))
        })
        .collect();
    let tried = experiment.candidates.iter().find(|candidate| candidate.config == trial.config);
    match (names.is_empty(), tried) {
        (false, _) => names.join("; "),
        (true, None) => "base".to_owned(),
        (true, Some(tried)) if trial.is_tuning => format!("base tries {}", tried.label),
        (true, Some(tried)) => format!("base at {}", tried.label),
    }
}

fn run_show(arguments: ShowArguments) -> Result<i32> {
    let ShowArguments { results, sort, reverse, filter: filters, columns, all, json } = arguments;
    let store = Store::open(&results)?;
    let mut study = stored_study(&results)?;
    for trial in study.trials.iter_mut().filter(|trial| trial.outcome.is_none()) {
        trial.history = store.history_so_far(&trial.id);
    }
    let listing = Listing::new(&study.trials, &study.targets, |id| store.is_running(id));
    let columns = match columns.is_empty() {
        false => Choice::These(columns),
        true if all || json => Choice::All,
        true => Choice::Usual,
    };
    let view = listing.view(&Request { sort, reverse, filters, columns })?;
    if json {
        say(&serde_json::to_string_pretty(&view.json())?)?;
    } else {
        print_trials(&view)?;
    }
    if let Some(reason) = &view.why_empty {
        host::print(reason);
    }
    Ok(say_unreadable(&study))
}

/// Names the trials that cannot be read and returns the exit code.
fn say_unreadable(study: &Study) -> i32 {
    let unreadable: Vec<&str> = study.unreadable().collect();
    unreadable.iter().for_each(|error| host::print(&format!("warning: {error}")));
    if unreadable.is_empty() {
        return exit::DONE;
    }
    host::print(&format!(
        "{} of {} cannot be read and count as failed",
        unreadable.len(),
        count(study.trials.len(), "trial")
    ));
    exit::FAILED
}

/// The table on standard output; what there is to say about it on standard error.
fn print_trials(view: &View) -> Result<()> {
    let lines = view.table(terminal_width());
    let red = console::Style::new().red();
    let rows = lines.rows.iter().zip(view.troubled());
    let rows = rows.map(|(line, troubled)| if troubled { red.apply_to(line).to_string() } else { line.clone() });
    say(&lines.header.iter().cloned().chain(rows).collect::<Vec<_>>().join("\n"))?;
    host::print(&view.counts());
    if !lines.left_out.is_empty() {
        let left_out = words::some(&lines.left_out, COLUMNS_NAMED);
        host::print(&format!("no room for {left_out}; --columns chooses, `| less -S` shows all"));
    }
    Ok(())
}

/// None where standard output is no terminal.
fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size().1.into())
}

fn run_report(results: &[PathBuf], out: Option<&Path>, data: &Path) -> Result<i32> {
    let (study, folder) = match (results, out) {
        ([folder], None) => (publish::publish_stored(folder, data)?, folder.as_path()),
        ([_], Some(_)) => bail!("--out is for the comparison of several results folders"),
        (_, None) => bail!("the comparison of several results folders needs a folder of its own: --out DIR"),
        (folders, Some(out)) => (publish::publish_comparison(folders, out, data)?, out),
    };
    if study.test_images.is_none() {
        host::print("the test images of these trials are not at hand (--data); pictures of them stay as they are");
    }
    for caveat in caveats(&summarize(&study)) {
        host::print(&format!("note: {caveat}"));
    }
    say(&format!("tables and plots in {}", folder.display()))?;
    Ok(say_unreadable(&study))
}

fn run_baseline(results: &[PathBuf], baseline: &str, json: bool) -> Result<i32> {
    let [folder] = results else { bail!("--baseline compares the settings of one results folder") };
    let study = stored_study(folder)?;
    let found = against(&study, &summarize(&study), baseline)?;
    say(&if json { serde_json::to_string_pretty(&found)? } else { found.to_string() })?;
    study.changed_plans.iter().for_each(|change| host::print(&format!("note: {change}")));
    Ok(say_unreadable(&study))
}

/// A results folder's experiment with what is stored of it.
fn stored_study(folder: &Path) -> Result<Study> {
    let store = Store::open(folder)?;
    let manifest = Manifest::load(&store)?.with_context(|| format!("{}: no manifest.json here", folder.display()))?;
    let note = publish::note(&manifest, &manifest.experiment, None);
    let changed = manifest.changed_plans(&manifest.experiment);
    publish::study::study(&manifest.experiment, &note, changed, &store, &mut Default::default())
}

/// All networks are read before the first is scored, so that a wrong path costs no time.
fn run_evaluate(arguments: EvaluateArguments) -> Result<i32> {
    let device = device::parse(&arguments.device)?;
    let experiment = arguments.experiment.as_deref();
    let networks =
        arguments.checkpoints.iter().map(|path| load(path, experiment, device)).collect::<Result<Vec<_>>>()?;
    let folder = data::directory(arguments.folder.data.as_deref());
    let mut evaluator = Evaluator::new(arguments.split, &folder, device);
    // Standard error; nothing where that is no terminal.
    let bar = indicatif::ProgressBar::new(networks.len() as u64);
    let evaluations = networks.iter().map(|network| evaluator.run(network).inspect(|_| bar.inc(1)));
    let evaluations = evaluations.collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&evaluations)?,
        false => side_by_side::describe(&evaluations, terminal_width()),
    };
    say(&text)?;
    if let Some(folder) = &arguments.plots {
        write_new(folder, &side_by_side::plots(&evaluations)?)?;
        host::print(&format!("plots in {}", folder.display()));
    }
    Ok(exit::DONE)
}

/// Writes files into a folder where none of these names is taken, unless by the same bytes.
fn write_new(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    make_folder(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let free = !path.exists() || std::fs::read(&path).is_ok_and(|there| there == *bytes);
        ensure!(free, "{}: is there already and differs; choose another --plots folder, or remove it", path.display());
    }
    files.iter().try_for_each(|(name, bytes)| write_atomically(&folder.join(name), bytes))
}

fn run_parity(arguments: ParityArguments) -> Result<i32> {
    let identical = parity::run(&parity::Options {
        experiment: arguments.experiment,
        data: data::directory(arguments.folder.data.as_deref()),
        dataset: arguments.dataset,
        cases: arguments.cases,
        max_steps: arguments.max_steps.map(|steps| steps as usize),
        threads: arguments.threads.into(),
        device: device::parse(&arguments.device)?,
        json: arguments.json,
        out: arguments.out,
    })?;
    Ok(if identical { exit::DONE } else { exit::FAILED })
}

fn show_models(name: Option<&str>, json: bool) -> Result<i32> {
    match name {
        Some(name) => show_layers(&table_of(name)?, json),
        None => show_networks(json),
    }
}

fn show_networks(json: bool) -> Result<i32> {
    let mut lines = vec![format!("{:<16}{:>12}{:>22}", "network", "parameters", "multiply-adds/image")];
    let mut rows = vec![];
    for name in spec::MODELS {
        let table = table_of(name)?;
        let (parameters, multiply_adds) = (table.parameters(), table.multiply_adds());
        lines.push(format!("{name:<16}{:>12}{:>22}", grouped(parameters), grouped(multiply_adds)));
        rows.push(serde_json::json!({"name": name, "parameters": parameters, "multiply_adds": multiply_adds}));
    }
    say(&if json { serde_json::to_string_pretty(&rows)? } else { lines.join("\n") })?;
    Ok(exit::DONE)
}

fn show_layers(table: &networks::Table, json: bool) -> Result<i32> {
    let line = |name: &str, layer: &str, output: &str, parameters: &str, multiply_adds: &str| {
        format!("{name:<8}{layer:<28}{output:<16}{parameters:>12}{multiply_adds:>16}")
    };
    let mut lines = vec![line("name", "layer", "output", "parameters", "multiply-adds")];
    for row in &table.rows {
        let shape: Vec<String> = row.output.iter().map(i64::to_string).collect();
        let (parameters, multiply_adds) = (blank_zero(row.parameters), blank_zero(row.multiply_adds));
        lines.push(line(&row.name, &row.operation, &shape.join("×"), &parameters, &multiply_adds));
    }
    lines.push(line("total", "", "", &grouped(table.parameters()), &grouped(table.multiply_adds())));
    say(&if json { serde_json::to_string_pretty(table)? } else { lines.join("\n") })?;
    Ok(exit::DONE)
}

/// The layers of the network called `name`, with its default widths.
fn table_of(name: &str) -> Result<networks::Table> {
    ensure!(spec::MODELS.contains(&name), "{name}: no such network; valid: {}", spec::MODELS.join(", "));
    Ok(networks::table_of(&spec::defaults(name)?))
}

fn blank_zero(number: i64) -> String {
    if number == 0 { String::new() } else { grouped(number) }
}

/// Text for single images, CSV as soon as a folder is among them. A picture that cannot be read does not stop the others.
fn run_predict(loaded: &Loaded, images: &[PathBuf], folder: &Path, json: bool) -> Result<i32> {
    let device = tch::Device::Cpu;
    // A single small picture gives several threads nothing to do but wait for one another.
    tch::set_num_threads(1);
    let scaling = loaded.scaling(folder, device)?;
    let class_names = data::class_names(loaded.config.data.dataset);
    let csv = images.iter().any(|path| path.is_dir());
    let mut code = exit::DONE;
    if csv && !json {
        say(predict::CSV_HEADER)?;
    }
    let mut objects = vec![];
    for path in predict::files(images)? {
        match predict::predict(loaded, &scaling, &class_names, &path, device) {
            Ok(prediction) if json => objects.push(serde_json::to_value(prediction)?),
            Ok(prediction) => say(&if csv { prediction.csv_row()? } else { prediction.to_string() })?,
            Err(error) => {
                let error = format!("{error:#}");
                host::print(&format!("error: {error}"));
                objects.push(serde_json::json!({"image": path.display().to_string(), "error": error}));
                code = exit::FAILED;
            }
        }
    }
    if json {
        say(&serde_json::to_string_pretty(&objects)?)?;
    }
    Ok(code)
}

fn run_data(command: DataCommand) -> Result<i32> {
    match command {
        DataCommand::Fetch(folder) => {
            let set = data::fetch::fetch(&data::directory(folder.data.as_deref()), None)?;
            say(&format!("CIFAR-10 is in {}", set.source))?;
        }
        DataCommand::Verify(folder) => {
            say(&data::inspect::verify(&cifar(&folder)?).to_string())?;
        }
        DataCommand::Info { folder, json } => {
            let info = data::inspect::info(&cifar(&folder)?);
            say(&if json { serde_json::to_string_pretty(&info)? } else { info.to_string() })?;
        }
    }
    Ok(exit::DONE)
}

fn cifar(folder: &DataFolder) -> Result<data::Dataset> {
    data::load(DatasetName::Cifar10, &data::directory(folder.data.as_deref()))
}

fn run_worker(arguments: WorkerArguments) -> Result<i32> {
    let WorkerArguments { results, data, device, threads, images } = arguments;
    Worker { store: Store::open(&results)?, data, device: device::parse(&device)?, threads, images }.serve()?;
    Ok(exit::DONE)
}

/// Prints for people or scripts; a reader that has gone away ends the program quietly.
fn say(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(exit::DONE),
        other => other.context("cannot print"),
    }
}

/// `90s`, `30m`, `2h`; a number alone is seconds.
fn parse_duration(text: &str) -> Result<Duration> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    ensure!(seconds.is_some(), "not a duration; write 90s, 30m or 2h");
    Duration::try_from_secs_f64(seconds.unwrap_or_default()).context("too long")
}
