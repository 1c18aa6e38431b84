//! What the tags of a TIFF say about its samples, as far as it can be shown exactly. All else is refused by name.

use std::fmt::Display;

use anyhow::{Context, Error, Result, anyhow, ensure};

use super::colour::{Alpha, Colour, YCbCr};
use super::directory::Directory;

/// Tags of TIFF 6.0.
mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTES: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTES: u16 = 325;
    pub const INK_SET: u16 = 332;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
    pub const COEFFICIENTS: u16 = 529;
    pub const SUBSAMPLING: u16 = 530;
    pub const REFERENCE: u16 = 532;
}

/// Of strips as wide as the picture, or of tiles.
pub struct Layout<'a> {
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    /// Of a pixel, with those that are not looked at.
    pub samples: usize,
    pub bits: usize,
    /// IEEE numbers, else whole ones without a sign.
    pub float: bool,
    pub alpha: Option<Alpha>,
    /// Each sample has chunks of its own.
    pub planar: bool,
    pub big_endian: bool,
    pub chunk_width: u32,
    pub chunk_height: u32,
    /// Tiles are full at the edges too.
    pub tiled: bool,
    /// Row by row, plane by plane.
    pub chunks: Vec<&'a [u8]>,
    pub compression: Compression,
    pub predictor: Predictor,
    pub reversed_bits: bool,
    pub jpeg_tables: &'a [u8],
    /// Luma samples across and down that share their chroma samples, in chunks that keep only one of these.
    pub subsampling: (usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Fax4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Predictor {
    None,
    Horizontal,
    FloatingPoint,
}

/// For a property of the file that would make its pixels wrong.
pub fn refused(property: impl Display) -> Error {
    anyhow!("a TIFF with {property}, which is not read here; save it as PNG")
}

impl<'a> Layout<'a> {
    pub fn read(tags: &Directory<'a>) -> Result<Layout<'a>> {
        let (width, height) = (size(tags, tag::WIDTH)?, size(tags, tag::HEIGHT)?);
        ensure!(width > 0 && height > 0, "damaged: {width}×{height} pixels");
        let samples = tags.number(tag::SAMPLES)?.unwrap_or(1) as usize;
        let (bits, float) = (bits(tags, samples)?, float(tags)?);
        let planar = choice(tags, tag::PLANAR, "planar configuration")? == 2;
        let colour = colour(tags, bits, float)?;
        let alpha = alpha(&colour, samples, planar, &tags.numbers(tag::EXTRA_SAMPLES)?)?;
        let compression = compression(tags.number(tag::COMPRESSION)?.unwrap_or(1))?;
        let tiled = tags.number(tag::TILE_WIDTH)?.is_some();
        let (chunk_width, chunk_height) = match tiled {
            true => (size(tags, tag::TILE_WIDTH)?, size(tags, tag::TILE_HEIGHT)?),
            false => (width, tags.number(tag::ROWS_PER_STRIP)?.map_or(height, |rows| rows.min(height.into()) as u32)),
        };
        let mut layout = Layout {
            width,
            height,
            colour,
            samples,
            bits,
            float,
            alpha,
            planar,
            big_endian: tags.source.big_endian,
            chunk_width,
            chunk_height,
            tiled,
            chunks: vec![],
            compression,
            predictor: predictor(tags, compression, bits, float)?,
            // A JPEG has an order of its own.
            reversed_bits: choice(tags, tag::FILL_ORDER, "fill order")? == 2 && compression != Compression::Jpeg,
            jpeg_tables: tags.bytes(tag::JPEG_TABLES),
            subsampling: (1, 1),
        };
        layout.subsampling = subsampling(tags, &layout)?;
        layout.check_depth()?;
        layout.chunks = layout.find_chunks(tags)?;
        Ok(layout)
    }

    fn check_depth(&self) -> Result<()> {
        let Layout { bits, samples, float, .. } = *self;
        let known = if float { matches!(bits, 16 | 32 | 64) } else { matches!(bits, 1..=32 | 64) };
        let number = if float { "floating-point " } else { "" };
        ensure!(known, refused(format!("{number}samples of {bits} bits")));
        match self.compression {
            Compression::Jpeg => ensure!(bits == 8 && !float, refused(format!("JPEG samples of {bits} bits"))),
            Compression::Fax4 => {
                ensure!(bits == 1 && samples == 1, refused("fax compression of more than black and white"))
            }
            _ => {}
        }
        Ok(())
    }

    pub fn across(&self) -> u32 {
        self.width.div_ceil(self.chunk_width)
    }

    pub fn down(&self) -> u32 {
        self.height.div_ceil(self.chunk_height)
    }

    pub fn planes(&self) -> usize {
        if self.planar { self.samples } else { 1 }
    }

    /// Of the samples of one chunk for each pixel.
    pub fn samples_per_chunk(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// As they lie in the file without its compression, with the padding of tiles.
    pub fn stored_bytes(&self) -> u64 {
        let bits = u64::from(self.chunk_width).saturating_mul((self.samples_per_chunk() * self.bits) as u64);
        let rows = u64::from(self.down()).saturating_mul(self.chunk_height.into());
        let chunks = (self.planes() as u64).saturating_mul(self.across().into());
        bits.div_ceil(8).saturating_mul(rows).saturating_mul(chunks)
    }

    fn find_chunks(&self, tags: &Directory<'a>) -> Result<Vec<&'a [u8]>> {
        ensure!(self.chunk_width > 0 && self.chunk_height > 0, "damaged: strips or tiles of no size");
        let (offsets, lengths) = match self.tiled {
            true => (tag::TILE_OFFSETS, tag::TILE_BYTES),
            false => (tag::STRIP_OFFSETS, tag::STRIP_BYTES),
        };
        let (offsets, lengths) = (tags.numbers(offsets)?, tags.numbers(lengths)?);
        let needed = u64::from(self.across()) * u64::from(self.down());
        let needed = needed.saturating_mul(self.planes() as u64);
        let found = offsets.len().min(lengths.len()) as u64;
        ensure!(found >= needed, "damaged: {found} strips or tiles of {needed}");
        let chunks = offsets.into_iter().zip(lengths).take(needed as usize);
        chunks.map(|(offset, length)| tags.source.part(offset, length)).collect()
    }
}

/// In pixels; 0 where it is not said.
fn size(tags: &Directory, tag: u16) -> Result<u32> {
    u32::try_from(tags.number(tag)?.unwrap_or(0)).ok().context("damaged: a side of more pixels than there can be")
}

fn bits(tags: &Directory, samples: usize) -> Result<usize> {
    let bits = tags.numbers(tag::BITS)?;
    let first = *bits.first().unwrap_or(&1);
    ensure!(bits.iter().all(|&bits| bits == first), refused(format!("samples of different depths ({bits:?} bits)")));
    ensure!(bits.len() <= 1 || bits.len() == samples, "damaged: the depths of {} samples of {samples}", bits.len());
    Ok(first as usize)
}

fn float(tags: &Directory) -> Result<bool> {
    let formats = tags.numbers(tag::SAMPLE_FORMAT)?;
    let first = *formats.first().unwrap_or(&1);
    ensure!(formats.iter().all(|&format| format == first), refused("samples of different formats"));
    match first {
        1 => Ok(false),
        2 => Err(refused("signed samples")),
        3 => Ok(true),
        5 | 6 => Err(refused("complex samples")),
        _ => Err(refused("samples of an undefined format")),
    }
}

/// One or two; one where it is not said.
fn choice(tags: &Directory, tag: u16, name: &str) -> Result<u64> {
    let value = tags.number(tag)?.unwrap_or(1);
    ensure!(value == 1 || value == 2, refused(format!("{name} {value}")));
    Ok(value)
}

fn colour(tags: &Directory, bits: usize, float: bool) -> Result<Colour> {
    Ok(match tags.number(tag::PHOTOMETRIC)? {
        Some(0) if float => return Err(refused("floating-point samples of which zero is white")),
        Some(0) => Colour::Grey { white_is_zero: true },
        Some(1) => Colour::Grey { white_is_zero: false },
        Some(2) => Colour::Rgb,
        Some(3) => Colour::Palette(palette(tags, bits, float)?),
        Some(4) => return Err(refused("a transparency mask in the picture's place")),
        Some(5) => {
            let ink_set = tags.number(tag::INK_SET)?.unwrap_or(1);
            ensure!(ink_set == 1, refused("inks other than CMYK"));
            Colour::Cmyk
        }
        Some(6) => {
            ensure!(bits == 8 && !float, refused(format!("YCbCr samples of {bits} bits")));
            let luma = tags.fractions(tag::COEFFICIENTS, [0.299, 0.587, 0.114])?;
            let reference = tags.fractions(tag::REFERENCE, [0.0, 255.0, 128.0, 255.0, 128.0, 255.0])?;
            Colour::YCbCr(YCbCr { luma, reference })
        }
        Some(8..=10) => return Err(refused("Lab colours")),
        Some(32803 | 34892) => return Err(refused("a camera's raw samples")),
        Some(32844 | 32845) => return Err(refused("LogLuv colours")),
        Some(other) => return Err(refused(format!("colours of an unknown kind ({other})"))),
        None => return Err(refused("colours of no stated kind")),
    })
}

/// Reds, greens and blues of 16 bits, one after another.
fn palette(tags: &Directory, bits: usize, float: bool) -> Result<Vec<[u8; 3]>> {
    ensure!((1..=16).contains(&bits) && !float, refused(format!("a palette for samples of {bits} bits")));
    let (map, colours) = (tags.numbers(tag::COLOUR_MAP)?, 1 << bits);
    ensure!(map.len() == 3 * colours, "damaged: a palette of {} values instead of {}", map.len(), 3 * colours);
    let colour = |index| [0, 1, 2].map(|plane| (map[plane * colours + index] >> 8) as u8);
    Ok((0..colours).map(colour).collect())
}

fn alpha(colour: &Colour, samples: usize, planar: bool, extra: &[u64]) -> Result<Option<Alpha>> {
    let own = colour.samples();
    ensure!(samples >= own, refused(format!("{samples} samples a pixel, of which its colours need {own}")));
    if extra.is_empty() && samples == own + 1 && matches!(colour, Colour::Rgb) && !planar {
        // Older programs did not say so.
        return Ok(Some(Alpha { sample: own, premultiplied: false }));
    }
    ensure!(extra.len() == samples - own, refused("samples whose meaning is not said"));
    let mut found = None;
    for (&kind, sample) in extra.iter().zip(own..) {
        ensure!(kind <= 2, refused(format!("extra samples of an unknown kind ({kind})")));
        if kind > 0 {
            ensure!(found.is_none(), refused("several opacities"));
            found = Some(Alpha { sample, premultiplied: kind == 1 });
        }
    }
    let can_be_premultiplied = matches!(colour, Colour::Rgb | Colour::Grey { white_is_zero: false });
    let premultiplied = found.is_some_and(|alpha| alpha.premultiplied);
    ensure!(can_be_premultiplied || !premultiplied, refused("premultiplied opacity of other than grey or RGB"));
    Ok(found)
}

fn compression(number: u64) -> Result<Compression> {
    let name = match number {
        1 => return Ok(Compression::None),
        4 => return Ok(Compression::Fax4),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg),
        8 | 32946 => return Ok(Compression::Deflate),
        32773 => return Ok(Compression::PackBits),
        2 | 3 => "fax (group 3)",
        6 => "old-style JPEG",
        34712 | 33003 | 33005 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        50002 => "JPEG XL",
        _ => return Err(refused(format!("compression of an unknown kind ({number})"))),
    };
    Err(refused(format!("{name} compression")))
}

fn predictor(tags: &Directory, compression: Compression, bits: usize, float: bool) -> Result<Predictor> {
    let predictor = match tags.number(tag::PREDICTOR)?.unwrap_or(1) {
        1 => return Ok(Predictor::None),
        2 => Predictor::Horizontal,
        3 => Predictor::FloatingPoint,
        other => return Err(refused(format!("a predictor of an unknown kind ({other})"))),
    };
    let has_predictor = matches!(compression, Compression::Lzw | Compression::Deflate);
    // Some programs heed it there, others do not.
    ensure!(has_predictor, refused("a predictor, but neither LZW nor Deflate"));
    let fits = match predictor {
        Predictor::FloatingPoint => float,
        _ => matches!(bits, 8 | 16 | 32 | 64),
    };
    ensure!(fits, refused(format!("a predictor for samples of {bits} bits that is not made for them")));
    Ok(predictor)
}

/// The decoder of JPEG gives each pixel its own chroma.
fn subsampling(tags: &Directory, layout: &Layout) -> Result<(usize, usize)> {
    if !matches!(layout.colour, Colour::YCbCr(_)) || layout.compression == Compression::Jpeg && !layout.planar {
        return Ok((1, 1));
    }
    let factors = match tags.numbers(tag::SUBSAMPLING)?[..] {
        [] => (2, 2),
        [across, down] => (across as usize, down as usize),
        _ => (0, 0),
    };
    let known = [1, 2, 4].contains(&factors.0) && [1, 2, 4].contains(&factors.1);
    ensure!(known, refused("chroma subsampling of an unknown kind"));
    let plain = !layout.planar && layout.samples == 3 && layout.predictor == Predictor::None;
    ensure!(plain || factors == (1, 1), refused("chroma subsampling beside planes, a predictor or extra samples"));
    Ok(factors)
}
