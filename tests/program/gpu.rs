//! What can be said of libtorch's GPU side on a machine without a GPU. `scripts/gpu_check` is for one that has it.

use std::process::Command;

use crate::common::skip::skip;
use runner::native::find_graph_functions;
use runner::parity::python;

/// The functions are called by the names that a C++ compiler gave them, so another libtorch may not have them.
#[test]
fn libtorch_cuda_has_what_a_recorded_step_needs() {
    assert_eq!(find_graph_functions(), Err("libtorch_cuda has no _ZN2at4cuda9CUDAGraphC1Eb".to_owned()));
    // SAFETY: the library's initializers are made to be run this way.
    let library = unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if library.is_null() {
        return skip("this libtorch has no GPU side");
    }
    assert_eq!(find_graph_functions(), Ok(()));
    // SAFETY: the library stays loaded, and nothing is done with the address.
    let properties = unsafe { libc::dlsym(library, c"_ZN2at4cuda19getDevicePropertiesEa".as_ptr()) };
    assert!(!properties.is_null(), "a GPU's name is asked for by this function");
}

/// What judges a GPU, from the first part to the last: on a CPU it shows that all of it runs.
#[test]
fn gpu_check_runs_through_on_a_cpu() {
    let test = "gpu_check_runs_through_on_a_cpu";
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("{test}: {error:#}")),
    };
    // <target>/release/deps/program-... -> <target>/release/examples/steps
    let steps = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/steps");
    if !steps.exists() {
        return skip(&format!("{test}: {} is not built; `cargo test` without --test builds it", steps.display()));
    }
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/gpu_check")).args(["--device", "cpu", "--quick"]);
    command.args(["--runner", env!("CARGO_BIN_EXE_runner"), "--steps"]).arg(steps).arg("--out").arg(out.path());
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let found_nothing = output.status.success() && printed.ends_with("\nnothing failed\n");
    assert!(found_nothing && !printed.contains("FAILED"), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}
