//! Locks: a trial under way is one process's alone, and so is the making of tables.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Result;

use super::files::{
    self, cannot, is_lock_of, lock_folder, look_anew, make_folder, open_lock, pretty, read_if_there, remove_file,
    remove_folder, remove_own_scratch, write_atomically,
};
use super::layout::{
    BEST, CONFIG, HISTORY, LAST, LOCK, LOG, PLOTS, PREDICTIONS, PUBLISH_LOCK, RESULT, SHOWCASE, STEPS, Store, WORK,
};
use super::moves::move_folder;
use super::npy;
use super::trial::{Identity, Kept, history_csv};
use crate::record::{Epoch, Outcome};

impl Store {
    /// Whether a process runs this trial now.
    pub fn is_running(&self, id: &str) -> bool {
        look_anew(&self.root().join(WORK));
        // A shared lock that is let go at once: whoever claims the trial in that moment tries again a little later.
        let lock = File::open(self.work_dir(id).join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Waits until no other sweep publishes here, so that older tables never replace newer ones. The file is the turn.
    pub fn turn_to_publish(&self) -> Result<File> {
        make_folder(&self.root().join(WORK))?;
        make_folder(&self.root().join(PLOTS))?;
        let path = self.root().join(WORK).join(PUBLISH_LOCK);
        let lock = open_lock(&path).and_then(|lock| lock.lock().map(|()| lock));
        lock.map_err(|error| cannot("lock", &path, error))
    }

    /// Locks a trial for this process. None if another holds it or it has finished meanwhile.
    pub fn claim(&self, identity: &Identity) -> Result<Option<Claim>> {
        let folder = self.work_dir(&identity.id);
        if self.is_stored(&identity.id) {
            return Ok(None);
        }
        let Some(lock) = lock_folder(&folder)? else { return Ok(None) };
        // The holder before us may have finished between our look and our lock.
        if self.is_stored(&identity.id) {
            self.clear(&identity.id, lock)?;
            return Ok(None);
        }
        // Whoever wrote here held the lock.
        remove_own_scratch(&folder);
        Claim::new(self.clone(), identity.clone(), lock).map(Some)
    }

    /// Removes the folder in work/ of a stored trial, whose lock is held.
    fn clear(&self, id: &str, lock: File) -> Result<()> {
        remove_folder(&self.work_dir(id), Some(lock))?;
        // On NFS the lock may have been made just when the folder was moved, and so in its new place.
        let _ = remove_file(&self.trial_dir(id).join(LOCK));
        Ok(())
    }

    /// A kill may have left the folders in work/ of trials that had just been stored. They are in nobody's way.
    pub(super) fn clear_stored(&self) {
        for entry in fs::read_dir(self.root().join(WORK)).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if self.is_stored(&id)
                && let Ok(Some(lock)) = lock_folder(&entry.path())
                && self.is_stored(&id)
            {
                let _ = self.clear(&id, lock);
            }
        }
    }
}

/// A trial that this process runs; the lock goes with it.
pub struct Claim {
    store: Store,
    folder: PathBuf,
    identity: Identity,
    lock: File,
}

/// Another process has taken over the trial of a claim: with the connection to a file server a lock can be lost.
#[derive(Debug)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the lock was lost (was the file server out of reach?), and another sweep has the trial now")
    }
}

/// Whether an error says that a trial is no longer this process's.
pub fn is_lost(error: &anyhow::Error) -> bool {
    error.is::<Lost>()
}

impl Claim {
    fn new(store: Store, identity: Identity, lock: File) -> Result<Claim> {
        let claim = Claim { folder: store.work_dir(&identity.id), store, identity, lock };
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
        read_if_there(&self.folder.join(LAST))
    }

    pub fn discard_checkpoint(&self) -> Result<()> {
        remove_file(&self.folder.join(LAST))
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
        files::read(&self.folder.join(STEPS)).ok()
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
        self.ensure_held()?;
        let target = self.store.trial_dir(&self.identity.id);
        if !self.store.is_stored(&self.identity.id) {
            // Without its result it is no stored trial, whoever made it.
            self.store.forget(&self.identity.id)?;
        }
        move_folder(&self.folder, &target)?;
        // Only now: without its lock the folder in work/ could have been claimed a second time. NFS keeps what is open.
        drop(self.lock);
        remove_file(&target.join(LOCK))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.ensure_held()?;
        // A lock that is lost while a file is written fails the file.
        write_atomically(&self.folder.join(name), bytes).or_else(|error| self.ensure_held().and(Err(error)))
    }

    /// Takes the lock once more, which changes nothing unless it was lost.
    fn ensure_held(&self) -> Result<()> {
        let is_held = self.lock.try_lock().is_ok() && is_lock_of(&self.lock, &self.folder);
        if is_held { Ok(()) } else { Err(anyhow::Error::msg(Lost)) }
    }
}
