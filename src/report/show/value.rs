//! What a cell says, so that cells can be ordered and compared.

use crate::spec::{Cell, Kind};
use std::cmp::Ordering;

#[derive(Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
}

impl Value<'_> {
    pub fn of(cell: &Cell) -> Value<'_> {
        match cell.kind {
            _ if cell.text.is_empty() => Value::Missing,
            Kind::Number => Value::Number(cell.text.parse().expect("a number as it was formatted")),
            Kind::Flag | Kind::Text => Value::Text(&cell.text),
        }
    }

    /// Numbers before words.
    pub fn compare(self, other: Value) -> Ordering {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.total_cmp(&b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Number(_), _) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}
