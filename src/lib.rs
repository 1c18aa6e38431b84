//! Trains five small CIFAR-10 networks on libtorch and runs experiment matrices over them.

pub mod data;
pub mod models;
pub mod native;
pub mod spec;
pub mod train;
