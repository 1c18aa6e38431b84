//! The trials of an experiment as rows of cells, under names that users may shorten, and conditions that rows must meet.

use crate::record::Epoch;
use crate::report::study::StoredTrial;
use crate::report::table::{Column, Unit, differ, exact, short_names};
use crate::report::tables;
use crate::spec::config::Select;
use crate::spec::{Cell, Kind, choices};
use anyhow::{Context, Result, bail, ensure};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;

/// What tells trials apart in words; `trials.csv` has the keys instead.
pub const LABEL: &str = "label";
/// Of a network of the user's own, and what each network is called.
const LAYERS: &str = "model.layers";
const NETWORK: &str = "model.name";
const RUNNING: &str = "running";
const WAITING: &str = "waiting";
/// Trials without the value that is sorted by come last, in this order.
pub const STATUSES: [&str; 5] = ["done", RUNNING, WAITING, "diverged", "failed"];

/// With the columns of `trials.csv` behind each trial's label.
pub struct Listing {
    pub names: Vec<String>,
    /// What people call the columns: `lr`, not `optimizer.lr`, where only one is meant.
    pub short: Vec<String>,
    pub units: Vec<Unit>,
    /// The places of the configuration keys.
    pub keys: Range<usize>,
    pub rows: Vec<Vec<Cell>>,
}

impl Listing {
    /// A trial that has not ended is running or waits its turn; its history is what it has stored so far.
    pub fn new(trials: &[StoredTrial], targets: &[f64], is_running: impl Fn(&str) -> bool) -> Listing {
        let mut columns = vec![Column::words(LABEL, |trial: &StoredTrial| trial.label.clone())];
        columns.extend(tables::identity());
        let first_key = columns.len();
        columns.extend(tables::keys(trials));
        let keys = first_key..columns.len();
        columns.extend(tables::results(targets));
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let (before, after) = (&names[..keys.start], &names[keys.end..]);
        let short_keys = short_names(&names[keys.clone()], &[before, after].concat());
        let mut listing = Listing {
            short: [before, &short_keys, after].concat(),
            units: columns.iter().map(|column| column.unit).collect(),
            keys,
            rows: trials.iter().map(|trial| columns.iter().map(|column| column.cell(trial)).collect()).collect(),
            names,
        };
        let [status, epochs, best_epoch, loss, accuracy] =
            ["status", "epochs_run", "best_epoch", "val_loss", "val_accuracy"].map(|name| listing.index(name));
        for (trial, row) in trials.iter().zip(&mut listing.rows).filter(|(trial, _)| trial.outcome.is_none()) {
            row[status] = Cell::text(if is_running(&trial.id) { RUNNING } else { WAITING });
            row[epochs] = Cell::number(trial.history.len());
            if let Some(best) = best_so_far(trial) {
                row[best_epoch] = Cell::number(best.epoch);
                row[loss] = exact(Some(best.val_loss));
                row[accuracy] = exact(Some(best.val_accuracy));
            }
        }
        listing
    }

    pub fn index(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).expect("a column of every table of trials")
    }

    /// The column that a user calls `name`.
    pub fn find(&self, name: &str) -> Result<usize> {
        let known = |names: &[String]| names.iter().position(|known| known == name);
        known(&self.names).or_else(|| known(&self.short)).with_context(|| {
            let valid: Vec<&str> = self.short.iter().map(String::as_str).collect();
            format!("there is no column `{name}`; {}", choices(name, &valid))
        })
    }

    /// By one column; see [`STATUSES`].
    pub fn order(&self, column: usize, descending: bool, a: &[Cell], b: &[Cell]) -> Ordering {
        let status = |row: &[Cell]| STATUSES.iter().position(|status| *status == row[self.index("status")].text);
        match (Value::of(&a[column]), Value::of(&b[column])) {
            (Value::Missing, Value::Missing) => status(a).cmp(&status(b)),
            (Value::Missing, _) => Ordering::Greater,
            (_, Value::Missing) => Ordering::Less,
            (a, b) if descending => b.compare(a),
            (a, b) => a.compare(b),
        }
    }

    /// Whether it tells the rows apart. Layers do where the names of their networks do not.
    pub fn differs(&self, column: usize, rows: &[&[Cell]]) -> bool {
        let text = |column: usize| rows.iter().map(move |row| row[column].text.as_str());
        if self.names[column] == LAYERS {
            let names = self.index(NETWORK);
            let networks: HashSet<_> = text(names).zip(text(column)).collect();
            return networks.len() > text(names).collect::<HashSet<_>>().len();
        }
        differ(&self.names[column], &self.names[self.keys.clone()], text(column))
    }
}

/// The epoch that would be selected if the trial ended now: the first of the best, NaN being none.
fn best_so_far(trial: &StoredTrial) -> Option<&Epoch> {
    let metric = |epoch: &Epoch| match trial.config.select {
        Select::ValLoss => -epoch.val_loss,
        Select::ValAccuracy => epoch.val_accuracy,
    };
    let numbers = trial.history.iter().filter(|epoch| !metric(epoch).is_nan());
    numbers.rev().max_by(|a, b| metric(a).total_cmp(&metric(b)))
}

/// What a cell says, so that cells can be ordered and compared.
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
            Kind::Flag | Kind::List | Kind::Text => Value::Text(&cell.text),
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

/// So many values are named where a filter matches none of them.
const VALUES_NAMED: usize = 12;

/// A condition such as `lr>=0.01`.
pub struct Filter {
    text: String,
    pub column: usize,
    relation: Relation,
    wanted: String,
}

/// A sign, and whether a value passes that is or is not the wanted one, and that compares with it where both are numbers.
type Relation = (&'static str, fn(bool, Option<Ordering>) -> bool);

/// Those of two characters first, because the others begin them.
const RELATIONS: [Relation; 6] = [
    ("!=", |is, _| !is),
    (">=", |_, order| order.is_some_and(Ordering::is_ge)),
    ("<=", |_, order| order.is_some_and(Ordering::is_le)),
    ("=", |is, _| is),
    (">", |_, order| order.is_some_and(Ordering::is_gt)),
    ("<", |_, order| order.is_some_and(Ordering::is_lt)),
];

impl Filter {
    pub fn parse(text: &str, listing: &Listing) -> Result<Filter> {
        let at = text.find(['=', '<', '>', '!']);
        let split = at.and_then(|at| {
            let (name, rest) = text.split_at(at);
            RELATIONS.iter().find_map(|relation| Some((name, *relation, rest.strip_prefix(relation.0)?)))
        });
        let Some((name, relation, wanted)) = split else {
            bail!(
                "--filter {text}: write KEY=VALUE, or with !=, >, >=, < or <=, in quotes: a shell takes < and > for itself"
            )
        };
        let column = listing.find(name.trim()).with_context(|| format!("--filter {text}"))?;
        let filter = Filter { text: text.to_owned(), column, relation, wanted: wanted.trim().to_owned() };
        let compares = !["=", "!="].contains(&relation.0);
        ensure!(!compares || filter.number().is_some(), "--filter {text}: `{}` is not a number", filter.wanted);
        Ok(filter)
    }

    /// Whether it sets a bound or leaves something out.
    pub fn is_range(&self) -> bool {
        self.relation.0 != "="
    }

    /// The wanted number; `57%` is 0.57.
    fn number(&self) -> Option<f64> {
        match self.wanted.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
            None => self.wanted.parse().ok(),
        }
    }

    pub fn passes(&self, listing: &Listing, row: &[Cell]) -> bool {
        let value = Value::of(&row[self.column]);
        let is = match value {
            Value::Number(number) => self.number() == Some(number),
            Value::Text(text) => text == self.wanted,
            Value::Missing => self.wanted.is_empty(),
        };
        // A trial may belong to several blocks.
        let is = is
            || (listing.names[self.column] == "blocks"
                && row[self.column].text.split(tables::LIST_SEPARATOR).any(|block| block == self.wanted));
        let compared = match (value, self.number()) {
            (Value::Number(number), Some(wanted)) => number.partial_cmp(&wanted),
            _ => None,
        };
        (self.relation.1)(is, compared)
    }

    /// What there is instead in `rows`, none of which passes.
    pub fn why_none_passes(&self, listing: &Listing, mut rows: Vec<&[Cell]>) -> String {
        let name = &listing.short[self.column];
        rows.sort_by(|a, b| listing.order(self.column, false, a, b));
        let mut values: Vec<&str> = rows.iter().map(|row| row[self.column].text.as_str()).collect();
        values.retain(|text| !text.is_empty());
        values.dedup();
        let there = match values.as_slice() {
            [] => format!("none of them has a {name}"),
            [first, .., last] if values.len() > VALUES_NAMED => format!("{name} is {first} to {last}"),
            _ => format!("{name} is {}", values.join(", ")),
        };
        format!("no trial with {}; {there}", self.text)
    }
}
