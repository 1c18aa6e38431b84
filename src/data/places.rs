//! Where CIFAR-10 may lie, and what to say where it does not.

use super::Dataset;
use super::cifar::archive;
use super::cifar::{Assembly, BATCH_NAMES, CIFAR_100, Layout, TRAIN_BATCHES};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// So many files are named of a folder without CIFAR-10.
const NAMED: usize = 3;

/// Where CIFAR-10 was found.
pub(crate) enum Place {
    Folder(PathBuf, Layout),
    Archive(PathBuf),
}

/// Reads CIFAR-10 from `dir`: an unpacked official folder in it, `dir` being such a folder, an official archive in it,
/// or `dir` being an archive; the first of these that is there. If none is, the same is looked for in the folders in it.
///
/// # Errors
/// None is there, or what is there is incomplete or damaged.
pub fn load(dir: &Path) -> Result<Dataset> {
    match locate(dir) {
        Some(Place::Folder(folder, layout)) => load_folder(&folder, layout),
        Some(Place::Archive(path)) if is_batch(&path) => {
            bail!("{}: this is one batch of CIFAR-10; name its folder", path.display())
        }
        Some(Place::Archive(path)) => archive::load(&path),
        None => bail!("no CIFAR-10 in {}: {}\n{WAYS_OUT}", dir.display(), found_instead(dir)),
    }
}

/// What [`load`] would read in `dir`, be it complete or not.
pub(crate) fn locate(dir: &Path) -> Option<Place> {
    if dir.is_file() {
        return Some(Place::Archive(dir.to_path_buf()));
    }
    // Of several one deeper, no rule could say which is meant.
    inside(dir).or_else(|| <[(OsString, Place); 1]>::try_from(one_deeper(dir)).ok().map(|[(_, place)]| place))
}

fn inside(dir: &Path) -> Option<Place> {
    let holds_a_batch =
        |folder: &Path, layout: Layout| (0..BATCH_NAMES.len()).any(|batch| file(folder, layout, batch).exists());
    for layout in [Layout::Binary, Layout::Python] {
        for folder in [dir.join(layout.folder()), dir.to_path_buf()] {
            if holds_a_batch(&folder, layout) {
                return Some(Place::Folder(folder, layout));
            }
        }
    }
    let archives = [Layout::Binary, Layout::Python].map(|layout| dir.join(layout.archive()));
    archives.into_iter().find(|path| path.exists()).map(Place::Archive)
}

/// What each folder in `dir` holds, without those that a `data fetch` under way writes.
fn one_deeper(dir: &Path) -> Vec<(OsString, Place)> {
    let unfinished = format!("{}.part-", Layout::Binary.folder());
    let folders = names(dir).unwrap_or_default().into_iter();
    let folders = folders.filter(|name| !name.to_string_lossy().starts_with(&unfinished));
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
fn file(folder: &Path, layout: Layout, batch: usize) -> PathBuf {
    let part = folder.join(if batch < TRAIN_BATCHES { "train" } else { "test" });
    let [plain, of_part] = [folder, &part].map(|folder| folder.join(layout.file(batch)));
    if of_part.exists() && !plain.exists() { of_part } else { plain }
}

fn is_batch(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    [Layout::Binary, Layout::Python]
        .iter()
        .any(|layout| (0..BATCH_NAMES.len()).any(|batch| name == &*layout.file(batch)))
}

/// What there is in a directory without CIFAR-10.
fn found_instead(dir: &Path) -> String {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return "there is no such folder".to_owned(),
        Err(error) => return error.to_string(),
    };
    let listed =
        |names: &[OsString]| names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(", ");
    let several: Vec<OsString> = one_deeper(dir).into_iter().map(|(name, _)| name).collect();
    let is_cifar_100 = |name: &OsStr| name.to_string_lossy().starts_with("cifar-100-");
    if several.len() > 1 {
        format!("it is in more than one folder in it ({}); name the one you mean", listed(&several))
    } else if names.iter().map(OsString::as_os_str).chain(dir.file_name()).any(is_cifar_100) {
        CIFAR_100.to_owned()
    } else if names.is_empty() {
        "it is empty".to_owned()
    } else if names.len() <= NAMED {
        format!("it holds {}", listed(&names))
    } else {
        format!("it holds {} and {} more", listed(&names[..NAMED]), names.len() - NAMED)
    }
}

fn load_folder(folder: &Path, layout: Layout) -> Result<Dataset> {
    let mut assembly = Assembly::new();
    for batch in 0..BATCH_NAMES.len() {
        let path = file(folder, layout, batch);
        let (reader, size) = open(&path)?;
        layout.read_batch(reader, size, assembly.slot(batch, path.display().to_string())?)?;
    }
    let kind = if layout == Layout::Binary { "binary" } else { "python" };
    assembly.finish(format!("{} ({kind} layout)", folder.display()))
}

/// Opens a plain file, and only that: a device or a pipe could be endless. Also says how many bytes it has.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
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
pub(crate) const WAYS_OUT: &str = "\
  - `runner data fetch` downloads it (170 MB); or
  - put cifar-10-binary.tar.gz or cifar-10-python.tar.gz, or a folder unpacked from one, into that directory,
    or name the directory with --data or the environment variable RUNNER_DATA; or
  - `--dataset synthetic` trains on images that this program draws, without any file";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cifar::tests::{SAMPLE, binary, write_folder};

    #[test]
    fn a_folder_is_found_directly_or_inside_and_its_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(Layout::Binary.folder());
        write_folder(&folder);
        let loaded = load(dir.path()).unwrap();
        assert!(loaded.train == SAMPLE.train && loaded.test == SAMPLE.test);
        assert_eq!(loaded.source, format!("{} (binary layout)", folder.display()));
        assert!(load(&folder).unwrap().test == SAMPLE.test);

        let [first, test] = ["data_batch_1.bin", "test_batch.bin"].map(|name| folder.join(name));
        let aside = folder.join("aside");
        std::fs::rename(&first, &aside).unwrap();
        std::fs::rename(&test, &first).unwrap();
        let error = format!("{:#}", load(dir.path()).unwrap_err());
        assert!(error.contains("test_batch.bin: the file is missing"), "{error}");
        std::fs::rename(&aside, &test).unwrap();
        let error = format!("{:#}", load(dir.path()).unwrap_err());
        assert!(error.contains("instead of 1000") && error.contains("swapped"), "{error}");
    }

    #[test]
    fn a_folder_one_deeper_is_read_and_of_several_none() {
        let dir = tempfile::tempdir().unwrap();
        // What a `data fetch` that was killed left is no data.
        write_folder(&dir.path().join("cifar-10-batches-bin.part-7"));
        assert!(load(dir.path()).is_err());
        let inner = dir.path().join("cifar10/cifar-10-batches-bin");
        write_folder(&inner);
        let loaded = load(dir.path()).unwrap();
        assert_eq!(loaded.source, format!("{} (binary layout)", inner.display()));
        std::fs::create_dir(dir.path().join("others")).unwrap();
        std::fs::write(dir.path().join("others/test_batch"), "").unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("more than one folder in it (cifar10, others)"), "{error}");
    }

    #[test]
    fn mindspores_folders_train_and_test_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cifar-10-batches-bin");
        write_folder(&folder);
        for (part, batches) in [("train", 0..5), ("test", 5..6)] {
            std::fs::create_dir(folder.join(part)).unwrap();
            for file in batches.map(|batch| Layout::Binary.file(batch)) {
                std::fs::rename(folder.join(&file), folder.join(part).join(&file)).unwrap();
            }
        }
        for given in [dir.path(), &folder] {
            assert!(load(given).unwrap().test == SAMPLE.test);
        }
    }

    #[test]
    fn what_is_there_instead_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let says = |path: &Path, words: &str| {
            let error = format!("{:#}", load(path).unwrap_err());
            assert!(error.contains(words), "{error}");
        };
        says(&dir.path().join("none"), "none: there is no such folder\n");
        says(dir.path(), ": it is empty\n");
        says(Path::new("/dev/null"), ": Not a directory");
        for name in ["a", "b", "c", "d", "e"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        says(dir.path(), ": it holds a, b, c and 2 more\n");
        for name in ["cifar-100-python", "cifar-100-binary"] {
            std::fs::create_dir(dir.path().join("e").join(name)).unwrap();
            says(&dir.path().join("e"), "CIFAR-100");
            says(&dir.path().join("e").join(name), "CIFAR-100");
            std::fs::remove_dir(dir.path().join("e").join(name)).unwrap();
        }
        std::fs::write(dir.path().join("cifar-100-python.tar.gz"), "").unwrap();
        says(dir.path(), "CIFAR-100");
        write_folder(&dir.path().join("e"));
        says(&dir.path().join("e/data_batch_1.bin"), "one batch of CIFAR-10; name its folder");
    }

    #[test]
    fn a_class_with_an_image_too_few_is_named_with_both_counts() {
        let dir = tempfile::tempdir().unwrap();
        write_folder(dir.path());
        let path = dir.path().join("data_batch_2.bin");
        let mut bytes = binary(1);
        bytes[0] = 7;
        std::fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", load(dir.path()).unwrap_err());
        let counts = "the training batches: 4999 images of class 0 (airplane) instead of 5000";
        assert!(error.contains(&*dir.path().to_string_lossy()) && error.contains(counts), "{error}");
    }

    #[test]
    fn an_empty_directory_names_the_three_ways_out() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        for part in [&*dir.path().to_string_lossy(), "runner data fetch", "RUNNER_DATA", "--dataset synthetic"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
