//! Trains a group of trials from one seed to their scores, whichever arithmetic `engine` computes them in. It computes and
//! reports; storing and showing is the [`Observer`]'s.

pub mod checkpoint;
pub mod course;
pub mod evaluate;
pub mod evidence;
mod group;
mod learning_rate;
mod observer;
pub mod pack_size;
mod showcase;
mod start;

use std::slice;

use anyhow::Result;
use tch::Device;

use crate::native;
use crate::spec::config::{Config, Mode};
use group::Group;
pub use group::READ_AT_ONCE;
pub use observer::{Ended, Observer, Sets, Step};
pub use start::started;

/// Trains `configs` with one seed, from `resume` if given: bytes that [`Observer::checkpoint`] got, of each and all of the same
/// step. How each ended, in order. Of exact mode there is one, of others there are such as
/// [`fit_together`](crate::engine::fit_together).
///
/// Uses and reseeds the process's default generator, so one process runs one group at a time.
pub fn run(
    configs: &[&Config],
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<&[Vec<u8>]>,
    observers: &mut [&mut dyn Observer],
) -> Result<Vec<Ended>> {
    let mut group = Group::new(configs, seed, sets, device);
    match resume {
        Some(checkpoints) => group.restore(checkpoints)?,
        None => group.start()?,
    }
    let train = || group.train(observers);
    match configs[0].mode {
        Mode::Exact => train(),
        // The averages of Adam and RMSprop sink there wherever a unit gets no gradient any more, and would stay.
        _ => native::without_denormals(train),
    }
}

/// [`run`] for one trial alone.
pub fn run_one(
    config: &Config,
    seed: u64,
    sets: &Sets,
    device: Device,
    resume: Option<Vec<u8>>,
    observer: &mut dyn Observer,
) -> Result<Ended> {
    let resume = resume.as_ref().map(slice::from_ref);
    Ok(run(&[config], seed, sets, device, resume, &mut [observer])?.remove(0))
}
