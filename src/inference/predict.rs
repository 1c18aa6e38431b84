//! `runner predict`: the most probable classes of image files of any size and common format.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use serde::Serialize;
use tch::{Device, Kind, Tensor, no_grad};

use super::load::Loaded;
use crate::data::batches::Scaling;

const SIDE: u32 = 32;
const TOP: usize = 3;
/// A picture of this many pixels a side still fits into `MAX_DECODER_BYTES`.
const MAX_SIDE: u32 = 20_000;
const MAX_DECODER_BYTES: u64 = 512 << 20;

#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    pub image: PathBuf,
    /// The classes with the highest probabilities, highest first.
    pub top: Vec<Guess>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Guess {
    pub class: String,
    /// Softmax of the logits, 0..=1.
    pub probability: f64,
}

impl Prediction {
    /// The path, then each class and its probability.
    pub fn csv_row(&self) -> Result<String> {
        let mut row = vec![self.image.display().to_string()];
        row.extend(self.top.iter().flat_map(|guess| [guess.class.clone(), guess.probability.to_string()]));
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record(row)?;
        Ok(String::from_utf8(writer.into_inner()?)?.trim_end().to_owned())
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let guesses: Vec<String> =
            self.top.iter().map(|guess| format!("{} {:.1} %", guess.class, 100.0 * guess.probability)).collect();
        write!(f, "{}: {}", self.image.display(), guesses.join(", "))
    }
}

/// The middle square of the picture, resized to 32×32.
pub fn predict(
    loaded: &Loaded,
    scaling: &Scaling,
    class_names: &[&str],
    path: &Path,
    device: Device,
) -> Result<Prediction> {
    let pixels = read(path).with_context(|| path.display().to_string())?;
    let planes = Tensor::from_slice(&pixels).view([1, SIDE as i64, SIDE as i64, 3]).permute([0, 3, 1, 2]);
    let images = scaling.apply(&planes.contiguous().to_device(device));
    let logits = no_grad(|| loaded.network.forward(&images, false));
    let probabilities: Vec<f64> = logits.softmax(-1, Kind::Double).view([-1]).try_into()?;
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&left, &right| probabilities[right].total_cmp(&probabilities[left]));
    let guess = |&class: &usize| Guess { class: class_names[class].to_owned(), probability: probabilities[class] };
    Ok(Prediction { image: path.to_owned(), top: order.iter().take(TOP).map(guess).collect() })
}

/// [32, 32, 3] bytes, red, green and blue for each pixel; transparency is dropped, the first frame of several is taken.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let picture = reader.decode()?;
    let side = picture.width().min(picture.height());
    ensure!(side > 0, "the picture has no pixels");
    let (left, top) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    let square = picture.crop_imm(left, top, side, side);
    let small = if side == SIDE { square } else { square.resize_exact(SIDE, SIDE, FilterType::Triangle) };
    Ok(small.to_rgb8().into_raw())
}

/// The files among `paths`, and those directly in the folders among them, in order of their names.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        inside.retain(|path| path.is_file());
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}
