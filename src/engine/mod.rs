//! What computes on tensors: the networks of a group of trials with their optimizers, in one of two arithmetics behind one trait.
//! `exact` has one trial at a time in PyTorch's own operations; `packed` has many as one network.

mod arithmetic;
mod batch_norm;
mod clip;
mod convolution;
mod cuda_graph;
pub mod device;
mod exact;
mod init;
mod memory;
mod network;
mod packed;
mod packed_memory;
mod packed_network;
mod penalties;
mod state;
mod walk;
mod windows;

use tch::Device;

pub use arithmetic::{Arithmetic, Batch, IGNORE_INDEX, Measured, Measures, entropies, read};
pub use cuda_graph::{RECORDED_NOTHING, WARM_UP, cannot_record};
pub use init::untrained;
pub use network::Network;
pub use packed::fit_together;
pub use state::{State, copied, find};

use crate::spec::config::{Config, Mode};

/// The members with these configurations as they start with `seed`, which seeds the default generator for all that they draw.
/// In exact mode there is one.
pub fn start(configs: &[&Config], seed: u64, device: Device) -> Box<dyn Arithmetic> {
    if configs[0].mode != Mode::Exact {
        return Box::new(packed::Packed::new(configs, seed, device));
    }
    assert_eq!(configs.len(), 1, "exact mode has one trial at a time");
    Box::new(exact::Exact::new(configs[0], seed, device))
}
