//! What goes to standard output: the answer of a command, for people or for scripts.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::exit;

/// Prints; a reader that has gone away ends the program quietly.
pub fn say(text: impl Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(exit::DONE),
        other => other.context("cannot print"),
    }
}

/// Prints `answer` as JSON, or else what it says to people.
pub fn say_json_or(json: bool, answer: &impl Serialize, text: impl Display) -> Result<()> {
    if json { say(serde_json::to_string_pretty(answer)?) } else { say(text) }
}

/// None where standard output is no terminal.
pub fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size().1.into())
}
