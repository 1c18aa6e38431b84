//! The file system that a folder is on, and whether the locks of several machines meet there: what its mount says.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

const MOUNTS: &str = "/proc/self/mountinfo";

/// A file system as it is mounted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileSystem {
    /// Such as `ext4`, `nfs4`.
    pub kind: String,
    pub locks: Locks,
}

/// Of whom a lock keeps a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Locks {
    /// The file system is one machine's alone.
    OneMachine,
    /// Every machine's that has it.
    Shared,
    /// Each machine's own, by this mount option.
    Apart(String),
    /// The mount does not say.
    Unknown,
}

impl FileSystem {
    /// None where there is no list of mounts, or the folder is not in it.
    pub fn of(folder: &Path) -> Option<FileSystem> {
        let (folder, mounts) = (folder.canonicalize().ok()?, fs::read_to_string(MOUNTS).ok()?);
        find(&mounts, &folder, fs::metadata(&folder).ok()?.dev())
    }

    fn new(kind: &str, options: &[&str]) -> FileSystem {
        let any = |own: &[&str]| options.iter().find(|option| own.contains(option)).map(|option| option.to_string());
        let apart = match kind {
            "nfs" | "nfs4" => any(&["local_lock=flock", "local_lock=all", "nolock"]),
            "lustre" if any(&["flock"]).is_none() => Some(any(&["localflock"]).unwrap_or("noflock".to_owned())),
            "cifs" | "smb3" => any(&["nobrl"]),
            "gfs2" | "ocfs2" => any(&["localflocks"]),
            _ => None,
        };
        let locks = match (apart, kind) {
            (Some(option), _) => Locks::Apart(option),
            (None, "nfs" | "nfs4" | "lustre" | "cifs" | "smb3" | "gfs2" | "ocfs2" | "ceph" | "gpfs") => Locks::Shared,
            (None, "9p" | "afs" | "beegfs" | "virtiofs") => Locks::Unknown,
            (None, kind) if kind.starts_with("fuse") => Locks::Unknown,
            (None, _) => Locks::OneMachine,
        };
        FileSystem { kind: kind.to_owned(), locks }
    }

    /// What several machines on this file system can rely on.
    pub fn in_words(&self) -> String {
        let locks = match &self.locks {
            Locks::OneMachine => "of this machine alone",
            Locks::Shared => "locks are shared between machines",
            Locks::Apart(option) => return format!("{}, {option}: locks are not shared between machines", self.kind),
            Locks::Unknown => "its mount does not say whether locks are shared between machines",
        };
        format!("{}, {locks}", self.kind)
    }
}

/// Refuses a folder where two machines would run the same trials.
pub fn ensure_locks_meet(folder: &Path) -> Result<()> {
    let Some(FileSystem { kind, locks: Locks::Apart(option) }) = FileSystem::of(folder) else { return Ok(()) };
    let folder = folder.display();
    bail!(
        "{folder}: this {kind} file system is mounted with {option}, so locks are not shared between machines, and two would run the \
         same trials; have it mounted without that, or choose a folder on another one with --out"
    )
}

/// The mount of `folder` in a text like `/proc/self/mountinfo`: the latest of those with its device number, or else of all, whose
/// place is nearest above it.
fn find(mounts: &str, folder: &Path, device: u64) -> Option<FileSystem> {
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    let above = mounts.lines().filter_map(Mount::parse).filter(|mount| folder.starts_with(&mount.place));
    let nearest = above.max_by_key(|mount| (mount.device == device, mount.place.components().count()))?;
    Some(FileSystem::new(nearest.kind, &nearest.options))
}

struct Mount<'a> {
    device: &'a str,
    place: PathBuf,
    kind: &'a str,
    options: Vec<&'a str>,
}

impl Mount<'_> {
    /// `36 35 98:0 /of/it /place rw,noatime shared:1 - ext4 /dev/root rw,errors=continue`
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (mount, system) = line.split_once(" - ")?;
        let (mut mount, mut system) = (mount.split(' ').skip(2), system.split(' '));
        let (device, place) = (mount.next()?, plain(mount.nth(1)?));
        let (kind, of_mount) = (system.next()?, mount.next()?);
        let options = of_mount.split(',').chain(system.nth(1).unwrap_or_default().split(',')).collect();
        Some(Mount { device, place, kind, options })
    }
}

/// A path without the `\040` that stands for a space, and the like.
fn plain(escaped: &str) -> PathBuf {
    let mut bytes = vec![];
    let mut rest = escaped.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2,hard,proto=tcp,local_lock=none,addr=10.0.0.1
31 30 0:41 / /home/old rw - nfs server:/old rw,vers=3,nolock,local_lock=all
32 22 0:42 / /my\\040scratch rw shared:7 - lustre 10.0.0.2@tcp:/fs rw,flock,lazystatfs
33 22 0:43 / /local rw - lustre 10.0.0.2@tcp:/fs rw,localflock
34 22 0:44 / /none rw - lustre 10.0.0.2@tcp:/fs rw,lazystatfs
35 22 0:45 / /over rw - tmpfs none rw
36 22 0:46 / /over rw - fuse.sshfs host: rw,user_id=0
37 22 0:47 / /nfs rw - nfs4 server:/ rw,vers=4.2,local_lock=flock
";

    fn at(folder: &str, minor: u32) -> (String, Locks) {
        let FileSystem { kind, locks } = find(MOUNTS, Path::new(folder), libc::makedev(0, minor)).unwrap();
        (kind, locks)
    }

    #[test]
    fn a_mount_says_whether_locks_are_shared() {
        let apart = |option: &str| Locks::Apart(option.to_owned());
        assert_eq!(at("/data/results", 99), ("ext4".to_owned(), Locks::OneMachine));
        assert_eq!(at("/home/me/results", 40), ("nfs4".to_owned(), Locks::Shared));
        assert_eq!(at("/home/old/results", 41), ("nfs".to_owned(), apart("nolock")));
        assert_eq!(at("/homes", 99).0, "ext4");
        assert_eq!(at("/my scratch/results", 42), ("lustre".to_owned(), Locks::Shared));
        assert_eq!(at("/local/results", 43), ("lustre".to_owned(), apart("localflock")));
        assert_eq!(at("/none/results", 44), ("lustre".to_owned(), apart("noflock")));
        assert_eq!(at("/nfs/results", 47), ("nfs4".to_owned(), apart("local_lock=flock")));
        // The later of two at one place, and the one whose device the folder has.
        assert_eq!(at("/over/results", 99), ("fuse.sshfs".to_owned(), Locks::Unknown));
        assert_eq!(at("/over/results", 45), ("tmpfs".to_owned(), Locks::OneMachine));
    }

    #[test]
    fn this_folder_is_on_some_file_system() {
        assert!(FileSystem::of(Path::new(".")).is_some_and(|found| !found.kind.is_empty()));
    }
}
