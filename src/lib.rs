//! Trains small CIFAR-10 networks on libtorch and runs experiment matrices over them.
//!
//! The rooms from the top down; each uses only those below it.
//!
//! | room | what it holds, and in which file |
//! |---|---|
//! | [`cli`] | a file for every command: its arguments and what it prints; `mod` lists them with their help |
//! | [`parity`], [`inference`] | the comparison with PyTorch; trained networks on a split, on pictures, as PyTorch's own |
//! | [`sweep`] | `queue` decides which trial runs next, and again; `supervisor` conducts the `workers`; `worker` is one's inside; `launch/`: on a cluster |
//! | [`publish`] | a results folder → what a report needs → its files |
//! | [`report`] | stored trials → statistics → tables and pages, as bytes; `plots/`: a file a plot, which says when it applies |
//! | [`verdict`] | what differences may be called, and which trials are needed to say so |
//! | [`train`] | `group`: the one loop over epochs and batches of K trials; `course`, `learning_rate`, `checkpoint`, `evaluate` |
//! | [`engine`] | tensors: `walk` through a network's layers; `exact` and `packed` arithmetic behind one trait |
//! | [`data`] | `cifar/`: `layout`, `python` (batches), `pickle` (their opcodes), `archive`; synthetic set, splits, batches, augmentation; `import/`: images of the user's own |
//! | [`store`] | the results folder's `layout`, atomic writes in `files`, locks in `claim`, what a file system promises in `mounts`, what may go in `prune`; the only writer of results |
//! | [`spec`] | experiment files: `keys` is the table of all keys with ranges and defaults; `load`, `check`, `expand` to trials; `guide/`: their list and JSON Schema |
//! | [`networks`] | one file each of the built-in ones: its options and its layers; `layer`, `table`: what a layer is, and follows from a list of them |
//! | [`optimizers`] | one file each: its options, its exact and its packed step; AdamW's steps are Adam's, in `adam` |
//! | [`record`] | what is stored of a trial: `result.json` and its parts |
//! | [`pictures`] | picture files of any size and common kind → small squares; `tiff/` is ours |
//! | [`options`], [`native`] | what a key can take, and the named ranges; libtorch beyond tch |
//! | [`host`], [`words`] | the machine; numbers, counts and times as text |
//!
//! A trial's way: `spec` makes it from the file, `sweep::queue` gives it to a worker, which claims it in the `store` and hands
//! it to [`train::run`]; `engine` takes its steps; what it measured is a [`record::Outcome`] in the `store`, from which
//! `publish` has `verdict` and `report` make the tables and plots.

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
pub mod pictures;
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
