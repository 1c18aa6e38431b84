//! How many trials are worth computing together: measured, for it depends on the network, the batch and the machine.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use anyhow::Result;
use tch::Device;

use super::group::Group;
use super::observer::Sets;
use crate::engine::{WARM_UP, cannot_record};
use crate::spec::config::Config;

/// More make checkpoints and the loss of one failed pack large, and gain little on a processor's core.
const MOST_ON_A_CORE: usize = 16;
const MOST_ON_A_GPU: usize = 128;
/// A pack of twice the size must be at least so much quicker a trial.
const WORTHWHILE: f64 = 0.97;
/// The first steps are the slow ones that choose kernels and fill caches.
const STEPS: usize = 10;
/// What a GPU's search may take: each size has it set up its convolutions anew.
const SEARCH: Duration = Duration::from_secs(20);
const AT_LEAST: Duration = Duration::from_millis(50);
const AT_MOST: Duration = Duration::from_secs(2);
/// What has so much to do in one step gains nothing, and is not worth the time to find that out.
const LONG_STEP: Duration = Duration::from_millis(500);

/// The largest pack on `device`.
pub fn largest(device: Device) -> usize {
    if device == Device::Cpu { MOST_ON_A_CORE } else { MOST_ON_A_GPU }
}

/// How many of `configs`, which fit together, one process computes quickest a trial: from 1 to all of them.
///
/// Takes some steps on packs of growing size; uses and reseeds the process's default generator.
pub fn best_size(configs: &[&Config], seed: u64, sets: &Sets, device: Device) -> Result<usize> {
    let (start, most) = (Instant::now(), configs.len().min(largest(device)));
    let growth = if device == Device::Cpu { 2 } else { 4 };
    let mut best = (1, seconds_per_trial(&configs[..1], seed, sets, device)?);
    if best.1 > LONG_STEP.as_secs_f64() {
        return Ok(1);
    }
    while best.0 < most && (device == Device::Cpu || start.elapsed() < SEARCH) {
        let size = (growth * best.0).min(most);
        let measure = || seconds_per_trial(&configs[..size], seed, sets, device);
        // A pack that does not fit into the device's memory panics, where tch has no other way to say so.
        let measured = catch_unwind(AssertUnwindSafe(|| match measure()? {
            // Other work on the machine may have come between just then. A GPU has none, and takes long.
            seconds if seconds > best.1 * WORTHWHILE && device == Device::Cpu => Ok(seconds.min(measure()?)),
            seconds => anyhow::Ok(seconds),
        }));
        match measured {
            Ok(Ok(seconds)) if seconds <= best.1 * WORTHWHILE => best = (size, seconds),
            Err(panic) if cannot_record() => resume_unwind(panic),
            _ => break,
        }
    }
    Ok(best.0)
}

/// Of one training step: the quickest seen, for other work on the machine only ever adds.
fn seconds_per_trial(configs: &[&Config], seed: u64, sets: &Sets, device: Device) -> Result<f64> {
    let mut group = Group::new(configs, seed, sets, device);
    let images = group.first_batch();
    // On a GPU what counts is the step that is replayed, after those that choose kernels and the one that is recorded.
    let untimed = if device == Device::Cpu { 0 } else { WARM_UP + 1 };
    (0..untimed).for_each(|_| group.train_on(&images));
    let (start, mut steps, mut quickest) = (Instant::now(), 0, f64::INFINITY);
    while steps == 0 || start.elapsed() < AT_LEAST || (steps < STEPS && start.elapsed() < AT_MOST) {
        let step = Instant::now();
        group.train_on(&images);
        quickest = quickest.min(step.elapsed().as_secs_f64());
        steps += 1;
    }
    Ok(quickest / configs.len() as f64)
}
