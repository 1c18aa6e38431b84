//! CIFAR-10: what it consists of, and its binary layout.
//!
//! Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>.

pub mod archive;
pub mod pickle;
pub mod python;

use super::{Dataset, IMAGE_BYTES, Images};
use crate::record::CLASSES;
use crate::spec::config::DatasetName;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufReader, Read, Write};

/// In the order of the labels, as the official `batches.meta.txt` has them.
pub const CLASS_NAMES: [&str; CLASSES] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The five training batches, then the test batch.
pub const BATCH_NAMES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// What to say of the data set with the most similar name.
pub(crate) const CIFAR_100: &str = "this is CIFAR-100, of 100 classes; the networks here are for the 10 of CIFAR-10";

/// Images in each batch.
pub const BATCH_IMAGES: usize = 10_000;
/// How many of [`BATCH_NAMES`] are for training; the rest is the test batch.
pub const TRAIN_BATCHES: usize = 5;
/// Bytes of a batch in the binary layout: per image its label, then its pixels.
const BINARY_BATCH_BYTES: u64 = (BATCH_IMAGES * (1 + IMAGE_BYTES)) as u64;
/// Images a class has in the whole training set, and in the test set.
const TRAIN_PER_CLASS: usize = 5_000;
const TEST_PER_CLASS: usize = 1_000;

/// The two official forms of the same images that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Binary,
    Python,
}

impl Layout {
    /// The folder both the archive and its unpacked form have.
    pub fn folder(self) -> &'static str {
        match self {
            Layout::Binary => "cifar-10-batches-bin",
            Layout::Python => "cifar-10-batches-py",
        }
    }

    pub fn archive(self) -> &'static str {
        match self {
            Layout::Binary => "cifar-10-binary.tar.gz",
            Layout::Python => "cifar-10-python.tar.gz",
        }
    }

    /// The file of `BATCH_NAMES[batch]`.
    pub fn file(self, batch: usize) -> String {
        match self {
            Layout::Binary => format!("{}.bin", BATCH_NAMES[batch]),
            Layout::Python => BATCH_NAMES[batch].to_owned(),
        }
    }

    /// Reads one batch of `size` bytes into its place.
    ///
    /// # Errors
    /// Anything but exactly one well-formed batch; the message starts with the slot's file name.
    pub fn read_batch(self, reader: impl Read, size: u64, slot: Slot) -> Result<()> {
        match self {
            Layout::Binary => read_binary_batch(reader, size, slot),
            Layout::Python => python::read_batch(reader, size, slot),
        }
    }
}

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
    /// # Errors
    /// `label` is no class.
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

impl Assembly {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Assembly {
            train: Images::zeroed(TRAIN_BATCHES * BATCH_IMAGES),
            test: Images::zeroed(BATCH_IMAGES),
            filled: [false; BATCH_NAMES.len()],
        }
    }

    /// The place of `BATCH_NAMES[batch]`, to be filled from `file`.
    ///
    /// # Errors
    /// The batch has been handed out before.
    pub fn slot(&mut self, batch: usize, file: String) -> Result<Slot<'_>> {
        ensure!(!self.filled[batch], "{file}: this batch is there twice");
        self.filled[batch] = true;
        let (images, position) =
            if batch < TRAIN_BATCHES { (&mut self.train, batch) } else { (&mut self.test, batch - TRAIN_BATCHES) };
        let first = position * BATCH_IMAGES;
        let end = first + BATCH_IMAGES;
        Ok(Slot {
            file,
            labels: &mut images.labels[first..end],
            pixels: &mut images.pixels[first * IMAGE_BYTES..end * IMAGE_BYTES],
        })
    }

    /// Whether no batch has been handed out.
    pub fn is_empty(&self) -> bool {
        self.filled == [false; BATCH_NAMES.len()]
    }

    /// # Errors
    /// A batch is missing, or a class has not the number of images it must have.
    pub fn finish(self, source: String) -> Result<Dataset> {
        if let Some(missing) = self.filled.iter().position(|filled| !filled) {
            bail!("{source}: {} is missing", BATCH_NAMES[missing]);
        }
        check_class_counts(&self.test, TEST_PER_CLASS, "the test batch").with_context(|| source.clone())?;
        check_class_counts(&self.train, TRAIN_PER_CLASS, "the training batches").with_context(|| source.clone())?;
        let (train, test) = (self.train, self.test);
        Ok(Dataset { name: DatasetName::Cifar10, train, test, class_names: CLASS_NAMES, source })
    }
}

/// No official training batch has 1,000 images of each class, so this also finds one that took the test batch's place.
fn check_class_counts(images: &Images, expected: usize, what: &str) -> Result<()> {
    for (class, (count, name)) in images.class_counts().into_iter().zip(CLASS_NAMES).enumerate() {
        ensure!(
            count == expected,
            "{what}: {count} images of class {class} ({name}) instead of {expected}; \
             a batch is damaged, there twice, or training and test batches are swapped"
        );
    }
    Ok(())
}

/// Reads one batch of the binary layout: 10,000 records of a label byte and 3,072 pixel bytes.
///
/// # Errors
/// `size`, the number of bytes `reader` holds, is not that of a batch; a label is no class; reading fails.
pub fn read_binary_batch(reader: impl Read, size: u64, mut slot: Slot) -> Result<()> {
    ensure!(size == BINARY_BATCH_BYTES, "{}: {size} bytes instead of {BINARY_BATCH_BYTES}", slot.file);
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    for record in 0..BATCH_IMAGES {
        let mut label = [0];
        let image = &mut slot.pixels[record * IMAGE_BYTES..][..IMAGE_BYTES];
        let read = reader.read_exact(&mut label).and_then(|()| reader.read_exact(image));
        read.with_context(|| format!("{}: record {record}: cannot be read", slot.file))?;
        slot.set_label(record, label[0].into())?;
    }
    Ok(())
}

/// The labels, [10,000], and pixels, [10,000, 3, 32, 32], of `BATCH_NAMES[batch]`.
pub fn batch(dataset: &Dataset, batch: usize) -> (&[u8], &[u8]) {
    let (images, position) =
        if batch < TRAIN_BATCHES { (&dataset.train, batch) } else { (&dataset.test, batch - TRAIN_BATCHES) };
    let (first, end) = (position * BATCH_IMAGES, (position + 1) * BATCH_IMAGES);
    (&images.labels[first..end], &images.pixels[first * IMAGE_BYTES..end * IMAGE_BYTES])
}

/// Writes one batch in the binary layout, byte for byte the official file if the images are the official ones.
///
/// # Errors
/// Writing fails.
pub fn write_binary_batch((labels, pixels): (&[u8], &[u8]), writer: &mut impl Write) -> std::io::Result<()> {
    for (label, image) in labels.iter().zip(pixels.chunks_exact(IMAGE_BYTES)) {
        writer.write_all(&[*label])?;
        writer.write_all(image)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::LazyLock;

    /// A set with CIFAR-10's counts and made-up pixels. Like the official training batches, and unlike the test batch,
    /// these have unequal class counts that only add up.
    pub(crate) static SAMPLE: LazyLock<Dataset> = LazyLock::new(|| {
        let mut assembly = Assembly::new();
        for batch in 0..BATCH_NAMES.len() {
            let slot = assembly.slot(batch, String::new()).unwrap();
            for record in 0..BATCH_IMAGES {
                let label = (record % CLASSES) as u8;
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
        let mut bytes = Vec::new();
        write_binary_batch(super::batch(&SAMPLE, batch), &mut bytes).unwrap();
        bytes
    }

    /// Writes the sample as an unpacked binary folder.
    pub(crate) fn write_folder(folder: &std::path::Path) {
        std::fs::create_dir_all(folder).unwrap();
        for batch in 0..BATCH_NAMES.len() {
            std::fs::write(folder.join(Layout::Binary.file(batch)), binary(batch)).unwrap();
        }
    }

    fn read(bytes: &[u8]) -> Result<()> {
        let mut images = Images::zeroed(BATCH_IMAGES);
        let Images { labels, pixels } = &mut images;
        read_binary_batch(bytes, bytes.len() as u64, Slot { file: "data_batch_3.bin".to_owned(), labels, pixels })
    }

    #[test]
    fn one_byte_short_or_long_is_refused_with_both_sizes() {
        let bytes = binary(2);
        assert!(read(&bytes).is_ok());
        let short = read(&bytes[1..]).unwrap_err().to_string();
        assert_eq!(short, "data_batch_3.bin: 30729999 bytes instead of 30730000");
        let long = read(&[&bytes, &[0][..]].concat()).unwrap_err().to_string();
        assert_eq!(long, "data_batch_3.bin: 30730001 bytes instead of 30730000");
    }

    #[test]
    fn a_label_that_is_no_class_is_named_with_its_record() {
        let mut bytes = binary(2);
        bytes[412 * (1 + IMAGE_BYTES)] = 17;
        assert_eq!(read(&bytes).unwrap_err().to_string(), "data_batch_3.bin: record 412: label 17 is not in 0..=9");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let mut images = Images::zeroed(BATCH_IMAGES);
        let slot = Slot { file: "f".to_owned(), labels: &mut images.labels, pixels: &mut images.pixels };
        let error = read_binary_batch(&[0; 3073 * 2][..], BINARY_BATCH_BYTES, slot).unwrap_err();
        assert_eq!(error.to_string(), "f: record 2: cannot be read");
    }
}
