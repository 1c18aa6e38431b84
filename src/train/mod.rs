//! One trial's arithmetic, in PyTorch 2.11.0's order of operations and random draws.

pub mod checkpoint;
mod clip;
pub mod course;
pub mod evaluate;
pub mod evidence;
mod init;
pub mod optimizer;
pub mod pack;
pub mod pack_size;
mod packed_optimizer;
mod penalties;
pub mod record;
mod recorder;
mod schedule;
mod showcase;
pub mod trial;
