//! IDX files, in which MNIST, Fashion-MNIST and their kin come: a header of big-endian numbers, then bytes.
//!
//! <http://yann.lecun.com/exdb/mnist/>

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage};

use super::{Collected, planes};
use crate::data::dataset::Images;
use crate::pictures::shrink;
use crate::spec::imports::MOST_CLASSES;
use crate::store::files::read_limited;

/// Of training and test: images, labels.
const NAMES: [[&str; 2]; 2] = [["train-images", "train-labels"], ["t10k-images", "t10k-labels"]];
/// The official ones have 47 MB.
const MAX_BYTES: u64 = 4 << 30;
const MAX_NAMES: u64 = 1 << 20;
/// Unsigned bytes.
const BYTES: u8 = 8;
const SIDE: u32 = 32;
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Xiao et al. 2017.
const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// The four files in `source`.
pub fn locate(source: &Path) -> Option<[[PathBuf; 2]; 2]> {
    let find = |name: &str, axes: usize| {
        let kind = format!("idx{axes}-ubyte");
        let names = [format!("{name}-{kind}"), format!("{name}.{kind}")];
        let packed = names.iter().map(|name| format!("{name}.gz"));
        names.iter().cloned().chain(packed).map(|name| source.join(name)).find(|path| path.is_file())
    };
    let [[a, b], [c, d]] = NAMES.map(|[images, labels]| [find(images, 3), find(labels, 1)]);
    Some([[a?, b?], [c?, d?]])
}

pub fn collect(files: &[[PathBuf; 2]; 2], source: &Path, names: Option<&Path>) -> Result<Collected> {
    let classes = class_names(source, names)?;
    let [train, test] = files;
    let part = |[images, labels]: &[PathBuf; 2]| part(images, labels, classes.len());
    let parts = [part(train)?, part(test)?];
    Ok(Collected {
        parts,
        classes,
        kind: "IDX files".to_owned(),
        split: "train and t10k files".to_owned(),
        unreadable: vec![],
        passed_over: vec![],
    })
}

/// Those in the user's file; else Fashion-MNIST's in a folder called after it, whose files are called as MNIST's; else digits.
fn class_names(source: &Path, names: Option<&Path>) -> Result<Vec<String>> {
    if let Some(path) = names {
        let text = String::from_utf8(read_limited(path, MAX_NAMES)?).with_context(|| path.display().to_string())?;
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let count = names.len();
        ensure!(
            (2..=MOST_CLASSES).contains(&count),
            "{}: {count} names of classes, not 2 to {MOST_CLASSES}",
            path.display()
        );
        return Ok(names);
    }
    let whole = std::path::absolute(source).unwrap_or(source.to_owned());
    let is_fashion = whole.to_string_lossy().to_lowercase().contains("fashion");
    Ok(if is_fashion { FASHION } else { DIGITS }.map(str::to_owned).to_vec())
}

fn part(images: &Path, labels: &Path, classes: usize) -> Result<Images> {
    let (shape, pixels) = read(images, 3).with_context(|| images.display().to_string())?;
    let (count, label_bytes) = read(labels, 1).with_context(|| labels.display().to_string())?;
    ensure!(shape[0] == count[0], "{}: {} labels for {} images", labels.display(), count[0], shape[0]);
    for (number, &label) in label_bytes.iter().enumerate() {
        ensure!(
            usize::from(label) < classes,
            "{}: record {number}: label {label} is not in 0..={}; --classes FILE names other classes than these",
            labels.display(),
            classes - 1
        );
    }
    let (height, width) = (shape[1] as u32, shape[2] as u32);
    let grey = pixels.chunks_exact(shape[1] * shape[2]);
    let small = grey.flat_map(|grey| {
        let picture = GrayImage::from_raw(width, height, grey.to_vec()).expect("as many bytes as pixels");
        planes(&shrink(&DynamicImage::ImageLuma8(picture), Orientation::NoTransforms, SIDE)).collect::<Vec<u8>>()
    });
    Ok(Images { pixels: small.collect(), labels: label_bytes })
}

/// The sizes of the axes, and as many bytes as they say.
fn read(path: &Path, axes: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let bytes = unpacked(path)?;
    let (header, data) = bytes.split_at_checked(4 + 4 * axes).context("the file is cut off")?;
    ensure!(
        header[..4] == [0, 0, BYTES, axes as u8],
        "it begins with {:?}; IDX files of bytes with {axes} axes begin with [0, 0, {BYTES}, {axes}]",
        &header[..4]
    );
    let sizes =
        header[4..].chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize);
    let sizes: Vec<usize> = sizes.collect();
    let wanted = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    ensure!(sizes.iter().all(|&size| size > 0), "an axis of length 0");
    ensure!(wanted == Some(data.len()), "{} bytes of data where its header says {sizes:?}", data.len());
    Ok((sizes, data.to_vec()))
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return read_limited(path, MAX_BYTES);
    }
    let mut bytes = vec![];
    GzDecoder::new(File::open(path)?).take(MAX_BYTES + 1).read_to_end(&mut bytes).context("damaged")?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "unpacked, larger than {MAX_BYTES} bytes");
    Ok(bytes)
}
