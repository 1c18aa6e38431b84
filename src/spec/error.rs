//! Where something stands in the user's input, and the error that says so.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The others are only counted.
const MAX_SHOWN: usize = 20;

/// A bad input, with every mistake that was found in it. Nothing has run when it is reported; the program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// At least one; in the order of the file.
    mistakes: Vec<Mistake>,
}

/// `file:line:col: message`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub at: Mark,
    message: String,
    /// Where else it comes from: ` (block `a`, lr=2)`.
    within: String,
}

impl Mistake {
    /// Without its place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl InputError {
    pub fn first(&self) -> &Mistake {
        &self.mistakes[0]
    }

    /// The same error, which says more about what is wrong at such a place.
    pub fn adding(mut self, words: &str, is_meant: impl Fn(&Mark) -> bool) -> InputError {
        for mistake in self.mistakes.iter_mut().filter(|mistake| is_meant(&mistake.at)) {
            mistake.message += words;
        }
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Mistake { at, message, within } = self;
        write!(f, "{at}: {message}{within}")
    }
}

/// A single mistake in its line, or as many as are shown each in its own.
impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let [only] = self.mistakes.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} mistakes:", self.mistakes.len())?;
        self.mistakes.iter().take(MAX_SHOWN).try_for_each(|mistake| write!(f, "\n{mistake}"))?;
        match self.mistakes.len().checked_sub(MAX_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for InputError {}

pub type Result<T> = std::result::Result<T, InputError>;

/// The different mistakes found so far, while reading goes on without what they are in.
#[derive(Default)]
pub struct Mistakes {
    found: Vec<Mistake>,
    known: HashSet<(Mark, String)>,
}

impl Mistakes {
    /// What was read, or nothing once a mistake in it is noted.
    pub fn keep<T>(&mut self, read: Result<T>) -> Option<T> {
        self.keep_within(read, String::new)
    }

    /// The same, where `place` says where else a new mistake comes from.
    pub fn keep_within<T>(&mut self, read: Result<T>, place: impl FnOnce() -> String) -> Option<T> {
        let mistakes = match read {
            Ok(read) => return Some(read),
            Err(error) => error.mistakes.into_iter(),
        };
        let new = mistakes.filter(|mistake| self.known.insert((mistake.at.clone(), mistake.message.clone())));
        let mut new: Vec<Mistake> = new.collect();
        let within = if new.is_empty() { String::new() } else { place() };
        new.iter_mut().for_each(|mistake| mistake.within += &within);
        self.found.append(&mut new);
        None
    }

    pub fn note(&mut self, error: InputError) {
        self.keep::<()>(Err(error));
    }

    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// What was read unless there is a mistake, without which nothing is missing.
    pub fn end<T>(mut self, read: Option<T>) -> Result<T> {
        match read {
            Some(read) if self.found.is_empty() => Ok(read),
            _ => {
                self.found.sort_by(|a, b| a.at.cmp(&b.at));
                Err(InputError { mistakes: self.found })
            }
        }
    }
}

/// All that is read, or every mistake in it.
pub fn all<T, C: FromIterator<T>>(reads: impl IntoIterator<Item = Result<T>>) -> Result<C> {
    let mut mistakes = Mistakes::default();
    let read = reads.into_iter().filter_map(|read| mistakes.keep(read)).collect();
    mistakes.end(Some(read))
}

/// The place of a key or value. Values keep theirs through every override, so that an error points at what to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The file as the user named it, or the command-line option the value came from (`--set epochs=0`).
    pub source: Arc<str>,
    /// From 1; 0 for all of a file, and where the input has no lines, such as an option.
    pub line: usize,
    /// From 1, in characters; 0 where `line` is.
    pub col: usize,
}

/// `x.yaml:3:7`, or the file or option alone.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Mark { source, line, col } = self;
        if self.is_whole() { f.write_str(source) } else { write!(f, "{source}:{line}:{col}") }
    }
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
        InputError { mistakes: vec![Mistake { at: self.clone(), message: message.into(), within: String::new() }] }
    }
}
