//! Names of experiments, blocks and data sets, which become names of files.

pub const MAX_NAME_CHARS: usize = 64;

/// Whether a name is safe as a file's.
pub fn is_file_name(name: &str) -> bool {
    let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    name.len() <= MAX_NAME_CHARS && !name.starts_with('-') && !name.is_empty() && name.chars().all(is_plain)
}
