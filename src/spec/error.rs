//! Where something stands in the user's input, and the error that says so.

use std::fmt;
use std::rc::Rc;

/// A bad input: `file:line:col: message`. Nothing has run when it is reported; the program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The file as the user named it, or the command-line option the value came from (`--set epochs=0`).
    pub file: String,
    /// From 1; 0 where the input has no lines, such as an option.
    pub line: usize,
    /// From 1, in characters; 0 where `line` is.
    pub col: usize,
    pub message: String,
}

impl InputError {
    /// An error of a whole file or a command-line option.
    pub fn in_whole(file: impl Into<String>, message: impl Into<String>) -> InputError {
        InputError { file: file.into(), line: 0, col: 0, message: message.into() }
    }

    /// The same error, which says where else it comes from.
    pub fn within(mut self, place: String) -> InputError {
        self.message += &format!(" ({place})");
        self
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}:{}: {}", self.file, self.col, self.message),
        }
    }
}

impl std::error::Error for InputError {}

pub type Result<T> = std::result::Result<T, InputError>;

/// The place of a key or value. Values keep theirs through every override, so that an error points at what to change.
#[derive(Clone, Debug)]
pub struct Mark {
    pub source: Rc<str>,
    pub line: usize,
    pub col: usize,
}

impl Mark {
    /// Something that came from a command-line option, which has no lines.
    pub fn option(source: impl Into<Rc<str>>) -> Mark {
        Mark { source: source.into(), line: 0, col: 0 }
    }

    pub fn is_option(&self) -> bool {
        self.line == 0
    }

    pub fn error(&self, message: impl Into<String>) -> InputError {
        InputError { file: self.source.to_string(), line: self.line, col: self.col, message: message.into() }
    }
}
