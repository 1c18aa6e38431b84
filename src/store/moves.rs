//! Stored trials that run again, or are in the way: what is moved, and how it stays whole.

use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::files::{
    cannot, is_passing, lock_folder, make_folder, remove_file, remove_folder, scratch_beside, sync_folder,
};
use super::layout::{LOCK, OF_A_TRIAL, RESULT, Store};

impl Store {
    /// Makes a stored trial one under way again, with its last checkpoint if it has one.
    /// Returns where it was put aside instead, as [`Store::forget`] does.
    pub fn reopen(&self, id: &str) -> Result<Option<PathBuf>> {
        let work = self.work_dir(id);
        match move_folder(&self.trial_dir(id), &work) {
            Ok(()) => remove_file(&work.join(RESULT)).map(|()| None),
            // Another sweep has begun it afresh.
            Err(error) => match error.downcast_ref().map(io::Error::kind) {
                Some(ErrorKind::DirectoryNotEmpty) => self.forget(id),
                _ => Err(error),
            },
        }
    }

    /// Takes a stored trial away so that it runs again from the start. If somebody has put files of their own there, it is put
    /// aside with them: where to.
    pub fn forget(&self, id: &str) -> Result<Option<PathBuf>> {
        let folder = self.trial_dir(id);
        if has_foreign_files(&folder) {
            return self.put_aside(id, "kept").map(Some);
        }
        remove_folder(&folder, None).map(|()| None)
    }

    /// Puts a stored trial into `place`, a folder beside trials/ where it is in nobody's way, and says where that is.
    pub fn put_aside(&self, id: &str, place: &str) -> Result<PathBuf> {
        let folder = self.root().join(place);
        make_folder(&folder)?;
        let mut names = (1..).map(|count| folder.join(format!("{id}.{count}")));
        let aside = names.find(|path| !path.exists()).expect("there is a next number");
        move_folder(&self.trial_dir(id), &aside)?;
        Ok(aside)
    }
}

/// Whether a trial's folder has what no trial has.
fn has_foreign_files(folder: &Path) -> bool {
    let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.any(|name| !OF_A_TRIAL.iter().any(|own| name == *own) && !is_passing(&name))
}

/// Moves a trial's folder in one step. Where the file system cannot, as an overlay cannot the folders of its lower layers, a copy
/// takes the place in that step.
pub fn move_folder(from: &Path, to: &Path) -> Result<()> {
    let copy = match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => Some(copy_folder(from, to)?),
        moved => moved.map(|()| None).map_err(|error| cannot("make", to, error))?,
    };
    sync_folder(to.parent().expect("a trial's folder has a parent"))?;
    if copy.is_some() { remove_folder(from, None) } else { Ok(()) }
}

/// Returns the copy's lock.
fn copy_folder(from: &Path, to: &Path) -> Result<File> {
    let scratch = scratch_beside(to);
    let lock = lock_folder(&scratch)?.with_context(|| format!("{} is in use", scratch.display()))?;
    let rename = || fs::rename(&scratch, to).map_err(|error| cannot("make", to, error));
    let copied = copy_files(from, &scratch).and_then(|()| rename());
    if copied.is_err() {
        let _ = fs::remove_dir_all(&scratch);
    }
    copied.map(|()| lock)
}

fn copy_entry(entry: &DirEntry, copy: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        return symlink(fs::read_link(entry.path())?, copy);
    }
    if kind.is_dir() {
        fs::create_dir(copy)?;
        for inner in fs::read_dir(entry.path())? {
            let inner = inner?;
            copy_entry(&inner, &copy.join(inner.file_name()))?;
        }
        return Ok(());
    }
    fs::copy(entry.path(), copy).and_then(|_| File::open(copy)?.sync_all())
}

/// All that is there, whoever put it there, but for the lock and what comes and goes.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, copy) = (entry.file_name(), to.join(entry.file_name()));
        if name != LOCK && !is_passing(&name) {
            copy_entry(&entry, &copy).map_err(|error| cannot("write", &copy, error))?;
        }
    }
    sync_folder(to)
}
