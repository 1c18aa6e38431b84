//! Where CIFAR-10 may lie, and what to say where it does not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::assembly::{BATCH_NAMES, CIFAR_100, TRAIN_BATCHES};
use super::layout::Layout;
use crate::store::files::is_passing;
use crate::words;

/// So many files are named of a folder without CIFAR-10.
const NAMED: usize = 3;

/// Where CIFAR-10 was found.
pub enum Place {
    Folder(PathBuf, Layout),
    Archive(PathBuf),
}

/// What would be read in `dir`, be it complete or not.
pub fn locate(dir: &Path) -> Option<Place> {
    if dir.is_file() {
        return Some(Place::Archive(dir.to_path_buf()));
    }
    // Of several one deeper, no rule could say which is meant.
    inside(dir).or_else(|| <[(OsString, Place); 1]>::try_from(one_deeper(dir)).ok().map(|[(_, place)]| place))
}

fn inside(dir: &Path) -> Option<Place> {
    let holds_a_batch =
        |folder: &Path, layout: Layout| (0..BATCH_NAMES.len()).any(|batch| batch_file(folder, layout, batch).exists());
    for layout in Layout::ALL {
        for folder in [dir.join(layout.folder()), dir.to_path_buf()] {
            if holds_a_batch(&folder, layout) {
                return Some(Place::Folder(folder, layout));
            }
        }
    }
    let archives = Layout::ALL.map(|layout| dir.join(layout.archive()));
    archives.into_iter().find(|path| path.exists()).map(Place::Archive)
}

/// What each folder in `dir` holds, without those that a `data fetch` is filling.
fn one_deeper(dir: &Path) -> Vec<(OsString, Place)> {
    let folders = names(dir).unwrap_or_default().into_iter().filter(|name| !is_passing(name));
    folders.filter_map(|name| inside(&dir.join(&name)).map(|place| (name, place))).collect()
}

/// The names in a folder, in their order.
fn names(dir: &Path) -> std::io::Result<Vec<OsString>> {
    let names = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Where `folder` has a batch: MindSpore keeps those of each part in a folder of its own.
pub fn batch_file(folder: &Path, layout: Layout, batch: usize) -> PathBuf {
    let part = folder.join(if batch < TRAIN_BATCHES { "train" } else { "test" });
    let [plain, of_part] = [folder, &part].map(|folder| folder.join(layout.file(batch)));
    if of_part.exists() && !plain.exists() { of_part } else { plain }
}

/// What there is in a directory without CIFAR-10.
pub fn found_instead(dir: &Path) -> String {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return "there is no such folder".to_owned(),
        Err(error) => return error.to_string(),
    };
    let several = one_deeper(dir);
    let is_cifar_100 = |name: &OsStr| name.to_string_lossy().starts_with("cifar-100-");
    let shown = |name: &OsString| name.display().to_string();
    if several.len() > 1 {
        let folders: Vec<String> = several.iter().map(|(name, _)| shown(name)).collect();
        format!("it is in more than one folder in it ({}); name the one you mean", folders.join(", "))
    } else if names.iter().map(OsString::as_os_str).chain(dir.file_name()).any(is_cifar_100) {
        CIFAR_100.to_owned()
    } else if names.is_empty() {
        "it is empty".to_owned()
    } else {
        format!("it holds {}", words::some(&names.iter().map(shown).collect::<Vec<_>>(), NAMED))
    }
}

/// Opens a plain file, and only that: a device or a pipe could be endless. Also says how many bytes it has.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let about = || path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("the file is missing"),
        _ => error.into(),
    });
    let metadata = metadata.with_context(about)?;
    ensure!(metadata.is_file(), "{}: not a plain file", path.display());
    Ok((File::open(path).with_context(about)?, metadata.len()))
}

/// What to tell someone who has no data.
pub fn ways_out() -> String {
    format!("  - `runner data fetch` downloads it (170 MB); or\n{OTHER_WAYS}")
}

/// What to tell someone whose download failed.
pub const OTHER_WAYS: &str =
    "  - put cifar-10-binary.tar.gz or cifar-10-python.tar.gz, or a folder unpacked from one, into that directory,
    or name the directory with --data or the environment variable RUNNER_DATA; or
  - `--dataset synthetic` trains on images that this program draws, without any file";
