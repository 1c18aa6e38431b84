//! One copy of a data set in memory for all workers of a sweep: an anonymous file that each of them maps.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use memmap2::Mmap;

use super::{Dataset, IMAGE_BYTES};

/// The data set in an anonymous file, which lives as long as a process has it open.
#[derive(Debug)]
pub struct SharedDataset(File);

/// Images in mapped memory, which stays mapped until the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedImages {
    /// [N, 3, 32, 32]
    pub pixels: &'static [u8],
    /// [N]
    pub labels: &'static [u8],
}

impl SharedDataset {
    /// A copy of `set`, which child processes inherit. None where the system has no such files: each worker then reads for
    /// itself.
    pub fn new(set: &Dataset) -> Option<SharedDataset> {
        let mut file = anonymous_file().ok()?;
        for images in [&set.train, &set.test] {
            for part in [&images.count().to_le_bytes()[..], &images.pixels, &images.labels] {
                file.write_all(part).ok()?;
            }
        }
        Some(SharedDataset(file))
    }

    /// Where a child process finds it, for [`map`].
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// The training and the test images of an inherited [`SharedDataset`], by its [path](SharedDataset::path).
pub fn map(path: &Path) -> Result<[MappedImages; 2]> {
    let file = File::open(path).context("the shared images")?;
    // SAFETY: nobody writes the file any more, whose only name is this process's own.
    let mapped = unsafe { Mmap::map(&file) }.context("cannot map the shared images")?;
    split(Box::leak(Box::new(mapped))).context("the shared images are incomplete")
}

/// Of each part the count, the pixels and the labels.
fn split(mut rest: &'static [u8]) -> Option<[MappedImages; 2]> {
    let mut images = || {
        let (count, after) = rest.split_first_chunk()?;
        let count = usize::from_le_bytes(*count);
        let (pixels, after) = after.split_at_checked(count.checked_mul(IMAGE_BYTES)?)?;
        let (labels, after) = after.split_at_checked(count)?;
        rest = after;
        Some(MappedImages { pixels, labels })
    };
    Some([images()?, images()?])
}

#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};

    // Without CLOEXEC, children inherit the descriptor.
    Ok(memfd_create(c"runner-images", MFdFlags::empty())?.into())
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::data::synthetic;

    #[test]
    fn mapped_images_are_the_shared_ones() {
        let set = synthetic::dataset();
        let shared = SharedDataset::new(&set).unwrap();
        let [train, test] = map(&shared.path()).unwrap();
        drop(shared);
        assert_eq!((train.pixels, train.labels), (&*set.train.pixels, &*set.train.labels));
        assert_eq!((test.pixels, test.labels), (&*set.test.pixels, &*set.test.labels));
    }

    #[test]
    fn a_file_cut_short_is_refused() {
        let shared = SharedDataset::new(&synthetic::dataset()).unwrap();
        shared.0.set_len(shared.0.metadata().unwrap().len() - 1).unwrap();
        let error = map(&shared.path()).unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }
}
