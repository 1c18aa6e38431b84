//! Folders of pictures for the shared base to look at.

use std::fs;
use std::path::PathBuf;

use image::{DynamicImage, ImageFormat, RgbImage};
use runner::data::{self, IMAGE_BYTES};
use serde_json::Value as Json;

use super::shared::{folder, json, lab, trials};
use crate::pictures::table;

/// Predictions of the base for `arguments`, one object a picture.
pub fn predicted(arguments: &str, code: i32) -> Vec<Json> {
    let ended = lab().run(&format!("predict {} --json {arguments}", folder(&trials().base))).expect(code);
    json(&ended.out).as_array().unwrap().clone()
}

/// A new folder of the shared lab.
pub fn picture_folder(name: &str) -> PathBuf {
    let folder = lab().path(name);
    fs::create_dir(&folder).unwrap();
    folder
}

/// [32, 32] pixels of a test image, whose bytes are planes.
pub fn picture(planes: &[u8]) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([0, 1, 2].map(|plane| planes[(plane * 32 + y as usize) * 32 + x as usize]))
    })
}

/// The first test image with each pixel as a square of `zoom`², and a white corner.
pub fn large_picture(zoom: u32) -> RgbImage {
    let mut small = picture(&data::synthetic::dataset().test.pixels[..IMAGE_BYTES]);
    (0..64).for_each(|at| small.put_pixel(at % 8, at / 8, image::Rgb([255; 3])));
    RgbImage::from_fn(32 * zoom, 32 * zoom, |x, y| *small.get_pixel(x / zoom, y / zoom))
}

pub fn tiff(picture: &DynamicImage) -> Vec<u8> {
    let rgb = picture.to_rgb8();
    table::one_strip(1, 2, &[8; 3], rgb.dimensions(), rgb.as_raw())
}

pub fn folder_of_base() -> String {
    folder(&trials().base)
}

pub fn one_pixel() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    RgbImage::from_pixel(1, 1, image::Rgb([200, 30, 30])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
