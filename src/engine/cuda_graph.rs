//! A training step on a GPU, recorded once and replayed as one CUDA graph: starting its many small kernels one by one takes
//! longer than they run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Tensor};

use crate::host::panic_text;
use crate::native::{Graph, copy_without_waiting};

/// Steps before one is recorded: the first ones choose kernels and set up memory, which a recording must not.
pub const WARM_UP: usize = 3;
/// Set to anything but `0`, it has steps run one operation at a time.
pub const RECORDED_NOTHING: &str = "RUNNER_NO_GRAPH";

static IS_OFF: LazyLock<bool> = LazyLock::new(|| std::env::var_os(RECORDED_NOTHING).is_some_and(|value| value != "0"));
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether a recording has failed in this process. libtorch 2.11 does not clean up after that, so nothing more can be computed in
/// it; another process may, with [`RECORDED_NOTHING`].
pub fn cannot_record() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Runs steps of always the same operations.
#[derive(Default)]
pub struct Recorder {
    /// The sizes of the last steps' inputs, and how many steps had them in a row.
    sizes: Vec<Vec<i64>>,
    seen: usize,
    recorded: Option<Recorded>,
    /// There was no memory for a recording beside what a step needs.
    lacks_memory: bool,
}

struct Recorded {
    graph: Graph,
    input: Vec<Tensor>,
    output: Tensor,
}

impl Recorder {
    /// What `step` returns for `input` on `device`. It must depend on nothing else but tensors that stay where they are, and do
    /// nothing but tensor operations. Panics where a step cannot be recorded: see [`cannot_record`].
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
        if self.recorded.is_some() || self.lacks_memory || *IS_OFF {
            return step(&input);
        }
        self.seen = if self.sizes == sizes { self.seen + 1 } else { 0 };
        self.sizes = sizes;
        if self.seen == WARM_UP {
            match catch_unwind(AssertUnwindSafe(|| Graph::record(gpu, || step(&input)))) {
                // To record is not to compute.
                Ok((graph, output)) => {
                    return self.recorded.insert(Recorded { graph, input, output }).replay_as_it_is();
                }
                Err(panic) if is_lack_of_memory(&*panic) => self.give_up(),
                Err(_) => {
                    FAILED.store(true, Ordering::Relaxed);
                    panic!("a step could not be recorded as a CUDA graph (see above)");
                }
            }
        }
        step(&input)
    }

    fn give_up(&mut self) {
        eprintln!("there is too little memory to record steps as a CUDA graph; they run one operation at a time");
        self.lacks_memory = true;
    }
}

/// Whether libtorch says so in its error, of which tch makes a panic.
fn is_lack_of_memory(panic: &(dyn Any + Send)) -> bool {
    panic_text(panic).contains("out of memory")
}

impl Recorded {
    fn replay(&self, input: &[Tensor]) -> Tensor {
        self.input.iter().zip(input).for_each(|(place, input)| copy_without_waiting(place, input));
        self.replay_as_it_is()
    }

    /// A copy of the output: the next replay writes over it, maybe before it is read.
    fn replay_as_it_is(&self) -> Tensor {
        self.graph.replay();
        self.output.copy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_errors() {
        let said = |text: &'static str| catch_unwind(|| panic!("{text}")).unwrap_err();
        assert!(is_lack_of_memory(&*said("CUDA out of memory. Tried to allocate 2.00 GiB")));
        assert!(!is_lack_of_memory(&*said("CUDA error: operation not permitted when stream is capturing")));
    }
}
