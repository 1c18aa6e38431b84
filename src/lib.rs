//! Trains small CIFAR-10 networks on libtorch and runs experiment matrices over them.
//!
//! The rooms from the top down; each uses only those below it.
//!
//! | room | what it holds |
//! |---|---|
//! | [`cli`] | a file for every command: its arguments, its help, what it prints |
//! | [`parity`], [`inference`] | the comparison with PyTorch; trained networks on a split or on pictures |
//! | [`sweep`] | which trial runs next, the worker processes, what is shown meanwhile |
//! | [`publish`] | a results folder → what a report needs → its files |
//! | [`report`] | stored trials → statistics → CSV, Markdown, TeX, HTML, PNG, as bytes |
//! | [`verdict`] | what results may say, and which trials are needed to say it |
//! | [`train`] | the one loop over K trials: epochs, schedule, selection, checkpoints |
//! | [`engine`] | tensors: the walk over a network's layers, exact and packed arithmetic |
//! | [`data`] | CIFAR-10's formats, the synthetic set, splits, batches, augmentation |
//! | [`store`] | the results folder: names, atomic files, locks; the only writer of results |
//! | [`spec`] | an experiment file → checked configurations → trials |
//! | [`networks`], [`optimizers`] | one file each, with its options |
//! | [`record`] | what is stored of a trial |
//! | [`options`], [`native`], [`host`], [`words`] | kinds of keys; libtorch beyond tch; the machine; numbers as text |
//!
//! A trial's way: `spec::load` reads the file and `spec::expand` makes its [`spec::Trial`]s, `sweep::queue` gives them to
//! workers, `sweep::worker` claims each in the `store` and hands it to [`train::run`], whose `engine` takes the steps; what it
//! measured is a [`record::Outcome`] in the `store`, from which `publish` has `verdict` and `report` make the tables and plots.

// See clippy.toml.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod cli;
pub mod data;
pub mod engine;
pub mod host;
pub mod inference;
pub mod native;
pub mod networks;
pub mod optimizers;
pub mod options;
pub mod parity;
pub mod publish;
pub mod record;
pub mod report;
pub mod spec;
pub mod store;
pub mod sweep;
pub mod train;
pub mod verdict;
pub mod words;

#[cfg(test)]
#[path = "../tests/common/skip.rs"]
mod skip;

/// Exit codes of the program.
pub mod exit {
    pub const DONE: i32 = 0;
    /// Some trials failed.
    pub const FAILED: i32 = 1;
    /// Bad input or surroundings; nothing was run.
    pub const BAD_INPUT: i32 = 2;
    /// Stopped by a signal; the same command goes on.
    pub const INTERRUPTED: i32 = 130;
}
