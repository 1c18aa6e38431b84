//! CIFAR-10's binary layout: a batch is 10,000 records of a label byte and 3,072 pixel bytes.

use std::io::{BufReader, Read, Write};

use anyhow::{Context, Result, ensure};

use super::assembly::{BATCH_IMAGES, Slot};
use crate::data::dataset::{IMAGE_BYTES, records};

const BATCH_BYTES: u64 = (BATCH_IMAGES * (1 + IMAGE_BYTES)) as u64;

/// Reads one batch.
///
/// # Errors
/// `size`, the number of bytes `reader` holds, is not that of a batch; a label is no class; reading fails.
pub fn read_batch(reader: impl Read, size: u64, mut slot: Slot) -> Result<()> {
    ensure!(size == BATCH_BYTES, "{}: {size} bytes instead of {BATCH_BYTES}", slot.file);
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

/// Writes one batch, byte for byte the official file if the images are the official ones.
///
/// # Errors
/// Writing fails.
pub fn write_batch(batch: (&[u8], &[u8]), writer: &mut impl Write) -> std::io::Result<()> {
    records(batch).try_for_each(|part| writer.write_all(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::cifar::tests::binary;

    fn read(bytes: &[u8]) -> Result<()> {
        let mut images = Images::zeroed(BATCH_IMAGES);
        let Images { labels, pixels } = &mut images;
        read_batch(bytes, bytes.len() as u64, Slot { file: "data_batch_3.bin".to_owned(), labels, pixels })
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
        let error = read_batch(&[0; 3073 * 2][..], BATCH_BYTES, slot).unwrap_err();
        assert_eq!(error.to_string(), "f: record 2: cannot be read");
    }
}
