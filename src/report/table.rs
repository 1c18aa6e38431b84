//! Tables: each from one description of its columns, whatever file it is for; what their numbers are, and what configuration keys
//! are called as columns.

use crate::spec::{Cell, Kind};
use crate::words::minus;
use anyhow::{Context, Result};
use std::borrow::Borrow;
use std::collections::BTreeSet;

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

/// A CSV with one header, LF at every line's end and quotes only where needed; without a value a cell is empty. Lists are in
/// brackets, and text that a reader could take for something else has an apostrophe in front.
pub fn csv<R>(columns: &[Column<R>], rows: impl IntoIterator<Item = impl Borrow<R>>) -> Result<Vec<u8>> {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(columns.iter().map(|column| &column.name)).context("a table's header")?;
    for row in rows {
        file.write_record(columns.iter().map(|column| csv_text(&column.cell(row.borrow())))).context("a table row")?;
    }
    file.into_inner().context("the end of a table")
}

/// Words that pandas takes for missing values.
const MISSING_WORDS: [&str; 16] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "None", "n/a", "null",
];

fn csv_text(cell: &Cell) -> String {
    match cell.kind {
        Kind::List => format!("[{}]", cell.text.replace(' ', ", ")),
        Kind::Text if reads_as_something_else(&cell.text) => format!("'{}", cell.text),
        _ => cell.text.clone(),
    }
}

/// As a number, a truth value or nothing, or as text that has such an apostrophe.
fn reads_as_something_else(text: &str) -> bool {
    let word = text.trim();
    let is_truth_value = ["true", "false"].contains(&word.to_lowercase().as_str());
    word.parse::<f64>().is_ok() || is_truth_value || MISSING_WORDS.contains(&word) || text.starts_with('\'')
}

/// The shortest decimal that reads back as the same f64, with a point or an exponent; `NaN`, `inf`. Empty without a value.
pub fn exact(value: impl Into<Option<f64>>) -> Cell {
    value.into().map(|value| Cell::number(format!("{value:?}"))).unwrap_or_default()
}

/// Without a line's end after the last row.
pub fn markdown_table(table: &Table) -> String {
    piped(table, markdown)
}

/// The same without markup, for a terminal.
pub fn plain_table(table: &Table) -> String {
    piped(table, one_line)
}

fn piped(table: &Table, written: fn(&str) -> String) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let columns = 0..table.header.len();
    let rule: String = columns.map(|column| if table.is_numeric(column) { "---:|" } else { "---|" }).collect();
    let header = line(table.header.iter().map(|name| written(name)).collect());
    let rows = table.rows.iter().map(|row| line(row.iter().map(|cell| written(&cell.text)).collect()));
    [header, format!("|{rule}")].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Text that Markdown, GitHub's too, shows as it is, on one line.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let text = one_line(text);
    for (place, character) in text.char_indices() {
        match character {
            '\\' | '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '#' | '~' | '&' => escaped.extend(['\\', character]),
            // GitHub takes what stands between two for mathematics, escaped or not.
            '$' => escaped += "&#36;",
            // It also makes links of addresses.
            ':' if text[place..].starts_with("://") => escaped += "\\:",
            '.' if text[..place].ends_with("www") => escaped += "\\.",
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `optimizer.lr` → `lr`, `optimizer.name` → `optimizer`, unless another key or one of the `other` columns is or would be
/// called so.
pub fn short_names(keys: &[String], other: &[String]) -> Vec<String> {
    let candidate = |key: &String| match key.split_once('.') {
        Some((group, "name")) => group.to_owned(),
        Some((_, field)) => field.to_owned(),
        None => key.clone(),
    };
    let is_clear = |key: &String, short: &String| {
        let clashes = |another: &String| another != key && (another == short || candidate(another) == *short);
        !keys.iter().any(clashes) && !other.contains(short)
    };
    let name = |key: &String| Some(candidate(key)).filter(|short| is_clear(key, short)).unwrap_or(key.clone());
    keys.iter().map(name).collect()
}

/// Whether trials have different `values` of `key`, one of `keys`; an empty value means that a trial has no such key. That
/// is no difference of its own where a name goes with it: of two optimizers, one has no momentum.
pub fn differ<'a>(key: &str, keys: &[String], values: impl Iterator<Item = &'a str>) -> bool {
    let named = key.split_once('.').is_some_and(|(group, _)| keys.contains(&format!("{group}.name")));
    values.filter(|value| !(named && value.is_empty())).collect::<BTreeSet<_>>().len() > 1
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

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(markdown("a|b_c\n<i>"), "a\\|b\\_c \\<i\\>");
    }

    #[test]
    fn text_in_a_csv_is_read_as_text() {
        let text = |text: &str| csv_text(&Cell::text(text));
        for other in ["1162877", "1e5", " 7 ", "inf", "nan", "True", "null", "NA", "'7"] {
            assert_eq!(text(other), format!("'{other}"));
        }
        for plain in ["24b56f6", "none", "", "6 16", "a'b", "schedule rate"] {
            assert_eq!(text(plain), plain);
        }
        let list = |text: &str| csv_text(&Cell { text: text.into(), kind: Kind::List });
        assert_eq!(["6 16", "6", "", "20:0.1 10:0.01"].map(list), ["[6, 16]", "[6]", "[]", "[20:0.1, 10:0.01]"]);
        assert_eq!((csv_text(&Cell::number(7)), csv_text(&Cell::default())), ("7".into(), String::new()));
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_short_name_means_one_column() {
        let keys = names(&["epochs", "warmup.epochs", "optimizer.lr", "optimizer.name", "a.x", "b.x", "c.seed"]);
        let expected = ["epochs", "warmup.epochs", "lr", "optimizer", "a.x", "b.x", "c.seed"];
        assert_eq!(short_names(&keys, &names(&["id", "seed"])), expected);
    }

    #[test]
    fn an_option_that_goes_with_a_name_is_no_difference() {
        let keys = names(&["optimizer.name", "optimizer.momentum", "warmup.epochs"]);
        assert!(!differ("optimizer.momentum", &keys, ["0.9", ""].into_iter()));
        assert!(differ("optimizer.momentum", &keys, ["0.9", "", "0"].into_iter()));
        assert!(differ("warmup.epochs", &keys, ["2", ""].into_iter()));
    }
}
