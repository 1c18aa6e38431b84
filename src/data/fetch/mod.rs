//! Gets CIFAR-10: what is there is used first, and nothing is overwritten.
#![allow(clippy::disallowed_methods, reason = "downloads are no results")]

mod download;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::cifar::places::{self, OTHER_WAYS, Place};
use super::cifar::{self, BATCH_NAMES, Layout};
use super::dataset::{Dataset, records};
use super::inspect;
use crate::store::files::{scratch_beside, sync_folder};
use download::{Archive, download};

/// The official binary archive. Its page gives the MD5 c32a1d4ab5d03f1284b67883e8d87530; the SHA-256 of the same file is
/// TensorFlow Datasets' and torchvision-ruby's.
fn official() -> Archive {
    Archive {
        name: Layout::Binary.archive(),
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd".to_owned(),
        first_pause: Duration::from_secs(1),
    }
}

/// Makes `dir` hold the official CIFAR-10 in the binary layout and returns it. What is there is used first: a complete
/// set is left as it is, an archive is only unpacked, and another or a damaged set is refused, never overwritten. A failed
/// download is answered with the other ways to get data.
pub fn fetch(dir: &Path) -> Result<Dataset> {
    fetch_archive(&official(), dir)
}

fn fetch_archive(wanted: &Archive, dir: &Path) -> Result<Dataset> {
    let folder = dir.join(Layout::Binary.folder());
    if let Some(place) = places::locate(dir) {
        let found = cifar::load(dir).context("what is there is damaged; move it away to fetch it anew")?;
        let verification = inspect::verify(&found);
        ensure!(
            verification.differing.is_empty(),
            "{verification}\nmove it away, or choose another --data, to fetch those"
        );
        if matches!(place, Place::Folder(..)) || dir.is_file() {
            return Ok(found);
        }
        unpack(&found, &folder)?;
        return cifar::load(dir);
    }
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    // The cause first: the other ways are many lines.
    let cause = |error| anyhow!("CIFAR-10 could not be downloaded: {error:#}\nOther ways:\n{OTHER_WAYS}");
    let path = download(wanted, dir).map_err(cause)?;
    // Reading the archive takes seconds, the unpacked folder a fraction of one, and every worker does it.
    unpack(&cifar::load(&path)?, &folder)?;
    cifar::load(dir)
}

/// Writes `dataset` as the six files of the binary layout. They appear together, by the rename of their folder, and never over
/// a folder that is there already.
fn unpack(dataset: &Dataset, folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    let scratch = scratch_beside(folder);
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let written = write_batches(dataset, &scratch).and_then(|()| Ok(fs::rename(&scratch, folder)?));
    if written.is_err() {
        let _ = fs::remove_dir_all(&scratch);
    }
    written.with_context(|| folder.display().to_string())?;
    sync_folder(parent)
}

fn write_batches(dataset: &Dataset, folder: &Path) -> Result<()> {
    for batch in 0..BATCH_NAMES.len() {
        let mut writer = BufWriter::with_capacity(1 << 20, File::create_new(folder.join(Layout::Binary.file(batch)))?);
        records(cifar::batch(dataset, batch)).try_for_each(|part| writer.write_all(part))?;
        writer.into_inner()?.sync_all()?;
    }
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::download::tests::{not_found, serve};
    use super::*;
    use crate::data::cifar::tests::SAMPLE;

    #[test]
    fn unpacks_into_files_that_load_back_and_never_over_others() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(Layout::Binary.folder());
        unpack(&SAMPLE, &folder).unwrap();
        assert!(cifar::load(dir.path()).unwrap().train == SAMPLE.train);
        assert!(unpack(&SAMPLE, &folder).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = fetch_archive(&Archive { url: "http://127.0.0.1:1/".to_owned(), ..official() }, dir.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not the official pixels"), "{error}");
    }

    #[test]
    fn a_part_of_the_archive_is_no_data() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(format!("{}.part", Layout::Binary.archive())), "the beginning").unwrap();
        assert!(cifar::load(dir.path()).unwrap_err().to_string().contains("no CIFAR-10 in"));
    }

    #[test]
    fn a_failed_fetch_names_the_other_ways() {
        let dir = tempfile::tempdir().unwrap();
        let (url, server) = serve(vec![not_found]);
        let error = format!("{:#}", fetch_archive(&Archive { url, ..official() }, dir.path()).unwrap_err());
        server.join().unwrap();
        assert!(error.contains("--dataset synthetic") && error.lines().next().unwrap().contains("404"), "{error}");
        assert!(!error.contains("`runner data fetch`"), "it would send in circles:\n{error}");
    }
}
