//! CIFAR-10, in either official layout or archive.
//!
//! Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>.

pub mod archive;
mod assembly;
mod layout;
mod pickle;
pub mod places;
pub mod python;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use anyhow::{Result, bail};

use super::dataset::Dataset;
use places::{Place, batch_file, found_instead, locate, open};

pub use assembly::{Assembly, BATCH_IMAGES, BATCH_NAMES, CLASS_NAMES, batch};
pub use layout::Layout;

/// Reads CIFAR-10 from `dir`: an unpacked official folder in it, `dir` being such a folder, an official archive in it,
/// or `dir` being an archive; the first of these that is there. If none is, the same is looked for in the folders in it.
/// Refuses what is incomplete or damaged.
pub fn load(dir: &Path) -> Result<Dataset> {
    match locate(dir) {
        Some(Place::Folder(folder, layout)) => load_folder(&folder, layout),
        Some(Place::Archive(path)) if is_batch(&path) => {
            bail!("{}: this is one batch of CIFAR-10; name its folder", path.display())
        }
        Some(Place::Archive(path)) => archive::read(open(&path)?.0, &path.display().to_string()),
        None => bail!("no CIFAR-10 in {}: {}\n{}", dir.display(), found_instead(dir), places::ways_out()),
    }
}

fn is_batch(path: &Path) -> bool {
    path.file_name().is_some_and(|name| Layout::of_file(name.as_encoded_bytes()).is_some())
}

fn load_folder(folder: &Path, layout: Layout) -> Result<Dataset> {
    let mut assembly = Assembly::default();
    for batch in 0..BATCH_NAMES.len() {
        let path = batch_file(folder, layout, batch);
        let (reader, size) = open(&path)?;
        layout.read_batch(reader, size, assembly.slot(batch, path.display().to_string())?)?;
    }
    let kind = if layout == Layout::Binary { "binary" } else { "python" };
    assembly.finish(format!("{} ({kind} layout)", folder.display()))
}
