//! The libtorch calls that tch does not bind, and what libtorch does not have, behind safe functions. The C++ side of this file is
//! `torch.cpp`.

pub mod gpus;
pub mod pooling;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

use tch::{Device, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn runner_libtorch_version() -> *const c_char;
    fn runner_generator_state(gpu: c_int, state: *mut *mut C_tensor) -> *mut c_char;
    fn runner_set_generator_state(gpu: c_int, state: *const C_tensor) -> *mut c_char;
    fn runner_gpu_name(gpu: c_int, name: *mut *mut c_char) -> *mut c_char;
    fn runner_find_graph_functions() -> *mut c_char;
    fn runner_graph_begin(gpu: c_int, graph: *mut *mut c_void) -> *mut c_char;
    fn runner_graph_end(graph: *mut c_void) -> *mut c_char;
    fn runner_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn runner_graph_free(graph: *mut c_void);
    fn runner_set_autocast(cuda: c_int, on: c_int) -> *mut c_char;
    fn runner_set_kernel_search(on: c_int) -> *mut c_char;
    fn runner_set_flush_denormals(on: c_int) -> *mut c_char;
    fn runner_set_gpu(gpu: c_int, repeatable: c_int, tf32: c_int) -> *mut c_char;
    fn runner_randperm(seed: u64, n: i64, permutation: *mut *mut C_tensor) -> *mut c_char;
    fn runner_leaky_relu(input: *const C_tensor, slope: f64, output: *mut *mut C_tensor) -> *mut c_char;
    fn runner_copy_without_waiting_(this: *mut C_tensor, source: *const C_tensor) -> *mut c_char;
    fn runner_channels_last(input: *const C_tensor, output: *mut *mut C_tensor) -> *mut c_char;
    fn runner_add_(this: *mut C_tensor, other: *const C_tensor, alpha: f64) -> *mut c_char;
    fn runner_addcmul_(this: *mut C_tensor, left: *const C_tensor, right: *const C_tensor, value: f64) -> *mut c_char;
    fn runner_addcdiv_(
        this: *mut C_tensor,
        numerator: *const C_tensor,
        denominator: *const C_tensor,
        value: f64,
    ) -> *mut c_char;
    fn runner_fused_adam_(
        parameters: *mut C_tensor,
        gradient: *const C_tensor,
        mean: *mut C_tensor,
        square: *mut C_tensor,
        largest: *mut C_tensor,
        step: f64,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: c_int,
    ) -> *mut c_char;
}

/// The version of the headers this program was built against, such as `2.11.0`.
pub fn libtorch_version() -> &'static str {
    // SAFETY: the C++ side returns a string literal of ASCII characters.
    unsafe { CStr::from_ptr(runner_libtorch_version()) }.to_str().expect("a version is ASCII")
}

/// Makes libtorch's GPU side usable where a driver and `libtorch_cuda` are there; else says what is missing. The linker drops that
/// library from the program, so that it also starts on machines without any of NVIDIA's.
pub fn load_gpu_support() -> Result<(), &'static str> {
    static LOADED: LazyLock<Result<(), String>> = LazyLock::new(|| {
        load(c"libcuda.so.1", libc::RTLD_LAZY)?;
        load(c"libtorch_cuda.so", libc::RTLD_NOW | libc::RTLD_GLOBAL)
    });
    LOADED.as_ref().copied().map_err(String::as_str)
}

fn load(library: &CStr, flags: c_int) -> Result<(), String> {
    // SAFETY: the library's initializers are made to be run this way; dlerror returns a C string after a failure.
    unsafe {
        if libc::dlopen(library.as_ptr(), flags).is_null() {
            return Err(CStr::from_ptr(libc::dlerror()).to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Such as `NVIDIA H200`. `torch.cuda.get_device_name(gpu)`
pub fn gpu_name(gpu: usize) -> String {
    let mut name = std::ptr::null_mut();
    succeed(unsafe { runner_gpu_name(gpu as c_int, &mut name) });
    take(name)
}

/// Has a GPU compute the same bits each time, in float32: cuDNN's deterministic algorithms, none chosen by timing, no TF32. What
/// this thread does from here on runs on a stream of its own.
pub fn make_gpu_repeatable(device: Device) {
    succeed(unsafe { runner_set_gpu(gpu(device), 1, 0) });
}

/// Has a GPU compute with the algorithms that cuDNN measures to be quickest, which may round differently from run to run; else
/// like [`make_gpu_repeatable`].
pub fn make_gpu_quick(device: Device, tf32: bool) {
    succeed(unsafe { runner_set_gpu(gpu(device), 0, tf32.into()) });
}

/// Whether the libtorch that is loaded has what [`Graph`] needs of its GPU side; else what it lacks.
pub fn find_graph_functions() -> Result<(), String> {
    checked(unsafe { runner_find_graph_functions() })
}

/// Operations on a GPU that are started as one. `torch.cuda.CUDAGraph`
pub struct Graph(*mut c_void);

impl Graph {
    /// Records what `work` does on `gpu` instead of doing it. What it returns, and every tensor that it reads, is read and
    /// written by each replay, where it is now. Panics where it does what cannot be recorded.
    pub fn record<T>(gpu: usize, work: impl FnOnce() -> T) -> (Graph, T) {
        let mut graph = Graph(std::ptr::null_mut());
        succeed(unsafe { runner_graph_begin(gpu as c_int, &mut graph.0) });
        let done = work();
        succeed(unsafe { runner_graph_end(graph.0) });
        (graph, done)
    }

    pub fn replay(&self) {
        succeed(unsafe { runner_graph_replay(self.0) });
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: null or made by `record`, which has no other owner.
        unsafe { runner_graph_free(self.0) };
    }
}

/// Runs `work` with bfloat16 inside convolutions and matrix products. `torch.autocast(device.type, torch.bfloat16)`
pub fn in_bfloat16<T>(device: Device, work: impl FnOnce() -> T) -> T {
    let cuda = (device != Device::Cpu).into();
    switched_on(|on| unsafe { runner_set_autocast(cuda, on) }, work)
}

/// Runs `work` on a GPU made quick with the kernels that cuDNN thinks quickest: to measure them for every size takes longer than
/// what is done once or twice.
pub fn without_kernel_search<T>(work: impl FnOnce() -> T) -> T {
    switched_on(|on| unsafe { runner_set_kernel_search(1 - on) }, work)
}

/// Runs `work` with numbers below 1.2e-38, float32's smallest normal one, taken as 0 on this thread: a processor takes
/// about a hundred times as long with them. `torch.set_flush_denormal(True)`
pub fn without_denormals<T>(work: impl FnOnce() -> T) -> T {
    switched_on(|on| unsafe { runner_set_flush_denormals(on) }, work)
}

/// Runs `work` between `set(1)` and `set(0)`, the latter also for whoever catches a panic of `work`.
fn switched_on<T>(set: impl Fn(c_int) -> *mut c_char, work: impl FnOnce() -> T) -> T {
    struct Guard<F: Fn(c_int) -> *mut c_char>(F);
    impl<F: Fn(c_int) -> *mut c_char> Drop for Guard<F> {
        fn drop(&mut self) {
            succeed((self.0)(0));
        }
    }
    succeed(set(1));
    let _guard = Guard(set);
    work()
}

/// The state of the process-wide generator of `device`, a byte tensor: about 5,000 elements for the CPU, 16 for a GPU.
/// `torch.get_rng_state()`, `torch.cuda.get_rng_state(device)`.
pub fn generator_state(device: Device) -> Tensor {
    returned(|out| unsafe { runner_generator_state(gpu(device), out) })
}

/// Puts back what [`generator_state`] gave. `torch.set_rng_state(state)`, `torch.cuda.set_rng_state(state, device)`.
pub fn set_generator_state(device: Device, state: &Tensor) {
    succeed(unsafe { runner_set_generator_state(gpu(device), state.as_ptr()) });
}

/// A GPU's index, negative for the CPU.
fn gpu(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    }
}

/// int64 [n]: `torch.randperm(n, generator=torch.Generator().manual_seed(seed))`.
pub fn randperm(seed: u64, n: i64) -> Tensor {
    returned(|out| unsafe { runner_randperm(seed, n, out) })
}

/// `F.leaky_relu(input, slope)`
pub fn leaky_relu(input: &Tensor, slope: f64) -> Tensor {
    returned(|out| unsafe { runner_leaky_relu(input.as_ptr(), slope, out) })
}

/// `target.copy_(source.pin_memory(), non_blocking=True)`: copies from the CPU to a GPU, in order with what runs there, without
/// waiting for it.
pub fn copy_without_waiting(target: &Tensor, source: &Tensor) {
    succeed(unsafe { runner_copy_without_waiting_(target.as_ptr().cast_mut(), source.as_ptr()) });
}

/// [N, C, H, W] laid out as NHWC in memory. `input.contiguous(memory_format=torch.channels_last)`.
pub fn channels_last(input: &Tensor) -> Tensor {
    returned(|out| unsafe { runner_channels_last(input.as_ptr(), out) })
}

/// Runs `work` without recording gradients, also for whoever catches its panic.
pub fn no_grad<T>(work: impl FnOnce() -> T) -> T {
    let _guard = tch::no_grad_guard();
    work()
}

/// `target.add_(other, alpha=alpha)`
pub fn add_scaled(target: &mut Tensor, other: &Tensor, alpha: f64) {
    succeed(unsafe { runner_add_(target.as_mut_ptr(), other.as_ptr(), alpha) });
}

/// `target.addcmul_(left, right, value=value)`
pub fn add_product(target: &mut Tensor, left: &Tensor, right: &Tensor, value: f64) {
    succeed(unsafe { runner_addcmul_(target.as_mut_ptr(), left.as_ptr(), right.as_ptr(), value) });
}

/// `target.addcdiv_(numerator, denominator, value=value)`
pub fn add_quotient(target: &mut Tensor, numerator: &Tensor, denominator: &Tensor, value: f64) {
    succeed(unsafe { runner_addcdiv_(target.as_mut_ptr(), numerator.as_ptr(), denominator.as_ptr(), value) });
}

/// The numbers of one step of Adam.
pub struct Adam {
    /// Counted from 1.
    pub step: u64,
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    pub weight_decay: f64,
    /// AdamW's weight decay, apart from the gradient.
    pub decoupled: bool,
}

/// Moves contiguous `parameters` by `gradient` in one pass over all numbers. `memory` is the averages of the gradient and of its
/// square and, with amsgrad, the largest of the latter; all tensors have one shape. `torch.optim.Adam(fused=True)`
pub fn fused_adam(parameters: &mut Tensor, gradient: &Tensor, memory: &mut [Tensor], adam: &Adam) {
    let Adam { step, lr, betas: [beta1, beta2], eps, weight_decay, decoupled } = *adam;
    let [mean, square, largest @ ..] = memory else { panic!("Adam remembers two averages") };
    let largest = largest.first_mut().map_or(std::ptr::null_mut(), Tensor::as_mut_ptr);
    succeed(unsafe {
        runner_fused_adam_(
            parameters.as_mut_ptr(),
            gradient.as_ptr(),
            mean.as_mut_ptr(),
            square.as_mut_ptr(),
            largest,
            step as f64,
            lr,
            beta1,
            beta2,
            weight_decay,
            eps,
            decoupled.into(),
        )
    });
}

fn returned(call: impl FnOnce(*mut *mut C_tensor) -> *mut c_char) -> Tensor {
    let mut output = std::ptr::null_mut();
    succeed(call(&mut output));
    // SAFETY: on success the C++ side has stored a tensor of its own making, which is ours to free.
    unsafe { Tensor::from_ptr(output) }
}

/// As tch's own operators do, panics with libtorch's message: a failed call is a bug here or a lack of memory.
fn succeed(message: *mut c_char) {
    checked(message).unwrap_or_else(|text| panic!("libtorch: {text}"));
}

fn checked(message: *mut c_char) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    Err(take(message))
}

fn take(text: *mut c_char) -> String {
    // SAFETY: the C++ side's texts are C strings from strdup.
    let owned = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    unsafe { libc::free(text.cast()) };
    owned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denormals_are_zero_only_while_they_are_switched_off() {
        let halved = || (Tensor::from_slice(&[2e-38f32; 64]) * 0.25).double_value(&[63]);
        assert!(halved() > 0.0);
        assert_eq!(without_denormals(halved), 0.0);
        assert!(halved() > 0.0);
    }
}
