//! Command line in, exit code out.

use clap::Parser;
use runner::{cli, exit};

fn main() {
    let code = match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit::BAD_INPUT
        }
    };
    std::process::exit(code);
}
