//! What `runner data import` made, as far as an experiment has to know it: which classes, and how many images.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::config::Imported;
use super::file_name::is_file_name;
use super::keys::{DATASETS, MOST_IMAGES};

/// Describes an import, in its folder.
pub const MANIFEST: &str = "import.json";
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// Labels are bytes.
pub const MOST_CLASSES: usize = 1 << u8::BITS;
const SHA256_DIGITS: usize = 64;

/// An import, and where it is.
#[derive(Clone, Debug)]
pub struct Found {
    pub folder: PathBuf,
    pub imported: Imported,
}

/// The import that `folder` is; if it is none, those that are in it, in the order of their folders' names.
pub fn find(folder: &Path) -> Result<Vec<Found>, String> {
    if let Some(imported) = read(folder)? {
        return Ok(vec![Found { folder: folder.to_owned(), imported }]);
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    inside.sort();
    let found = inside.into_iter().map(|folder| Ok(read(&folder)?.map(|imported| Found { folder, imported })));
    found.filter_map(Result::transpose).collect()
}

/// None where there is no manifest.
fn read(folder: &Path) -> Result<Option<Imported>, String> {
    let path = folder.join(MANIFEST);
    let wrong =
        |why: String| format!("{}: {why}; `runner data import` makes it anew in another folder", path.display());
    let file = match File::open(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        opened => opened.map_err(|error| format!("cannot read {}: {error}", path.display()))?,
    };
    let mut text = String::new();
    file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let imported: Imported = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    refusal(&imported).map_or(Ok(Some(imported)), |why| Err(wrong(why)))
}

/// Why something cannot be an import.
pub fn refusal(imported: &Imported) -> Option<String> {
    let Imported { name, sha256, train, test, classes } = imported;
    let mut seen: HashSet<&str> = HashSet::new();
    let is_count = |count: usize| (1..=MOST_IMAGES as usize).contains(&count);
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_control);
    match () {
        () if check_name(name).is_err() => check_name(name).err(),
        () if sha256.len() != SHA256_DIGITS || !sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) => {
            Some(format!("its checksum is to be {SHA256_DIGITS} hex digits, not {sha256:?}"))
        }
        () if !is_count(*train) || !is_count(*test) => {
            Some(format!("{train} images to train on and {test} to test are not 1 to {MOST_IMAGES} of each"))
        }
        () if !(2..=MOST_CLASSES).contains(&classes.len()) => {
            Some(format!("{} classes are not 2 to {MOST_CLASSES}", classes.len()))
        }
        () => {
            let bad = classes.iter().find(|name| !is_name(name) || !seen.insert(name.as_str()));
            bad.map(|name| format!("{name:?} is no name for a class, or that of two"))
        }
    }
}

/// Whether `folder` says that it is one.
pub fn is_import(folder: &Path) -> bool {
    folder.join(MANIFEST).exists()
}

/// Refuses a name that experiments could not use.
pub fn check_name(name: &str) -> Result<(), String> {
    match () {
        () if !is_file_name(name) => {
            Err(format!("a data set's name is to be 1 to 64 of a-z, 0-9, _ and -, not {name:?}"))
        }
        () if DATASETS.contains(&name) => Err(format!("{name} is a data set of this program")),
        () => Ok(()),
    }
}
