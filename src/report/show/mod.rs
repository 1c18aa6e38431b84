//! `runner show`: trials sorted, filtered and cut to the columns that matter, as a table for people or as JSON.

mod listing;
#[cfg(test)]
mod tests;

pub use listing::Listing;

use crate::report::table::Unit;
use crate::report::terminal::{Column, Lines, lay_out};
use crate::spec::{Cell, Kind};
use crate::words::count;
use anyhow::{Context, Result};
use listing::{Filter, LABEL, STATUSES, Value};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeSet, HashMap};

/// What is shown unless the user says otherwise, around the configuration keys that differ.
const BEFORE_KEYS: [&str; 4] = [LABEL, "id", "status", "seed"];
const AFTER_KEYS: [&str; 7] =
    ["epochs_run", "best_epoch", "val_accuracy", "test_accuracy", "test_loss", "accuracy_gap", "seconds"];

/// Which trials and columns, and in which order.
#[derive(Debug)]
pub struct Request {
    pub sort: String,
    pub reverse: bool,
    /// Such as `optimizer=adam` or `lr>0.01`; a trial must meet all.
    pub filters: Vec<String>,
    pub columns: Choice,
}

#[derive(Debug)]
pub enum Choice {
    Usual,
    All,
    These(Vec<String>),
}

pub struct View<'a> {
    pub(super) listing: &'a Listing,
    pub(super) rows: Vec<&'a [Cell]>,
    /// Which filter left no row, and what there is instead.
    pub why_empty: Option<String>,
    /// In the order in which they are shown.
    columns: Vec<usize>,
    /// The columns that stay longest first.
    ranking: Vec<usize>,
}

impl<'a> View<'a> {
    pub fn new(listing: &'a Listing, request: &Request) -> Result<View<'a>> {
        let sort = listing.find(&request.sort).context("--sort")?;
        let filters = request.filters.iter().map(|text| Filter::parse(text, listing)).collect::<Result<Vec<_>>>()?;
        let mut rows: Vec<&[Cell]> = listing.rows.iter().map(Vec::as_slice).collect();
        let mut why_empty = None;
        for filter in &filters {
            let before = rows.clone();
            rows.retain(|row| filter.passes(listing, row));
            if rows.is_empty() && why_empty.is_none() {
                why_empty = Some(filter.why_none_passes(listing, before));
            }
        }
        let descending = listing.units[sort].more_is_better() != request.reverse;
        rows.sort_by(|a, b| listing.order(sort, descending, a, b));
        let ranges = filters.iter().filter(|filter| filter.is_range()).map(|filter| filter.column);
        let asked: Vec<usize> = std::iter::once(sort).chain(ranges).collect();
        let important = by_importance(listing, &rows, &asked);
        let (columns, ranking) = match &request.columns {
            Choice::Usual => (usual(listing, &rows, &asked), important),
            // The columns of `trials.csv`.
            Choice::All => {
                ((0..listing.names.len()).filter(|&column| listing.names[column] != LABEL).collect(), important)
            }
            Choice::These(names) => {
                let found = names.iter().map(|name| listing.find(name)).collect::<Result<Vec<_>>>();
                let columns = found.context("--columns")?;
                (columns.clone(), columns)
            }
        };
        Ok(View { listing, rows, why_empty, columns, ranking })
    }

    /// For a terminal of `width` columns; without one, every column in full.
    pub fn table(&self, width: Option<usize>) -> Lines {
        let column = |&index: &usize| {
            let cells = self.rows.iter().map(|row| readable(self.listing.units[index], &row[index]));
            let rank = self.ranking.iter().position(|ranked| *ranked == index).unwrap_or(usize::MAX);
            Column::new(&self.listing.short[index], cells, rank)
        };
        lay_out(&self.columns.iter().map(column).collect::<Vec<_>>(), width)
    }

    /// Whether each row is a trial that failed or diverged.
    pub fn troubled(&self) -> impl Iterator<Item = bool> {
        let status = self.listing.index("status");
        self.rows.iter().map(move |row| ["failed", "diverged"].contains(&row[status].text.as_str()))
    }

    /// One object a trial with the names of `trials.csv`; what a trial does not have is null.
    pub fn json(&self) -> Json {
        let object = |row: &&[Cell]| {
            let entries = self.columns.iter().map(|&index| (self.listing.names[index].clone(), json(&row[index])));
            Json::Object(entries.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// `12 of 75 trials: 10 done, 2 failed`
    pub fn counts(&self) -> String {
        let status = self.listing.index("status");
        let with = |word: &str| self.rows.iter().filter(|row| row[status].text == *word).count();
        let counts = STATUSES.iter().map(|word| (word, with(word))).filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {word}")).collect();
        let (shown, all) = (self.rows.len(), self.listing.rows.len());
        let part = if shown == all { String::new() } else { format!("{shown} of ") };
        let trials = count(all, "trial");
        if counts.is_empty() { format!("{part}{trials}") } else { format!("{part}{trials}: {}", counts.join(", ")) }
    }
}

fn usual(listing: &Listing, rows: &[&[Cell]], asked: &[usize]) -> Vec<usize> {
    let mut columns: Vec<usize> = BEFORE_KEYS.iter().map(|name| listing.index(name)).collect();
    columns.retain(|&column| listing.names[column] != LABEL || listing.differs(column, rows));
    columns.extend(listing.keys.clone().filter(|&key| listing.differs(key, rows)));
    columns.extend(AFTER_KEYS.iter().map(|name| listing.index(name)));
    let more: Vec<usize> =
        asked.iter().copied().filter(|asked| !columns.contains(asked) && listing.differs(*asked, rows)).collect();
    columns.extend(more);
    columns
}

/// All columns, those first that a narrow terminal must show: what was asked for, what tells trials apart, their
/// accuracy.
fn by_importance(listing: &Listing, rows: &[&[Cell]], asked: &[usize]) -> Vec<usize> {
    let mut keys: Vec<usize> = listing.keys.clone().collect();
    keys.sort_by_key(|&key| std::cmp::Reverse(unusual(key, rows)));
    let index = |name: &&str| listing.index(name);
    let telling = ["status", "seed"].iter().map(index).filter(|&column| listing.differs(column, rows));
    let label = Some(listing.index(LABEL)).filter(|&label| listing.differs(label, rows));
    let order =
        label.into_iter().chain([listing.index("id"), listing.index("test_accuracy")]).chain(asked.iter().copied());
    let order = order.chain(telling).chain([listing.index("val_accuracy")]);
    let order = order.chain(keys.into_iter().filter(|&key| listing.differs(key, rows)));
    let order = order.chain(["test_loss", "best_epoch", "accuracy_gap", "epochs_run", "seconds"].iter().map(index));
    let (others, constant): (Vec<_>, Vec<_>) =
        (0..listing.names.len()).partition(|&column| listing.differs(column, rows));
    let mut seen = BTreeSet::new();
    order.chain(others).chain(constant).filter(|&column| seen.insert(column)).collect()
}

/// How many rows have another value than most.
fn unusual(column: usize, rows: &[&[Cell]]) -> usize {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    rows.iter().for_each(|row| *counts.entry(row[column].text.as_str()).or_default() += 1);
    rows.len() - counts.values().max().copied().unwrap_or(0)
}

fn json(cell: &Cell) -> Json {
    match cell.kind {
        _ if cell.text.is_empty() => Json::Null,
        // Not through f64, which would make a seed of 64 bits another one; NaN and infinity become null.
        Kind::Number => serde_json::from_str(&cell.text).unwrap_or(Json::Null),
        Kind::Flag => (cell.text == "true").into(),
        Kind::List | Kind::Text => cell.text.as_str().into(),
    }
}

/// Configuration keys as they are stored, measurements with as many digits as people compare.
fn readable(unit: Unit, cell: &Cell) -> Cell {
    let Value::Number(number) = Value::of(cell) else { return cell.clone() };
    // A count that tables keep as a float, such as the epochs to an accuracy.
    let count = || cell.text.strip_suffix(".0").unwrap_or(&cell.text).to_owned();
    Cell::number(unit.readable(number).unwrap_or_else(count))
}
