//! TIFFs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use runner::parity::python;
use runner::pictures::small_square;

use super::table::{
    Colour, Compression, Format, HEIGHT, Kind, PLAIN, Picture, SIDE, WIDTH, compress, fax, one_strip, picture,
};
use crate::common::Random;
use crate::common::skip::skip;

/// All combinations that TIFF has of colour model, depth, sample format, extra samples, predictor, planes, tiles, byte order
/// and compression, and some of the rest.
fn kinds() -> Vec<Kind> {
    use Colour::{BlackIsZero, Cmyk, Lab, Palette, Rgb, WhiteIsZero, YCbCr};
    let mut kinds = vec![PLAIN];
    let mut vary = |change: &dyn Fn(&Kind) -> Vec<Kind>| kinds = kinds.iter().flat_map(change).collect();
    macro_rules! each {
        ($field:ident in $values:expr) => {
            vary(&|kind| $values.into_iter().map(|$field| Kind { $field, ..kind.clone() }).collect())
        };
    }
    each!(colour in [WhiteIsZero, BlackIsZero, Rgb, Palette, Cmyk, YCbCr, Lab]);
    each!(bits in [1, 2, 4, 8, 12, 16, 24, 32, 64]);
    each!(format in [Format::Unsigned, Format::Signed, Format::Float]);
    each!(extra in [None, Some(vec![]), Some(vec![0]), Some(vec![1]), Some(vec![2]), Some(vec![2, 0]), Some(vec![0, 2])]);
    each!(predictor in [1, 2, 3]);
    each!(planar in [false, true]);
    each!(tiled in [false, true]);
    each!(big_endian in [false, true]);
    each!(compression in [Compression::None, Compression::Lzw, Compression::Deflate, Compression::PackBits]);
    let unusual = |kind: &Kind| {
        let mut more = vec![kind.clone()];
        if !kind.tiled && !kind.planar && kind.predictor == 1 {
            more.push(Kind { big_tiff: true, ..kind.clone() });
            more.push(Kind { reversed_bits: true, ..kind.clone() });
            more.push(Kind { compression: Compression::Zstandard, ..kind.clone() });
        }
        if kind.colour == YCbCr {
            more.extend([(2, 1), (2, 2), (4, 2), (4, 4)].map(|subsampling| Kind { subsampling, ..kind.clone() }));
        }
        more
    };
    vary(&unusual);
    // One layout is enough for a kind that is refused whatever its layout, and for palettes of 65,536 colours.
    let has_layouts = |kind: &Kind| kind.refusal().is_none() && !(kind.colour == Palette && kind.bits > 8);
    kinds.retain(|kind| kind.exists() && (kind.has_plain_layout() || has_layouts(kind)));
    kinds
}

fn furthest(ours: &[u8], theirs: &[u8]) -> u8 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap()
}

#[derive(Default)]
struct Tally {
    files: usize,
    refused: usize,
    furthest: u8,
    faults: Vec<String>,
}

fn report(tallies: &BTreeMap<String, Tally>) {
    for (name, tally) in tallies {
        let Tally { files, refused, furthest, faults } = tally;
        println!("{name}: {files} files, {refused} refused by name, {} faulty, {furthest} of 255 off", faults.len());
    }
    let faults: Vec<&String> = tallies.values().flat_map(|tally| &tally.faults).collect();
    let some: Vec<String> = faults.iter().take(30).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), some.join("\n"));
}

#[test]
fn row_37_every_kind_of_tiff_is_seen_as_tiff_6_says_or_refused_by_name() {
    let mut random = Random(1);
    let mut tallies = BTreeMap::<String, Tally>::new();
    for kind in kinds() {
        let Picture { file, seen } = picture(&kind, &mut random);
        let tally = tallies.entry(format!("{:?}", kind.colour)).or_default();
        tally.files += 1;
        match (small_square(&file, SIDE as u32), kind.refusal()) {
            (Ok(ours), None) => {
                let off = furthest(&ours, &seen);
                tally.furthest = tally.furthest.max(off);
                // The table's YCbCr is in the rounded numbers of JFIF.
                if off > u8::from(kind.colour == Colour::YCbCr) {
                    tally.faults.push(format!("{off} off: {kind:?}"));
                }
            }
            (Ok(_), Some(reason)) => tally.faults.push(format!("not refused for {reason}: {kind:?}")),
            (Err(error), Some(reason)) if format!("{error:#}").contains(reason) => tally.refused += 1,
            (Err(error), _) => tally.faults.push(format!("{error:#}: {kind:?}")),
        }
    }
    report(&tallies);
}

/// Writes what Pillow sees of each file, on white, beside it.
const PILLOW: &str = r#"
import os, sys
import numpy as np
from PIL import Image, TiffImagePlugin
TiffImagePlugin.READ_LIBTIFF = True
folder = sys.argv[1]
def shares(picture):
    """In 0 to 1, of modes that are nothing but samples."""
    values = np.asarray(picture)
    bits = picture.tag_v2[258][0]
    if picture.mode == "F":
        values = values.astype(np.float64)
    elif picture.mode == "I":
        values = values.astype(np.int64) % 2**32 / (2**32 - 1)
    else:
        values = values.astype(np.float64) / (2**bits - 1)
    return 1 - values if picture.tag_v2[262] == 0 else values
for name in os.listdir(folder):
    try:
        picture = Image.open(f"{folder}/{name}")
        picture.load()
        if picture.mode in ("F", "I", "I;16", "I;16B"):
            picture = Image.fromarray((255 * shares(picture)).round().clip(0, 255).astype(np.uint8))
        if picture.mode == "La":
            picture = picture.convert("LA")
        picture = picture.convert("RGBA") if picture.mode != "CMYK" and picture.mode != "YCbCr" else picture.convert("RGB").convert("RGBA")
    except Exception as error:
        continue
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    open(f"{folder}/{name}.bytes", "wb").write(picture.crop((left, top, left + side, top + side)).tobytes())
"#;

/// Not where Pillow 13 and libtiff 4.7 show other than what is stored: opacity in a plane of its own of any but RGB, numbers
/// of high byte first that libtiff has turned already, and chroma of 4 by 4 pixels. Nor depths that they never read.
fn pillow_reads(kind: &Kind) -> bool {
    let errs = kind.planar && kind.alpha().is_some() && kind.colour != Colour::Rgb
        || kind.format == Format::Float && kind.big_endian
        || kind.subsampling == (4, 4);
    !errs && !matches!(kind.bits, 24 | 64) && (kind.bits >= 8 || !matches!(kind.colour, Colour::Rgb | Colour::Cmyk))
}

fn seen_by_pillow(python: &Path, files: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |index: usize| folder.path().join(format!("{index}.tif"));
    files.iter().enumerate().for_each(|(index, file)| fs::write(path(index), file).unwrap());
    let status = Command::new(python).args(["-c", PILLOW]).arg(folder.path()).status().unwrap();
    assert!(status.success());
    (0..files.len()).map(|index| fs::read(path(index).with_extension("tif.bytes")).ok()).collect()
}

#[test]
fn tiffs_look_as_pillow_shows_them() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("tiffs_look_as_pillow_shows_them: {error:#}")),
    };
    let mut random = Random(2);
    let kinds: Vec<Kind> = kinds().into_iter().filter(|kind| kind.refusal().is_none() && pillow_reads(kind)).collect();
    let files: Vec<Vec<u8>> = kinds.iter().map(|kind| picture(kind, &mut random).file).collect();
    let mut tallies = BTreeMap::<String, Tally>::new();
    for ((kind, file), theirs) in kinds.iter().zip(&files).zip(seen_by_pillow(&python, &files)) {
        let Some(theirs) = theirs else { continue };
        let tally = tallies.entry(format!("{:?}", kind.colour)).or_default();
        tally.files += 1;
        let off = small_square(file, SIDE as u32).map_or(255, |ours| furthest(&ours, &theirs));
        tally.furthest = tally.furthest.max(off);
        // It rounds up to three times: to 8 bits, from premultiplied colours, and on white.
        let tolerance =
            if kind.bits == 16 && kind.alpha().is_some_and(|(_, premultiplied)| premultiplied) { 3 } else { 2 };
        if off > tolerance {
            tally.faults.push(format!("{off} off: {kind:?}"));
        }
    }
    report(&tallies);
    assert!(tallies.values().map(|tally| tally.files).sum::<usize>() >= 150);
}

#[test]
fn a_fax_or_jpeg_in_a_tiff_looks_as_it_does_alone() {
    let is_black = |x: usize, y: usize| (x * y) % 5 < 2;
    let file = one_strip(4, 0, &[1], (WIDTH as u32, HEIGHT as u32), &fax(is_black));
    let left = (WIDTH - SIDE) / 2;
    let pixels = (0..SIDE * SIDE).flat_map(|at| [if is_black(left + at % SIDE, at / SIDE) { 0 } else { 255 }; 3]);
    assert_eq!(small_square(&file, SIDE as u32).unwrap(), pixels.collect::<Vec<u8>>());
    let mut jpeg = vec![];
    let samples: Vec<u8> = (0..3 * 40 * 40).map(|at| (at % 120 + at / 60) as u8).collect();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode(&samples, 40, 40, ExtendedColorType::Rgb8).unwrap();
    let file = one_strip(7, 6, &[8; 3], (40, 40), &jpeg);
    let alone = small_square(&jpeg, 40).unwrap();
    assert!(furthest(&small_square(&file, 40).unwrap(), &alone) <= 1);
    // The same numbers as red, green and blue are another picture.
    let file = one_strip(7, 2, &[8; 3], (40, 40), &jpeg);
    assert!(furthest(&small_square(&file, 40).unwrap(), &alone) > 50);
    let cut = one_strip(7, 6, &[8; 3], (40, 40), &jpeg[..jpeg.len() - 2]);
    assert_eq!(small_square(&cut, 40).unwrap_err().to_string(), "the file is cut off");
}

#[test]
fn tiffs_that_are_cut_off_or_lack_data_are_refused() {
    use Compression::{Deflate, Lzw, None, PackBits};
    for compression in [None, Lzw, Deflate, PackBits] {
        let file = picture(&Kind { compression, tiled: true, ..PLAIN }, &mut Random(7)).file;
        // The last four bytes are about further pictures.
        for length in 4..file.len() - 4 {
            assert!(small_square(&file[..length], 8).is_err(), "{compression:?}: {length} bytes of {}", file.len());
        }
        let stored = compress(compression, &[9; 3 * 30 * 20]);
        let whole = one_strip(compression as u64, 2, &[8; 3], (30, 20), &stored);
        assert_eq!(small_square(&whole, 1).unwrap(), [9; 3]);
        let half = one_strip(compression as u64, 2, &[8; 3], (30, 20), &compress(compression, &[9; 3 * 30 * 10]));
        assert_eq!(small_square(&half, 1).unwrap_err().to_string(), "the file is cut off", "{compression:?}");
    }
}

#[test]
fn a_tiff_of_too_many_pixels_is_refused_before_it_takes_memory() {
    let bomb = |photometric, bits: &[u64], side| one_strip(5, photometric, bits, (side, side), &[128, 0, 0]);
    let error = |file: Vec<u8>| small_square(&file, 8).unwrap_err().to_string();
    assert!(error(bomb(2, &[8; 3], 20_000)).contains("20000×20000 pixels take 1200 MB"));
    assert!(error(bomb(1, &[1], 60_000)).contains("60000×60000 pixels take 3600 MB"));
    assert!(error(bomb(1, &[64], 20_000)).contains("20000×20000 pixels take 3200 MB"));
}
