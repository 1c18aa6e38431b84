//! What a study may say, and which trials it needs to say it: pure functions of an experiment and how its trials ended.
//!
//! [`rule`] compares settings with their base at one look, [`looks`] takes looks until all is settled, and [`asked`] turns
//! an experiment into the trials that it needs by now, the tuning of each setting's own values among them.

pub mod asked;
pub mod looks;
pub mod rule;

/// How far a trial has come, as verdicts see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// It has not ended.
    Pending,
    Done {
        /// Percent of the test images.
        accuracy: f64,
        /// Whether always naming the largest class does as well, within chance.
        at_chance: bool,
    },
    Diverged,
    Failed,
}

/// Whether a test accuracy, in 0..=1, is no better than always naming the largest class, whose share of the `images` is `share`:
/// at most three standard deviations above it.
pub fn is_at_chance(accuracy: f64, share: f64, images: u64) -> bool {
    accuracy <= share + 3.0 * (share * (1.0 - share) / images as f64).sqrt()
}
