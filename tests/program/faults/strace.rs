//! Faults at chosen system calls, by `strace`.

use std::fs;
use std::process::Command;

use crate::common::skip::skip;
use crate::common::{Lab, works};

/// Whether this machine lets us trace; says so where not.
pub fn is_there() -> bool {
    let works = works("strace -f -qq -e trace=fsync true");
    if !works {
        skip("strace cannot trace here (apt-get install strace)");
    }
    works
}

/// The program with its `call`s (a name as strace takes it) traced into the lab's file `calls`, and with `fault`, such as
/// `error=EIO:when=3`, for which each thread counts its own calls.
pub fn with_fault(lab: &Lab, call: &str, fault: &str, arguments: &str) -> Command {
    let program = lab.command(arguments);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "0", "-o", "calls"]);
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{fault}")]);
    command.arg(program.get_program()).args(program.get_args());
    lab.settle(command)
}

/// The traced calls, one a line.
pub fn calls(lab: &Lab) -> String {
    fs::read_to_string(lab.path("calls")).unwrap()
}
