//! Compiles `src/native` against libtorch's headers and writes libtorch's folder into the binary (rpath),
//! so that it runs with no environment variables.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=src/native/torch.cpp");
    let link = std::env::var_os("LIBTORCH").map(PathBuf::from).unwrap_or_default();
    let libtorch = link.canonicalize().unwrap_or_else(|error| {
        panic!(
            "{}: {error}: no libtorch here; run scripts/setup once, or set LIBTORCH to an unpacked libtorch 2.11.0",
            link.display()
        )
    });
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(libtorch.join("include"))
        .include(libtorch.join("include/torch/csrc/api/include"))
        .file("src/native/torch.cpp")
        .compile("runner_native");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
    println!("cargo:rustc-env=RUNNER_LIBTORCH={}", libtorch.display());
    println!("cargo:rustc-env=RUNNER_GIT={}", git_state());
}

/// The commit this binary was built from, with `-dirty` where tracked files differ; "unknown" outside a checkout.
fn git_state() -> String {
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/refs/heads");
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
