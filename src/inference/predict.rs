//! `runner predict`: the most probable classes of image files of any size and common format.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::load::Loaded;
use crate::data::batches::Scaling;
use crate::data::class_names;
use crate::native::no_grad;
use crate::pictures::{self, MAX_FILE_BYTES};
use crate::store::files::read_limited;
use crate::words::list;

const SIDE: u32 = 32;
const TOP: usize = 3;

/// Over the rows of [`Prediction::csv_row`].
pub const CSV_HEADER: &str = "image,first,first_probability,second,second_probability,third,third_probability";

#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// The file, as far as its name is text.
    pub image: String,
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
        let mut row = vec![self.image.clone()];
        row.extend(self.top.iter().flat_map(|guess| [guess.class.clone(), guess.probability.to_string()]));
        // Of two classes there is no third.
        row.resize(1 + 2 * TOP, String::new());
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record(row)?;
        Ok(String::from_utf8(writer.into_inner()?)?.trim_end().to_owned())
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let guesses = self.top.iter().map(|guess| format!("{} {:.1} %", guess.class, 100.0 * guess.probability));
        write!(f, "{}: {}", self.image, list(guesses))
    }
}

/// The classes of one picture's middle square, by a network on the CPU.
pub fn predict(loaded: &Loaded, scaling: &Scaling, path: &Path) -> Result<Prediction> {
    ensure!(!path.is_dir(), "{}: a folder without pictures directly in it; name the folders below it", path.display());
    let bytes = read_limited(path, MAX_FILE_BYTES)?;
    let pixels = pictures::small_square(&bytes, SIDE).with_context(|| path.display().to_string())?;
    let planes = Tensor::from_slice(&pixels).view([1, SIDE as i64, SIDE as i64, 3]).permute([0, 3, 1, 2]);
    let images = scaling.apply(&planes.contiguous());
    let logits = no_grad(|| loaded.network.forward(&images, false));
    let probabilities: Vec<f64> = logits.softmax(-1, Kind::Double).view([-1]).try_into()?;
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&left, &right| probabilities[right].total_cmp(&probabilities[left]));
    let class_names = class_names(&loaded.config.data.dataset);
    let guess = |&class: &usize| Guess { class: class_names[class].clone(), probability: probabilities[class] };
    Ok(Prediction { image: path.display().to_string(), top: order.iter().take(TOP).map(guess).collect() })
}

/// The files among `paths`, and those directly in the folders among them, in order of their names and without hidden ones;
/// a folder without any stands for itself, so that it is not passed over in silence.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        inside.retain(|path| path.is_file() && !is_hidden(path));
        inside.sort();
        if inside.is_empty() {
            inside.push(path.clone());
        }
        files.extend(inside);
    }
    Ok(files)
}
