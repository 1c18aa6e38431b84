//! Pictures of every kind as `predict` sees them: as their format's specification and Pillow say, or refused by name.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // Other tests use the rest.
#[path = "../common/mod.rs"]
mod common;
mod jpeg;
mod table;
mod tiff;
