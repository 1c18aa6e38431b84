//! A strip or tile without its compression.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use fax::decoder::{DecodeStatus, Group4Decoder, pels};
use flate2::read::ZlibDecoder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::directory::{CUT_OFF, unsigned};
use super::layout::{Compression, Layout, Predictor, refused};
use crate::pictures::jpeg::whole_picture;

/// `rows` rows of samples, each padded to whole bytes.
pub fn unpack(layout: &Layout, chunk: &[u8], rows: usize) -> Result<Vec<u8>> {
    let stored = match layout.reversed_bits {
        true => Cow::Owned(chunk.iter().map(|byte| byte.reverse_bits()).collect()),
        false => Cow::Borrowed(chunk),
    };
    let (across, down) = layout.subsampling;
    let width = layout.chunk_width as usize;
    if (across, down) == (1, 1) {
        let mut samples = decompress(layout, &stored, row_bytes(layout) * rows, rows)?;
        if layout.predictor != Predictor::None {
            samples.chunks_exact_mut(row_bytes(layout)).for_each(|row| undo_predictor(layout, row));
        }
        return Ok(samples);
    }
    let length = width.div_ceil(across) * rows.div_ceil(down) * (across * down + 2);
    let units = decompress(layout, &stored, length, rows)?;
    Ok(spread(&units, width, rows, layout.subsampling))
}

pub fn row_bytes(layout: &Layout) -> usize {
    (layout.chunk_width as usize * layout.samples_per_chunk() * layout.bits).div_ceil(8)
}

/// Exactly `length` bytes.
fn decompress(layout: &Layout, stored: &[u8], length: usize, rows: usize) -> Result<Vec<u8>> {
    let mut samples = vec![0; length];
    match layout.compression {
        Compression::None => samples.copy_from_slice(stored.get(..length).context(CUT_OFF)?),
        Compression::Deflate => ZlibDecoder::new(stored).read_exact(&mut samples).map_err(|error| {
            if error.kind() == ErrorKind::UnexpectedEof { anyhow!(CUT_OFF) } else { anyhow!("damaged: {error}") }
        })?,
        Compression::Lzw => lzw(stored, &mut samples)?,
        Compression::PackBits => pack_bits(stored, &mut samples)?,
        Compression::Fax4 => fax(stored, layout.chunk_width, &mut samples)?,
        Compression::Jpeg => jpeg(layout, stored, &mut samples, rows)?,
    }
    Ok(samples)
}

fn lzw(stored: &[u8], samples: &mut [u8]) -> Result<()> {
    ensure!(!matches!(stored, [0, second, ..] if second & 1 == 1), refused("LZW of before TIFF 5.0"));
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let (mut stored, mut rest) = (stored, samples);
    while !rest.is_empty() {
        let step = decoder.decode_bytes(stored, rest);
        step.status.context("damaged: its LZW codes")?;
        ensure!(step.consumed_in + step.consumed_out > 0, CUT_OFF);
        (stored, rest) = (&stored[step.consumed_in..], &mut rest[step.consumed_out..]);
    }
    Ok(())
}

fn pack_bits(mut stored: &[u8], samples: &mut [u8]) -> Result<()> {
    let mut rest = samples;
    while !rest.is_empty() {
        let (&head, after) = stored.split_first().context(CUT_OFF)?;
        // Head 128 means nothing.
        let (count, stored_count) = match head {
            0..128 => (usize::from(head) + 1, usize::from(head) + 1),
            128 => (0, 0),
            129.. => (257 - usize::from(head), 1),
        };
        let (bytes, after) = after.split_at_checked(stored_count).context(CUT_OFF)?;
        let (run, more) = rest.split_at_mut(count.min(rest.len()));
        match bytes {
            [byte] => run.fill(*byte),
            _ => run.copy_from_slice(&bytes[..run.len()]),
        }
        (stored, rest) = (after, more);
    }
    Ok(())
}

/// Black is one.
fn fax(stored: &[u8], width: u32, samples: &mut [u8]) -> Result<()> {
    let width = u16::try_from(width).ok().context("damaged: a fax of too many columns")?;
    let mut decoder = Group4Decoder::new(stored.iter().map(|byte| std::io::Result::Ok(*byte)), width)?;
    for row in samples.chunks_exact_mut(usize::from(width).div_ceil(8)) {
        match decoder.advance() {
            Ok(DecodeStatus::Incomplete) => {}
            Ok(DecodeStatus::End) => bail!(CUT_OFF),
            Err(_) => bail!("damaged: its fax codes"),
        }
        for (column, colour) in pels(decoder.transition(), width).enumerate() {
            row[column / 8] |= u8::from(colour == fax::Color::Black) << (7 - column % 8);
        }
    }
    Ok(())
}

fn jpeg(layout: &Layout, stored: &[u8], samples: &mut [u8], rows: usize) -> Result<()> {
    let whole = match layout.jpeg_tables {
        // Without the end of the one and the beginning of the other.
        [tables @ .., _, _] => [tables, stored.get(2..).context(CUT_OFF)?].concat(),
        _ => stored.to_vec(),
    };
    let whole = whole_picture(&whole).context(CUT_OFF)?;
    let mut decoder = JpegDecoder::new(ZCursor::new(whole));
    decoder.decode_headers().map_err(|error| anyhow!("damaged: {error}"))?;
    let info = decoder.info().context("damaged: a JPEG of no size")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let fits = width == layout.chunk_width as usize && (rows..=layout.chunk_height as usize).contains(&height);
    ensure!(fits, "damaged: a JPEG of {width}×{height} pixels in place of {}×{rows}", layout.chunk_width);
    let components = usize::from(info.components);
    ensure!(components == layout.samples_per_chunk(), "damaged: a JPEG of {components} samples");
    let colours = decoder.input_colorspace().context("damaged: a JPEG of no colours")?;
    // What the samples mean is the TIFF's to say.
    decoder.set_options(DecoderOptions::default().jpeg_set_out_colorspace(colours));
    let decoded = decoder.decode().map_err(|error| anyhow!("damaged: {error}"))?;
    samples.copy_from_slice(decoded.get(..samples.len()).context(CUT_OFF)?);
    Ok(())
}

/// Each unit has the luma of some pixels, and the chroma that they share.
fn spread(units: &[u8], width: usize, rows: usize, (across, down): (usize, usize)) -> Vec<u8> {
    let mut samples = Vec::with_capacity(3 * width * rows);
    let unit_bytes = across * down + 2;
    for row in 0..rows {
        let units = &units[row / down * width.div_ceil(across) * unit_bytes..];
        for column in 0..width {
            let unit = &units[column / across * unit_bytes..][..unit_bytes];
            let luma = unit[row % down * across + column % across];
            samples.extend([luma, unit[unit_bytes - 2], unit[unit_bytes - 1]]);
        }
    }
    samples
}

/// From differences to samples.
fn undo_predictor(layout: &Layout, row: &mut [u8]) {
    let (size, step) = (layout.bits / 8, layout.samples_per_chunk());
    if layout.predictor == Predictor::FloatingPoint {
        for at in step..row.len() {
            row[at] = row[at].wrapping_add(row[at - step]);
        }
        // First the highest bytes of all samples, last the lowest.
        let (planes, count) = (row.to_vec(), row.len() / size);
        for (at, byte) in row.iter_mut().enumerate() {
            let place = if layout.big_endian { at % size } else { size - 1 - at % size };
            *byte = planes[place * count + at / size];
        }
        return;
    }
    for at in (step * size..row.len()).step_by(size) {
        let before = unsigned(&row[at - step * size..][..size], layout.big_endian);
        let sample = unsigned(&row[at..][..size], layout.big_endian).wrapping_add(before);
        match layout.big_endian {
            true => row[at..][..size].copy_from_slice(&sample.to_be_bytes()[8 - size..]),
            false => row[at..][..size].copy_from_slice(&sample.to_le_bytes()[..size]),
        }
    }
}
