//! One trial's arithmetic, in PyTorch 2.11.0's order of operations and random draws.

pub mod checkpoint;
pub mod course;
pub mod evaluate;
pub mod evidence;
mod learning_rate;
pub mod pack;
pub mod pack_size;
mod showcase;
pub mod trial;
