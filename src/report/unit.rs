//! What numbers are, and so how people read them.

use crate::words::minus;

/// What a column's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// In 0..=1; more is better.
    Share,
    /// A difference of shares.
    Points,
    /// A share that ought to be small.
    Error,
    Loss,
    Time,
    /// Images a second; more is better.
    Rate,
    /// Whole numbers, and whatever else is read as it is stored.
    Count,
}

impl Unit {
    pub fn more_is_better(self) -> bool {
        matches!(self, Unit::Share | Unit::Rate)
    }

    /// From a number as it is stored to one in a table for people.
    pub fn factor(self) -> f64 {
        if matches!(self, Unit::Share | Unit::Points | Unit::Error) { 100.0 } else { 1.0 }
    }

    /// One trial's number with as many digits as people compare; None where that is all of them.
    pub fn readable(self, value: f64) -> Option<String> {
        match self {
            Unit::Share | Unit::Points => Some(format!("{}%", minus(100.0 * value, 2))),
            Unit::Error | Unit::Loss => Some(minus(value, 4)),
            Unit::Time | Unit::Rate => Some(minus(value, 1)),
            Unit::Count => None,
        }
    }
}
