//! Data sets as plain bytes, checked as they are read; `batches` and `augment` make tensors of them.

pub mod augment;
pub mod batches;
pub mod cifar;
pub mod fetch;
pub mod inspect;
pub mod places;
pub mod shared;
pub mod synthetic;

use crate::record::CLASSES;
use crate::spec::config::DatasetName;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Bytes of one image: [3, 32, 32], the planes red, green and blue, each row by row.
pub const IMAGE_BYTES: usize = 3 * 32 * 32;

/// `N` images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// [N, 3, 32, 32], 0..=255.
    pub pixels: Vec<u8>,
    /// [N], 0..=9.
    pub labels: Vec<u8>,
}

impl Images {
    /// `count` black images of class 0, to be written over. The memory costs nothing until then.
    pub fn zeroed(count: usize) -> Self {
        Images { pixels: vec![0; count * IMAGE_BYTES], labels: vec![0; count] }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        self.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }
}

/// A training and a test set, every label and count checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    pub name: DatasetName,
    pub train: Images,
    pub test: Images,
    /// The name of class 0, of class 1, and so on.
    pub class_names: [&'static str; CLASSES],
    /// For people: the path read and its layout, or "synthetic".
    pub source: String,
}

impl Dataset {
    /// SHA-256 of all records in order, training before test, as 64 hex digits: the same for every layout, and what
    /// `cat data_batch_{1..5}.bin test_batch.bin | sha256sum` prints. Takes about 0.1 s for CIFAR-10, so keep it.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        [&self.train, &self.test].iter().for_each(|images| hash_records(&images.labels, &images.pixels, &mut hash));
        hex(&hash.finalize())
    }
}

/// Feeds each image to `hash` as a record of CIFAR-10's binary layout: its label, then its pixels.
fn hash_records(labels: &[u8], pixels: &[u8], hash: &mut Sha256) {
    for (label, image) in labels.iter().zip(pixels.chunks_exact(IMAGE_BYTES)) {
        hash.update([*label]);
        hash.update(image);
    }
}

/// Reads or draws a data set. `dir` is [`directory`]'s answer and matters for CIFAR-10 only.
///
/// # Errors
/// CIFAR-10 is not in `dir`, or something about it is wrong; the message names the file, the record and the way out.
pub fn load(name: DatasetName, dir: &Path) -> Result<Dataset> {
    match name {
        DatasetName::Cifar10 => places::load(dir),
        DatasetName::Synthetic => Ok(synthetic::dataset()),
    }
}

/// The name of each class, in the order of the labels.
pub fn class_names(name: DatasetName) -> [&'static str; CLASSES] {
    match name {
        DatasetName::Cifar10 => cifar::CLASS_NAMES,
        DatasetName::Synthetic => synthetic::CLASS_NAMES,
    }
}

/// Where data sets lie: `--data`, else the environment's `RUNNER_DATA`, else `data`.
pub fn directory(flag: Option<&Path>) -> PathBuf {
    choose_directory(flag, std::env::var_os("RUNNER_DATA"))
}

/// An empty variable counts as unset, as a shell's `RUNNER_DATA= runner ...` means it.
fn choose_directory(flag: Option<&Path>, variable: Option<OsString>) -> PathBuf {
    let variable = variable.filter(|value| !value.is_empty());
    flag.map(Path::to_path_buf).or_else(|| variable.map(PathBuf::from)).unwrap_or_else(|| "data".into())
}

/// Lower-case hex digits, two a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_prefers_the_flag_then_the_variable() {
        let variable = || Some(OsString::from("from/variable"));
        assert_eq!(choose_directory(Some(Path::new("from/flag")), variable()), Path::new("from/flag"));
        assert_eq!(choose_directory(None, variable()), Path::new("from/variable"));
        assert_eq!(choose_directory(None, Some(OsString::new())), Path::new("data"));
        assert_eq!(choose_directory(None, None), Path::new("data"));
    }

    #[test]
    fn the_digest_covers_labels_and_pixels() {
        let dataset = Dataset {
            name: DatasetName::Synthetic,
            train: Images::zeroed(2),
            test: Images::zeroed(1),
            class_names: cifar::CLASS_NAMES,
            source: String::new(),
        };
        // head -c 9219 /dev/zero | sha256sum
        assert_eq!(dataset.sha256(), "bd1174c0b2fe6f7e6fd45293f7976085f3686c22b39dfb4cf7faf0046c657b74");
        let mut relabelled = dataset.clone();
        relabelled.test.labels[0] = 1;
        let mut repainted = dataset.clone();
        repainted.train.pixels[IMAGE_BYTES] = 1;
        assert!(relabelled.sha256() != dataset.sha256() && repainted.sha256() != dataset.sha256());
    }
}
