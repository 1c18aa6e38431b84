//! What the tables of keys say: to people as a list, to editors as a JSON Schema.

mod outer;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

pub use rows::{Row, find, rows};
pub use schema::schema;
