//! Other clocks for a program, by a library that is loaded into it.

use std::path::Path;
use std::process::Command;

use super::skip::skip;
use super::{Lab, works};

/// What the steady clock does; the calendar jumps by days in any case.
pub enum Steady {
    AsItIs,
    TimesAsFast(u32),
    /// In workers as much time passes between any two looks, so whatever they measure takes equally long.
    EvenInWorkers,
}

/// Has `command` and all that it starts see the clocks of `clock.c`, which is compiled into the lab. False where no compiler is.
pub fn change_clocks(lab: &Lab, command: &mut Command, steady: Steady) -> bool {
    command.env("CLOCK_READ", lab.path("clock.read"));
    match steady {
        Steady::AsItIs => {}
        Steady::TimesAsFast(speed) => drop(command.env("CLOCK_SPEED", speed.to_string())),
        Steady::EvenInWorkers => drop(command.env("CLOCK_STEP", "10000000")),
    }
    preload(lab, command, "common/clock.c")
}

/// Has `command` and all that it starts take functions from `source`, a C file below tests/, which is compiled into the lab.
/// False where no compiler is.
pub fn preload(lab: &Lab, command: &mut Command, source: &str) -> bool {
    if !works("cc --version") {
        skip("no C compiler (cc)");
        return false;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let library = lab.path("preloaded.so");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.unwrap().success());
    command.env("LD_PRELOAD", library);
    true
}
