//! CIFAR-10's python layout: each batch is a dictionary that Python 2 pickled, or Python 3 after it.
//!
//! ```text
//! {'batch_label': 'training batch 1 of 5', 'labels': [6, 9, ...], 'data': array of uint8 [10000, 3072],
//!  'filenames': ['leptodactylus_pentadactylus_s_000004.png', ...]}
//! ```

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

use super::assembly::{BATCH_IMAGES, CIFAR_100, Slot};
use super::pickle::{self, Pickle};
use crate::data::dataset::IMAGE_BYTES;

/// The official files have 31 MB, of which 30.7 MB are pixels.
const MAX_BATCH_BYTES: u64 = 40 << 20;

/// Reads one batch of `size` bytes. Refuses anything but the dictionary above with 10,000 labels and images, or a label that
/// is no class.
pub fn read_batch(reader: impl Read, size: u64, mut slot: Slot) -> Result<()> {
    let file = slot.file.clone();
    ensure!(size <= MAX_BATCH_BYTES, "{file}: {size} bytes, far more than a batch has");
    let mut bytes = Vec::with_capacity(size as usize);
    reader.take(MAX_BATCH_BYTES).read_to_end(&mut bytes).with_context(|| file.clone())?;
    let mut pickle = Pickle::new(&bytes).with_context(|| file.clone())?;
    dictionary(&mut pickle, &mut slot).with_context(|| format!("{file}: not a batch of CIFAR-10's python layout"))
}

fn dictionary(pickle: &mut Pickle, slot: &mut Slot) -> Result<()> {
    let (mut labels, mut data) = (false, false);
    pickle.expect(&[pickle::EMPTY_DICT, pickle::MARK])?;
    while !pickle.accept(pickle::SETITEMS)? {
        match pickle.string()? {
            b"labels" if !labels => {
                read_labels(pickle, slot)?;
                labels = true;
            }
            b"data" if !data => {
                read_pixels(pickle, slot)?;
                data = true;
            }
            b"batch_label" => drop(pickle.string()?),
            b"filenames" => pickle.list(|pickle| pickle.string().map(drop))?,
            b"fine_labels" | b"coarse_labels" => bail!(CIFAR_100),
            other => bail!("unexpected entry '{}'", other.escape_ascii()),
        }
    }
    pickle.expect(&[pickle::STOP])?;
    ensure!(labels && data, "'labels' or 'data' is missing");
    Ok(())
}

fn read_labels(pickle: &mut Pickle, slot: &mut Slot) -> Result<()> {
    let mut record = 0;
    pickle.list(|pickle| {
        ensure!(record < BATCH_IMAGES, "more than {BATCH_IMAGES} labels");
        slot.set_label(record, pickle.integer()?)?;
        record += 1;
        Ok(())
    })?;
    ensure!(record == BATCH_IMAGES, "{record} labels instead of {BATCH_IMAGES}");
    Ok(())
}

/// The array of pixels, in either of NumPy's ways.
fn read_pixels(pickle: &mut Pickle, slot: &mut Slot) -> Result<()> {
    let (by_columns, pixels) = match pickle.global()? {
        (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => reconstructed(pickle)?,
        (b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer") => from_buffer(pickle)?,
        (module, name) => bail!("{}.{} instead of an array", module.escape_ascii(), name.escape_ascii()),
    };
    let expected = slot.pixels.len();
    ensure!(pixels.len() == expected, "{} pixel bytes instead of {expected}", pixels.len());
    if by_columns {
        // NumPy stores a transposed array as it lies in memory: all images' first bytes, then all second ones, ...
        for (position, column) in pixels.chunks_exact(BATCH_IMAGES).enumerate() {
            for (image, &byte) in slot.pixels.chunks_exact_mut(IMAGE_BYTES).zip(column) {
                image[position] = byte;
            }
        }
    } else {
        slot.pixels.copy_from_slice(pixels);
    }
    Ok(())
}

/// `_reconstruct(ndarray, (0,), 'b')`, whose state is then set to `(1, shape, dtype, is_fortran, bytes)`.
fn reconstructed<'a>(pickle: &mut Pickle<'a>) -> Result<(bool, &'a [u8])> {
    pickle.expect_global("numpy", "ndarray")?;
    pickle.expect_integers(&[0])?;
    pickle.expect(&[pickle::TUPLE1])?;
    pickle.expect_string("b")?;
    pickle.expect(&[pickle::TUPLE3, pickle::REDUCE, pickle::MARK])?;
    pickle.expect_integers(&[1])?;
    expect_shape(pickle)?;
    expect_uint8(pickle)?;
    let array = (pickle.boolean()?, pickle.string()?);
    pickle.expect(&[pickle::TUPLE, pickle::BUILD])?;
    Ok(array)
}

/// `_frombuffer(bytes, dtype, shape, order)`, as in protocol 5.
fn from_buffer<'a>(pickle: &mut Pickle<'a>) -> Result<(bool, &'a [u8])> {
    pickle.expect(&[pickle::MARK])?;
    let pixels = pickle.string()?;
    expect_uint8(pickle)?;
    expect_shape(pickle)?;
    let by_columns = match pickle.string()? {
        b"C" => false,
        b"F" => true,
        other => bail!("an array in the order '{}'", other.escape_ascii()),
    };
    pickle.expect(&[pickle::TUPLE, pickle::REDUCE])?;
    Ok((by_columns, pixels))
}

fn expect_shape(pickle: &mut Pickle) -> Result<()> {
    pickle.expect_integers(&[BATCH_IMAGES as i64, IMAGE_BYTES as i64])?;
    pickle.expect(&[pickle::TUPLE2])
}

/// `dtype('u1', False, True)` with the state `(3, '|', None, None, None, -1, -1, 0)`.
fn expect_uint8(pickle: &mut Pickle) -> Result<()> {
    pickle.expect_global("numpy", "dtype")?;
    pickle.expect_string("u1")?;
    // Whether it is to be aligned and copied means nothing here.
    pickle.boolean()?;
    pickle.boolean()?;
    pickle.expect(&[pickle::TUPLE3, pickle::REDUCE, pickle::MARK])?;
    pickle.expect_integers(&[3])?;
    pickle.expect_string("|")?;
    pickle.expect(&[pickle::NONE; 3])?;
    pickle.expect_integers(&[-1, -1, 0])?;
    pickle.expect(&[pickle::TUPLE, pickle::BUILD])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::cifar::tests::SAMPLE;
    use crate::data::cifar::{self, BATCH_NAMES};

    /// A batch of the sample as Python 2's cPickle writes it. That Python reads it back was checked with
    /// `pickle.loads(bytes, encoding="bytes")`, Python 3.11 with NumPy.
    pub(crate) fn python(batch: usize) -> Vec<u8> {
        let (labels, pixels) = cifar::batch(&SAMPLE, batch);
        dictionary(BATCH_NAMES[batch], labels, pixels, false)
    }

    fn dictionary(name: &str, labels: &[u8], pixels: &[u8], by_columns: bool) -> Vec<u8> {
        let short = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
        let mut out = b"\x80\x02}q\x01(".to_vec();
        out.extend([short("batch_label"), b"q\x02".to_vec(), short(name), b"q\x03".to_vec()].concat());
        out.extend([short("labels"), b"q\x04]q\x05".to_vec()].concat());
        for run in labels.chunks(1_000) {
            out.push(pickle::MARK);
            run.iter().for_each(|&label| out.extend([b'K', label]));
            out.push(pickle::APPENDS);
        }
        out.extend(
            [short("data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08".to_vec()]
                .concat(),
        );
        out.extend(
            b"K\x00\x85U\x01b\x87Rq\x09(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b",
        );
        out.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
        out.extend([if by_columns { 0x88 } else { 0x89 }, b'T']);
        out.extend((pixels.len() as u32).to_le_bytes());
        out.extend(pixels);
        out.extend([b"tb".to_vec(), short("filenames"), b"q\x0c]q\x0d".to_vec()].concat());
        for run in (0..labels.len()).collect::<Vec<_>>().chunks(1_000) {
            out.push(pickle::MARK);
            run.iter().for_each(|i| {
                out.extend([short(&format!("{i}.png")), [&b"r"[..], &(*i as u32 + 14).to_le_bytes()].concat()].concat())
            });
            out.push(pickle::APPENDS);
        }
        out.extend(b"u.");
        out
    }

    /// What Python 3 makes of the sample's test batch, with 30 MB of pixels in it. Python 3.11's own pickles, of NumPy 1
    /// and 2, begin and end with these bytes.
    fn python_3(protocol: u8, core: &str) -> Vec<u8> {
        let text = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), &[0x94]].concat();
        let global = |module: &str, name: &str| [text(module), text(name), b"\x93\x94".to_vec()].concat();
        let pixels = &SAMPLE.test.pixels;
        let length = pixels.len() as u32;
        let frame = b"\x95\x07\x01\0\0\0\0\0\0";
        let mut out = [&[0x80, protocol], &frame[..], b"}\x94(", &text("labels"), b"]\x94("].concat();
        SAMPLE.test.labels.iter().for_each(|&label| out.extend([b'K', label]));
        out.push(pickle::APPENDS);
        out.extend(text("data"));
        let dtype = |numpy: &[u8]| {
            let made = [numpy, &text("dtype"), b"\x93\x94", &text("u1"), b"\x89\x88\x87\x94R\x94"].concat();
            [&made, &b"(K\x03"[..], &text("|"), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b"].concat()
        };
        if protocol == 5 {
            out.extend([global(&format!("{core}.numeric"), "_frombuffer"), b"(\x96".to_vec()].concat());
            out.extend([&u64::from(length).to_le_bytes()[..], pixels, b"\x94", frame].concat());
            out.extend([dtype(&text("numpy")), b"M\x10'M\x00\x0c\x86\x94".to_vec(), text("C")].concat());
            out.extend(b"t\x94R\x94");
        } else {
            out.extend(
                [global(&format!("{core}.multiarray"), "_reconstruct"), text("numpy"), text("ndarray")].concat(),
            );
            out.extend(b"\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01M\x10'M\x00\x0c\x86\x94");
            // "numpy" was the value with the number 7.
            out.extend([dtype(b"h\x07"), b"\x89B".to_vec(), length.to_le_bytes().to_vec()].concat());
            out.extend([pixels, &b"\x94"[..], frame, b"t\x94b"].concat());
        }
        out.extend(b"u.");
        out
    }

    #[test]
    fn reads_what_python_3_pickles() {
        for (protocol, core) in [(4, "numpy.core"), (4, "numpy._core"), (5, "numpy._core")] {
            let read = parsed(&python_3(protocol, core));
            assert!(read.unwrap_or_else(|error| panic!("protocol {protocol}: {error:#}")) == SAMPLE.test);
        }
        let other = python_3(4, "numpy.care");
        assert!(parsed(&other).is_err(), "another function than NumPy's");
    }

    fn parsed(bytes: &[u8]) -> Result<Images> {
        let mut images = Images::zeroed(BATCH_IMAGES);
        let Images { labels, pixels } = &mut images;
        read_batch(bytes, bytes.len() as u64, Slot { file: "data_batch_3".to_owned(), labels, pixels })?;
        Ok(images)
    }

    #[test]
    fn reads_labels_and_pixels_stored_by_rows_or_by_columns() {
        assert!(parsed(&python(5)).unwrap() == SAMPLE.test);
        let mut columns = vec![0; BATCH_IMAGES * IMAGE_BYTES];
        for (i, image) in SAMPLE.test.pixels.chunks_exact(IMAGE_BYTES).enumerate() {
            // The sample's other pixels are 0.
            (0..8).for_each(|position| columns[position * BATCH_IMAGES + i] = image[position]);
        }
        assert!(parsed(&dictionary("", &SAMPLE.test.labels, &columns, true)).unwrap() == SAMPLE.test);
    }

    #[test]
    fn faults_are_named() {
        let Images { mut labels, pixels } = SAMPLE.test.clone();
        let message = |bytes: &[u8]| format!("{:#}", parsed(bytes).unwrap_err());
        let short = message(&dictionary("", &labels[1..], &pixels, false));
        assert!(short.ends_with("9999 labels instead of 10000"), "{short}");
        let short = message(&dictionary("", &labels, &pixels[1..], false));
        assert!(short.ends_with("30719999 pixel bytes instead of 30720000"), "{short}");
        labels[412] = 17;
        let wrong = message(&dictionary("", &labels, &pixels, false));
        assert!(wrong.ends_with("data_batch_3: record 412: label 17 is not in 0..=9"), "{wrong}");
        assert!(message(b"\x80\x06}.").contains("protocols 2 to 5"));
        assert!(message(b"\x80\x04}(\x8c\x0bfine_labels").contains("CIFAR-100"));
        assert!(message(b"\x80\x02}(U\x04evil").contains("unexpected entry 'evil'"));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = python(0);
        for length in (0..3_000).chain((whole.len() - 3_000)..whole.len()).step_by(149) {
            assert!(parsed(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
