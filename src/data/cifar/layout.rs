//! The two official forms of the same images.

use std::io::{BufReader, Read};

use anyhow::{Context, Result, ensure};

use super::assembly::{BATCH_IMAGES, BATCH_NAMES, Slot};
use super::python;
use crate::data::dataset::IMAGE_BYTES;

/// A batch of the binary layout has 10,000 records of a label byte and 3,072 pixel bytes.
const BINARY_BYTES: u64 = (BATCH_IMAGES * (1 + IMAGE_BYTES)) as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Binary,
    Python,
}

impl Layout {
    pub const ALL: [Layout; 2] = [Layout::Binary, Layout::Python];

    /// The batch whose file is called `name`, in whichever layout has it.
    pub fn of_file(name: &[u8]) -> Option<(Layout, usize)> {
        let mut all =
            Layout::ALL.into_iter().flat_map(|layout| (0..BATCH_NAMES.len()).map(move |batch| (layout, batch)));
        all.find(|&(layout, batch)| layout.file(batch).as_bytes() == name)
    }

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

    /// Reads one batch of `size` bytes into its place. Refuses anything but exactly one well-formed batch, in a message that
    /// starts with the slot's file name.
    pub fn read_batch(self, reader: impl Read, size: u64, slot: Slot) -> Result<()> {
        match self {
            Layout::Binary => read_binary(reader, size, slot),
            Layout::Python => python::read_batch(reader, size, slot),
        }
    }
}

fn read_binary(reader: impl Read, size: u64, mut slot: Slot) -> Result<()> {
    ensure!(size == BINARY_BYTES, "{}: {size} bytes instead of {BINARY_BYTES}", slot.file);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::cifar::tests::binary;

    fn read(bytes: &[u8]) -> Result<()> {
        let mut images = Images::zeroed(BATCH_IMAGES);
        let Images { labels, pixels } = &mut images;
        Layout::Binary.read_batch(
            bytes,
            bytes.len() as u64,
            Slot { file: "data_batch_3.bin".to_owned(), labels, pixels },
        )
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
        let error = Layout::Binary.read_batch(&[0; 3073 * 2][..], BINARY_BYTES, slot).unwrap_err();
        assert_eq!(error.to_string(), "f: record 2: cannot be read");
    }
}
