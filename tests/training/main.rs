//! Training in this process: packs of trials take the same steps as single ones within rounding, whatever their members have of their own,
//! and a trial that is resumed takes the same to the last bit.

mod course;
mod resume;
mod steps;
mod watch;
