//! Commands around a sweep: the first experiment, the shell's completions, what may be removed, a page that opens.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // Others use the rest.
#[path = "../common/mod.rs"]
mod common;
mod completions;
mod follow;
mod init;
mod keys;
mod open;
mod plan;
mod prune;
