//! The program as a user runs it. All of these are one test binary: it is linked once, and tests that wait leave the cores to others.
//! What seeds libtorch's default generator, or measures its own memory, is in binaries of its own beside this folder.
#![cfg(target_os = "linux")]

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod files;
mod gpu;
mod import;
mod inference;
mod pictures;
mod readme;
mod report;
mod scripts;
mod settle;
mod statistics;
mod stored;
mod sweep;
mod tensorboard;
