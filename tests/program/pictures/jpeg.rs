//! Where JPEGs end.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use runner::parity::python;
use runner::pictures::small_square;

use crate::common::Random;
use crate::common::skip::skip;

const SIDE: u32 = 32;
const TAILS: usize = 40;

/// Of all kinds that phones and programs write, with a thumbnail in the EXIF data.
const PILLOW: &str = r#"
import io, itertools, sys
import numpy as np
from PIL import Image
folder = sys.argv[1]
y, x = np.mgrid[0:90, 0:120]
noise = np.random.default_rng(1).integers(0, 60, (90, 120, 3))
rgb = Image.fromarray((np.stack([x * 2, y * 2, x + y], -1) % 190 + noise).astype(np.uint8))
small = io.BytesIO()
rgb.resize((40, 30)).save(small, "JPEG")
exif = b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0\0\0\0\0" + small.getvalue()
for mode, progressive, restart, subsampling in itertools.product(["RGB", "L", "CMYK"], [False, True], [0, 3], [0, 2]):
    rgb.convert(mode).save(f"{folder}/{mode}_{progressive}_{restart}_{subsampling}.jpg", progressive=progressive,
        restart_marker_blocks=restart, subsampling=subsampling, exif=exif, quality=92)
"#;

/// Baseline, with a thumbnail in a segment in front.
fn baseline() -> Vec<u8> {
    let picture = |width, height| {
        let mut random = Random(3);
        let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, random.below(256) as u8]));
        let mut bytes = vec![];
        JpegEncoder::new_with_quality(Cursor::new(&mut bytes), 95).encode_image(&pixels).unwrap();
        bytes
    };
    let (picture, small) = (picture(60, 50), picture(20, 16));
    let mut segment = [0xFF, 0xE1].to_vec();
    segment.extend((small.len() as u16 + 2).to_be_bytes());
    [&picture[..2], &segment, &small, &picture[2..]].concat()
}

fn jpegs(python: &Path) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new(python).args(["-c", PILLOW]).arg(folder.path()).status().unwrap().success());
    let mut paths: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 24);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Bytes as phones write them behind a picture: a whole picture, the beginning of one, or anything, with markers in it.
fn tail(picture: &[u8], number: usize, random: &mut Random) -> Vec<u8> {
    let mut tail: Vec<u8> = (0..1 + random.below(4000)).map(|_| random.below(256) as u8).collect();
    match number % 4 {
        0 => tail.splice(0..0, picture.to_vec()).for_each(drop),
        1 => tail.splice(0..0, picture[..picture.len() / 2].to_vec()).for_each(drop),
        2 => tail.extend([0xFF, 0xD9, 0xFF, 0xDA]),
        _ => tail.splice(0..0, *b"\0\0\0\x18ftypmp42\xFF\xDA").for_each(drop),
    }
    tail
}

fn check(picture: &[u8], random: &mut Random) {
    let alone = small_square(picture, SIDE).unwrap();
    for number in 0..TAILS {
        let file = [picture, &tail(picture, number, random)].concat();
        let seen = small_square(&file, SIDE).unwrap_or_else(|error| panic!("tail {number}: {error:#}"));
        assert!(seen == alone, "tail {number} changes the picture");
    }
    for length in (2..picture.len()).filter(|length| length % 7 == 0 || picture.len() - length < 50) {
        let error = small_square(&picture[..length], SIDE).err();
        let error = error.unwrap_or_else(|| panic!("{length} bytes of {} are taken for all", picture.len()));
        assert!(length < 4 || error.to_string() == "the file is cut off", "{length} bytes: {error:#}");
    }
}

#[test]
fn a_jpeg_ends_where_its_last_scan_does() {
    check(&baseline(), &mut Random(4));
}

#[test]
fn row_37_every_kind_of_jpeg_ends_where_its_last_scan_does() {
    match python::find() {
        Ok(python) => jpegs(&python).iter().for_each(|picture| check(picture, &mut Random(5))),
        Err(error) => skip(&format!("every_kind_of_jpeg_ends_where_its_last_scan_does: {error:#}")),
    }
}
