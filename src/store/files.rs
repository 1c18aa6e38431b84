//! Files that are whole or not there, and the scratch names on the way to that.
//!
//! Whoever writes a scratch file holds its lock, and whoever fills a scratch folder the lock in it. A scratch name that is not
//! locked is what a killed program left: process numbers say nothing, for another container or machine has the same ones.
//!
//! On NFS a name that was looked up may be answered from memory for a minute, a file that is removed while it is open stays as
//! `.nfs*` until it is closed, and one that another machine replaces can be gone while it is read.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::statvfs::statvfs;
use serde::Serialize;

use super::layout::{LOCK, RESULT};
use super::mounts::ensure_locks_meet;
use crate::host;

const SCRATCH_PREFIX: &str = ".scratch-";
/// So many characters of a file's own name are in its scratch name.
const NAME_IN_SCRATCH: usize = 40;
/// How file systems say that they cannot fsync a folder. EROFS is not among them: ext4 says so after it has failed.
const CANNOT_SYNC: [i32; 5] = [libc::EINVAL, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EBADF];

/// Each try fails only if another process has moved the folder away meanwhile.
const MAX_LOCK_TRIES: usize = 1000;

/// On NFS each fails only if another machine has replaced the file meanwhile.
const MAX_READS: usize = 1000;
/// How often a folder is emptied before what somebody has open in it is left to the next sweep, and how long after each other.
const MAX_REMOVALS: usize = 10;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(20);

/// Where folders cannot be fsynced.
pub const NAMES_MAY_BE_LOST: &str =
    "this file system cannot fsync a folder, so a crash of the machine may lose the last files";

/// Makes a folder and those around it, where they are not there.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Writes a scratch file beside `path`, fsyncs it, renames it and fsyncs the folder: a reader sees the old file or the
/// new one, whole. A failed fsync is not tried again, for the kernel may have dropped the pages.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let (scratch, mut file) = create_scratch(path).map_err(|error| cannot("write", path, error))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&scratch, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&scratch);
        return Err(cannot("write", path, error));
    }
    sync_folder(path.parent().context("a file needs a folder")?)
}

/// A new scratch file for `path`, locked while it is open. A file system without locks has no sweeps that would clean it up.
pub fn create_scratch(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let scratch = scratch_beside(path);
        // create_new follows no link and overwrites nothing.
        let file = OpenOptions::new().write(true).create_new(true).open(&scratch)?;
        // Between the two lines somebody else may have taken it for one that was left behind.
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && is_at(&file, &scratch) {
            return Ok((scratch, file));
        }
    }
}

/// A new name beside `path`, like no other on any machine. It says whose it is: this machine's, as started this time.
pub fn scratch_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The standard library's only random numbers.
    let number = RandomState::new().hash_one(&name);
    let end: String = name.chars().take(NAME_IN_SCRATCH).collect();
    path.with_file_name(format!("{SCRATCH_PREFIX}{}-{number:016x}-{end}", host::name_and_boot()))
}

/// Has a network file system ask its server what is in a folder before the next look at a name there.
pub fn look_anew(folder: &Path) {
    let _ = File::open(folder);
}

/// Reads a file that others may replace meanwhile: the old one or the new one, whole.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut reads = (0..MAX_READS).map(|_| fs::read(path));
    let is_stale =
        |read: &io::Result<_>| matches!(read, Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle);
    reads.find(|read| !is_stale(read)).unwrap_or_else(|| fs::read(path))
}

/// Whether `open` is what is called `path` now.
pub fn is_at(open: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    open.metadata().is_ok_and(|open| fs::metadata(path).is_ok_and(|there| identity(there) == identity(open)))
}

/// Opens a lock file, which is made; no link is followed.
pub fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Makes the folder of a trial under way and locks it; None if another process holds it.
///
/// Who finishes moves the folder away with its lock, so a lock counts only if it is still the one in the folder.
pub fn lock_folder(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    for _ in 0..MAX_LOCK_TRIES {
        look_around(folder);
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
            Ok(()) if is_lock_of(&lock, folder) => return Ok(Some(lock)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, error)),
        }
    }
    bail!("cannot lock {}: it keeps disappearing", path.display())
}

/// Whether a lock is the one in `folder`, rather than in one that was moved from there.
pub fn is_lock_of(lock: &File, folder: &Path) -> bool {
    look_around(folder);
    is_at(lock, &folder.join(LOCK))
}

fn look_around(folder: &Path) {
    folder.parent().into_iter().for_each(look_anew);
}

/// Takes a folder away, if it is there: in one step where it can be renamed. Its lock, where this process holds it, goes once the
/// folder has lost its name, for nobody else may take it before, and nothing that is open can be removed on NFS.
pub fn remove_folder(folder: &Path, lock: Option<File>) -> Result<()> {
    let scratch = scratch_beside(folder);
    let removed = match fs::rename(folder, &scratch) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => remove_in_place(folder),
        Err(error) => unless_gone(Err(error)),
        Ok(()) => {
            drop(lock);
            match remove_what_is_open(&scratch) {
                // Another user's. It stays what it is, for the first removal is the one that is refused.
                Err(error) if is_refusal(&error) => fs::rename(&scratch, folder).and(Err(error)),
                // What somebody still has open stays on NFS until it is closed; the next sweep cleans it up.
                _ => Ok(()),
            }
        }
    };
    removed.map_err(|error| cannot("remove", folder, error))
}

/// Who asks whether a trial runs has its lock open for a moment.
fn remove_what_is_open(folder: &Path) -> io::Result<()> {
    let is_open = |error: &io::Error| matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy);
    for _ in 1..MAX_REMOVALS {
        match remove_in_place(folder) {
            Err(error) if is_open(&error) => std::thread::sleep(BETWEEN_REMOVALS),
            removed => return removed,
        }
    }
    remove_in_place(folder)
}

/// An overlay does not rename the folders of its lower layers. Without its result no trial is stored, so that goes first.
fn remove_in_place(folder: &Path) -> io::Result<()> {
    unless_gone(fs::remove_file(folder.join(RESULT)))?;
    unless_gone(fs::remove_dir_all(folder))
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Removes the scratch files and folders that nobody writes. Not being able to is no reason to stop.
pub fn remove_scratch(folder: &Path) {
    for entry in scratch(folder) {
        let is = entry.file_type();
        let (is_file, is_folder) = is.map_or((true, false), |kind| (kind.is_file(), kind.is_dir()));
        let path = if is_folder { entry.path().join(LOCK) } else { entry.path() };
        // Held until it is removed, so that nobody begins to write meanwhile.
        let lock = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
        let is_free = match &lock {
            Ok(lock) => lock.try_lock().is_ok(),
            // A folder without a lock is being emptied. A link is nobody's, and only its name is removed.
            Err(error) => !is_file && (!is_folder || error.kind() == ErrorKind::NotFound),
        };
        if is_free {
            remove(&entry);
        }
    }
}

/// Removes all scratch in a folder to which only this process writes.
pub fn remove_own_scratch(folder: &Path) {
    scratch(folder).for_each(|entry| remove(&entry));
}

fn scratch(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX))
}

fn remove(entry: &fs::DirEntry) {
    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let _ = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
}

/// Proves that a folder can be written, and locked, without which two sweeps would run the same trials.
pub fn prove_writable(folder: &Path) -> Result<()> {
    ensure_locks_meet(folder)?;
    let probe = create_scratch(&folder.join("probe")).map_err(|error| cannot("write into", folder, error))?;
    let (path, file) = probe;
    let locked = file.try_lock();
    fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
    match locked {
        Err(TryLockError::Error(error)) => Err(error).with_context(|| {
            let folder = folder.display();
            format!("{folder}: this file system cannot lock files; choose a folder on another one with --out")
        }),
        _ => Ok(()),
    }
}

pub fn free_bytes(folder: &Path) -> Result<u64> {
    let answer = statvfs(folder)?;
    Ok(answer.blocks_available() * answer.fragment_size())
}

/// Makes the names in a folder last through a crash of the machine, where the file system has a way to.
pub fn sync_folder(folder: &Path) -> Result<()> {
    try_sync_folder(folder).map(drop)
}

/// The same; false where the file system has no way to.
pub fn try_sync_folder(folder: &Path) -> Result<bool> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error().is_some_and(|code| CANNOT_SYNC.contains(&code)) => Ok(false),
        Err(error) => Err(cannot("fsync", folder, error)),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// Whether an error says that a file or folder is not for this user.
pub fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(is_refusal)
}

/// Whether a name is of scratch, or what NFS calls a file that was removed while it was open.
pub fn is_passing(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(SCRATCH_PREFIX) || name.starts_with(".nfs")
}

/// What could not be done to `path`, and whose that is if it is not for this user.
pub fn cannot(what: &str, path: &Path, error: io::Error) -> anyhow::Error {
    let metadata = path.ancestors().find_map(|path| fs::symlink_metadata(path).ok());
    let owner = metadata.filter(|_| is_refusal(&error)).map(|metadata| format!(" of user {}", metadata.uid()));
    anyhow::Error::new(error).context(format!("cannot {what} {}{}", path.display(), owner.unwrap_or_default()))
}

/// None where there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| cannot("read", path, error)),
    }
}

/// Removes a file, if it is there.
pub fn remove_file(path: &Path) -> Result<()> {
    unless_gone(fs::remove_file(path)).map_err(|error| cannot("remove", path, error))
}

/// A value as it is stored in JSON.
pub fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
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
    fn scratch_is_removed_unless_it_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (scratch, file) = create_scratch(&path).unwrap();
        let filled = scratch_beside(&path);
        fs::create_dir(&filled).unwrap();
        let lock = open_lock(&filled.join(LOCK)).unwrap();
        lock.lock().unwrap();
        fs::create_dir(scratch_beside(&path)).unwrap();
        fs::write(scratch_beside(&path), b"").unwrap();
        fs::write(&path, b"").unwrap();
        remove_scratch(folder.path());
        assert!(scratch.exists() && filled.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        drop((file, lock));
        remove_scratch(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
