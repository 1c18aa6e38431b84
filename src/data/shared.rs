//! One copy of a data set in memory for all workers of a sweep: an anonymous file that each of them maps.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::slice;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

use super::{Dataset, IMAGE_BYTES};
use crate::spec::config::DatasetName;

/// Bytes of the two counts that come first: training images, test images.
const HEADER: usize = 2 * size_of::<u64>();

/// The data set in an anonymous file, which lives as long as a process has it open.
#[derive(Debug)]
pub struct SharedDataset {
    file: File,
    name: DatasetName,
}

/// What a child process passes to [`map`]: which images they are, and the inherited descriptor. `cifar10:5` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub name: DatasetName,
    descriptor: RawFd,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.name.as_str(), self.descriptor)
    }
}

impl FromStr for Ticket {
    type Err = String;

    fn from_str(text: &str) -> Result<Ticket, String> {
        let (name, descriptor) = text.split_once(':').ok_or("not NAME:DESCRIPTOR")?;
        Ok(Ticket { name: name.parse()?, descriptor: descriptor.parse().map_err(|_| "not a descriptor")? })
    }
}

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
        let shared = SharedDataset { file: anonymous_file().ok()?, name: set.name };
        shared.write(set).ok()?;
        Some(shared)
    }

    pub fn ticket(&self) -> Ticket {
        Ticket { name: self.name, descriptor: self.file.as_raw_fd() }
    }

    fn write(&self, set: &Dataset) -> io::Result<()> {
        let mut file = &self.file;
        for images in [&set.train, &set.test] {
            file.write_all(&(images.count() as u64).to_le_bytes())?;
        }
        for images in [&set.train, &set.test] {
            file.write_all(&images.pixels)?;
            file.write_all(&images.labels)?;
        }
        Ok(())
    }
}

/// The training and the test images of an inherited [`SharedDataset`].
pub fn map(Ticket { descriptor, .. }: Ticket) -> Result<[MappedImages; 2]> {
    // SAFETY: the descriptor was inherited for this use; it stays open, for the images may be asked for again.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    let length = file.metadata().context("the shared images")?.len() as usize;
    // SAFETY: a new mapping of a file that nobody writes any more; the answer is checked.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, descriptor, 0) };
    ensure!(start != libc::MAP_FAILED, "cannot map the shared images: {}", io::Error::last_os_error());
    // SAFETY: the mapping has `length` bytes and is never unmapped.
    let bytes: &'static [u8] = unsafe { slice::from_raw_parts(start.cast(), length) };
    split(bytes).context("the shared images are incomplete")
}

fn split(bytes: &'static [u8]) -> Option<[MappedImages; 2]> {
    let (header, mut rest) = bytes.split_at_checked(HEADER)?;
    let count = |index: usize| Some(u64::from_le_bytes(header[index * 8..][..8].try_into().ok()?) as usize);
    let mut images = |count: usize| {
        let (pixels, after) = rest.split_at_checked(count.checked_mul(IMAGE_BYTES)?)?;
        let (labels, after) = after.split_at_checked(count)?;
        rest = after;
        Some(MappedImages { pixels, labels })
    };
    Some([images(count(0)?)?, images(count(1)?)?])
}

#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    // SAFETY: the name is a C string. Without MFD_CLOEXEC, children inherit the descriptor.
    let descriptor = unsafe { libc::memfd_create(c"runner-images".as_ptr(), 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::data::synthetic;

    /// As a child process would have it.
    fn duplicate(shared: &SharedDataset) -> Ticket {
        let Ticket { name, descriptor } = shared.ticket().to_string().parse().unwrap();
        // SAFETY: the descriptor is open.
        Ticket { name, descriptor: unsafe { libc::dup(descriptor) } }
    }

    #[test]
    fn mapped_images_are_the_shared_ones() {
        let set = synthetic::dataset();
        let shared = SharedDataset::new(&set).unwrap();
        let [train, test] = map(duplicate(&shared)).unwrap();
        drop(shared);
        assert_eq!((train.pixels, train.labels), (&*set.train.pixels, &*set.train.labels));
        assert_eq!((test.pixels, test.labels), (&*set.test.pixels, &*set.test.labels));
    }

    #[test]
    fn a_file_cut_short_is_refused() {
        let shared = SharedDataset::new(&synthetic::dataset()).unwrap();
        shared.file.set_len(shared.file.metadata().unwrap().len() - 1).unwrap();
        let error = map(duplicate(&shared)).unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }
}
