//! Command line in, exit code out.

use clap::{CommandFactory, Parser};
use runner::{cli, exit, host, sweep};

fn main() {
    cli::answer_shell(cli::Cli::command);
    let code = cli::run(cli::Cli::parse()).unwrap_or_else(|error| {
        host::print(&format!("error: {error:#}"));
        if error.is::<sweep::Stopped>() { exit::FAILED } else { exit::BAD_INPUT }
    });
    std::process::exit(code);
}
