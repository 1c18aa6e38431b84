//! `runner show`: trials sorted, filtered and cut to the columns that matter, as a table for people or as JSON.

mod filter;
mod listing;
mod value;
mod view;

#[cfg(test)]
mod tests;

pub use listing::Listing;
pub use view::{Choice, Request, View};
