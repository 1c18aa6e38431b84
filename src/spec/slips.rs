//! Slips of the hand whose place the YAML parser tells badly.

use std::sync::Arc;

use super::advice::with_space;
use super::error::{InputError, Mark};
use crate::words::shorten;

/// The first tab in this line or after it: the parser may point to the value before.
pub fn tab(text: &str, line: usize, source: &Arc<str>) -> Option<InputError> {
    let lines = text.lines().zip(1..).skip(line.checked_sub(1)?);
    let (column, line) = lines.filter_map(|(text, line)| Some((text.chars().position(|c| c == '\t')?, line))).next()?;
    let at = Mark { source: source.clone(), line, col: column + 1 };
    Some(at.error("not valid YAML: there is a tab; YAML takes spaces in front of a key"))
}

/// What the parser notices only in the next line: `epochs:3`.
pub fn missing_space(text: &str, line: usize, source: &Arc<str>) -> Option<InputError> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().take(line).collect();
    let is_written = |text: &str| !text.trim().is_empty() && !text.trim_start().starts_with('#');
    let last = lines.into_iter().rev().filter(|(_, text)| is_written(text)).take(2);
    let found = last.filter_map(|(line, text)| {
        let key = text.trim_start_matches([' ', '-']);
        let at = Mark { source: source.clone(), line: line + 1, col: text.len() - key.len() + 1 };
        let problem = format!("a space is missing after the colon: `{}`", shorten(&with_space(key.trim_end())?));
        Some(at.error(problem))
    });
    found.last()
}
