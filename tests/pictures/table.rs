//! Small TIFFs of every kind, with the pixels that TIFF 6.0 gives them.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::ZlibEncoder;

use crate::common::Random;

pub const WIDTH: usize = 20;
pub const HEIGHT: usize = 18;
/// Of the middle square.
pub const SIDE: usize = HEIGHT;
const TILE: usize = 16;
const ROWS_PER_STRIP: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    Lab,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Unsigned = 1,
    Signed,
    Float,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None = 1,
    Lzw = 5,
    Deflate = 8,
    PackBits = 32773,
    Zstandard = 50000,
}

#[derive(Clone, Debug)]
pub struct Kind {
    pub colour: Colour,
    pub bits: usize,
    pub format: Format,
    /// What the extra samples are; None where the file does not say it of the one it has.
    pub extra: Option<Vec<u64>>,
    pub predictor: u64,
    pub planar: bool,
    pub tiled: bool,
    pub big_endian: bool,
    pub big_tiff: bool,
    pub reversed_bits: bool,
    pub compression: Compression,
    /// Only of YCbCr.
    pub subsampling: (usize, usize),
}

pub const PLAIN: Kind = Kind {
    colour: Colour::Rgb,
    bits: 8,
    format: Format::Unsigned,
    extra: Some(vec![]),
    predictor: 1,
    planar: false,
    tiled: false,
    big_endian: false,
    big_tiff: false,
    reversed_bits: false,
    compression: Compression::None,
    subsampling: (1, 1),
};

impl Kind {
    fn colours(&self) -> usize {
        match self.colour {
            Colour::WhiteIsZero | Colour::BlackIsZero | Colour::Palette => 1,
            Colour::Rgb | Colour::YCbCr | Colour::Lab => 3,
            Colour::Cmyk => 4,
        }
    }

    fn samples(&self) -> usize {
        self.colours() + self.extra.as_ref().map_or(1, Vec::len)
    }

    /// The sample that is the opacity, and whether the colours are multiplied by it.
    pub fn alpha(&self) -> Option<(usize, bool)> {
        let extra = self.extra.clone().unwrap_or(vec![2]);
        extra.iter().position(|&kind| kind > 0).map(|at| (self.colours() + at, extra[at] == 1))
    }

    /// Whether TIFF 6.0 and its supplements allow it.
    pub fn exists(&self) -> bool {
        let packed = matches!(self.compression, Compression::Lzw | Compression::Deflate);
        let format = match self.format {
            Format::Float => matches!(self.bits, 16 | 32 | 64),
            Format::Signed => self.bits >= 8,
            Format::Unsigned => true,
        };
        let predictor = match self.predictor {
            1 => true,
            2 => packed && matches!(self.bits, 8 | 16 | 32 | 64),
            _ => packed && self.format == Format::Float,
        };
        let colour = match self.colour {
            Colour::Palette => self.bits <= 16 && self.format == Format::Unsigned,
            Colour::YCbCr | Colour::Lab => self.bits == 8 && self.format == Format::Unsigned,
            _ => true,
        };
        let subsampled = self.subsampling != (1, 1);
        let plain = !self.planar && self.predictor == 1 && self.extra == Some(vec![]);
        let extra = self.extra.is_some() || self.colour == Colour::Rgb;
        format && predictor && colour && extra && (!subsampled || self.colour == Colour::YCbCr && plain)
    }

    /// One of strips and bytes in the commonest order.
    pub fn has_plain_layout(&self) -> bool {
        !self.planar && !self.tiled && !self.big_endian && self.predictor == 1
    }

    /// What the refusal names; None where the picture is to be seen.
    pub fn refusal(&self) -> Option<&'static str> {
        let premultiplied = self.alpha().is_some_and(|(_, premultiplied)| premultiplied);
        let can_be = matches!(self.colour, Colour::Rgb | Colour::BlackIsZero);
        Some(match self {
            Kind { format: Format::Signed, .. } => "signed samples",
            Kind { colour: Colour::Lab, .. } => "Lab colours",
            Kind { format: Format::Float, colour: Colour::WhiteIsZero, .. } => "floating-point samples of which zero",
            Kind { extra: None, planar: true, .. } => "samples whose meaning is not said",
            _ if premultiplied && !can_be => "premultiplied opacity",
            Kind { compression: Compression::Zstandard, .. } => "Zstandard compression",
            _ => return None,
        })
    }
}

/// A file, and the [SIDE, SIDE, 3] bytes in its middle on white.
pub struct Picture {
    pub file: Vec<u8>,
    pub seen: Vec<u8>,
}

/// With random samples.
pub fn picture(kind: &Kind, random: &mut Random) -> Picture {
    let most = u64::MAX >> (64 - kind.bits);
    let palette: Vec<u64> = (0..3 << kind.bits.min(16)).map(|_| 257 * random.below(256) as u64).collect();
    let mut pixels = vec![];
    for _ in 0..WIDTH * HEIGHT {
        let mut shares: Vec<f64> =
            (0..kind.samples()).map(|_| random.below(1 << 20) as f64 / ((1 << 20) - 1) as f64).collect();
        if let Some((alpha, true)) = kind.alpha() {
            let opacity = shares[alpha];
            shares[..kind.colours()].iter_mut().for_each(|share| *share *= opacity);
        }
        pixels.push(shares.into_iter().map(|share| encode(share, kind, most)).collect::<Vec<u64>>());
    }
    share_chroma(kind, &mut pixels);
    let mut seen = vec![];
    for y in 0..SIDE {
        for x in 0..SIDE {
            seen.extend(colours(kind, &pixels[y * WIDTH + x + (WIDTH - SIDE) / 2], &palette));
        }
    }
    Picture { file: file(kind, &pixels, &palette), seen }
}

fn encode(share: f64, kind: &Kind, most: u64) -> u64 {
    match (kind.format, kind.bits) {
        (Format::Float, 16) => half(share),
        (Format::Float, 32) => (share as f32).to_bits().into(),
        (Format::Float, _) => share.to_bits(),
        (_, 64) => (share * most as f64) as u64,
        _ => (share * most as f64).round() as u64,
    }
}

/// Rounded towards zero; tiny numbers become zero.
fn half(share: f64) -> u64 {
    let bits = (share as f32).to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 15;
    if exponent <= 0 { 0 } else { (exponent as u64) << 10 | u64::from(bits >> 13 & 1023) }
}

fn share(raw: u64, kind: &Kind) -> f64 {
    match (kind.format, kind.bits) {
        (Format::Float, 16) if raw == 0 => 0.0,
        (Format::Float, 16) => f64::from(f32::from_bits(((raw as u32 >> 10) + 112) << 23 | (raw as u32 & 1023) << 13)),
        (Format::Float, 32) => f32::from_bits(raw as u32).into(),
        (Format::Float, _) => f64::from_bits(raw),
        (_, bits) => raw as f64 / (2f64.powi(bits as i32) - 1.0),
    }
}

/// Gives the pixels of a unit the chroma of its first one.
fn share_chroma(kind: &Kind, pixels: &mut [Vec<u64>]) {
    let (across, down) = kind.subsampling;
    if (across, down) != (1, 1) {
        for at in 0..WIDTH * HEIGHT {
            // Units begin anew in each tile, whose sides are multiples of theirs.
            let first = at / WIDTH / down * down * WIDTH + at % WIDTH / across * across;
            let chroma = pixels[first][1..].to_vec();
            pixels[at][1..].copy_from_slice(&chroma);
        }
    }
}

fn colours(kind: &Kind, raw: &[u64], palette: &[u64]) -> [u8; 3] {
    let shares: Vec<f64> = raw.iter().map(|&raw| share(raw, kind)).collect();
    let colours = match kind.colour {
        Colour::WhiteIsZero => [1.0 - shares[0]; 3],
        Colour::BlackIsZero => [shares[0]; 3],
        Colour::Rgb | Colour::Lab => [shares[0], shares[1], shares[2]],
        Colour::Palette => [0, 1, 2].map(|plane| palette[(plane << kind.bits) + raw[0] as usize] as f64 / 65535.0),
        Colour::Cmyk => [0, 1, 2].map(|ink| (1.0 - shares[ink]) * (1.0 - shares[3])),
        Colour::YCbCr => {
            let [luma, blue, red] = [raw[0] as f64, raw[1] as f64 - 128.0, raw[2] as f64 - 128.0];
            // The numbers of JFIF.
            [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
                .map(|colour| colour / 255.0)
        }
    };
    colours.map(|colour| {
        let colour = colour.clamp(0.0, 1.0);
        let on_white = match kind.alpha() {
            Some((alpha, true)) => colour.min(shares[alpha]) + 1.0 - shares[alpha],
            Some((alpha, false)) => colour * shares[alpha] + 1.0 - shares[alpha],
            None => colour,
        };
        (255.0 * on_white).round() as u8
    })
}

// ---- the file ----

fn file(kind: &Kind, pixels: &[Vec<u64>], palette: &[u64]) -> Vec<u8> {
    let chunks = chunks(kind, pixels);
    let samples = kind.samples();
    let photometric = match kind.colour {
        Colour::WhiteIsZero => 0,
        Colour::BlackIsZero => 1,
        Colour::Rgb => 2,
        Colour::Palette => 3,
        Colour::Cmyk => 5,
        Colour::YCbCr => 6,
        Colour::Lab => 8,
    };
    let mut tags = vec![
        (256, vec![WIDTH as u64]),
        (257, vec![HEIGHT as u64]),
        (258, vec![kind.bits as u64; samples]),
        (259, vec![kind.compression as u64]),
        (262, vec![photometric]),
        (266, vec![1 + u64::from(kind.reversed_bits)]),
        (277, vec![samples as u64]),
        (284, vec![1 + u64::from(kind.planar)]),
        (317, vec![kind.predictor]),
        (339, vec![kind.format as u64; samples]),
    ];
    if kind.colour == Colour::Palette {
        tags.push((320, palette.to_vec()));
    }
    if kind.colour == Colour::YCbCr {
        tags.push((530, vec![kind.subsampling.0 as u64, kind.subsampling.1 as u64]));
    }
    if let Some(extra) = kind.extra.as_ref().filter(|extra| !extra.is_empty()) {
        tags.push((338, extra.clone()));
    }
    let (mut offsets, mut data) = (vec![], vec![]);
    let head = if kind.big_tiff { 16 } else { 8 };
    for chunk in &chunks {
        offsets.push((head + data.len()) as u64);
        data.extend(chunk);
    }
    let lengths = chunks.iter().map(|chunk| chunk.len() as u64).collect();
    match kind.tiled {
        true => tags.extend([(322, vec![TILE as u64]), (323, vec![TILE as u64]), (324, offsets), (325, lengths)]),
        false => tags.extend([(273, offsets), (278, vec![ROWS_PER_STRIP as u64]), (279, lengths)]),
    }
    tags.sort();
    assemble(kind, &data, &tags)
}

/// Group 4, of WIDTH and HEIGHT.
pub fn fax(is_black: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    let mut encoder = fax::encoder::Encoder::new(fax::VecWriter::new());
    for y in 0..HEIGHT {
        let colour = |x| if is_black(x, y) { fax::Color::Black } else { fax::Color::White };
        encoder.encode_line((0..WIDTH).map(colour), WIDTH as u16).unwrap();
    }
    encoder.finish().unwrap().finish()
}

/// Compression and photometric interpretation by their numbers, samples of `bits` that the strip holds.
pub fn one_strip(compression: u64, photometric: u64, bits: &[u64], size: (u32, u32), strip: &[u8]) -> Vec<u8> {
    let (samples, length) = (bits.len() as u64, strip.len() as u64);
    let mut tags = vec![(256, vec![size.0.into()]), (257, vec![size.1.into()]), (258, bits.to_vec())];
    tags.extend([
        (259, vec![compression]),
        (262, vec![photometric]),
        (273, vec![8]),
        (277, vec![samples]),
        (279, vec![length]),
    ]);
    assemble(&PLAIN, strip, &tags)
}

/// Header, data, values, directory.
fn assemble(kind: &Kind, data: &[u8], tags: &[(u16, Vec<u64>)]) -> Vec<u8> {
    let number = |value: u64, size: usize| in_order(value, size, kind.big_endian);
    let (head, wide) = if kind.big_tiff { (16, 8) } else { (8, 4) };
    let mut values = vec![];
    let mut entries = number(tags.len() as u64, if kind.big_tiff { 8 } else { 2 });
    for (tag, numbers) in tags {
        const OFFSETS_AND_LENGTHS: [u16; 4] = [273, 279, 324, 325];
        let (code, size) = if OFFSETS_AND_LENGTHS.contains(tag) { (4, 4) } else { (3, 2) };
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|&value| number(value, size)).collect();
        entries.extend([number((*tag).into(), 2), number(code, 2), number(numbers.len() as u64, wide)].concat());
        if bytes.len() <= wide {
            bytes.resize(wide, 0);
            entries.extend(bytes);
        } else {
            entries.extend(number((head + data.len() + values.len()) as u64, wide));
            values.extend(bytes);
        }
    }
    entries.extend(number(0, wide));
    let directory = (head + data.len() + values.len()) as u64;
    let mut file = if kind.big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    match kind.big_tiff {
        true => file.extend([number(43, 2), number(8, 2), number(0, 2), number(directory, 8)].concat()),
        false => file.extend([number(42, 2), number(directory, 4)].concat()),
    }
    [file, data.to_vec(), values, entries].concat()
}

fn in_order(value: u64, size: usize, big_endian: bool) -> Vec<u8> {
    if big_endian { value.to_be_bytes()[8 - size..].to_vec() } else { value.to_le_bytes()[..size].to_vec() }
}

/// Strips or tiles, compressed; all of the first plane, then all of the next.
fn chunks(kind: &Kind, pixels: &[Vec<u64>]) -> Vec<Vec<u8>> {
    let (width, height) = if kind.tiled { (TILE, TILE) } else { (WIDTH, ROWS_PER_STRIP) };
    let planes = if kind.planar {
        (0..kind.samples()).map(|plane| vec![plane]).collect()
    } else {
        vec![(0..kind.samples()).collect()]
    };
    let mut chunks = vec![];
    for plane in &planes {
        for top in (0..HEIGHT).step_by(height) {
            for left in (0..WIDTH).step_by(width) {
                let rows = if kind.tiled { height } else { height.min(HEIGHT - top) };
                // The padding repeats the edge.
                let at = |x: usize, y: usize| &pixels[(top + y).min(HEIGHT - 1) * WIDTH + (left + x).min(WIDTH - 1)];
                let bytes = match kind.subsampling {
                    (1, 1) => (0..rows).flat_map(|y| row(kind, (0..width).map(|x| at(x, y)), plane)).collect(),
                    subsampling => units(width, rows, subsampling, at),
                };
                let stored = compress(kind.compression, &bytes);
                let turn = |byte: &u8| if kind.reversed_bits { byte.reverse_bits() } else { *byte };
                chunks.push(stored.iter().map(turn).collect());
            }
        }
    }
    chunks
}

fn units<'a>(
    width: usize,
    rows: usize,
    (across, down): (usize, usize),
    at: impl Fn(usize, usize) -> &'a Vec<u64>,
) -> Vec<u8> {
    let mut bytes = vec![];
    for y in (0..rows).step_by(down) {
        for x in (0..width).step_by(across) {
            (0..down).for_each(|dy| (0..across).for_each(|dx| bytes.push(at(x + dx, y + dy)[0] as u8)));
            bytes.extend([at(x, y)[1] as u8, at(x, y)[2] as u8]);
        }
    }
    bytes
}

fn row<'a>(kind: &Kind, pixels: impl Iterator<Item = &'a Vec<u64>>, plane: &[usize]) -> Vec<u8> {
    let mut samples: Vec<u64> = pixels.flat_map(|pixel| plane.iter().map(|&sample| pixel[sample])).collect();
    let step = plane.len();
    if kind.predictor == 2 {
        (step..samples.len()).rev().for_each(|at| samples[at] = samples[at].wrapping_sub(samples[at - step]));
    }
    let size = kind.bits / 8;
    if kind.predictor == 3 {
        // All highest bytes first, then differences of bytes.
        let highest_first: Vec<Vec<u8>> = samples.iter().map(|&sample| in_order(sample, size, true)).collect();
        let mut bytes: Vec<u8> =
            (0..size).flat_map(|byte| highest_first.iter().map(move |sample| sample[byte])).collect();
        (step..bytes.len()).rev().for_each(|at| bytes[at] = bytes[at].wrapping_sub(bytes[at - step]));
        return bytes;
    }
    if kind.bits.is_multiple_of(8) {
        return samples.iter().flat_map(|&sample| in_order(sample, size, kind.big_endian)).collect();
    }
    let mut bytes = vec![0; (samples.len() * kind.bits).div_ceil(8)];
    for (index, sample) in samples.iter().enumerate() {
        for bit in 0..kind.bits {
            let place = index * kind.bits + bit;
            bytes[place / 8] |= ((sample >> (kind.bits - 1 - bit) & 1) as u8) << (7 - place % 8);
        }
    }
    bytes
}

pub fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None | Compression::Zstandard => bytes.to_vec(),
        Compression::Lzw => {
            let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
            encoder.encode(bytes).unwrap()
        }
        Compression::Deflate => {
            let mut encoder = ZlibEncoder::new(vec![], Level::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        // Runs of two where there are any, else literals; with a head that means nothing in front.
        Compression::PackBits => {
            let mut packed = vec![128];
            for pair in bytes.chunks(2) {
                match pair {
                    [first, second] if first == second => packed.extend([255, *first]),
                    _ => packed.extend([&[pair.len() as u8 - 1], pair].concat()),
                }
            }
            packed
        }
    }
}
