//! A trial under way: its lock and what is written of it until it is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files::{remove_folder, sync_folder, write_atomically};
use super::{BEST, CONFIG, HISTORY, Identity, LAST, LOCK, LOG, RESULT, SHOWCASE, STEPS, Store, history_csv, pretty};
use crate::train::record::{Epoch, Outcome, Showcase};

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
        log.with_context(|| format!("cannot open {}", path.display()))
    }

    /// Stores the outcome and moves the whole folder to its final place in one step.
    /// `kept` is what only a trial that is done has: the selected epoch's weights and what to show of them.
    pub fn finish(self, outcome: &Outcome, history: &[Epoch], kept: Option<(&[u8], &Showcase)>) -> Result<()> {
        if let Some((best, showcase)) = kept {
            self.write(BEST, best)?;
            self.write(SHOWCASE, &serde_json::to_vec(showcase)?)?;
        }
        self.write(HISTORY, &history_csv(history)?)?;
        self.write(RESULT, &pretty(outcome)?)?;
        let target = self.store.trial_dir(&self.identity.id);
        if !self.store.is_stored(&self.identity.id) {
            // Without its result it is no stored trial, whoever made it.
            remove_folder(&target)?;
        }
        fs::rename(&self.folder, &target).with_context(|| format!("cannot make {}", target.display()))?;
        sync_folder(target.parent().expect("a trial's folder has a parent"))?;
        // Only now: without its lock the folder in work/ could have been claimed a second time.
        Ok(fs::remove_file(target.join(LOCK))?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), bytes)
    }
}

pub fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW).open(path)
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
            made => made.with_context(|| format!("cannot make {}", folder.display()))?,
        }
        let lock = match open_lock(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).context(format!("cannot lock {}", path.display())),
        }
        let held = lock.metadata()?;
        if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(Some(lock));
        }
    }
    bail!("cannot lock {}: it keeps disappearing", path.display())
}
