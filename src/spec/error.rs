//! Where something stands in the user's input, and the error that says so.

use std::fmt;
use std::sync::Arc;

/// A bad input: `file:line:col: message`. Nothing has run when it is reported; the program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    pub at: Mark,
    pub message: String,
}

impl InputError {
    /// The same error, which says more.
    pub fn adding(mut self, words: &str) -> InputError {
        self.message += words;
        self
    }

    /// The same error, which says where else it comes from.
    pub fn within(self, place: String) -> InputError {
        self.adding(&format!(" ({place})"))
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (Mark { source, line, col }, message) = (&self.at, &self.message);
        if self.at.is_whole() {
            write!(f, "{source}: {message}")
        } else {
            write!(f, "{source}:{line}:{col}: {message}")
        }
    }
}

impl std::error::Error for InputError {}

pub type Result<T> = std::result::Result<T, InputError>;

/// The place of a key or value. Values keep theirs through every override, so that an error points at what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file as the user named it, or the command-line option the value came from (`--set epochs=0`).
    pub source: Arc<str>,
    /// From 1; 0 for all of a file, and where the input has no lines, such as an option.
    pub line: usize,
    /// From 1, in characters; 0 where `line` is.
    pub col: usize,
}

impl Mark {
    /// A whole file, or something that came from a command-line option.
    pub fn whole(source: impl Into<Arc<str>>) -> Mark {
        Mark { source: source.into(), line: 0, col: 0 }
    }

    pub fn is_whole(&self) -> bool {
        self.line == 0
    }

    pub fn error(&self, message: impl Into<String>) -> InputError {
        InputError { at: self.clone(), message: message.into() }
    }
}
