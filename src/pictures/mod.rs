//! Picture files of any size and common kind as the small squares that networks look at.

mod jpeg;
mod size;
mod tiff;

use std::io::{Cursor, ErrorKind};

use anyhow::{Context, Result, anyhow, ensure};
use image::imageops::{FilterType, resize};
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, Rgba, SubImage,
};

use jpeg::whole_picture;
use size::{MAX_PIXEL_BYTES, check_size, middle};

/// Larger files are no pictures of one object.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// [side, side, 3] bytes, red, green and blue for each pixel: the middle square of the picture as it is meant to be seen,
/// turned as its EXIF data say and on white where it is transparent. Of an animation the first frame. Refuses what is no whole
/// picture of a kind that is read here, or has too many pixels.
pub fn small_square(bytes: &[u8], side: u32) -> Result<Vec<u8>> {
    ensure!(!bytes.is_empty(), "the file is empty");
    let (picture, orientation) = if tiff::begins(bytes) { tiff::middle_square(bytes)? } else { decode(bytes)? };
    Ok(shrink(&picture, orientation, side))
}

/// The same of a picture that has been decoded.
pub fn shrink(picture: &DynamicImage, orientation: Orientation, side: u32) -> Vec<u8> {
    let (left, top, whole_side) = middle(picture.dimensions());
    let square = OnWhite(picture.view(left, top, whole_side, whole_side));
    let mut small = DynamicImage::from(resize(&square, side, side, FilterType::Triangle));
    small.apply_orientation(orientation);
    small.into_rgb8().into_raw()
}

/// A picture of another kind than TIFF, and how it is to be turned.
fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation)> {
    let format = image::guess_format(bytes).ok().filter(|format| format.reading_enabled());
    let format = format.context("not a picture that can be read here; valid: PNG, JPEG, GIF, BMP, WebP, TIFF")?;
    let bytes = if format == ImageFormat::Jpeg { whole_picture(bytes).context("the file is cut off")? } else { bytes };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXEL_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(in_words)?;
    check_size(decoder.dimensions(), decoder.total_bytes())?;
    // Damaged notes about a picture do not spoil its pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(in_words)?, orientation))
}

/// Once: these errors repeat their causes in their own text.
fn in_words(error: ImageError) -> anyhow::Error {
    match error {
        ImageError::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof => anyhow!("the file is cut off"),
        other => anyhow!("{other}"),
    }
}

/// A part of a picture on white, without a copy of it.
struct OnWhite<'a>(SubImage<&'a DynamicImage>);

impl GenericImageView for OnWhite<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let Rgba([colours @ .., opacity]) = self.0.get_pixel(x, y);
        let opacity = u32::from(opacity);
        Rgb(colours.map(|colour| ((u32::from(colour) * opacity + 255 * (255 - opacity) + 127) / 255) as u8))
    }
}
