//! A trial under way: its lock and what is written of it until it is whole.

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files::{
    cannot, is_at, is_passing, open_lock, remove_folder, scratch_beside, sync_folder, write_atomically,
};
use super::npy;
use super::trial::{history_csv, pretty};
use super::{BEST, CONFIG, HISTORY, Identity, Kept, LAST, LOCK, LOG, PREDICTIONS, RESULT, SHOWCASE, STEPS, Store};
use crate::record::{Epoch, Outcome};

/// Each try fails only if another process has moved the folder away meanwhile.
const MAX_LOCK_TRIES: usize = 1000;

/// A trial that this process runs; the lock goes with it.
pub struct Claim {
    store: Store,
    folder: PathBuf,
    identity: Identity,
    _lock: File,
}

impl Claim {
    pub(super) fn new(store: Store, identity: Identity, lock: File) -> Result<Claim> {
        let claim = Claim { folder: store.work_dir(&identity.id), store, identity, _lock: lock };
        claim.write(CONFIG, &pretty(&claim.identity)?)?;
        Ok(claim)
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn write_checkpoint(&self, bytes: &[u8], history: &[Epoch]) -> Result<()> {
        self.write(HISTORY, &history_csv(history)?)?;
        self.write(LAST, bytes)
    }

    /// As stored, damaged or not.
    pub fn read_checkpoint(&self) -> Result<Option<Vec<u8>>> {
        let path = self.folder.join(LAST);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => Ok(Some(read.with_context(|| format!("cannot read {}", path.display()))?)),
        }
    }

    pub fn discard_checkpoint(&self) -> Result<()> {
        Ok(fs::remove_file(self.folder.join(LAST))?)
    }

    /// The finished epochs as far as they are stored.
    pub fn history(&self) -> Vec<Epoch> {
        self.store.history_so_far(&self.identity.id)
    }

    pub fn write_steps(&self, bytes: &[u8]) -> Result<()> {
        self.write(STEPS, bytes)
    }

    /// None if the trial's steps are not traced so far.
    pub fn read_steps(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join(STEPS)).ok()
    }

    /// The trial's log, to append to.
    pub fn log(&self) -> Result<File> {
        let path = self.folder.join(LOG);
        let log = OpenOptions::new().append(true).create(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        log.map_err(|error| cannot("open", &path, error))
    }

    /// Stores the outcome and moves the whole folder to its final place in one step.
    pub fn finish(self, outcome: &Outcome, history: &[Epoch], kept: Option<&Kept>) -> Result<()> {
        if let Some(Kept { best, showcase, predictions }) = kept {
            self.write(BEST, best)?;
            self.write(SHOWCASE, &serde_json::to_vec(showcase)?)?;
            self.write(PREDICTIONS, &npy::encode(predictions))?;
        }
        self.write(HISTORY, &history_csv(history)?)?;
        self.write(RESULT, &pretty(outcome)?)?;
        let target = self.store.trial_dir(&self.identity.id);
        if !self.store.is_stored(&self.identity.id) {
            // Without its result it is no stored trial, whoever made it.
            self.store.forget(&self.identity.id)?;
        }
        move_folder(&self.folder, &target)?;
        // Only now: without its lock the folder in work/ could have been claimed a second time.
        Ok(fs::remove_file(target.join(LOCK))?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), bytes)
    }
}

/// Moves a trial's folder in one step. Where the file system cannot, as an overlay cannot the folders of its lower layers, a copy
/// takes the place in that step.
pub fn move_folder(from: &Path, to: &Path) -> Result<()> {
    let copy = match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => Some(copy_folder(from, to)?),
        moved => moved.map(|()| None).map_err(|error| cannot("make", to, error))?,
    };
    sync_folder(to.parent().expect("a trial's folder has a parent"))?;
    if copy.is_some() { remove_folder(from) } else { Ok(()) }
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

/// Makes the folder of a trial under way and locks it; None if another process holds it.
///
/// Who finishes moves the folder away with its lock, so a lock counts only if it is still the one in the folder.
pub fn lock_folder(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    for _ in 0..MAX_LOCK_TRIES {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A results folder that is gone is not made again: it would lack all that was in it.
            made => made.map_err(|error| cannot("make", folder, error))?,
        }
        let lock = match open_lock(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| cannot("open", &path, error))?,
        };
        match lock.try_lock() {
            Ok(()) if is_at(&lock, &path) => return Ok(Some(lock)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, error)),
        }
    }
    bail!("cannot lock {}: it keeps disappearing", path.display())
}
