//! Files that are whole or not there, and the scratch names on the way to that.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};

const SCRATCH_PREFIX: &str = ".scratch-";

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
pub fn scratch_beside(path: &Path) -> Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_file_name(format!("{SCRATCH_PREFIX}{}-{nanoseconds:x}-{count}-{name}", std::process::id())))
}

/// Takes a folder away in one step, if it is there, and then empties it.
pub fn remove_folder(folder: &Path) -> Result<()> {
    let scratch = scratch_beside(folder)?;
    match fs::rename(folder, &scratch) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        moved => moved
            .and_then(|()| fs::remove_dir_all(&scratch))
            .with_context(|| format!("cannot remove {}", folder.display())),
    }
}

pub fn sync_folder(folder: &Path) -> Result<()> {
    let sync = || File::open(folder)?.sync_all();
    sync().with_context(|| format!("cannot fsync {}", folder.display()))
}

/// Scratch files and folders except those whose writer is `kept`.
pub fn remove_scratch(folder: &Path, kept: fn(i32) -> bool) -> Result<()> {
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
pub fn is_other_process(pid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the process is there.
    let answer = || unsafe { libc::kill(pid, 0) };
    let is_there = || answer() == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
    pid > 0 && pid as u32 != std::process::id() && is_there()
}

pub fn free_bytes(folder: &Path) -> Result<u64> {
    let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path is a C string and statvfs fills the struct it is given.
    let answer = unsafe {
        ensure!(libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) == 0, std::io::Error::last_os_error());
        answer.assume_init()
    };
    Ok(answer.f_bavail * answer.f_frsize)
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
}
