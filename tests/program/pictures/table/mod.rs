//! Small TIFFs of every kind, with the pixels that TIFF 6.0 gives them.

mod file;
mod kind;

#[allow(unused_imports)] // Other tests use the rest.
pub use file::{compress, fax, one_strip};
#[allow(unused_imports)]
pub use kind::{Colour, Compression, Format, HEIGHT, Kind, PLAIN, SIDE, WIDTH};

use crate::common::Random;

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
    Picture { file: file::file(kind, &pixels, &palette), seen }
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
