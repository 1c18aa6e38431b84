//! A training step on a GPU, recorded once and replayed as one CUDA graph: starting its many small kernels one by one takes
//! longer than they run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Tensor};

use crate::native::Graph;

/// Steps before one is recorded: the first ones choose kernels and set up memory, which a recording must not.
pub const WARM_UP: usize = 3;
/// A recording failed in this process. There is no other try, for libtorch does not quite recover from that.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Runs steps of always the same operations.
#[derive(Default)]
pub struct Recorder {
    /// The sizes of the last steps' inputs, and how many steps had them in a row.
    sizes: Vec<Vec<i64>>,
    seen: usize,
    recorded: Option<Recorded>,
}

struct Recorded {
    graph: Graph,
    input: Vec<Tensor>,
    output: Tensor,
}

impl Recorder {
    /// What `step` returns for `input` on `device`. It must depend on nothing else but tensors that stay where they are, and do
    /// nothing but tensor operations.
    pub fn run(&mut self, device: Device, input: &[Tensor], step: impl Fn(&[Tensor]) -> Tensor) -> Tensor {
        let Device::Cuda(gpu) = device else { return step(input) };
        let sizes: Vec<Vec<i64>> = input.iter().map(Tensor::size).collect();
        if let Some(recorded) = &self.recorded
            && self.sizes == sizes
        {
            return recorded.replay(input);
        }
        let input: Vec<Tensor> = input.iter().map(|input| input.to_device(device)).collect();
        // After a recording only the last, smaller batch of each epoch comes here.
        if self.recorded.is_some() || REFUSED.load(Ordering::Relaxed) {
            return step(&input);
        }
        self.seen = if self.sizes == sizes { self.seen + 1 } else { 0 };
        self.sizes = sizes;
        if self.seen < WARM_UP {
            return step(&input);
        }
        match catch_unwind(AssertUnwindSafe(|| Graph::record(gpu, || step(&input)))) {
            Ok((graph, output)) => {
                let recorded = self.recorded.insert(Recorded { graph, input, output });
                // To record is not to compute.
                recorded.graph.replay();
                recorded.output.shallow_clone()
            }
            Err(_) => {
                eprintln!(
                    "the steps could not be recorded as a CUDA graph (see above); they run one operation at a time"
                );
                REFUSED.store(true, Ordering::Relaxed);
                step(&input)
            }
        }
    }
}

impl Recorded {
    fn replay(&self, input: &[Tensor]) -> Tensor {
        for (place, input) in self.input.iter().zip(input) {
            place.shallow_clone().copy_(input);
        }
        self.graph.replay();
        self.output.shallow_clone()
    }
}
