//! How many trials are worth computing together: measured, for it depends on the network, the batch and the machine.

use std::time::{Duration, Instant};

use anyhow::Result;
use tch::Device;

use super::pack::Pack;
use super::trial::Sets;
use crate::spec::config::Config;

/// More make checkpoints and the loss of one failed pack large, and gain little.
const MOST: usize = 16;
/// A pack of twice the size must be at least so much quicker a trial.
const WORTHWHILE: f64 = 0.97;
/// Steps that are not timed: the first ones choose kernels and fill caches.
const WARM_UP: usize = 2;
const TIMED: usize = 3;
const TIMED_AT_LEAST: Duration = Duration::from_millis(50);

/// How many of `configs`, which fit together, one process computes quickest a trial: from 1 to all of them.
///
/// Takes some steps on packs of growing size; uses and reseeds the process's default generator.
pub fn best_size(configs: &[&Config], seed: u64, sets: &Sets, device: Device) -> Result<usize> {
    let most = configs.len().min(MOST);
    let mut best = (1, seconds_per_trial(&configs[..1], seed, sets, device)?);
    while best.0 < most {
        let size = (2 * best.0).min(most);
        let seconds = seconds_per_trial(&configs[..size], seed, sets, device)?;
        if seconds > best.1 * WORTHWHILE {
            break;
        }
        best = (size, seconds);
    }
    Ok(best.0)
}

/// Of one training step: the quickest seen, for other work on the machine only ever adds.
fn seconds_per_trial(configs: &[&Config], seed: u64, sets: &Sets, device: Device) -> Result<f64> {
    let mut pack = Pack::new(configs, seed, sets, device)?;
    let images = pack.first_batch();
    (0..WARM_UP).for_each(|_| pack.train_on(&images));
    let (start, mut steps, mut quickest) = (Instant::now(), 0, f64::INFINITY);
    while steps < TIMED || start.elapsed() < TIMED_AT_LEAST {
        let step = Instant::now();
        pack.train_on(&images);
        quickest = quickest.min(step.elapsed().as_secs_f64());
        steps += 1;
    }
    Ok(quickest / configs.len() as f64)
}
