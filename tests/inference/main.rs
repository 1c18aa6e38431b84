//! `show`, `evaluate` and `predict` on the results of one small sweep that all tests here share.
#![cfg(target_os = "linux")]

// Each test binary uses a part of it.
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod evaluate;
mod export;
mod formats;
mod memory;
mod pictures;
mod predict;
mod shared;
mod show;
#[allow(dead_code)]
#[path = "../pictures/table/mod.rs"]
mod table;
