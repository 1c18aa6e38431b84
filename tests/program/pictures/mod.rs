//! Pictures of every kind as `predict` sees them: as their format's specification and Pillow say, or refused by name.

mod jpeg;
pub mod table;
mod tiff;
