//! Trained networks at work: scores on a split, and the classes of image files.

pub mod evaluate;
pub mod export;
mod jpeg;
pub mod load;
pub mod picture;
pub mod predict;
pub mod side_by_side;
mod size;
mod tiff;
