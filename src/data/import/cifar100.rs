//! CIFAR-100 in its binary layout: two labels, then the image.
//!
//! Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::Collected;
use crate::data::dataset::{IMAGE_BYTES, Images};
use crate::store::files::read_limited;

const FOLDER: &str = "cifar-100-binary";
const PYTHON: &str = "cifar-100-python";
const FILES: [&str; 2] = ["train.bin", "test.bin"];
const RECORD_BYTES: usize = 2 + IMAGE_BYTES;
/// The official training file has 154 MB.
const MAX_BYTES: u64 = 1 << 30;
const MAX_NAMES: u64 = 1 << 20;

/// Which of an image's two labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Labels {
    /// Of 100 classes.
    #[default]
    Fine,
    /// Of the 20 groups that they form.
    Coarse,
}

impl Labels {
    fn word(self) -> &'static str {
        match self {
            Labels::Fine => "fine",
            Labels::Coarse => "coarse",
        }
    }

    /// The classes, and where a record has their label.
    fn classes(self) -> (usize, usize) {
        match self {
            Labels::Coarse => (20, 0),
            Labels::Fine => (100, 1),
        }
    }

    fn names(self) -> String {
        format!("{}_label_names.txt", self.word())
    }
}

/// The folder with the files, which `source` may be or have.
pub fn locate(source: &Path) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| FILES.iter().all(|file| folder.join(file).is_file()) && has_names(folder);
    [source.to_owned(), source.join(FOLDER)].into_iter().find(holds)
}

fn has_names(folder: &Path) -> bool {
    [Labels::Fine, Labels::Coarse].iter().all(|labels| folder.join(labels.names()).is_file())
}

/// What would be one class of unreadable pictures.
pub fn refuse_python(source: &Path) -> Result<()> {
    let is_python = |folder: &PathBuf| ["meta", "train", "test"].iter().all(|file| folder.join(file).is_file());
    let found = [source.to_owned(), source.join(PYTHON)].into_iter().find(is_python);
    found.map_or(Ok(()), |folder| {
        bail!("{}: CIFAR-100 in its python version; the binary one, {FOLDER}, is what is read here", folder.display())
    })
}

pub fn collect(folder: &Path, labels: Labels) -> Result<Collected> {
    let path = folder.join(labels.names());
    let text = String::from_utf8(read_limited(&path, MAX_NAMES)?).with_context(|| path.display().to_string())?;
    let classes: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let (wanted, place) = labels.classes();
    ensure!(classes.len() == wanted, "{}: {} names instead of {wanted}", path.display(), classes.len());
    let read = |file: &str| {
        let path = folder.join(file);
        images(&read_limited(&path, MAX_BYTES)?, place, wanted).with_context(|| path.display().to_string())
    };
    Ok(Collected {
        parts: [read(FILES[0])?, read(FILES[1])?],
        classes,
        kind: format!("CIFAR-100, {} labels", labels.word()),
        split: FILES.join(" and "),
        unreadable: vec![],
        passed_over: vec![],
    })
}

fn images(bytes: &[u8], place: usize, classes: usize) -> Result<Images> {
    let count = bytes.len() / RECORD_BYTES;
    ensure!(
        count > 0 && bytes.len() == count * RECORD_BYTES,
        "{} bytes are no whole number of records of {RECORD_BYTES}",
        bytes.len()
    );
    let mut images = Images::zeroed(count);
    for (number, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        let label = record[place];
        ensure!(usize::from(label) < classes, "record {number}: label {label} is not in 0..={}", classes - 1);
        images.labels[number] = label;
        images.pixels[number * IMAGE_BYTES..][..IMAGE_BYTES].copy_from_slice(&record[2..]);
    }
    Ok(images)
}
