//! Sources to import.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use runner::data::synthetic;

pub const NAMES: [&str; 7] = ["disc", "frame", "hourglass", "plus", "ring", "square", "triangle"];
pub const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::WebP];

/// A drawing, [3, 32, 32], on a larger picture of other sides.
pub fn picture(planes: &[u8], number: usize) -> DynamicImage {
    let small = RgbImage::from_fn(32, 32, |x, y| {
        let place = (32 * y + x) as usize;
        image::Rgb([planes[place], planes[1024 + place], planes[2048 + place]])
    });
    let (width, height) = (40 + (number % 5) as u32 * 9, 48 - (number % 3) as u32 * 7);
    let picture = DynamicImage::ImageRgb8(small).resize_exact(width, height, image::imageops::FilterType::Nearest);
    match number % 11 {
        0 => DynamicImage::ImageLuma8(picture.to_luma8()),
        1 => DynamicImage::ImageRgba8(picture.to_rgba8()),
        _ => picture,
    }
}

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let picture = match format {
        ImageFormat::Jpeg | ImageFormat::Bmp => DynamicImage::ImageRgb8(picture.to_rgb8()),
        ImageFormat::Gif => DynamicImage::ImageRgba8(picture.to_rgba8()),
        _ => picture.clone(),
    };
    let mut bytes = Cursor::new(vec![]);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 1,000 pictures in 7 classes in five formats: the last class has two, and one of the first class is broken.
pub fn class_folders(folder: &Path) {
    let set = synthetic::dataset().train;
    let images = set.labels.iter().zip(set.pixels.chunks_exact(3072)).filter(|(label, _)| **label < 6);
    for (number, (label, planes)) in images.take(998).enumerate() {
        write(folder, usize::from(*label), number, planes);
    }
    let rare = set.labels.iter().zip(set.pixels.chunks_exact(3072)).filter(|(label, _)| **label == 6);
    for (number, (_, planes)) in rare.take(2).enumerate() {
        write(folder, 6, 2 * number, planes);
    }
    let broken = folder.join(NAMES[0]).join("0002.png");
    let whole = encoded(&picture(&set.pixels[..3072], 5), ImageFormat::Png);
    fs::write(broken, &whole[..whole.len() / 2]).unwrap();
}

fn write(folder: &Path, class: usize, number: usize, planes: &[u8]) {
    let format = FORMATS[number % FORMATS.len()];
    let extension = format.extensions_str()[0];
    let folder = folder.join(NAMES[class]);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{number:04}.{extension}"));
    fs::write(path, encoded(&picture(planes, number), format)).unwrap();
}

/// A grey IDX image as bytes, 28 by 28.
pub fn grey(seed: usize) -> Vec<u8> {
    (0..28 * 28).map(|place: usize| (place * (seed + 3) + seed * 7 + place / 28 * 5) as u8).collect()
}

pub fn as_picture(grey: &[u8]) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_raw(28, 28, grey.to_vec()).unwrap())
}

pub fn transparent(side: u32) -> DynamicImage {
    DynamicImage::ImageRgba8(RgbaImage::from_fn(side, side, |x, y| image::Rgba([x as u8 * 5, y as u8 * 5, 90, 128])))
}

/// As `cifar-100-binary` has them: the coarse label, the fine one, the image.
pub fn cifar100(folder: &Path, counts: [usize; 2]) {
    fs::create_dir_all(folder).unwrap();
    for (file, count) in ["train.bin", "test.bin"].iter().zip(counts) {
        let record = |number: usize| {
            let fine = (number % 100) as u8;
            let pixels = (0..3072_usize).map(move |place| (place / 13 * (number % 100 + 1) + number) as u8);
            [fine / 5, fine].into_iter().chain(pixels)
        };
        fs::write(folder.join(file), (0..count).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }
    for (kind, count) in [("fine", 100), ("coarse", 20)] {
        let names: String = (0..count).map(|class| format!("{kind}_{class}\n")).collect();
        fs::write(folder.join(format!("{kind}_label_names.txt")), names + "\n").unwrap();
    }
}

/// As MNIST's files, packed or not.
pub fn idx(folder: &Path, counts: [usize; 2], packed: bool) {
    fs::create_dir_all(folder).unwrap();
    for (part, count) in ["train", "t10k"].iter().zip(counts) {
        let size = |number: usize| (number as u32).to_be_bytes();
        let images: Vec<u8> = (0..count).flat_map(grey).collect();
        let images = [&[0, 0, 8, 3][..], &size(count), &size(28), &size(28), &images].concat();
        let labels: Vec<u8> = (0..count).map(|number| (number % 10) as u8).collect();
        let labels = [&[0, 0, 8, 1][..], &size(count), &labels].concat();
        for (name, bytes) in
            [(format!("{part}-images-idx3-ubyte"), images), (format!("{part}-labels-idx1-ubyte"), labels)]
        {
            if packed {
                let mut file = GzEncoder::new(vec![], Compression::fast());
                file.write_all(&bytes).unwrap();
                fs::write(folder.join(format!("{name}.gz")), file.finish().unwrap()).unwrap();
            } else {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }
}
