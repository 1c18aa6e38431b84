//! Compiles `src/native` against libtorch's headers and writes libtorch's folder into the binary (rpath),
//! so that it runs with no environment variables.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made from.
const PROGRAM: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let link = env::var_os("LIBTORCH").map(PathBuf::from).unwrap_or_default();
    let libtorch = link.canonicalize().unwrap_or_else(|error| {
        panic!(
            "{}: {error}: no libtorch here; run scripts/setup once, or set LIBTORCH to an unpacked libtorch 2.11.0",
            link.display()
        )
    });
    compile_native(&libtorch);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
    println!("cargo:rustc-env=RUNNER_LIBTORCH={}", libtorch.display());
    println!("cargo:rustc-env=RUNNER_GIT={}", git_state());
}

/// Compiles the C++ files unless that was done from the same texts and libtorch: it takes half a minute, and this script
/// runs again after every change.
fn compile_native(libtorch: &Path) {
    const HEADER: &str = "src/native/guarded.h";
    const SOURCES: [&str; 2] = ["src/native/torch.cpp", "src/native/pooling.cpp"];
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=runner_native");
    println!("cargo:rustc-link-lib={}", if cfg!(target_os = "macos") { "c++" } else { "stdc++" });
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let versions = text(&libtorch.join("build-version")) + &text(&libtorch.join("version.py"));
    let sources = [HEADER].iter().chain(&SOURCES).map(|source| text(Path::new(source))).collect::<String>();
    let stamp = format!("{}\n{versions}\n{sources}", libtorch.display());
    let compiled_from = out.join("compiled_from");
    if text(&compiled_from) == stamp {
        return;
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .debug(false)
        .opt_level(3)
        // Else no loop with a comparison of floats becomes one of vectors.
        .flag_if_supported("-fno-trapping-math")
        .cargo_metadata(false)
        .include(libtorch.join("include"))
        .include(libtorch.join("include/torch/csrc/api/include"))
        .files(SOURCES)
        .compile("runner_native");
    fs::write(compiled_from, stamp).expect("OUT_DIR can be written");
}

/// The commit this binary was built from, with `-dirty` where the program's own files differ; "unknown" outside a checkout.
fn git_state() -> String {
    for path in [".git/HEAD", ".git/refs/heads"].iter().chain(&PROGRAM) {
        println!("cargo:rerun-if-changed={path}");
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changes = git(&[&["status", "--porcelain", "--"], PROGRAM.as_slice()].concat());
    match (git(&["rev-parse", "--short", "HEAD"]), changes.as_deref()) {
        (Some(commit), Some("")) => commit,
        (Some(commit), _) => format!("{commit}-dirty"),
        (None, _) => "unknown".to_owned(),
    }
}
