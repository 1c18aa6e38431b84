//! The Python environment: what of it is made when.

use std::fs;
use std::process::Command;

use runner::parity::python;

use super::{Copy, err, out, repository};
use crate::common::skip::skip;

/// A Python whose environments hold empty files. Its pip says what it was asked for, and takes a while. What it does not know the real
/// one does.
const PYTHON: &str = r#"#!/bin/sh
site=$(dirname "$0")/../lib/python3.11/site-packages
case "$*" in
  *libcuda*) [ -n "$DRIVER" ] ;;
  "-m venv "*) mkdir -p "$3/bin"; touch "$3/pyvenv.cfg"; cp "$0" "$3/bin/python" ;;
  *"pip install"*)
    case "$*" in *--no-deps*) echo pip libtorch ;; *) echo pip whole ;; esac >>"$LOG"
    mkdir -p "$site" && mkdir "$site/busy" || echo two at once >>"$LOG"
    sleep 0.2
    [ -z "$KILLED" ] || { kill -9 $PPID; exit; }
    mkdir -p "$site/torch/lib" "$site/torch/include/torch"
    touch "$site/torch/lib/libtorch_cpu.so"
    rmdir "$site/busy" ;;
  *importlib.metadata*) [ -e "$site/torch/lib/libtorch_cpu.so" ] ;;
  *"import torch"* | *libtorch_cpu*) ;;
  *) exec "$REAL_PYTHON" "$@" ;;
esac
"#;

impl Copy {
    /// A script where pip is at hand and no libtorch. None if there is no Python at all.
    fn with_pip(&self, line: &str) -> Option<Command> {
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
        self.tool("python3", PYTHON);
        self.tool("df", "#!/bin/sh\nprintf 'of\\nwhich 1 1 20000000 are free\\n'\n");
        let mut command = self.command(line);
        command.env("REAL_PYTHON", out(&output).trim()).env("TESTED", "test result: ok. 3 passed; 0 failed");
        command.env_remove("DRIVER").env_remove("KILLED");
        Some(command)
    }

    /// Takes what pip was asked for since the last call.
    fn installed(&self) -> Vec<String> {
        let lines = self.log().lines().filter(|line| !line.starts_with("build")).map(str::to_owned).collect();
        let _ = fs::remove_file(self.path("log"));
        lines
    }
}

/// What pip installs for `line`, run with `variable`.
#[track_caller]
fn installs(copy: &Copy, line: &str, variable: Option<&str>, expected: &[&str]) {
    let mut command = copy.with_pip(line).unwrap();
    let output = command.envs(variable.map(|name| (name, "/bin/true"))).output().unwrap();
    assert!(output.status.success(), "{line}: {}", err(&output));
    let installed: Vec<_> = copy.installed().into_iter().filter(|line| line.starts_with("pip")).collect();
    assert_eq!(installed, expected, "{line} {variable:?}");
    assert!(copy.path(".libtorch/lib/libtorch_cpu.so").exists(), "{line}: the link leads nowhere");
}

#[test]
fn without_a_driver_libtorch_is_installed_alone_and_the_rest_when_it_is_needed() {
    let test = "without_a_driver_libtorch_is_installed_alone_and_the_rest_when_it_is_needed";
    if Copy::new().with_pip("setup").is_none() {
        return skip(&format!("{test}: no python3"));
    }
    let (alone, whole) = (["pip libtorch"].as_slice(), ["pip whole"].as_slice());
    let needs = [("test", None), ("runner parity", None), ("runner sweep", Some("DRIVER")), ("setup --whole", None)];
    for (line, variable) in needs {
        let copy = Copy::new();
        installs(&copy, "runner sweep", None, alone);
        installs(&copy, "setup", None, &[]);
        installs(&copy, "runner parity", Some("RUNNER_PYTHON"), &[]);
        let before = fs::read_link(copy.path(".libtorch")).unwrap();
        installs(&copy, line, variable, whole);
        assert_eq!(fs::read_link(copy.path(".libtorch")).unwrap(), before, "{line}");
        installs(&copy, line, variable, &[]);
        installs(&copy, "runner sweep", None, &[]);
        installs(&Copy::new(), line, variable, whole);
    }
}

#[test]
fn a_set_up_that_is_interrupted_leaves_what_was_complete() {
    let copy = Copy::new();
    let Some(mut interrupted) = copy.with_pip("runner sweep") else {
        return skip("a_set_up_that_is_interrupted_leaves_what_was_complete: no python3");
    };
    assert!(!interrupted.env("KILLED", "1").output().unwrap().status.success());
    assert!(!copy.path("cache/torch-2.11.0/complete").exists());
    copy.installed();
    installs(&copy, "runner sweep", None, &["pip libtorch"]);

    let mut interrupted = copy.with_pip("runner parity").unwrap();
    assert!(!interrupted.env("KILLED", "1").output().unwrap().status.success());
    copy.installed();
    installs(&copy, "runner sweep", None, &[]);
    fs::remove_dir_all(copy.path(".libtorch/../busy")).unwrap();
    installs(&copy, "runner parity", None, &["pip whole"]);

    // What is damaged is made anew, and is not complete before it is whole.
    fs::remove_file(copy.path(".libtorch/lib/libtorch_cpu.so")).unwrap();
    fs::remove_file(copy.path("cache/torch-2.11.0/complete")).unwrap();
    installs(&copy, "runner sweep", None, &["pip libtorch"]);
}

#[test]
fn two_set_ups_at_once_take_turns() {
    let copy = Copy::new();
    if copy.with_pip("setup").is_none() {
        return skip("two_set_ups_at_once_take_turns: no python3");
    }
    let lines = ["setup", "setup --whole", "setup", "setup --whole"];
    let mut commands = lines.map(|line| copy.with_pip(line).unwrap());
    let running = commands.each_mut().map(|command| command.spawn().unwrap());
    assert!(running.into_iter().all(|mut set_up| set_up.wait().unwrap().success()));
    let installed = copy.installed();
    assert!(installed.ends_with(&["pip whole".to_owned()]), "{installed:?}");
    assert!(installed.len() == 1 || installed[0] == "pip libtorch" && installed.len() == 2, "{installed:?}");
}

/// Another torch may ask for others.
#[test]
fn libtorch_alone_is_pinned_as_torch_asks() {
    let pinned = fs::read_to_string(repository().join("scripts/requirements-libtorch.txt")).unwrap();
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("libtorch_alone_is_pinned_as_torch_asks: {error:#}")),
    };
    for line in pinned.lines().filter(|line| !line.starts_with('#')) {
        let (name, version) = line.split(';').next().unwrap().split_once("==").unwrap();
        let ask = format!("import importlib.metadata as m; print(m.version('{name}').split('+')[0])");
        let output = Command::new(&python).args(["-c", &ask]).output().unwrap();
        assert_eq!(out(&output).trim(), version, "{name}: {}", err(&output));
    }
}
