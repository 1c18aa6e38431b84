//! Conditions that trials must meet, such as `lr>=0.01`.

use super::listing::{Listing, Value};
use crate::report::tables::LIST_SEPARATOR;
use crate::spec::Cell;
use anyhow::{Context, Result, bail, ensure};
use std::cmp::Ordering;

/// So many values are named where a filter matches none of them.
const VALUES_NAMED: usize = 12;

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
                && row[self.column].text.split(LIST_SEPARATOR).any(|block| block == self.wanted));
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
