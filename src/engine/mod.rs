//! What computes on tensors: the networks of a group of trials with their optimizers, in one of two arithmetics behind one trait.
//! `exact` has one trial at a time in PyTorch's own operations; `packed` has many as one network.

mod batch_norm;
mod clip;
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

use anyhow::Result;
use tch::{Device, Tensor};

pub use cuda_graph::WARM_UP;
pub use init::untrained;
pub use network::Network;
pub use packed::fit_together;
pub use packed_network::PackedNetwork;
pub use state::{State, copied};

use crate::spec::config::{Config, Mode};

/// PyTorch's default `ignore_index`, which no label equals.
pub const IGNORE_INDEX: i64 = -100;

/// The networks of K trials, the members, with what their optimizers remember. Members are counted from 0.
pub trait Arithmetic {
    /// One optimizer step of every member, each at its own learning rate.
    fn step(&mut self, batch: &Batch, rates: &[f64]) -> Vec<Measured>;

    /// float32 [N, 3, 32, 32] → logits [K, N, 10], in evaluation mode.
    fn logits(&self, images: &Tensor) -> Tensor;

    /// A member's state dict, which shares memory with the network.
    fn state(&self, member: usize) -> State;

    /// Takes over a member's state dict if it fits; [`Arithmetic::refresh`] makes it count.
    fn write(&mut self, member: usize, state: &State) -> Result<()>;

    fn refresh(&mut self) {}

    /// Steps that the optimizer has taken, and what it remembers of a member.
    fn memory(&self, member: usize) -> (u64, State);

    /// Takes back what [`Arithmetic::memory`] gave.
    fn remember(&mut self, member: usize, steps: u64, state: &State) -> Result<()>;

    /// Gives every member a fresh optimizer.
    fn restart(&mut self);
}

/// What a step learns from.
pub struct Batch<'a> {
    /// Where the tensors that [`Batch::images`] makes are.
    pub device: Device,
    /// All that differs from batch to batch.
    pub input: Vec<Tensor>,
    /// Makes the images, float32 [N, 3, 32, 32], and their labels, int64 [N], of such input by tensor operations alone.
    pub images: &'a dyn Fn(&[Tensor]) -> (Tensor, Tensor),
}

/// What one step says of one member, before it moved.
#[derive(Clone, Copy)]
pub struct Measured {
    /// The batch's cross-entropy with label smoothing, without penalties.
    pub loss: f32,
    pub penalty: f32,
    /// Right answers.
    pub correct: i64,
}

/// The members with these configurations as they start with `seed`, which seeds the default generator for all that they draw.
/// In exact mode there is one.
pub fn start(configs: &[&Config], seed: u64, device: Device) -> Box<dyn Arithmetic> {
    if configs[0].mode != Mode::Exact {
        return Box::new(packed::Packed::new(configs, seed, device));
    }
    assert_eq!(configs.len(), 1, "exact mode has one trial at a time");
    Box::new(exact::Exact::new(configs[0], seed, device))
}
