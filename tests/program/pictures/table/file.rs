//! The bytes of a TIFF: its samples in strips or tiles, and the directory that says so.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::ZlibEncoder;

use super::kind::{Colour, Compression, HEIGHT, Kind, PLAIN, WIDTH};

const TILE: usize = 16;
const ROWS_PER_STRIP: usize = 8;

pub fn file(kind: &Kind, pixels: &[Vec<u64>], palette: &[u64]) -> Vec<u8> {
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
