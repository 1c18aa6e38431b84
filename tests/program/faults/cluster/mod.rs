//! Several machines, really: an NFS server with two clients in a User Mode Linux kernel, and Slurm with two nodes.
//!
//! `RUNNER_NFS_RUNS=10 cargo test --release --test program nfs` sweeps so often instead of once. What these need is in `.ci/run`; a test
//! that cannot have it is skipped, with a line saying so. Mostly they wait, while other tests run.

mod nfs;
mod script;
mod slurm;

/// As many trials as seeds, which are short.
fn experiment(seeds: &str, epochs: usize) -> String {
    format!(
        "
schema: 1
name: tiny
data: {{dataset: synthetic, train: 256, val: 100}}
seeds: {seeds}
base:
  model: lenet5
  epochs: {epochs}
  batch_size: 64
  optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}
"
    )
}

/// Twelve trials.
fn twelve(epochs: usize) -> String {
    let blocks =
        "blocks:\n  - {id: init, axes: {init: [xavier_uniform]}}\n  - {id: activation, axes: {activation: [relu]}}\n";
    experiment("[0, 1, 2, 3]", epochs) + blocks
}
