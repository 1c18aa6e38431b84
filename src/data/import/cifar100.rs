//! CIFAR-100 in its binary layout: two labels, then the image.
//!
//! Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::{Collected, images, names_in};
use crate::data::dataset::{IMAGE_BYTES, Images};
use crate::store::files::read_limited;

const FOLDER: &str = "cifar-100-binary";
const PYTHON: &str = "cifar-100-python";
const FILES: [&str; 2] = ["train.bin", "test.bin"];
/// Of an image.
const LABELS: usize = 2;
const RECORD_BYTES: usize = LABELS + IMAGE_BYTES;
/// The official training file has 154 MB.
const MAX_BYTES: u64 = 1 << 30;

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
    let classes = names_in(&path)?;
    let (wanted, place) = labels.classes();
    ensure!(classes.len() == wanted, "{}: {} names instead of {wanted}", path.display(), classes.len());
    let read = |file: &str| {
        let path = folder.join(file);
        images_of(&read_limited(&path, MAX_BYTES)?, place, wanted).with_context(|| path.display().to_string())
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

fn images_of(bytes: &[u8], place: usize, classes: usize) -> Result<Images> {
    ensure!(
        !bytes.is_empty() && bytes.len().is_multiple_of(RECORD_BYTES),
        "{} bytes are no whole number of records of {RECORD_BYTES}",
        bytes.len()
    );
    images(bytes, LABELS, place, classes)
}
