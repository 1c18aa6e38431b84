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

use super::{Collected, names_in, planes};
use crate::data::dataset::Images;
use crate::pictures::shrink;
use crate::spec::imports::MOST_CLASSES;

/// Of training and test: images, labels.
const NAMES: [[&str; 2]; 2] = [["train-images", "train-labels"], ["t10k-images", "t10k-labels"]];
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
    let (classes, named) = class_names(source, names)?;
    let [train, test] = files;
    let part = |[images, labels]: &[PathBuf; 2]| part(images, labels, classes.len());
    let parts = [part(train)?, part(test)?];
    Ok(Collected {
        parts,
        classes,
        kind: format!("IDX files, classes named {named}"),
        split: "train and t10k files".to_owned(),
        unreadable: vec![],
        passed_over: vec![],
    })
}

/// And where they are from. Those in the user's file; else Fashion-MNIST's in a folder called after it, whose files are called as MNIST's; else digits.
fn class_names(source: &Path, names: Option<&Path>) -> Result<(Vec<String>, String)> {
    if let Some(path) = names {
        let names = names_in(path)?;
        let count = names.len();
        ensure!(
            (2..=MOST_CLASSES).contains(&count),
            "{}: {count} names of classes, not 2 to {MOST_CLASSES}",
            path.display()
        );
        return Ok((names, format!("by {}", path.display())));
    }
    let whole = std::path::absolute(source).unwrap_or(source.to_owned());
    let is_fashion = whole.to_string_lossy().to_lowercase().contains("fashion");
    let (names, named) = if is_fashion { (FASHION, "as Fashion-MNIST's") } else { (DIGITS, "0 to 9") };
    Ok((names.map(str::to_owned).to_vec(), named.to_owned()))
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
    let file = File::open(path)?;
    ensure!(file.metadata()?.is_file(), "not a plain file");
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let mut file: Box<dyn Read> = if is_packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut header = vec![0; 4 + 4 * axes];
    file.read_exact(&mut header).context("the file is cut off or damaged")?;
    ensure!(
        header[..4] == [0, 0, BYTES, axes as u8],
        "it begins with {:?}; IDX files of bytes with {axes} axes begin with [0, 0, {BYTES}, {axes}]",
        &header[..4]
    );
    let size = |bytes: &[u8]| bytes.iter().fold(0, |size, &byte| size << u8::BITS | usize::from(byte));
    let sizes: Vec<usize> = header[4..].chunks_exact(4).map(size).collect();
    ensure!(sizes.iter().all(|&size| size > 0), "its header says {sizes:?}, and an axis of length 0 has nothing");
    let wanted = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let wanted = wanted.with_context(|| format!("its header says {sizes:?}, more than there can be"))?;
    let mut data = vec![];
    // One byte more tells that there are more. The header's word alone takes no memory.
    file.take((wanted as u64).saturating_add(1)).read_to_end(&mut data).context("damaged")?;
    let found = if data.len() > wanted { "more bytes".to_owned() } else { format!("{} bytes", data.len()) };
    ensure!(data.len() == wanted, "{found} of data where its header says {sizes:?}");
    Ok((sizes, data))
}
