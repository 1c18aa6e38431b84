//! Picture files of any size and common kind as the small squares that networks look at.

use std::io::{Cursor, ErrorKind};

use anyhow::{Context, Result, anyhow, ensure};
use image::imageops::{FilterType, resize};
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, Rgba};

/// A picture's pixels may take so much memory, which 20,000×20,000 pixels of one byte do not reach; decoders may take as
/// much again for themselves.
const MAX_PIXEL_BYTES: u64 = 512 << 20;
const MEGABYTE: u64 = 1_000_000;

/// [side, side, 3] bytes, red, green and blue for each pixel: the middle square of the picture as it is meant to be seen,
/// turned as its EXIF data say and on white where it is transparent. Of an animation the first frame.
///
/// # Errors
/// Not a whole picture of a kind that is read here, or one with too many pixels.
pub fn small_square(bytes: &[u8], side: u32) -> Result<Vec<u8>> {
    ensure!(!bytes.is_empty(), "the file is empty");
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().filter(|format| format.reading_enabled());
    let format = format.context("not a picture that can be read here; valid: PNG, JPEG, GIF, BMP, WebP, TIFF")?;
    ensure!(format != ImageFormat::Jpeg || is_whole_jpeg(bytes), "the file is cut off");
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXEL_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(in_words)?;
    let (width, height) = decoder.dimensions();
    ensure!(
        decoder.total_bytes() <= MAX_PIXEL_BYTES,
        "{width}×{height} pixels take {} MB, more than the {} MB that are read; make it smaller",
        decoder.total_bytes() / MEGABYTE,
        MAX_PIXEL_BYTES / MEGABYTE
    );
    // Damaged notes about a picture do not spoil its pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(in_words)?;
    let mut small = DynamicImage::from(resize(&Square::middle(&picture), side, side, FilterType::Triangle));
    small.apply_orientation(orientation);
    Ok(small.into_rgb8().into_raw())
}

/// Once: these errors repeat their causes in their own text.
fn in_words(error: ImageError) -> anyhow::Error {
    match error {
        ImageError::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof => anyhow!("the file is cut off"),
        other => anyhow!("{other}"),
    }
}

/// The decoder fills the rest of a JPEG that is cut off with grey, so look for the end of the last scan: neither marker can
/// occur among its data.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xFF, 0xDA];
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    let last = |marker| bytes.windows(2).rposition(|pair| pair == marker);
    last(END_OF_IMAGE) > last(START_OF_SCAN)
}

/// The middle square of a picture on white, without a copy of the picture.
struct Square<'a> {
    picture: &'a DynamicImage,
    left: u32,
    top: u32,
    side: u32,
}

impl Square<'_> {
    fn middle(picture: &DynamicImage) -> Square<'_> {
        let (width, height) = picture.dimensions();
        let side = width.min(height);
        Square { picture, left: (width - side) / 2, top: (height - side) / 2, side }
    }
}

impl GenericImageView for Square<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        (self.side, self.side)
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let Rgba([colours @ .., opacity]) = self.picture.get_pixel(self.left + x, self.top + y);
        let opacity = u32::from(opacity);
        Rgb(colours.map(|colour| ((u32::from(colour) * opacity + 255 * (255 - opacity) + 127) / 255) as u8))
    }
}
