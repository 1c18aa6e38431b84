//! Command line in, exit code out.

use std::io::Write;

use clap::{CommandFactory, Parser};
use runner::{cli, exit, host, sweep};

fn main() {
    cli::answer_shell(cli::Cli::command);
    end(match cli::Cli::try_parse() {
        Ok(arguments) => cli::run(arguments).unwrap_or_else(|error| {
            host::print(&format!("error: {error:#}"));
            if error.is::<sweep::Stopped>() { exit::FAILED } else { exit::BAD_INPUT }
        }),
        Err(answer) => {
            // Nobody is left to be told that it could not be printed.
            let _ = answer.print();
            answer.exit_code()
        }
    })
}

/// Ends the process without the destructors of libtorch's tables, which are a third of a short command's time.
fn end(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}
