//! The rule of verdicts: values that SciPy gave, a second program for it in Python, and what it answers where the truth is known.
//!
//! `RUNNER_STUDIES=10000 cargo test --release --test verdicts simulated -- --nocapture` simulates so many studies of each kind.
//! Where no Python with SciPy is found, the tests that need one are skipped, with a line saying so.

#[path = "../common/skip.rs"]
mod skip;

mod checked;
mod random;
mod reference;
mod simulated;
mod stored;
