//! What computes on tensors: networks with their weights, optimizers, penalties.

mod clip;
mod cuda_graph;
pub mod device;
mod init;
mod network;
mod optimizer;
mod packed_network;
mod packed_optimizer;
mod penalties;
mod windows;

pub use clip::clip;
pub use cuda_graph::{Recorder, WARM_UP};
pub use init::initialize;
pub use network::{Network, State};
pub use optimizer::Optimizer;
pub use packed_network::PackedNetwork;
pub use packed_optimizer::PackedOptimizer;
pub use penalties::Penalties;
