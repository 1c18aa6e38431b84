//! A value and where it stands: numbers, words and lists are read here, and every reader says what it expected.

use std::fmt::Display;
use std::ops::{RangeBounds, RangeInclusive};

use super::advice::{choices, describe, with_space};
use super::error::{InputError, Result};
use super::file_name::{MAX_NAME_CHARS, is_file_name};
use super::yaml::{Key, Node, Value};
use crate::words::{count, shorten};

/// Twice what any number of 64 bits needs.
const MAX_DIGITS: usize = 64;

/// A value and its dotted path, which begins each of its errors.
pub struct Slot<'a> {
    pub path: String,
    pub node: &'a Node,
}

impl<'a> Slot<'a> {
    pub fn new(path: impl Into<String>, node: &'a Node) -> Slot<'a> {
        Slot { path: path.into(), node }
    }

    pub fn error(&self, problem: impl Display) -> InputError {
        self.node.at.error(prefixed(&self.path, problem))
    }

    /// An error of the value at a dotted key in here; where it is absent, at the object that lacks it.
    pub fn blame(&self, key: &str, problem: impl Display) -> InputError {
        let deepest = key.split('.').try_fold(self.node, |node, name| node.field(name).ok_or(node));
        deepest.unwrap_or_else(|node| node).at.error(prefixed(key, problem))
    }

    /// Refuses the value at a dotted key, see [`Slot::blame`], unless something `holds`.
    pub fn ensure(&self, holds: bool, key: &str, problem: impl Display) -> Result<()> {
        if holds { Ok(()) } else { Err(self.blame(key, problem)) }
    }

    pub fn expected(&self, what: impl Display) -> InputError {
        self.error(format!("expected {what}, found {}", self.node.excerpt()))
    }

    /// A finite number in `range`. Negative zero becomes zero, so that the two are one configuration.
    pub fn number(&self, range: impl RangeBounds<f64>) -> Result<f64> {
        let number = self.digits()?.and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite() && range.contains(number)) {
            Some(number) => Ok(number + 0.0),
            None => Err(self.expected(format!("a finite number{}", describe(&range)))),
        }
    }

    /// A plain text that may be a number. Each trial's label repeats it.
    fn digits(&self) -> Result<Option<&'a str>> {
        match self.node.plain() {
            Some(text) if text.len() > MAX_DIGITS => Err(self.error(format!("more than {MAX_DIGITS} characters"))),
            text => Ok(text),
        }
    }

    pub fn integer(&self, range: RangeInclusive<i64>) -> Result<i64> {
        let number = self.digits()?.and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| self.expected(format!("a whole number from {} to {}", range.start(), range.end())))
    }

    pub fn flag(&self) -> Result<bool> {
        self.node.plain().and_then(|text| text.parse().ok()).ok_or_else(|| self.expected("true or false"))
    }

    /// A scalar that is not left empty.
    pub fn text(&self) -> Result<&'a str> {
        match self.node.text() {
            Some(text) if !(text.is_empty() && self.node.plain().is_some()) => Ok(text),
            _ => Err(self.expected("a text")),
        }
    }

    /// One of a fixed set of names.
    pub fn choice(&self, names: &[&str]) -> Result<&'a str> {
        let text = self.text()?;
        if names.contains(&text) { Ok(text) } else { Err(self.no_such(text, names)) }
    }

    /// The error for a name that is none of `valid`.
    pub fn no_such(&self, name: &str, valid: &[&str]) -> InputError {
        self.error(format!("there is no `{}`; {}", shorten(name), choices(name, valid)))
    }

    /// The items of a list, each with its own path (`seeds[2]`).
    pub fn list(&self) -> Result<Vec<Slot<'a>>> {
        let Value::List(items) = &self.node.value else {
            let one = self.node.text().filter(|text| !text.is_empty() && text.len() < MAX_DIGITS);
            let form = one.map_or(String::new(), |text| format!("; one value is written `[{text}]`"));
            return Err(self.expected("a list").adding(&form, |_| true));
        };
        let slot = |(index, node)| Slot::new(format!("{}[{index}]", self.path), node);
        Ok(items.iter().enumerate().map(slot).collect())
    }

    /// The items of a list whose length is in `lengths`.
    pub fn list_of(&self, lengths: RangeInclusive<usize>) -> Result<Vec<Slot<'a>>> {
        let items = self.list()?;
        if lengths.contains(&items.len()) {
            return Ok(items);
        }
        let (low, high) = lengths.into_inner();
        if high == usize::MAX {
            return Err(self.error(format!("expected at least {}, found {}", count(low, "value"), items.len())));
        }
        let wanted = if low == high { low.to_string() } else { format!("{low} to {high}") };
        Err(self.error(format!("expected a list of {wanted} values, found {}", items.len())))
    }

    /// The name of an experiment or block, which is to be safe as a file's name.
    pub fn file_name(&self) -> Result<String> {
        let name = self.text()?;
        if is_file_name(name) {
            return Ok(name.to_string());
        }
        let problem = format!("expected 1 to {MAX_NAME_CHARS} of a-z, 0-9, _ and -, found {}", self.node.excerpt());
        Err(self.error(problem))
    }

    pub fn entries(&self) -> Result<&'a [(Key, Node)]> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.no_object("an object {key: value, ...}")),
        }
    }

    /// The error for what should be an object.
    pub fn no_object(&self, expected: &str) -> InputError {
        match self.node.plain().and_then(with_space) {
            Some(text) => self.error(format!("a space is missing after the colon: `{}`", shorten(&text))),
            None => self.expected(expected),
        }
    }
}

/// A problem of the value at `path`.
pub fn prefixed(path: &str, problem: impl Display) -> String {
    if path.is_empty() { problem.to_string() } else { format!("{path}: {problem}") }
}
