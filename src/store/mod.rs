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
pub mod manifest;
mod npy;
mod trial;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

pub use claim::Claim;
pub use trial::{Finished, Identity, Kept};

use claim::{lock_folder, move_folder};
use files::{
    cannot, free_bytes, is_at, is_passing, is_refused, make_folder, open_lock, prove_writable, remove_folder,
    remove_own_scratch, remove_scratch, write_atomically,
};
use trial::parse_history;

use crate::record::Epoch;

const CONFIG: &str = "config.json";
const HISTORY: &str = "history.csv";
pub const RESULT: &str = "result.json";
const SHOWCASE: &str = "showcase.json";
const PREDICTIONS: &str = "predictions.npy";
/// Beside `manifest.json`: the true class of each test image, so that a report needs no images.
const TEST_LABELS: &str = "test_labels.npy";
const LAST: &str = "last.safetensors";
pub const BEST: &str = "best.safetensors";
const STEPS: &str = "steps.csv";
const LOG: &str = "log.txt";
const LOCK: &str = "lock";
/// In `work/`; held while tables and plots are made.
const PUBLISH_LOCK: &str = "publish.lock";
/// Each try fails only if another sweep has put a new folder in the trial's place meanwhile.
const MAX_LOAD_TRIES: usize = 1000;

/// A folder of results. Cheap to clone; holds no file open.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Makes the folder if it is not there, proves that it can be written, and removes what killed programs left.
    pub fn create(root: &Path) -> Result<Store> {
        let store = Store::at(root);
        for folder in [root.to_owned(), store.root.join("trials"), store.root.join("work"), store.root.join("plots")] {
            make_folder(&folder)?;
            remove_scratch(&folder);
            // Plots can wait; they are an error at the end.
            if folder.file_name() != Some("plots".as_ref()) {
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
        ensure!(root.join("trials").is_dir(), "{}: not a results folder (it has no trials/)", root.display());
        Ok(Store::at(root))
    }

    /// A folder for tables and plots alone, which is made.
    pub fn for_report(root: &Path) -> Result<Store> {
        make_folder(&root.join("plots"))?;
        Ok(Store::at(root))
    }

    /// A folder that need not be there, to look into.
    pub fn at(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn trial_dir(&self, id: &str) -> PathBuf {
        self.root.join("trials").join(id)
    }

    pub fn log_path(&self, id: &str) -> PathBuf {
        let finished = self.trial_dir(id).join(LOG);
        if finished.exists() { finished } else { self.work_dir(id).join(LOG) }
    }

    fn work_dir(&self, id: &str) -> PathBuf {
        self.root.join("work").join(id)
    }

    /// Replaces a file of the folder, `name` being relative to it. Leaves a file alone that already holds `bytes`.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        if fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        write_atomically(&path, bytes)
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.root.join(name)).ok()
    }

    /// Removes a file of the folder, `name` being relative to it, if it is there.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", &path, error)),
            _ => Ok(()),
        }
    }

    /// Gives a file of the folder a name beside its own that is not there yet, and returns it. It keeps its own one too, where the
    /// file system allows that, so that a reader never misses it.
    pub fn keep_aside(&self, name: &str) -> Result<String> {
        let numbered =
            |number: usize| if number == 1 { format!("{name}.kept") } else { format!("{name}.kept-{number}") };
        let free = |kept: &String| self.root.join(kept).symlink_metadata().is_err();
        let kept = (1..).map(numbered).find(free).expect("numbers do not end");
        let (from, to) = (self.root.join(name), self.root.join(&kept));
        let named = fs::hard_link(&from, &to).or_else(|_| fs::rename(&from, &to));
        named.map_err(|error| cannot("keep", &from, error))?;
        Ok(kept)
    }

    /// Makes a file that only ever grows hold `bytes`, by adding what it lacks: who has it open goes on reading, which a
    /// replaced file would not allow. One that begins otherwise is written anew. What a kill leaves torn is mended next time.
    pub fn extend(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let old = fs::read(&path).unwrap_or_default();
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
        for run in fs::read_dir(self.root.join(folder)).into_iter().flatten() {
            let run = run?;
            let file = run.path().join(name);
            if !kept.contains(&*run.file_name().to_string_lossy()) && file.exists() {
                fs::remove_file(&file).map_err(|error| cannot("remove", &file, error))?;
                // Someone may have put a file of their own there.
                let _ = fs::remove_dir(run.path());
            }
        }
        Ok(())
    }

    /// The stored trial, whole, or None if it has not finished or another sweep takes it away meanwhile.
    pub fn load(&self, id: &str) -> Result<Option<Finished>> {
        let folder = self.trial_dir(id);
        for _ in 0..MAX_LOAD_TRIES {
            // Open until all is read, so that no other folder gets its number.
            let open = match File::open(&folder) {
                Err(error) if is_absence(&error) => return Ok(None),
                opened => opened.map_err(|error| cannot("read", &folder, error))?,
            };
            let read = self.is_stored(id).then(|| trial::read(&folder, id)).transpose();
            match read {
                _ if !is_at(&open, &folder) => continue,
                Err(_) if !self.is_stored(id) => return Ok(None),
                Err(error) if is_refused(&error) => return Err(error),
                read => return read.with_context(|| damaged(&folder, id)),
            }
        }
        bail!("cannot read {}: it keeps being replaced", folder.display())
    }

    /// Keeps the true classes of the test images with the results.
    pub fn write_test_labels(&self, labels: &[u8]) -> Result<()> {
        self.write(TEST_LABELS, &npy::encode(labels))
    }

    /// None in results of older versions.
    pub fn test_labels(&self) -> Result<Option<Vec<u8>>> {
        let damaged = || {
            let path = self.root.join(TEST_LABELS);
            format!("{}: not what this program writes; a sweep into this folder writes it anew", path.display())
        };
        self.read(TEST_LABELS).map(|bytes| npy::decode(&bytes).with_context(damaged)).transpose()
    }

    /// Whether a process runs this trial now.
    pub fn is_running(&self, id: &str) -> bool {
        // A shared lock that is let go at once: whoever claims the trial in that moment tries again a little later.
        let lock = File::open(self.work_dir(id).join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The finished epochs of a trial that has not ended, as far as they are stored.
    pub fn history_so_far(&self, id: &str) -> Vec<Epoch> {
        let bytes = fs::read(self.work_dir(id).join(HISTORY));
        bytes.ok().and_then(|bytes| parse_history(&bytes).ok()).unwrap_or_default()
    }

    /// The ids of all stored trials.
    pub fn stored_ids(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join("trials"))?.collect::<std::io::Result<Vec<_>>>()?;
        let stored = entries.into_iter().filter(|entry| entry.path().join(RESULT).exists());
        Ok(stored.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// Whether the trial has ended. One that is not for this user to read has.
    pub fn is_stored(&self, id: &str) -> bool {
        let result = fs::symlink_metadata(self.trial_dir(id).join(RESULT));
        result.map_or_else(|error| error.kind() == ErrorKind::PermissionDenied, |_| true)
    }

    /// Makes a stored trial one under way again, with its last checkpoint if it has one.
    /// Returns where it was put aside instead, as [`Store::forget`] does.
    pub fn reopen(&self, id: &str) -> Result<Option<PathBuf>> {
        let work = self.work_dir(id);
        match move_folder(&self.trial_dir(id), &work) {
            Ok(()) => Ok(fs::remove_file(work.join(RESULT)).map(|()| None)?),
            // Another sweep has begun it afresh.
            Err(error) if kind(&error) == Some(ErrorKind::DirectoryNotEmpty) => self.forget(id),
            Err(error) => Err(error),
        }
    }

    /// Takes a stored trial away so that it runs again from the start. If somebody has put files of their own there, it is put
    /// aside with them: where to.
    pub fn forget(&self, id: &str) -> Result<Option<PathBuf>> {
        let folder = self.trial_dir(id);
        if has_foreign_files(&folder) {
            return self.put_aside(id, "kept").map(Some);
        }
        remove_folder(&folder).map(|()| None)
    }

    /// Puts a stored trial into `place`, a folder beside trials/ where it is in nobody's way, and says where that is.
    pub fn put_aside(&self, id: &str, place: &str) -> Result<PathBuf> {
        let folder = self.root.join(place);
        make_folder(&folder)?;
        let mut names = (1..).map(|count| folder.join(format!("{id}.{count}")));
        let aside = names.find(|path| !path.exists()).expect("there is a next number");
        move_folder(&self.trial_dir(id), &aside)?;
        Ok(aside)
    }

    /// Waits until no other sweep publishes here, so that older tables never replace newer ones. The file is the turn.
    pub fn turn_to_publish(&self) -> Result<File> {
        for folder in ["work", "plots"] {
            make_folder(&self.root.join(folder))?;
        }
        let path = self.root.join("work").join(PUBLISH_LOCK);
        let lock = open_lock(&path).and_then(|lock| lock.lock().map(|()| lock));
        lock.map_err(|error| cannot("lock", &path, error))
    }

    /// Locks a trial for this process. None if another holds it or it has finished meanwhile.
    pub fn claim(&self, identity: &Identity) -> Result<Option<Claim>> {
        let folder = self.work_dir(&identity.id);
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
        remove_folder(&self.work_dir(id))?;
        // NFS keeps what is open, so what is left of it goes now.
        drop(lock);
        remove_scratch(&self.root.join("work"));
        Ok(())
    }

    /// A kill may have left the folders in work/ of trials that had just been stored. They are in nobody's way.
    fn clear_stored(&self) {
        for entry in fs::read_dir(self.root.join("work")).into_iter().flatten().flatten() {
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

fn damaged(folder: &Path, id: &str) -> String {
    format!("{}: damaged; `--rerun all --only {id}` runs the trial again, or remove this folder", folder.display())
}

/// Whether a trial's folder has what no trial has.
fn has_foreign_files(folder: &Path) -> bool {
    const OWN: [&str; 10] = [CONFIG, HISTORY, RESULT, SHOWCASE, PREDICTIONS, LAST, BEST, STEPS, LOG, LOCK];
    let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.any(|name| !OWN.iter().any(|own| name == *own) && !is_passing(&name))
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref().map(std::io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    fn identity() -> Identity {
        let config = crate::spec::defaults("lenet5").unwrap();
        Identity { id: crate::spec::trial_id(&config, 0), seed: 0, config }
    }

    fn outcome() -> Outcome {
        Outcome { status: crate::record::Status::Diverged, ..Outcome::failed(String::new()) }
    }

    #[test]
    fn a_trial_is_claimed_once_and_never_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let claim = store.claim(&identity()).unwrap().unwrap();
        assert!(store.claim(&identity()).unwrap().is_none());
        claim.finish(&outcome(), &[], None).unwrap();
        assert!(store.claim(&identity()).unwrap().is_none());
        assert!(!store.work_dir(&identity().id).exists());
        store.forget(&identity().id).unwrap();
        assert!(store.claim(&identity()).unwrap().is_some());
    }

    #[test]
    fn many_threads_finish_a_trial_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for _ in 0..30 {
            let try_once = || match store.claim(&identity()).unwrap() {
                Some(claim) => claim.finish(&outcome(), &[], None).map(|()| 1).unwrap(),
                None => 0,
            };
            let finished: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(try_once)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(finished, 1);
            store.forget(&identity().id).unwrap();
        }
    }

    #[test]
    fn a_reopened_trial_has_its_checkpoint_and_no_result() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let claim = store.claim(&identity()).unwrap().unwrap();
        claim.write_checkpoint(b"epoch 35", &[]).unwrap();
        claim.finish(&outcome(), &[], None).unwrap();
        store.reopen(&identity().id).unwrap();
        assert!(store.load(&identity().id).unwrap().is_none());
        let claim = store.claim(&identity()).unwrap().unwrap();
        assert_eq!(claim.read_checkpoint().unwrap().unwrap(), b"epoch 35");
        assert!(!store.work_dir(&identity().id).join(RESULT).exists());
    }

    #[test]
    fn a_trial_that_another_sweep_has_begun_is_not_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        store.claim(&identity()).unwrap().unwrap().finish(&outcome(), &[], None).unwrap();
        let result = store.trial_dir(&identity().id).join(RESULT);
        let aside = folder.path().join("aside");
        fs::rename(&result, &aside).unwrap();
        let claim = store.claim(&identity()).unwrap().unwrap();
        fs::rename(&aside, &result).unwrap();
        store.reopen(&identity().id).unwrap();
        assert!(!store.is_stored(&identity().id));
        claim.write_checkpoint(b"theirs", &[]).unwrap();
    }

    #[test]
    fn a_folder_without_a_result_is_no_stored_trial() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let torn = store.trial_dir(&identity().id);
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join(HISTORY), b"half").unwrap();
        assert!(store.load(&identity().id).unwrap().is_none());
        store.claim(&identity()).unwrap().unwrap().finish(&outcome(), &[], None).unwrap();
        assert!(store.load(&identity().id).unwrap().is_some());
    }

    #[test]
    fn no_link_in_a_trial_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let (work, victim) = (store.work_dir(&identity().id), folder.path().join("victim"));
        fs::create_dir(&work).unwrap();
        for name in [LOCK, LOG, CONFIG] {
            std::os::unix::fs::symlink(&victim, work.join(name)).unwrap();
        }
        assert!(store.claim(&identity()).is_err());
        fs::remove_file(work.join(LOCK)).unwrap();
        assert!(store.claim(&identity()).unwrap().unwrap().log().is_err());
        assert!(!victim.exists());
    }
}
