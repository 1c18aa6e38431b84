//! Trained networks at work: scores on a split, and the classes of image files.

pub mod evaluate;
pub mod export;
pub mod load;
pub mod predict;
pub mod side_by_side;
