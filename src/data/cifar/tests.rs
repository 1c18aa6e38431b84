//! A set to test with, and how what is found in a folder is read.

use super::*;
use crate::data::dataset::{IMAGE_BYTES, records};
use crate::store::files::scratch_beside;
use std::sync::LazyLock;

/// A set with CIFAR-10's counts and made-up pixels. Like the official training batches, and unlike the test batch,
/// these have unequal class counts that only add up.
pub(crate) static SAMPLE: LazyLock<Dataset> = LazyLock::new(|| {
    let mut assembly = Assembly::default();
    for batch in 0..BATCH_NAMES.len() {
        let slot = assembly.slot(batch, String::new()).unwrap();
        for record in 0..BATCH_IMAGES {
            let label = (record % 10) as u8;
            slot.labels[record] = match (batch, record) {
                (0, 0) | (1, 1) => 1 - label,
                _ => label,
            };
            slot.pixels[record * IMAGE_BYTES..][..8].copy_from_slice(&(batch * 10_000 + record).to_le_bytes());
        }
    }
    assembly.finish("sample".to_owned()).unwrap()
});

pub(crate) fn binary(batch: usize) -> Vec<u8> {
    records(super::batch(&SAMPLE, batch)).collect::<Vec<_>>().concat()
}

/// Writes the sample as an unpacked binary folder.
pub(crate) fn write_folder(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for batch in 0..BATCH_NAMES.len() {
        std::fs::write(folder.join(Layout::Binary.file(batch)), binary(batch)).unwrap();
    }
}

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
    write_folder(&scratch_beside(&dir.path().join("cifar-10-batches-bin")));
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
