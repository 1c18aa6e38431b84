//! `scripts/bundle`: what it makes runs without this repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use runner::parity::python;

use super::{Copy, err, out};
use crate::common::skip::skip;

/// A copy of this repository's scripts that has made `bundle` of the program under test.
fn bundled() -> Copy {
    let copy = Copy::new();
    copy.write("README.md", "");
    copy.write("LICENSE", "");
    copy.write("experiments/one.yaml", "");
    let made = copy.set_up("bundle bundle").env("PROGRAM", env!("CARGO_BIN_EXE_runner")).output().unwrap();
    assert!(made.status.success(), "{}", err(&made));
    copy
}

/// Runs what is in the bundle, in it, with the given Python.
fn run(copy: &Copy, line: &str, python: &Path) -> std::process::Output {
    let mut words = line.split(' ');
    let mut command = Command::new(copy.path("bundle").join(words.next().unwrap()));
    command.args(words).current_dir(copy.path("bundle")).env("RUNNER_PYTHON", python);
    command.env_remove("LIBTORCH").env_remove("LD_LIBRARY_PATH").output().unwrap()
}

#[test]
fn a_bundle_runs_with_the_libtorch_of_a_python() {
    let test = "a_bundle_runs_with_the_libtorch_of_a_python";
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("{test}: {error:#}")),
    };
    let copy = bundled();
    let output = run(&copy, "runner doctor", &python);
    assert!(output.status.success() && out(&output).contains("libtorch    2.11.0"), "{}{}", out(&output), err(&output));
    let output = run(&copy, "runner sweep none.yaml", &python);
    assert_eq!(output.status.code(), Some(2), "the program's own exit code: {}", err(&output));
    // Here the program would also find the libtorch that it was built with.
    let mut environment = Command::new(&python);
    environment.arg(copy.path("bundle/scripts/libtorch.py")).arg("/usr/bin/env").env_remove("LD_LIBRARY_PATH");
    let set = out(&environment.output().unwrap());
    let folders = set.lines().find_map(|line| line.strip_prefix("LD_LIBRARY_PATH=")).unwrap_or_default();
    assert!(Path::new(folders.split(':').next().unwrap()).join("libtorch_cpu.so").exists(), "{set}");
    assert!(set.contains("RUNNER_PYTHON="), "{set}");
    // By another name, and from another folder.
    std::os::unix::fs::symlink(copy.path("bundle/runner"), copy.path("bin/by_link")).unwrap();
    let output = Command::new(copy.path("bin/by_link")).arg("models").env("RUNNER_PYTHON", &python).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let output = Command::new(&python).arg(copy.path("bundle/scripts/gpu_check")).arg("--help").output().unwrap();
    assert!(out(&output).contains("bundle/bin/steps"), "{}", out(&output));

    assert!(copy.path("bundle/experiments/one.yaml").exists());
    let again = copy.set_up("bundle bundle").output().unwrap();
    assert!(again.status.code() == Some(2) && err(&again).contains("not empty"), "{}", err(&again));
}

#[test]
fn a_bundle_says_what_its_machine_lacks() {
    let test = "a_bundle_says_what_its_machine_lacks";
    let Ok(output) = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output() else {
        return skip(&format!("{test}: no python3"));
    };
    let copy = bundled();
    let output_of = |python: &Path| {
        let output = run(&copy, "runner doctor", python);
        assert_eq!((output.status.code(), out(&output)), (Some(2), String::new()));
        err(&output)
    };
    let said = output_of(Path::new("/no/python"));
    assert!(said.contains("no Python") && said.contains("RUNNER_PYTHON"), "{said}");
    let real = out(&output).trim().to_owned();
    copy.tool("bare", &format!("#!/bin/sh\nexec {real} -S \"$@\"\n"));
    let said = output_of(&copy.path("bin/bare"));
    assert!(said.contains("has no torch; 2.11.0 is needed") && said.contains("RUNNER_PYTHON"), "{said}");
    copy.write("other/torch/__init__.py", "");
    copy.write("other/torch-2.9.1.dist-info/METADATA", "Name: torch\nVersion: 2.9.1+cu128\n");
    let path = copy.path("other");
    copy.tool("other", &format!("#!/bin/sh\nPYTHONPATH={} exec {real} -S \"$@\"\n", path.display()));
    let said = output_of(&copy.path("bin/other"));
    assert!(said.contains("is 2.9.1+cu128; 2.11.0 is needed"), "{said}");
    assert!(fs::read_dir(copy.path("bundle/scripts")).unwrap().all(|entry| entry.unwrap().file_name() != "setup"));
}
