//! What CIFAR-10 consists of, and its putting together from batches.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};

use crate::data::dataset::{Dataset, IMAGE_BYTES, Images};
use crate::spec::config::DatasetName;

const CLASSES: usize = 10;

/// In the order of the labels, as the official `batches.meta.txt` has them.
pub const CLASS_NAMES: [&str; CLASSES] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The five training batches, then the test batch.
pub const BATCH_NAMES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// What to say of the data set with the most similar name.
pub const CIFAR_100: &str =
    "this is CIFAR-100, not the 10 of CIFAR-10; `runner data import` makes a data set of its binary version";

/// Images in each batch.
pub const BATCH_IMAGES: usize = 10_000;
/// How many of [`BATCH_NAMES`] are for training; the rest is the test batch.
pub const TRAIN_BATCHES: usize = 5;
/// Images a class has in the whole training set, and in the test set.
const TRAIN_PER_CLASS: usize = 5_000;
const TEST_PER_CLASS: usize = 1_000;

/// The place of one batch: 10,000 labels and images in memory set aside beforehand, so that no file can ask for more.
pub struct Slot<'a> {
    /// Names the file in errors.
    pub file: String,
    /// [10,000]
    pub labels: &'a mut [u8],
    /// [10,000, 3, 32, 32]
    pub pixels: &'a mut [u8],
}

impl Slot<'_> {
    /// Refuses a label that is no class.
    pub fn set_label(&mut self, record: usize, label: i64) -> Result<()> {
        let class = u8::try_from(label).ok().filter(|&class| usize::from(class) < CLASSES);
        self.labels[record] =
            class.with_context(|| format!("{}: record {record}: label {label} is not in 0..=9", self.file))?;
        Ok(())
    }
}

/// CIFAR-10 while it is read: each batch has its place, because an archive may hold them in any order.
pub struct Assembly {
    train: Images,
    test: Images,
    filled: [bool; BATCH_NAMES.len()],
}

impl Default for Assembly {
    /// With no batch yet.
    fn default() -> Self {
        Assembly {
            train: Images::zeroed(TRAIN_BATCHES * BATCH_IMAGES),
            test: Images::zeroed(BATCH_IMAGES),
            filled: [false; BATCH_NAMES.len()],
        }
    }
}

impl Assembly {
    /// The place of `BATCH_NAMES[batch]`, to be filled from `file`; each can be had once.
    pub fn slot(&mut self, batch: usize, file: String) -> Result<Slot<'_>> {
        ensure!(!self.filled[batch], "{file}: this batch is there twice");
        self.filled[batch] = true;
        let images = if batch < TRAIN_BATCHES { &mut self.train } else { &mut self.test };
        let (labels, pixels) = places(batch);
        Ok(Slot { file, labels: &mut images.labels[labels], pixels: &mut images.pixels[pixels] })
    }

    /// Whether no batch has been handed out.
    pub fn is_empty(&self) -> bool {
        self.filled == [false; BATCH_NAMES.len()]
    }

    /// Refuses a set of which a batch is missing, or a class has not the number of images it must have.
    pub fn finish(self, source: String) -> Result<Dataset> {
        if let Some(missing) = self.filled.iter().position(|filled| !filled) {
            bail!("{source}: {} is missing", BATCH_NAMES[missing]);
        }
        check_class_counts(&self.test, TEST_PER_CLASS, "the test batch").with_context(|| source.clone())?;
        check_class_counts(&self.train, TRAIN_PER_CLASS, "the training batches").with_context(|| source.clone())?;
        Ok(Dataset { name: DatasetName::Cifar10, train: self.train, test: self.test, source })
    }
}

/// No official training batch has 1,000 images of each class, so this also finds one that took the test batch's place.
fn check_class_counts(images: &Images, expected: usize, what: &str) -> Result<()> {
    for (class, (count, name)) in images.class_counts(CLASSES).into_iter().zip(CLASS_NAMES).enumerate() {
        ensure!(
            count == expected,
            "{what}: {count} images of class {class} ({name}) instead of {expected}; \
             a batch is damaged, there twice, or training and test batches are swapped"
        );
    }
    Ok(())
}

/// The labels, [10,000], and pixels, [10,000, 3, 32, 32], of `BATCH_NAMES[batch]`.
pub fn batch(dataset: &Dataset, batch: usize) -> (&[u8], &[u8]) {
    let images = if batch < TRAIN_BATCHES { &dataset.train } else { &dataset.test };
    let (labels, pixels) = places(batch);
    (&images.labels[labels], &images.pixels[pixels])
}

/// Which labels and which bytes of pixels a batch has in its part of the data set.
fn places(batch: usize) -> (Range<usize>, Range<usize>) {
    let first = batch % TRAIN_BATCHES * BATCH_IMAGES;
    let end = first + BATCH_IMAGES;
    (first..end, first * IMAGE_BYTES..end * IMAGE_BYTES)
}
