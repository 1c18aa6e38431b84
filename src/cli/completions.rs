//! `runner completions`: what a shell offers at the Tab key. The shell asks the program itself each time, so that the blocks and
//! trials of the experiment on the line are among it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::{CompleteEnv, Shells};

use super::common::say;
use crate::data::directory;
use crate::networks;
use crate::publish::study::labels;
use crate::spec::{Experiment, Imports, Overrides, guide};

/// With this in its environment the program answers a shell.
const VARIABLE: &str = "RUNNER_COMPLETE";
const NAME: &str = "runner";

const COMPLETIONS_HELP: &str = "\
bash:  echo 'source <(runner completions bash)' >> ~/.bashrc
zsh:   echo 'source <(runner completions zsh)' >> ~/.zshrc
fish:  runner completions fish > ~/.config/fish/completions/runner.fish";

#[derive(Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArguments {
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub fn run(arguments: &CompletionsArguments) -> Result<()> {
    let shell = match arguments.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let program = std::env::current_exe()?;
    let program = program.to_str().context("a script can name only a program whose path is text")?;
    let mut script = vec![];
    let shells = Shells::builtins();
    let completer = shells.completer(shell).expect("clap knows these shells");
    completer.write_registration(VARIABLE, NAME, NAME, program, &mut script)?;
    say(String::from_utf8(script)?.trim_end())
}

/// Answers and ends the program where a shell has asked.
pub fn answer_shell(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Experiment files, and the folders where they may be.
pub fn experiments() -> ArgValueCompleter {
    let is_experiment = |path: &std::path::Path| path.is_dir() || path.extension().is_some_and(|kind| kind == "yaml");
    ArgValueCompleter::new(PathCompleter::file().filter(is_experiment))
}

/// Blocks and trial ids of the experiment on the line; not of trials that start from weights, which would have to be read.
pub fn parts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let Some(experiment) = experiment_on_the_line() else { return vec![] };
        let labels = labels(&experiment);
        let blocks = experiment
            .blocks
            .iter()
            .map(|block| CompletionCandidate::new(&block.id).help(block.title.clone().map(Into::into)));
        let known = experiment.trials().into_iter().filter(|trial| trial.config.start.is_none());
        let trials = known.map(|trial| {
            let label = labels.get(&trial.id).map(|label| format!("{label}, seed {}", trial.seed).into());
            CompletionCandidate::new(trial.id).help(label)
        });
        beginning_with(current, blocks.chain(trials))
    })
}

/// `epochs=` and all others that a command line may set.
pub fn settings() -> ArgValueCompleter {
    let is_outside =
        |key: &str| ["schema", "name", "description", "settle", "margin", "tune", "base", "blocks"].contains(&key);
    // These stand in one object.
    let is_of_a_file = |key: &str| ["model.file", "model.without", "model.replace"].contains(&key);
    let can_be_set = move |key: &str| !is_outside(key.split('.').next().unwrap_or(key)) && !is_of_a_file(key);
    keys(move |key| can_be_set(key).then(|| format!("{key}=")))
}

/// Every key of the experiment file.
pub fn all_keys() -> ArgValueCompleter {
    keys(|key| Some(key.to_owned()))
}

pub fn networks() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        beginning_with(current, networks::names().into_iter().map(CompletionCandidate::new))
    })
}

fn keys(written: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let (rows, mut seen) = (guide::rows(), HashSet::new());
        let keys = rows.iter().map(|row| row.key.as_str()).filter(|key| !key.contains(':') && seen.insert(*key));
        beginning_with(current, keys.filter_map(&written).map(CompletionCandidate::new))
    })
}

fn beginning_with(current: &OsStr, all: impl Iterator<Item = CompletionCandidate>) -> Vec<CompletionCandidate> {
    let begins =
        |word: &CompletionCandidate| word.get_value().as_encoded_bytes().starts_with(current.as_encoded_bytes());
    all.filter(begins).collect()
}

/// A completer is given one word; the shell has passed the others to the program.
fn experiment_on_the_line() -> Option<Experiment> {
    let words = std::env::args_os().skip(1).map(PathBuf::from);
    let mut files = words.filter(|word| word.extension().is_some_and(|kind| kind == "yaml"));
    let overrides = Overrides { imports: Imports::in_folder(directory(None)), is_sketch: true, ..Overrides::default() };
    files.find_map(|path| Experiment::load(&path, &overrides).ok())
}
