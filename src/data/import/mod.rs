//! Images of the user's own in the binary layout: read from folders of pictures, from CIFAR-100 or from IDX files.

mod cifar100;
mod folders;
mod idx;
mod manifest;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::dataset::{Dataset, IMAGE_BYTES, Images};
use crate::spec::config::Imported;
use crate::spec::imports::{find, is_import};
use crate::store::files::read_limited;
pub use cifar100::Labels;
pub use manifest::{LeftOut, Manifest, read};

/// A larger file holds no names of classes.
const MAX_NAMES: u64 = 1 << 20;

/// How training and test images are told apart where the source does not say.
pub const TEST_SHARE: f64 = 0.2;

/// What the user may choose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder's name where none is given.
    pub name: Option<String>,
    /// Share of each class's pictures to test; only where the source has no test images of its own.
    pub test: Option<f64>,
    pub seed: Option<u64>,
    /// Only of CIFAR-100.
    pub labels: Option<Labels>,
    /// Names of the classes, one a line; only of IDX files, which have none.
    pub classes: Option<PathBuf>,
}

/// What is read of a source.
pub struct Collected {
    /// To train on, and to test.
    pub parts: [Images; 2],
    pub classes: Vec<String>,
    pub kind: String,
    pub split: String,
    pub unreadable: Vec<LeftOut>,
    pub passed_over: Vec<LeftOut>,
}

/// Reads `source` and writes the data set into `out`. `progress` is told how many pictures there are, then of each.
pub fn import(source: &Path, out: &Path, options: &Options, progress: &(dyn Fn(Progress) + Sync)) -> Result<Manifest> {
    let own_name = || out.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = options.name.clone().or_else(own_name).context("OUT has no name; --name gives one")?;
    crate::spec::imports::check_name(&name).map_err(|why| anyhow::anyhow!("{why}; --name NAME gives another"))?;
    let collected = collect(source, out, options, progress)?;
    manifest::write(out, &name, source, collected)
}

/// What an import tells as it goes.
pub enum Progress {
    Pictures(usize),
    One,
}

fn collect(source: &Path, out: &Path, options: &Options, progress: &(dyn Fn(Progress) + Sync)) -> Result<Collected> {
    ensure!(source.exists(), "{}: there is no such folder", source.display());
    ensure!(source.is_dir(), "{}: a file; unpack it, and name the folder", source.display());
    cifar100::refuse_python(source)?;
    let Options { test, seed, labels, classes, .. } = options;
    let cifar = cifar100::locate(source);
    let idx = idx::locate(source);
    let only = |given: bool, option: &str, what: &str| {
        ensure!(!given, "--{option} is for {what}, and {} is none", source.display());
        Ok(())
    };
    only(labels.is_some() && cifar.is_none(), "labels", "CIFAR-100")?;
    only(classes.is_some() && idx.is_none(), "classes", "IDX files")?;
    let has_test = cifar.is_some() || idx.is_some() || folders::has_parts(source);
    let without = "sources without test images of their own";
    only(test.is_some() && has_test, "test", without)?;
    only(seed.is_some() && has_test, "seed", without)?;
    match (cifar, idx) {
        (Some(folder), _) => cifar100::collect(&folder, labels.unwrap_or_default()),
        (None, Some(files)) => idx::collect(&files, source, classes.as_deref()),
        (None, None) if is_inside(out, source) => {
            bail!("{}: lies in {}, whose folders are classes; name an OUT elsewhere", out.display(), source.display())
        }
        (None, None) => folders::collect(source, test.unwrap_or(TEST_SHARE), seed.unwrap_or_default(), progress),
    }
}

/// Whether `path`, which need not be there, is below `folder`.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let whole = std::path::absolute(path).unwrap_or(path.to_owned());
    let around = whole.ancestors().find_map(|path| path.canonicalize().ok());
    folder.canonicalize().is_ok_and(|folder| around.is_some_and(|around| around.starts_with(folder)))
}

/// The images of `own`, which `folder` is, or which is in it.
pub fn load(own: &Imported, folder: &Path) -> Result<Dataset> {
    let found = find(folder).map_err(anyhow::Error::msg)?;
    let is_meant = |name: &str| name == own.name;
    let place = found.iter().find(|found| found.imported == *own);
    let place = place.with_context(|| match found.iter().find(|found| is_meant(&found.imported.name)) {
        Some(other) => format!(
            "{}: other images called {} than those of sha256 {}, or other classes; --data names the folder of an import",
            other.folder.display(),
            own.name,
            own.sha256
        ),
        None => format!("no import called {} in {}; --data names its folder", own.name, folder.display()),
    })?;
    manifest::load(&place.folder)
}

/// The import that `folder` is, if it is one.
pub fn load_here(folder: &Path) -> Option<Result<Dataset>> {
    is_import(folder).then(|| manifest::load(folder))
}

/// [side, side, 3] → planes.
fn planes(pixels: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).take(IMAGE_BYTES)
}

/// The images of records that begin with `labels` labels, of which the one at `place` counts.
fn images(bytes: &[u8], labels: usize, place: usize, classes: usize) -> Result<Images> {
    let records = bytes.chunks_exact(labels + IMAGE_BYTES);
    let count = records.len();
    let mut images = Images { pixels: Vec::with_capacity(count * IMAGE_BYTES), labels: Vec::with_capacity(count) };
    for (number, record) in records.enumerate() {
        let label = record[place];
        ensure!(usize::from(label) < classes, "record {number}: label {label} is not in 0..={}", classes - 1);
        images.labels.push(label);
        images.pixels.extend(&record[labels..]);
    }
    Ok(images)
}

/// Names of classes, one a line.
fn names_in(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(read_limited(path, MAX_NAMES)?).with_context(|| path.display().to_string())?;
    Ok(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
