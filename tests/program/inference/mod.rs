//! `show`, `evaluate` and `predict` on the results of one small sweep that all tests here share.

mod evaluate;
mod export;
mod formats;
mod memory;
mod pictures;
mod predict;
mod shared;
mod show;
