//! Trains five small CIFAR-10 networks on libtorch and runs experiment matrices over them.
//!
//! `spec` reads what a user wants, `train` computes one trial of it with `engine` and `data`, `sweep` runs many in worker
//! processes, `verdict` decides what their results may say and which trials are needed next, and `report` turns what they stored
//! into tables and plots. `parity` compares `train` with PyTorch.

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
