//! Tables: each from one description of its columns, whatever file it is for.

use std::borrow::Borrow;

use anyhow::{Context, Result};

use super::unit::Unit;
use crate::spec::{Cell, Kind};

/// What a table for people shows where there is no value.
pub const MISSING: &str = "–";

/// One column: its name, and what a row has in it.
pub struct Column<'a, R> {
    pub name: String,
    /// Of its numbers.
    pub unit: Unit,
    cell: Box<dyn Fn(&R) -> Cell + 'a>,
}

impl<'a, R> Column<'a, R> {
    pub fn new(name: impl Into<String>, cell: impl Fn(&R) -> Cell + 'a) -> Column<'a, R> {
        Column { name: name.into(), unit: Unit::Count, cell: Box::new(cell) }
    }

    pub fn with_unit(self, unit: Unit) -> Column<'a, R> {
        Column { unit, ..self }
    }

    pub fn words(name: impl Into<String>, words: impl Fn(&R) -> String + 'a) -> Column<'a, R> {
        Column::new(name, move |row| Cell::text(words(row)))
    }

    /// Numbers as people read them, with a dash where there is none.
    pub fn numbers(name: impl Into<String>, number: impl Fn(&R) -> Option<String> + 'a) -> Column<'a, R> {
        Column::new(name, move |row| Cell::number(number(row).unwrap_or(MISSING.to_owned())))
    }

    pub fn cell(&self, row: &R) -> Cell {
        (self.cell)(row)
    }
}

/// Rows of cells under a header, free of any markup.
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new<R>(columns: &[Column<R>], rows: impl IntoIterator<Item = impl Borrow<R>>) -> Table {
        let cells = |row: &R| columns.iter().map(|column| column.cell(row)).collect();
        Table {
            header: columns.iter().map(|column| column.name.clone()).collect(),
            rows: rows.into_iter().map(|row| cells(row.borrow())).collect(),
        }
    }

    /// Numbers are set to the right.
    pub fn is_numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row[column].kind == Kind::Number)
    }
}

/// A CSV with one header, LF at every line's end and quotes only where needed; without a value a cell is empty.
pub fn csv<R>(columns: &[Column<R>], rows: impl IntoIterator<Item = impl Borrow<R>>) -> Result<Vec<u8>> {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(columns.iter().map(|column| &column.name)).context("a table's header")?;
    for row in rows {
        file.write_record(columns.iter().map(|column| column.cell(row.borrow()).text)).context("a table row")?;
    }
    file.into_inner().context("the end of a table")
}

/// The shortest decimal that reads back as the same f64, with a point or an exponent; `NaN`, `inf`. Empty without a value.
pub fn exact(value: impl Into<Option<f64>>) -> Cell {
    value.into().map(|value| Cell::number(format!("{value:?}"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_like_numbers_are_still_names() {
        let columns = [
            Column::words("Setting", |name: &&str| name.to_string()),
            Column::numbers("Accuracy", |name: &&str| (*name != "none").then(|| "63.1 ± 0.4".to_owned())),
        ];
        let table = Table::new(&columns, ["512", "none", "1e3f"]);
        assert_eq!([0, 1].map(|column| table.is_numeric(column)), [false, true]);
    }
}
