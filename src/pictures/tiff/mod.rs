//! TIFF pictures as a network may see them. General decoders show a TIFF's samples whatever they mean, and drop some on the
//! way; here its tags decide, and what cannot be shown exactly is refused by name.

mod chunk;
mod colour;
mod directory;
mod layout;

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};

use colour::Colour;
use directory::{Directory, unsigned};
use layout::{Layout, refused};

pub use directory::begins;

use super::size::{check_size, middle};

const ORIENTATION: u16 = 274;

/// The middle square of a file's first picture on white, and how it is to be turned.
pub fn middle_square(bytes: &[u8]) -> Result<(DynamicImage, Orientation)> {
    let tags = Directory::first(bytes)?;
    let layout = Layout::read(&tags)?;
    let channels = if matches!(layout.colour, Colour::Grey { .. }) { 1 } else { 3 };
    let shown = u64::from(layout.width).saturating_mul(layout.height.into()).saturating_mul(channels);
    check_size((layout.width, layout.height), shown.max(layout.stored_bytes()))?;
    let turned = tags.number(ORIENTATION).ok().flatten().and_then(|number| u8::try_from(number).ok());
    let orientation = turned.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    let (side, pixels) = square(&layout, channels as usize)?;
    let image = match channels {
        1 => GrayImage::from_raw(side, side, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(side, side, pixels).map(DynamicImage::from),
    };
    Ok((image.context("a picture of as many pixels as it says")?, orientation))
}

/// The side, and [side, side, channels] bytes.
fn square(layout: &Layout, channels: usize) -> Result<(u32, Vec<u8>)> {
    let (left, top, side) = middle((layout.width, layout.height));
    let mut pixels = vec![0; side as usize * side as usize * channels];
    for number in 0..layout.across() * layout.down() {
        let x = number % layout.across() * layout.chunk_width;
        let y = number / layout.across() * layout.chunk_height;
        let columns = overlap(left, side, x, layout.chunk_width);
        let rows = overlap(top, side, y, layout.chunk_height);
        if columns.is_empty() || rows.is_empty() {
            continue;
        }
        let block = Block::read(layout, number, y)?;
        for row in rows {
            let start = ((row - top) as usize * side as usize + (columns.start - left) as usize) * channels;
            let target = pixels[start..].chunks_exact_mut(channels);
            for (pixel, column) in target.zip(columns.clone()) {
                let colours = block.pixel((column - x) as usize, (row - y) as usize)?;
                pixel.copy_from_slice(&colours[..channels]);
            }
        }
    }
    Ok((side, pixels))
}

/// The part of `length` from `start` that lies within `other_length` from `other_start`.
fn overlap(start: u32, length: u32, other_start: u32, other_length: u32) -> Range<u32> {
    start.max(other_start)..(start + length).min(other_start.saturating_add(other_length))
}

/// The samples of one strip or tile.
struct Block<'a> {
    layout: &'a Layout<'a>,
    planes: Vec<Vec<u8>>,
    row_bytes: usize,
}

impl Block<'_> {
    fn read<'a>(layout: &'a Layout<'a>, number: u32, y: u32) -> Result<Block<'a>> {
        let rows = if layout.tiled { layout.chunk_height } else { layout.chunk_height.min(layout.height - y) };
        let chunks = layout.chunks[number as usize..].iter().step_by((layout.across() * layout.down()) as usize);
        let planes = chunks.take(layout.planes()).map(|chunk| chunk::unpack(layout, chunk, rows as usize));
        Ok(Block { layout, planes: planes.collect::<Result<_>>()?, row_bytes: chunk::row_bytes(layout) })
    }

    /// Red, green and blue on white.
    fn pixel(&self, column: usize, row: usize) -> Result<[u8; 3]> {
        let mut samples = [0.0; 4];
        let own = &mut samples[..self.layout.colour.samples()];
        for (index, sample) in own.iter_mut().enumerate() {
            *sample = self.share(column, row, index)?;
        }
        let mut colours = self.layout.colour.rgb(own);
        if let Some(alpha) = self.layout.alpha {
            let opacity = self.share(column, row, alpha.sample)?;
            colours = colours.map(|colour| alpha.on_white(colour, opacity));
        }
        Ok(colours.map(|colour| (255.0 * colour).round() as u8))
    }

    /// A sample in 0..=1.
    fn share(&self, column: usize, row: usize, sample: usize) -> Result<f64> {
        let Layout { bits, float, big_endian, planar, samples, .. } = *self.layout;
        let (plane, index) = if planar { (sample, column) } else { (0, column * samples + sample) };
        let row = &self.planes[plane][row * self.row_bytes..][..self.row_bytes];
        let number = match bits {
            8 => row[index].into(),
            _ if bits % 8 == 0 => unsigned(&row[index * bits / 8..][..bits / 8], big_endian),
            _ => bit_field(row, index * bits, bits),
        };
        if !float {
            return Ok(number as f64 / (u64::MAX >> (64 - bits)) as f64);
        }
        let value = match bits {
            16 => half(number as u16),
            32 => f32::from_bits(number as u32).into(),
            _ => f64::from_bits(number),
        };
        ensure!(
            (0.0..=1.0).contains(&value),
            refused(format!("a floating-point sample that is not in 0 to 1 ({value})"))
        );
        Ok(value)
    }
}

/// Highest bit first.
fn bit_field(row: &[u8], start: usize, bits: usize) -> u64 {
    let bytes = &row[start / 8..(start + bits).div_ceil(8)];
    let number = unsigned(bytes, true) >> (8 * bytes.len() - start % 8 - bits);
    number & (u64::MAX >> (64 - bits))
}

/// An IEEE number of 16 bits.
fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f64::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}
