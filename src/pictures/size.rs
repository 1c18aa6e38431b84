//! How large a picture may be, and the part of it that is looked at.

use anyhow::{Result, ensure};

/// A picture's pixels may take so much memory, which 20,000×20,000 pixels of one byte do not reach; decoders may take as
/// much again for themselves.
pub const MAX_PIXEL_BYTES: u64 = 512 << 20;
const MEGABYTE: u64 = 1_000_000;

/// Refuses pixels that take too much memory.
pub fn check_size((width, height): (u32, u32), bytes: u64) -> Result<()> {
    ensure!(
        bytes <= MAX_PIXEL_BYTES,
        "{width}×{height} pixels take {} MB, more than the {} MB that are read; make it smaller",
        bytes / MEGABYTE,
        MAX_PIXEL_BYTES / MEGABYTE
    );
    Ok(())
}

/// The left column, the top row and the side of the middle square.
pub fn middle((width, height): (u32, u32)) -> (u32, u32, u32) {
    let side = width.min(height);
    ((width - side) / 2, (height - side) / 2, side)
}
