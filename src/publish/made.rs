//! `made.json`: which files of a folder this program's reports made, and what it wrote into them. A report replaces and removes
//! only those; whatever else lies at one of its names is kept beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::data::sha256;
use crate::store::Store;
use crate::store::files::pretty;
use crate::store::manifest::Manifest;

const RECORD: &str = "made.json";
/// What a sweep makes before its manifest; a program that is killed then leaves no more.
const FIRST_FOLDERS: [&str; 3] = ["trials", "work", "plots"];
const ALWAYS_THERE: &str = "lost+found";

/// A file as it is to be; without bytes it is the report's, but cannot be made here and stays as it is.
pub struct Wanted<'a> {
    /// Below the folder.
    pub name: &'a str,
    pub bytes: Option<&'a [u8]>,
}

/// SHA-256 of what was written, by name: two of a file that was being replaced when the program was killed.
type Record = BTreeMap<String, BTreeSet<String>>;

/// Makes `files` the report's files in the folder of `store`, in their order, and removes those of an earlier report. Says what
/// of somebody else's was in the way and how it is called now.
pub fn replace(store: &Store, files: &[Wanted]) -> Result<Vec<String>> {
    let earlier = load(store)?;
    let mut record = earlier.clone().unwrap_or_default();
    for Wanted { name, bytes } in files {
        record.entry((*name).to_owned()).or_default().extend(bytes.map(digest));
    }
    write(store, &record)?;
    let mut notes = vec![];
    for Wanted { name, bytes } in files {
        let Some(bytes) = bytes else { continue };
        // A folder from before there were records has reports of this program's under these names.
        let kept = earlier.as_ref().map_or(Ok(None), |earlier| keep_aside(store, name, bytes, earlier.get(*name)))?;
        if let Err(error) = store.write(name, bytes) {
            // Nothing has taken its place.
            kept.filter(|_| store.read(name).is_some()).map_or(Ok(()), |(kept, _)| store.remove(&kept))?;
            return Err(error);
        }
        notes.extend(kept.map(|(_, note)| note));
    }
    let gone = record.keys().filter(|name| files.iter().all(|file| file.name != **name));
    for name in gone.cloned().collect::<Vec<_>>() {
        if store.read(&name).is_some_and(|there| record[&name].contains(&digest(&there))) {
            store.remove(&name)?;
        }
        record.remove(&name);
    }
    for Wanted { name, bytes } in files {
        record.extend(bytes.map(|bytes| ((*name).to_owned(), BTreeSet::from([digest(bytes)]))));
    }
    write(store, &record)?;
    Ok(notes)
}

/// Gives what lies at `name` another name beside it if it is neither `bytes` nor what this program wrote there; says so too.
fn keep_aside(
    store: &Store,
    name: &str,
    bytes: &[u8],
    written: Option<&BTreeSet<String>>,
) -> Result<Option<(String, String)>> {
    let Some(there) = store.read(name) else { return Ok(None) };
    if there == bytes || written.is_some_and(|written| written.contains(&digest(&there))) {
        return Ok(None);
    }
    let kept = store.keep_aside(name)?;
    let what = if written.is_some() { "was changed by somebody else" } else { "was not made by this program" };
    let note = format!("{}: {what}; it is kept as {kept}", store.root().join(name).display());
    Ok(Some((kept, note)))
}

/// None where no report was recorded.
fn load(store: &Store) -> Result<Option<Record>> {
    let Some(bytes) = store.read(RECORD) else { return Ok(None) };
    let record = serde_json::from_slice(&bytes);
    let path = store.root().join(RECORD);
    record.with_context(|| format!("{}: damaged; without it all reports here count as this program's", path.display()))
}

fn write(store: &Store, record: &Record) -> Result<()> {
    store.write(RECORD, &pretty(record)?)
}

fn digest(bytes: &[u8]) -> String {
    sha256([bytes])
}

/// Refuses a folder with files that no sweep made, before anything is written there.
pub fn ensure_results(root: &Path) -> Result<()> {
    let names = foreign_names(root)?;
    if names.is_empty() || Manifest::load(&Store::at(root))?.is_some() {
        return Ok(());
    }
    let first = |name: &String| FIRST_FOLDERS.contains(&name.as_str()) && root.join(name).is_dir();
    let without_pictures = foreign_names(&root.join("plots"))?.is_empty();
    ensure!(names.iter().all(first) && without_pictures, refusal(root, "results of this program (no manifest.json)"));
    Ok(())
}

/// The same for the folder of a comparison.
pub fn ensure_comparison(root: &Path) -> Result<()> {
    ensure!(!root.join("trials").exists(), "{}: holds trials of its own; choose another --out", root.display());
    let first =
        foreign_names(root)?.iter().all(|name| name == "plots") && foreign_names(&root.join("plots"))?.is_empty();
    let recorded = first || load(&Store::at(root))?.is_some();
    ensure!(recorded, refusal(root, "a comparison of this program (no made.json)"));
    Ok(())
}

fn refusal(root: &Path, what: &str) -> String {
    format!("{}: is not empty and holds no {what}; choose another --out", root.display())
}

/// What lies in a folder, but for hidden files and what file systems put there, which this program never touches.
fn foreign_names(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        // A file here is refused with its name when the folder is made.
        return Ok(vec![]);
    }
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.') && name != ALWAYS_THERE).collect())
}
