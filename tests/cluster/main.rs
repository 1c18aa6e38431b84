//! Several machines, really: an NFS server with two clients in a User Mode Linux kernel, and Slurm with two nodes.
//!
//! `RUNNER_NFS_RUNS=10 cargo test --release --test cluster nfs` sweeps so often instead of once. What these need is in `.ci/run`; a test
//! that cannot have it is skipped, with a line saying so.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // The other tests use the rest.
#[path = "../common/mod.rs"]
mod common;

mod nfs;
mod script;
mod slurm;

/// Twelve trials.
fn twelve(epochs: usize) -> String {
    format!(
        "
schema: 1
name: tiny
data: {{dataset: synthetic, train: 256, val: 100}}
seeds: [0, 1, 2, 3]
base:
  model: lenet5
  epochs: {epochs}
  batch_size: 64
  optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}
blocks:
  - {{id: init, axes: {{init: [xavier_uniform]}}}}
  - {{id: activation, axes: {{activation: [relu]}}}}
"
    )
}
