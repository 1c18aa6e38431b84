//! What can be said of libtorch's GPU side on a machine without a GPU. `scripts/gpu_check` is for one that has it.

#[path = "common/skip.rs"]
mod skip;

use runner::native::find_graph_functions;

/// The functions are called by the names that a C++ compiler gave them, so another libtorch may not have them.
#[test]
fn libtorch_cuda_has_what_a_recorded_step_needs() {
    assert_eq!(find_graph_functions(), Err("libtorch_cuda has no _ZN2at4cuda9CUDAGraphC1Eb".to_owned()));
    // SAFETY: the library's initializers are made to be run this way.
    let library = unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if library.is_null() {
        return skip::skip("this libtorch has no GPU side");
    }
    assert_eq!(find_graph_functions(), Ok(()));
    // SAFETY: the library stays loaded, and nothing is done with the address.
    let properties = unsafe { libc::dlsym(library, c"_ZN2at4cuda19getDevicePropertiesEa".as_ptr()) };
    assert!(!properties.is_null(), "a GPU's name is asked for by this function");
}
