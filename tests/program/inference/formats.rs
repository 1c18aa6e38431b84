//! One picture in every format, and pictures as Pillow shows them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use image::{DynamicImage, GrayImage, RgbaImage};
use runner::parity::python;
use runner::pictures::small_square;
use serde_json::Value as Json;

use super::pictures::{large_picture, picture_folder, predicted, tiff};
use crate::common::skip::skip;
use crate::common::{DONE, names};

#[test]
fn a_picture_gives_the_same_answer_in_every_format() {
    let folder = picture_folder("formats");
    let rgb = DynamicImage::from(large_picture(3));
    let grey = rgb.to_luma8();
    fs::write(folder.join("rgb.tiff"), tiff(&rgb)).unwrap();
    fs::write(folder.join("grey.tiff"), tiff(&DynamicImage::from(grey.clone()))).unwrap();
    for extension in ["png", "bmp", "webp", "gif"] {
        rgb.save(folder.join(format!("rgb.{extension}"))).unwrap();
        DynamicImage::from(grey.clone()).to_rgb8().save(folder.join(format!("grey.{extension}"))).unwrap();
    }
    DynamicImage::from(rgb.to_rgb16()).save(folder.join("rgb16.png")).unwrap();
    image::codecs::jpeg::JpegEncoder::new_with_quality(fs::File::create(folder.join("rgb.jpeg")).unwrap(), 100)
        .encode_image(&rgb)
        .unwrap();
    grey.save(folder.join("grey1.png")).unwrap();
    DynamicImage::from(grey.clone()).to_luma16().save(folder.join("grey16.png")).unwrap();
    animation(&folder.join("grey_then_black.gif"), &grey);
    palette(&folder.join("grey_palette.png"), &grey);
    // The extension says nothing.
    fs::copy(folder.join("rgb.png"), folder.join("rgb_called.jpg")).unwrap();
    let found: BTreeMap<String, Json> = predicted("formats", DONE)
        .into_iter()
        .map(|prediction| (prediction["image"].as_str().unwrap().replace("formats/", ""), prediction["top"].clone()))
        .collect();
    assert_eq!(found.len(), 17);
    for (name, top) in &found {
        // GIF has 256 colours, JPEG loses a little; all else is the same to the bit.
        let tolerance = if name.starts_with("rgb.gif") || name.ends_with("jpeg") { 0.05 } else { 0.0 };
        let expected = &found[if name.starts_with("rgb") { "rgb.png" } else { "grey.png" }];
        assert_eq!(top[0]["class"], expected[0]["class"], "{name}");
        let difference = top[0]["probability"].as_f64().unwrap() - expected[0]["probability"].as_f64().unwrap();
        assert!(difference.abs() <= tolerance, "{name}: {difference}");
    }
}

/// A GIF whose first frame is `first` and whose second is black.
fn animation(path: &Path, first: &GrayImage) {
    let mut encoder = image::codecs::gif::GifEncoder::new(fs::File::create(path).unwrap());
    let black = RgbaImage::from_pixel(first.width(), first.height(), image::Rgba([0, 0, 0, 255]));
    let frames = [DynamicImage::from(first.clone()).to_rgba8(), black];
    encoder.encode_frames(frames.map(image::Frame::new)).unwrap();
}

/// A PNG with a palette of greys. White is stored as a black that is wholly transparent.
fn palette(path: &Path, grey: &GrayImage) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), grey.width(), grey.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..=255).flat_map(|grey: u8| [if grey == 255 { 0 } else { grey }; 3]).collect::<Vec<_>>());
    encoder.set_trns((0..=255).map(|grey: u8| if grey == 255 { 0 } else { 255 }).collect::<Vec<_>>());
    encoder.write_header().unwrap().write_image_data(grey.as_raw()).unwrap();
}

/// Makes pictures, and the [32, 32, 3] bytes that Pillow sees in the middle of each.
const PILLOW: &str = r#"
import sys
import numpy as np
from PIL import Image, ImageOps
folder = sys.argv[1]
y, x = np.mgrid[0:150, 0:200]
waves = [127 + 100 * np.sin(x / 30), 127 + 100 * np.cos(y / 25), 127 + 80 * np.sin((x + 2 * y) / 40)]
rgb = Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8))
seen_through = rgb.copy()
seen_through.putalpha(Image.fromarray((255 * x / 199).astype(np.uint8)))
exact = dict(quality=95, subsampling=0)
rgb.save(f"{folder}/rgb.png")
rgb.save(f"{folder}/baseline.jpg", **exact)
rgb.save(f"{folder}/progressive.jpg", progressive=True, **exact)
rgb.convert("CMYK").save(f"{folder}/cmyk.jpg", **exact)
rgb.convert("L").save(f"{folder}/grey.jpg", **exact)
rgb.convert("P", palette=Image.Palette.ADAPTIVE).save(f"{folder}/palette.png")
seen_through.save(f"{folder}/rgba.png")
seen_through.save(f"{folder}/rgba.webp", lossless=True, exact=True)
seen_through.convert("LA").save(f"{folder}/grey_alpha.png")
Image.fromarray((np.asarray(rgb.convert("L")).astype(np.uint16) * 257)).save(f"{folder}/grey16.png")
rgb.save(f"{folder}/frames.webp", save_all=True, append_images=[Image.new("RGB", rgb.size)], lossless=True)
for turn in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = turn
    rgb.save(f"{folder}/turned_{turn}.jpg", exif=exif, **exact)
import os
for name in os.listdir(folder):
    picture = ImageOps.exif_transpose(Image.open(f"{folder}/{name}"))
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    picture = picture.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = picture.crop((left, top, left + side, top + side)).resize((32, 32), Image.Resampling.BILINEAR)
    open(f"{folder}/{name}.bytes", "wb").write(small.tobytes())
"#;

#[test]
fn pictures_look_as_pillow_shows_them() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("pictures_look_as_pillow_shows_them: {error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python).args(["-c", PILLOW]).arg(folder.path()).status().unwrap();
    assert!(status.success(), "Pillow makes the pictures");
    let mut compared = 0;
    for name in names(folder.path()).into_iter().filter(|name| !name.ends_with(".bytes")) {
        let ours = small_square(&fs::read(folder.path().join(&name)).unwrap(), 32).unwrap();
        let theirs = fs::read(folder.path().join(format!("{name}.bytes"))).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let furthest = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
        // Pillow rounds between the two directions, and two JPEG decoders round differently.
        assert!(furthest <= 2, "{name}: {furthest}");
        compared += 1;
    }
    assert_eq!(compared, 19);
}
