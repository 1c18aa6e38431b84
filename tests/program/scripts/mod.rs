//! The scripts in `scripts/`, run in a small copy of this repository whose cargo only says what it was asked for.

mod bundle;
mod environment;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::common::skip::skip;
use crate::common::write_script;

/// Like cargo it goes by dates. Its programs are that of PROGRAM, or print what `src/main.rs` held when they were built.
const CARGO: &str = r#"#!/bin/sh
echo "$@" >>"$LOG"
release=${CARGO_TARGET_DIR:-target}/release
case $1 in
  build)
    [ -z "$BROKEN" ] || exit 101
    mkdir -p "$release/examples"
    [ -x "$release/runner" ] && [ -z "$(find src build.rs -newer "$release/runner")" ] && exit
    printf '#!/bin/sh\necho "%s $*"\n' "$(cat src/main.rs)" >"$release/runner"
    [ -z "$PROGRAM" ] || cp "$PROGRAM" "$release/runner"
    chmod +x "$release/runner"
    cp "$release/runner" "$release/examples/steps" ;;
  test) echo "$TESTED" ;;
esac
"#;

struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Copy {
        let copy = Copy { folder: tempfile::tempdir().unwrap() };
        let status = Command::new("cp").arg("-R").arg(repository().join("scripts")).arg(copy.path("")).status();
        assert!(status.unwrap().success());
        for (name, text) in [("Cargo.toml", "rust-version = \"1.95\"\n"), ("Cargo.lock", ""), ("build.rs", "")] {
            copy.write(name, text);
        }
        copy.write(".cargo/config.toml", "");
        copy.write("src/main.rs", "one");
        copy.write("libtorch/lib/libtorch_cpu.so", "");
        copy.write("libtorch/include/torch/torch.h", "");
        copy.write("libtorch/build-version", "2.11.0\n");
        copy.tool("cargo", CARGO);
        copy.tool("rustc", "#!/bin/sh\necho rustc 1.95.0\n");
        copy.tool("c++", "#!/bin/sh\ncat >/dev/null\n");
        copy.tool("cc", "#!/bin/sh\n");
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a file as tar or `cp -p` would: with a date long before every build.
    fn write_with_an_old_date(&self, name: &str, text: &str) {
        self.write(name, text);
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::options().write(true).open(self.path(name)).unwrap().set_modified(date).unwrap();
    }

    fn tool(&self, name: &str, text: &str) {
        write_script(&self.path("bin").join(name), text);
    }

    /// A script with arguments, separated by spaces, where nothing has been set up.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(self.path("scripts").join(words.next().unwrap()));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.args(words).current_dir(self.folder.path()).env("PATH", path).env("LOG", self.path("log"));
        command.env("RUNNER_CACHE", self.path("cache")).env("RUNNER_DATA", "none").env("TESTED", "");
        for name in
            ["LIBTORCH", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUNNER_PYTHON", "CXX", "BROKEN", "PROGRAM"]
        {
            command.env_remove(name);
        }
        command
    }

    /// The same with a libtorch at hand.
    fn set_up(&self, line: &str) -> Command {
        let mut command = self.command(line);
        command.env("LIBTORCH", self.path("libtorch"));
        command
    }

    /// What cargo and pip were asked for so far, one call a line.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn prints(mut command: Command, text: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(out(&output), text, "{}", err(&output));
}

#[test]
fn runner_builds_what_is_other_than_before_whatever_its_date() {
    let copy = Copy::new();
    prints(copy.set_up("runner a b"), "one a b\n");
    prints(copy.set_up("runner"), "one \n");
    assert_eq!(copy.log().matches("build").count(), 1, "nothing changed:\n{}", copy.log());

    copy.write_with_an_old_date("src/main.rs", "two");
    prints(copy.set_up("runner"), "two \n");
    // A build by cargo alone in between, and then what the last build by the script was made from.
    copy.write("src/main.rs", "three");
    let built = copy.set_up("../bin/cargo build").env("CARGO_TARGET_DIR", copy.path("target")).status();
    assert!(built.unwrap().success());
    copy.write_with_an_old_date("src/main.rs", "two");
    prints(copy.set_up("runner"), "two \n");
    // A new libtorch, another file and a file less.
    for (name, text) in [("scripts/parity.py", "# other\n"), (".cargo/config.toml", "other"), ("src/more.rs", "")] {
        let before = copy.log().matches("build").count();
        copy.write_with_an_old_date(name, text);
        prints(copy.set_up("runner"), "two \n");
        assert_eq!(copy.log().matches("build").count(), before + 1, "{name}");
    }
    fs::rename(copy.path("libtorch"), copy.path("libtorch-2")).unwrap();
    let before = copy.log().matches("build").count();
    let mut elsewhere = copy.set_up("runner");
    elsewhere.env("LIBTORCH", copy.path("libtorch-2"));
    prints(elsewhere, "two \n");
    assert_eq!(copy.log().matches("build").count(), before + 1);
}

#[test]
fn runner_runs_no_old_program_after_a_build_that_failed() {
    let copy = Copy::new();
    prints(copy.set_up("runner"), "one \n");
    copy.write_with_an_old_date("src/main.rs", "two");
    for _ in 0..2 {
        let output = copy.set_up("runner").env("BROKEN", "1").output().unwrap();
        assert!(!output.status.success() && out(&output).is_empty(), "{}", out(&output));
    }
    prints(copy.set_up("runner"), "two \n");
    copy.write_with_an_old_date("src/main.rs", "three");
    let output = copy.set_up("test").env("TESTED", "test result: ok. 3 passed; 0 failed").output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert!(fs::read_to_string(copy.path("target/release/runner")).unwrap().contains("three"), "test sees it too");
}

const SCRIPTS: [&str; 9] =
    ["setup", "runner", "test", "bench", "bundle", "gpu_check", "claims.py", "convert.py", "parity.py"];

/// Runs `script` with `argument` where nothing is set up, and makes sure that it set up and built nothing.
fn at_once(script: &str, argument: &str) -> Output {
    let copy = Copy::new();
    // What would go on to the network fails at once.
    let mut command = copy.command(&format!("{script} {argument}"));
    let output = command.env("PIP_INDEX_URL", "http://127.0.0.1:1").env("PIP_RETRIES", "0").output().unwrap();
    assert!(!copy.path("cache").exists(), "{script} {argument} set up something");
    assert_eq!(copy.log(), "", "{script} {argument} called cargo");
    output
}

#[test]
fn help_is_given_at_once_and_without_installing_anything() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("help_is_given_at_once_and_without_installing_anything: no python3");
    }
    for script in SCRIPTS {
        for argument in ["--help", "-h"] {
            let output = at_once(script, argument);
            assert!(output.status.success(), "{script} {argument}: {}", err(&output));
            assert!(out(&output).starts_with("usage: "), "{script} {argument}: {}", out(&output));
            assert!(out(&output).contains(script) && out(&output).lines().count() > 1, "{}", out(&output));
        }
    }
    for arguments in ["sweep --help", "help"] {
        assert!(out(&at_once("runner", arguments)).starts_with("usage: scripts/runner"), "{arguments}");
    }
    let copy = Copy::new();
    prints(copy.set_up("runner"), "one \n");
    prints(copy.set_up("runner sweep --help"), "one sweep --help\n");
}

#[test]
fn the_program_is_linked_where_nothing_else_lies() {
    let copy = Copy::new();
    let link = || copy.set_up("setup --link").env("HOME", copy.path("home")).output().unwrap();
    for _ in 0..2 {
        let output = link();
        assert!(output.status.success() && err(&output).contains("not on your PATH yet"), "{}", err(&output));
        prints(Command::new(copy.path("home/.local/bin/runner")), "one \n");
    }
    fs::remove_file(copy.path("home/.local/bin/runner")).unwrap();
    copy.write("home/.local/bin/runner", "mine");
    let output = link();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert_eq!(fs::read_to_string(copy.path("home/.local/bin/runner")).unwrap(), "mine");
}

#[test]
fn what_a_script_does_not_know_is_refused_at_once() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("what_a_script_does_not_know_is_refused_at_once: no python3");
    }
    for script in ["setup", "bench", "bundle", "gpu_check", "claims.py", "convert.py", "parity.py"] {
        let output = at_once(script, "--bogus");
        assert_eq!(output.status.code(), Some(2), "{script}: {}", err(&output));
        assert!(err(&output).contains("error: "), "{script}: {}", err(&output));
    }
    assert!(err(&at_once("setup", "extra")).contains("extra"));
}

#[test]
fn no_test_run_is_a_failure() {
    let copy = Copy::new();
    let run = |arguments: &str, tested: &str| {
        let output = copy.set_up(&format!("test{arguments}")).env("TESTED", tested).output().unwrap();
        (output.status.code(), err(&output))
    };
    let line =
        |passed: usize| format!("test result: ok. {passed} passed; 0 failed; 1 ignored; 0 measured; 5 filtered out");
    let (code, said) = run(" no_such_test", &[line(0), line(0)].join("\n"));
    assert!(code == Some(2) && said.contains("no test was run") && said.contains("no_such_test"), "{code:?}: {said}");
    let (code, said) = run("", &[line(0), line(3)].join("\n"));
    assert!(code == Some(0) && said.contains("tests: 3 passed, 0 failed, 2 ignored"), "{code:?}: {said}");
    assert!(said.ends_with("all checks passed\n"), "{said}");
}
