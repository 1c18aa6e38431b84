//! What a data set is: images with their labels, and the digest that says which they are.

use sha2::{Digest, Sha256};

use crate::spec::config::DatasetName;

/// Bytes of one image: [3, 32, 32], the planes red, green and blue, each row by row.
pub const IMAGE_BYTES: usize = 3 * 32 * 32;

/// `N` images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// [N, 3, 32, 32], 0..=255.
    pub pixels: Vec<u8>,
    /// [N], each below the number of classes.
    pub labels: Vec<u8>,
}

impl Images {
    /// `count` black images of class 0, to be written over. The memory costs nothing until then.
    pub fn zeroed(count: usize) -> Self {
        Images { pixels: vec![0; count * IMAGE_BYTES], labels: vec![0; count] }
    }

    pub fn count(&self) -> usize {
        self.labels.len()
    }

    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
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
    /// For people: the path read and its layout, or "synthetic".
    pub source: String,
}

impl Dataset {
    /// SHA-256 of all records in order, training before test, as 64 hex digits: the same for every layout, and what
    /// `cat data_batch_{1..5}.bin test_batch.bin | sha256sum` prints. Takes about 0.1 s for CIFAR-10, so keep it.
    pub fn sha256(&self) -> String {
        sha256([&self.train, &self.test].into_iter().flat_map(|images| records((&images.labels, &images.pixels))))
    }
}

/// Images as CIFAR-10's binary layout has them: of each its label, then its pixels.
pub fn records<'a>((labels, pixels): (&'a [u8], &'a [u8])) -> impl Iterator<Item = &'a [u8]> {
    labels.chunks_exact(1).zip(pixels.chunks_exact(IMAGE_BYTES)).flat_map(|(label, image)| [label, image])
}

/// SHA-256 of the parts one after another, as 64 hex digits.
pub fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_labels_and_pixels() {
        let dataset = Dataset {
            name: DatasetName::Synthetic,
            train: Images::zeroed(2),
            test: Images::zeroed(1),
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
