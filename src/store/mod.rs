//! The results folder: its layout, its locks, and the only code that writes into it.
//!
//! ```text
//! trials/<id>/   a finished trial, complete or absent
//! work/<id>/     a trial under way: its lock, its last checkpoint, its log; renamed to trials/<id> when it is whole
//! damaged/<id>.N what was stored of a trial but could not be read when it was to run again
//! ```
#![allow(clippy::disallowed_methods, reason = "the only writer of result files")]

mod claim;
pub mod files;
mod layout;
pub mod manifest;
pub mod mounts;
mod moves;
mod npy;
pub mod prune;
mod trial;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

pub use claim::{Claim, is_lost};
pub use layout::{BEST, RESULT, Store};
pub use trial::{Finished, Identity, Kept};

use files::{cannot, free_bytes, make_folder, prove_writable, remove_file, remove_scratch, write_atomically};
use layout::{PLOTS, TEST_LABELS, TRIALS, WORK};

impl Store {
    /// Makes the folder if it is not there, proves that it can be written, and removes what killed programs left.
    pub fn create(root: &Path) -> Result<Store> {
        let store = Store::at(root);
        for folder in [root.to_owned(), root.join(TRIALS), root.join(WORK), root.join(PLOTS)] {
            make_folder(&folder)?;
            remove_scratch(&folder);
            // Plots can wait; they are an error at the end.
            if folder != root.join(PLOTS) {
                prove_writable(&folder)?;
            }
        }
        store.clear_stored();
        Ok(store)
    }

    /// Whether results could be written into `root`, which is made; the bytes that are free there.
    pub fn writable(root: &Path) -> Result<u64> {
        make_folder(root)?;
        prove_writable(root)?;
        free_bytes(root)
    }

    /// An existing results folder, to read.
    pub fn open(root: &Path) -> Result<Store> {
        ensure!(root.join(TRIALS).is_dir(), "{}: not a results folder (it has no trials/)", root.display());
        Ok(Store::at(root))
    }

    /// A folder for tables and plots alone, which is made.
    pub fn for_report(root: &Path) -> Result<Store> {
        make_folder(&root.join(PLOTS))?;
        Ok(Store::at(root))
    }

    /// Replaces a file of the folder, `name` being relative to it. Leaves a file alone that already holds `bytes`.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root().join(name);
        if files::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        write_atomically(&path, bytes)
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        files::read(&self.root().join(name)).ok()
    }

    /// Removes a file of the folder, `name` being relative to it, if it is there.
    pub fn remove(&self, name: &str) -> Result<()> {
        remove_file(&self.root().join(name))
    }

    /// Gives a file of the folder a name beside its own that is not there yet, and returns it. It keeps its own one too, where the
    /// file system allows that, so that a reader never misses it.
    pub fn keep_aside(&self, name: &str) -> Result<String> {
        let numbered =
            |number: usize| if number == 1 { format!("{name}.kept") } else { format!("{name}.kept-{number}") };
        let free = |kept: &String| self.root().join(kept).symlink_metadata().is_err();
        let kept = (1..).map(numbered).find(free).expect("numbers do not end");
        let (from, to) = (self.root().join(name), self.root().join(&kept));
        let named = fs::hard_link(&from, &to).or_else(|_| fs::rename(&from, &to));
        named.map_err(|error| cannot("keep", &from, error))?;
        Ok(kept)
    }

    /// Makes a file that only ever grows hold `bytes`, by adding what it lacks: who has it open goes on reading, which a
    /// replaced file would not allow. One that begins otherwise is written anew. What a kill leaves torn is mended next time.
    pub fn extend(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root().join(name);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(self.root()))?;
            let old = files::read(&path).unwrap_or_default();
            let same = if bytes.starts_with(&old) { old.len() } else { 0 };
            if same == bytes.len() {
                return Ok(());
            }
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(same == 0)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)?;
            // Not at the file's end, where another sweep may have put the same just now.
            file.write_all_at(&bytes[same..], same as u64)
        };
        write().map_err(|error| cannot("write", &path, error))
    }

    /// Removes the files called `name` of runs that are not `kept`, each in a folder of its own in `folder`, with these folders.
    pub fn keep_only_runs(&self, folder: &str, name: &str, kept: &HashSet<String>) -> Result<()> {
        for run in fs::read_dir(self.root().join(folder)).into_iter().flatten() {
            let run = run?;
            let file = run.path().join(name);
            if !kept.contains(&*run.file_name().to_string_lossy()) && file.exists() {
                remove_file(&file)?;
                // Someone may have put a file of their own there.
                let _ = fs::remove_dir(run.path());
            }
        }
        Ok(())
    }

    /// Keeps the true classes of the test images with the results.
    pub fn write_test_labels(&self, labels: &[u8]) -> Result<()> {
        self.write(TEST_LABELS, &npy::encode(labels))
    }

    /// None in results of older versions.
    pub fn test_labels(&self) -> Result<Option<Vec<u8>>> {
        let damaged = || {
            let path = self.root().join(TEST_LABELS);
            format!("{}: not what this program writes; a sweep into this folder writes it anew", path.display())
        };
        self.read(TEST_LABELS).map(|bytes| npy::decode(&bytes).with_context(damaged)).transpose()
    }
}

#[cfg(test)]
mod tests;
