//! The results folder: its layout, its locks, and the only code that writes into it.
//!
//! ```text
//! trials/<id>/   a finished trial, complete or absent
//! work/<id>/     a trial under way: its lock, its last checkpoint, its log; renamed to trials/<id> when it is whole
//! ```
#![allow(clippy::disallowed_methods, reason = "the only writer of result files")]

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::npy;
use crate::data::CLASSES;
use crate::report::events;
use crate::spec::config::Config;
use crate::train::record::{Epoch, Outcome, Scores, Showcase};

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
const SCRATCH_PREFIX: &str = ".scratch-";
/// Each try fails only if another process has moved the folder away meanwhile.
const MAX_LOCK_TRIES: usize = 1000;

/// A folder of results. Cheap to clone; holds no file open.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What `config.json` of a trial says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub seed: u64,
    pub config: Config,
}

/// A finished trial as stored.
#[derive(Clone, Debug)]
pub struct Finished {
    pub identity: Identity,
    pub history: Vec<Epoch>,
    pub outcome: Outcome,
    /// Of a trial that is done.
    pub showcase: Option<Showcase>,
    /// The class of each test image by the selected epoch's weights; none in results of older versions.
    pub predictions: Option<Vec<u8>>,
}

/// What only a trial that is done has: the selected epoch's weights as bytes of a safetensors file, what to show of them, and
/// the class that they give each test image.
pub struct Kept {
    pub best: Vec<u8>,
    pub showcase: Showcase,
    pub predictions: Vec<u8>,
}

impl Store {
    /// Makes the folder if it is not there, proves that it can be written, and removes scratch files of killed programs.
    pub fn create(root: &Path) -> Result<Store> {
        let store = Store::at(root);
        for folder in [root.to_owned(), store.root.join("trials"), store.root.join("work"), store.root.join("plots")] {
            make_folder(&folder)?;
            remove_scratch(&folder, is_other_process)?;
        }
        Store::writable(root)?;
        Ok(store)
    }

    /// Whether results could be written into `root`, which is made; the bytes that are free there.
    pub fn writable(root: &Path) -> Result<u64> {
        make_folder(root)?;
        let probe = scratch_beside(&root.join("probe"))?;
        let made = OpenOptions::new().write(true).create_new(true).open(&probe);
        made.with_context(|| format!("cannot write into {}", root.display()))?;
        fs::remove_file(&probe)?;
        free_bytes(root)
    }

    /// An existing results folder, to read.
    pub fn open(root: &Path) -> Result<Store> {
        ensure!(root.join("trials").is_dir(), "{}: not a results folder (it has no trials/)", root.display());
        Ok(Store::at(root))
    }

    /// A folder for tables and plots alone, which is made.
    pub fn for_report(root: &Path) -> Result<Store> {
        let plots = root.join("plots");
        fs::create_dir_all(&plots).with_context(|| format!("cannot make the folder {}", plots.display()))?;
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
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Renames a file of the folder to one that is not there yet, and returns its new name.
    pub fn set_aside(&self, name: &str) -> Result<String> {
        let numbered =
            |number: usize| if number == 1 { format!("{name}.kept") } else { format!("{name}.kept-{number}") };
        let free = |kept: &String| self.root.join(kept).symlink_metadata().is_err();
        let kept = (1..).map(numbered).find(free).expect("numbers do not end");
        let (from, to) = (self.root.join(name), self.root.join(&kept));
        fs::rename(&from, &to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
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
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes event files of trials that the current study no longer has, with their folders.
    pub fn keep_only_runs(&self, kept: &HashSet<String>) -> Result<()> {
        for run in fs::read_dir(self.root.join(events::FOLDER)).into_iter().flatten() {
            let run = run?;
            let file = run.path().join(events::FILE);
            if !kept.contains(&*run.file_name().to_string_lossy()) && file.exists() {
                fs::remove_file(file)?;
                // Someone may have put a file of their own there.
                let _ = fs::remove_dir(run.path());
            }
        }
        Ok(())
    }

    /// The stored trial, or None if it has not finished.
    pub fn load(&self, id: &str) -> Result<Option<Finished>> {
        let folder = self.trial_dir(id);
        if !self.is_stored(id) {
            return Ok(None);
        }
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let broken = |name: &str| format!("{}: not what this program writes", folder.join(name).display());
        let identity: Identity = serde_json::from_slice(&read(CONFIG)?).with_context(|| broken(CONFIG))?;
        ensure!(identity.id == id, "{}: belongs to trial {}", folder.display(), identity.id);
        let outcome: Outcome = serde_json::from_slice(&read(RESULT)?).with_context(|| broken(RESULT))?;
        let history = parse_history(&read(HISTORY)?).with_context(|| broken(HISTORY))?;
        ensure!(
            history.len() == outcome.epochs,
            "{}: it has {} of {} epochs",
            broken(HISTORY),
            history.len(),
            outcome.epochs
        );
        // Only a trial that is done has these; of older versions, no predictions.
        let read_optional = |name: &str| match fs::read(folder.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => read(name).map(Some),
        };
        let showcase = read_optional(SHOWCASE)?.map(|bytes| serde_json::from_slice(&bytes));
        let showcase = showcase.transpose().with_context(|| broken(SHOWCASE))?;
        let scored = read_optional(PREDICTIONS)?.zip(outcome.scores.as_ref());
        let predictions = scored.map(|(bytes, scores)| parse_predictions(&bytes, scores));
        let predictions = predictions.transpose().with_context(|| broken(PREDICTIONS))?;
        Ok(Some(Finished { identity, history, outcome, showcase, predictions }))
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

    /// Whether the trial has ended.
    pub fn is_stored(&self, id: &str) -> bool {
        self.trial_dir(id).join(RESULT).exists()
    }

    /// Makes a stored trial one under way again, with its last checkpoint if it has one.
    pub fn reopen(&self, id: &str) -> Result<()> {
        let (stored, work) = (self.trial_dir(id), self.work_dir(id));
        match fs::rename(&stored, &work) {
            Ok(()) => Ok(fs::remove_file(work.join(RESULT))?),
            // Another sweep has begun it afresh.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => self.forget(id),
            Err(error) => Err(error).with_context(|| format!("cannot move {} to work/", stored.display())),
        }
    }

    /// Takes a stored trial away so that it runs again from the start.
    pub fn forget(&self, id: &str) -> Result<()> {
        remove_folder(&self.trial_dir(id))
    }

    /// Waits until no other sweep publishes here, so that older tables never replace newer ones. The file is the turn.
    pub fn turn_to_publish(&self) -> Result<File> {
        for folder in ["work", "plots"] {
            let folder = self.root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let path = self.root.join("work").join(PUBLISH_LOCK);
        let lock = open_lock(&path).and_then(|lock| lock.lock().map(|()| lock));
        lock.with_context(|| format!("cannot lock {}", path.display()))
    }

    /// Locks a trial for this process. None if another holds it or it has finished meanwhile.
    pub fn claim(&self, identity: &Identity) -> Result<Option<Claim>> {
        let folder = self.work_dir(&identity.id);
        let Some(lock) = lock_folder(&folder)? else { return Ok(None) };
        // The holder before us may have finished between our look and our lock.
        if self.is_stored(&identity.id) {
            remove_folder(&folder)?;
            return Ok(None);
        }
        // Whoever wrote here held the lock.
        remove_scratch(&folder, |_| false)?;
        let claim = Claim { store: self.clone(), folder, identity: identity.clone(), _lock: lock };
        claim.write(CONFIG, &pretty(identity)?)?;
        Ok(Some(claim))
    }
}

/// A trial that this process runs; the lock goes with it.
pub struct Claim {
    store: Store,
    folder: PathBuf,
    identity: Identity,
    _lock: File,
}

impl Claim {
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

/// Makes a folder and those around it, where they are not there.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Writes a scratch file beside `path`, fsyncs it, renames it and fsyncs the folder: a reader sees the old file or the
/// new one, whole. A failed fsync is not tried again, for the kernel may have dropped the pages.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let scratch = scratch_beside(path)?;
    let write = || -> std::io::Result<()> {
        // create_new follows no link and overwrites nothing.
        let mut file = OpenOptions::new().write(true).create_new(true).open(&scratch)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&scratch);
        bail!("cannot write {}: {error}", path.display());
    }
    sync_folder(path.parent().context("a file needs a folder")?)
}

/// A new name beside `path` that says which process uses it. The counter keeps threads apart, the time programs that
/// have the same number on two machines or one after the other.
fn scratch_beside(path: &Path) -> Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_file_name(format!("{SCRATCH_PREFIX}{}-{nanoseconds:x}-{count}-{name}", std::process::id())))
}

/// Takes a folder away in one step, if it is there, and then empties it.
fn remove_folder(folder: &Path) -> Result<()> {
    let scratch = scratch_beside(folder)?;
    match fs::rename(folder, &scratch) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        moved => moved
            .and_then(|()| fs::remove_dir_all(&scratch))
            .with_context(|| format!("cannot remove {}", folder.display())),
    }
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Makes the folder of a trial under way and locks it; None if another process holds it.
///
/// Who finishes moves the folder away with its lock, so a lock counts only if it is still the one in the folder.
fn lock_folder(folder: &Path) -> Result<Option<File>> {
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

fn sync_folder(folder: &Path) -> Result<()> {
    let sync = || File::open(folder)?.sync_all();
    sync().with_context(|| format!("cannot fsync {}", folder.display()))
}

/// Scratch files and folders except those whose writer is `kept`.
fn remove_scratch(folder: &Path, kept: fn(i32) -> bool) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(SCRATCH_PREFIX) else { continue };
        let writer: Option<i32> = rest.split('-').next().and_then(|pid| pid.parse().ok());
        if writer.is_some_and(kept) {
            continue;
        }
        let path = entry.path();
        let removed = if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            // Another sweep was quicker.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.with_context(|| format!("cannot remove {}", path.display()))?,
        }
    }
    Ok(())
}

/// Whether `pid` is alive and not this program, which may have the number of one that was killed.
fn is_other_process(pid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the process is there.
    let answer = || unsafe { libc::kill(pid, 0) };
    let is_there = || answer() == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
    pid > 0 && pid as u32 != std::process::id() && is_there()
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path is a C string and statvfs fills the struct it is given.
    let answer = unsafe {
        ensure!(libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) == 0, std::io::Error::last_os_error());
        answer.assume_init()
    };
    Ok(answer.f_bavail * answer.f_frsize)
}

fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One row an epoch; floats in the shortest form that reads back exactly.
fn history_csv(history: &[Epoch]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for epoch in history {
        writer.serialize(epoch)?;
    }
    Ok(writer.into_inner()?)
}

fn parse_history(bytes: &[u8]) -> Result<Vec<Epoch>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| Ok(row?)).collect()
}

/// Fails unless each class is predicted as often as the confusion matrix of `scores` says.
fn parse_predictions(bytes: &[u8], scores: &Scores) -> Result<Vec<u8>> {
    let predictions = npy::decode(bytes)?;
    let mut left: Vec<u64> = (0..CLASSES).map(|class| scores.confusion.iter().map(|row| row[class]).sum()).collect();
    for &class in &predictions {
        let left = left.get_mut(usize::from(class)).with_context(|| format!("there is no class {class}"))?;
        *left = left.checked_sub(1).with_context(|| format!("{RESULT} has fewer images taken for class {class}"))?;
    }
    let missing: u64 = left.iter().sum();
    ensure!(missing == 0, "it has {missing} images fewer than {RESULT}");
    Ok(predictions)
}

/// Reads a file of at most `limit` bytes.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(limit + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= limit, "{}: larger than {limit} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_no_scratch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plots");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), b"x").unwrap();
        let error = write_atomically(&path, b"bytes").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("plots"), "{error}");
        assert!(path.join("kept").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn history_survives_its_csv_exactly() {
        let epoch = Epoch {
            epoch: 1,
            lr: 0.1 + 0.2,
            train_loss: f64::NAN,
            train_accuracy: 1.0 / 3.0,
            penalty: f64::INFINITY,
            val_loss: f64::MIN_POSITIVE,
            val_accuracy: 0.0,
            train_seconds: 1e300,
            seconds: 5e-324,
        };
        let back = parse_history(&history_csv(std::slice::from_ref(&epoch)).unwrap()).unwrap();
        assert_eq!(format!("{:?}", back), format!("{:?}", [epoch]));
    }

    #[test]
    fn scratch_of_a_dead_process_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // A killed program's number may be ours now.
        for pid in [999_999_999, std::process::id()] {
            fs::write(folder.path().join(format!("{SCRATCH_PREFIX}{pid}-x")), b"").unwrap();
            fs::create_dir(folder.path().join(format!("{SCRATCH_PREFIX}{pid}-folder"))).unwrap();
        }
        let parent = folder.path().join(format!("{SCRATCH_PREFIX}{}-x", std::os::unix::process::parent_id()));
        fs::write(&parent, b"").unwrap();
        remove_scratch(folder.path(), is_other_process).unwrap();
        assert!(parent.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn identity() -> Identity {
        let config = crate::spec::defaults("lenet5").unwrap();
        Identity { id: crate::spec::trial_id(&config, 0), seed: 0, config }
    }

    fn outcome() -> Outcome {
        Outcome {
            status: crate::train::record::Status::Diverged,
            attempts: 1,
            error: None,
            epochs: 0,
            scores: None,
            seconds: 0.0,
            images_per_second: 0.0,
            peak_bytes: 0,
            parameters: 0,
            libtorch: String::new(),
            device: String::new(),
            threads: 1,
            processor: String::new(),
            git: String::new(),
        }
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
    fn predictions_are_read_if_they_agree_with_the_scores_and_are_not_missed_in_older_trials() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let score = crate::train::record::SplitScore { loss: 1.0, accuracy: 0.0 };
        let mut confusion = crate::train::record::Confusion::default();
        (confusion[0][3], confusion[7][3], confusion[1][9]) = (2, 1, 1);
        let (train, val, test) = (score, score, score);
        let scores = Scores { best_epoch: 1, train, val, test, confusion, last_test: None, evidence: None };
        let done = Outcome { status: crate::train::record::Status::Done, scores: Some(scores), ..outcome() };
        let showcase = Showcase {
            mistakes: vec![],
            filters: crate::train::record::Filters { shape: vec![0, 3, 5, 5], values: vec![] },
        };
        let kept = Kept { best: vec![], showcase, predictions: vec![3, 3, 9, 3] };
        store.claim(&identity()).unwrap().unwrap().finish(&done, &[], Some(&kept)).unwrap();
        let path = store.trial_dir(&identity().id).join(PREDICTIONS);
        let load = || store.load(&identity().id).map(|trial| trial.unwrap().predictions);
        assert_eq!(load().unwrap(), Some(vec![3, 3, 9, 3]));
        for (damaged, reason) in [
            (npy::encode(&[3, 3, 9]), "1 images fewer"),
            (npy::encode(&[3, 3, 9, 3, 3]), "fewer images taken for class 3"),
            (npy::encode(&[3, 3, 3, 9, 9]), "fewer images taken for class 9"),
            (npy::encode(&[3, 3, 10, 3]), "no class 10"),
            (vec![3, 3, 9, 3], "not a .npy file"),
            (vec![], "not a .npy file"),
        ] {
            fs::write(&path, damaged).unwrap();
            let error = format!("{:#}", load().unwrap_err());
            assert!(
                error.contains("predictions.npy: not what this program writes") && error.contains(reason),
                "{error}"
            );
        }
        // What an attempt left that failed as it stored its result.
        let failed = Outcome { status: crate::train::record::Status::Failed, ..outcome() };
        fs::write(path.with_file_name(RESULT), pretty(&failed).unwrap()).unwrap();
        assert_eq!(load().unwrap(), None);
        fs::write(path.with_file_name(RESULT), pretty(&done).unwrap()).unwrap();
        assert!(load().is_err());
        fs::remove_file(&path).unwrap();
        assert_eq!(load().unwrap(), None);
    }

    #[test]
    fn the_test_labels_are_kept_with_the_results() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        assert_eq!(store.test_labels().unwrap(), None);
        store.write_test_labels(&[1, 2, 0]).unwrap();
        assert_eq!(store.test_labels().unwrap(), Some(vec![1, 2, 0]));
        fs::write(folder.path().join(TEST_LABELS), [1, 2, 0]).unwrap();
        let error = format!("{:#}", store.test_labels().unwrap_err());
        assert!(error.contains("test_labels.npy: not what this program writes"), "{error}");
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
