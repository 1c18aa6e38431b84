//! The two official forms of the same images.

use std::io::Read;

use anyhow::Result;

use super::assembly::{BATCH_NAMES, Slot};
use super::{binary, python};

/// The two official forms of the same images that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Binary,
    Python,
}

impl Layout {
    pub const ALL: [Layout; 2] = [Layout::Binary, Layout::Python];

    /// The batch whose file is called `name`, in whichever layout has it.
    pub fn of_file(name: &[u8]) -> Option<(Layout, usize)> {
        let mut all =
            Layout::ALL.into_iter().flat_map(|layout| (0..BATCH_NAMES.len()).map(move |batch| (layout, batch)));
        all.find(|&(layout, batch)| layout.file(batch).as_bytes() == name)
    }

    /// The folder both the archive and its unpacked form have.
    pub fn folder(self) -> &'static str {
        match self {
            Layout::Binary => "cifar-10-batches-bin",
            Layout::Python => "cifar-10-batches-py",
        }
    }

    pub fn archive(self) -> &'static str {
        match self {
            Layout::Binary => "cifar-10-binary.tar.gz",
            Layout::Python => "cifar-10-python.tar.gz",
        }
    }

    /// The file of `BATCH_NAMES[batch]`.
    pub fn file(self, batch: usize) -> String {
        match self {
            Layout::Binary => format!("{}.bin", BATCH_NAMES[batch]),
            Layout::Python => BATCH_NAMES[batch].to_owned(),
        }
    }

    /// Reads one batch of `size` bytes into its place.
    ///
    /// # Errors
    /// Anything but exactly one well-formed batch; the message starts with the slot's file name.
    pub fn read_batch(self, reader: impl Read, size: u64, slot: Slot) -> Result<()> {
        match self {
            Layout::Binary => binary::read_batch(reader, size, slot),
            Layout::Python => python::read_batch(reader, size, slot),
        }
    }
}
