//! The command line: one file a command, with its arguments, its help and what it prints.
//!
//! A command that can end in more than one way returns its code of [`exit`]; an error means that it could not do what was
//! asked.

mod common;
mod completions;
mod data;
mod doctor;
mod evaluate;
mod export;
mod follow;
mod init;
mod keys;
mod launch;
mod models;
mod parity;
mod predict;
mod prune;
mod report;
mod run_arguments;
mod schema;
mod show;
mod sweep;
mod worker;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub use completions::answer_shell;

use crate::exit;
use crate::sweep::WORKER_COMMAND;

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
    Sweep(sweep::SweepArguments),
    /// Write an experiment to begin with, which runs as it is
    Init(init::InitArguments),
    /// Run an experiment's base configuration alone, one trial
    Train(sweep::TrainArguments),
    /// List the trials of a results folder: settings that differ, status, scores; also while they run
    Show(show::ShowArguments),
    /// Make the tables and plots of a results folder anew from its stored trials, or compare several in one report
    ///
    /// Of several folders, the base configurations stand side by side, the first one's as the base of all, and then each
    /// experiment's configuration of highest validation accuracy. Their images must be the same.
    Report(report::ReportArguments),
    /// Score stored networks on a split: loss, accuracy, precision, recall, specificity, F1, confusion matrix
    Evaluate(evaluate::EvaluateArguments),
    /// Name the three most probable classes of image files; a folder gives CSV
    Predict(predict::PredictArguments),
    /// Write a stored network as a plain PyTorch state dict and a class of plain torch.nn that loads it
    Export(export::ExportArguments),
    /// List what a results folder holds beyond its experiment, and remove it after a question
    Prune(prune::PruneArguments),
    /// Run the same trials here and in PyTorch and compare every bit: weights, losses, learning rates, metrics
    ///
    /// Exit code 1 if anything differs that is promised to be identical.
    Parity(parity::ParityArguments),
    /// List the networks, or one network's layers: shapes, parameters, multiply-adds
    Models(models::ModelsArguments),
    /// Get CIFAR-10, make a data set of your own images, or check and describe what is there
    #[command(subcommand)]
    Data(data::DataCommand),
    /// List the keys of the experiment file: values, range, default and PyTorch's name
    Keys(keys::KeysArguments),
    /// Print the JSON Schema of the experiment file, by which editors complete and check it
    Schema,
    /// Print a script by which the shell completes commands, keys, blocks and trials at the Tab key
    Completions(completions::CompletionsArguments),
    /// Say what of this machine is usable: libtorch, devices, data set, disk
    Doctor(doctor::DoctorArguments),
    #[command(name = WORKER_COMMAND, hide = true)]
    Worker(worker::WorkerArguments),
}

/// Runs the command and returns the exit code; an error means that nothing was run.
pub fn run(cli: Cli) -> Result<i32> {
    let done = |()| exit::DONE;
    match cli.command {
        Command::Sweep(arguments) => sweep::run_sweep(&arguments),
        Command::Train(arguments) => sweep::run_train(&arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments).map(done),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Parity(arguments) => parity::run(&arguments),
        Command::Init(arguments) => init::run(&arguments).map(done),
        Command::Export(arguments) => export::run(&arguments).map(done),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments).map(done),
        Command::Models(arguments) => models::run(&arguments).map(done),
        Command::Data(command) => data::run(&command),
        Command::Keys(arguments) => keys::run(&arguments).map(done),
        Command::Schema => schema::run().map(done),
        Command::Doctor(arguments) => doctor::run(&arguments).map(done),
        Command::Worker(arguments) => worker::run(arguments).map(done),
    }
}
