//! Axes and zips: lists of values that keys take.

use super::error::Result;
use super::fields::Slot;
use super::settings::Setting;
use super::yaml::Key;

/// One thing that a block varies: a zip, whose rows set several keys together, or an axis, which is a zip of one key.
pub struct Factor<'a> {
    pub keys: Vec<&'a Key>,
    pub rows: Vec<Vec<Setting<'a>>>,
}

/// The rows of lists that move together.
pub fn factor<'a>(path: &str, columns: &[Setting<'a>]) -> Result<Factor<'a>> {
    let mut rows: Vec<Vec<Setting>> = Vec::new();
    for &(key, node) in columns {
        let slot = Slot::new(format!("{path}.{}", key.name), node);
        let values = slot.list_of(1..=usize::MAX)?;
        if rows.is_empty() {
            rows = vec![Vec::new(); values.len()];
        }
        if rows.len() != values.len() {
            let (first, _) = columns[0];
            let problem = format!(
                "{} values, but {} has {}: a zip's lists are equally long",
                values.len(),
                first.name,
                rows.len()
            );
            return Err(slot.error(problem));
        }
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((key, value.node));
        }
    }
    Ok(Factor { keys: columns.iter().map(|(key, _)| *key).collect(), rows })
}

/// How many combinations a product has; saturating, since a file may ask for 10⁹⁹.
pub fn combinations(factors: &[Factor]) -> usize {
    factors.iter().fold(1, |count, factor| count.saturating_mul(factor.rows.len()))
}

/// One of them, by number: the last factor moves fastest.
pub fn combination<'a>(factors: &[Factor<'a>], mut number: usize) -> Vec<Setting<'a>> {
    let mut rows: Vec<&Vec<Setting>> = Vec::new();
    for factor in factors.iter().rev() {
        rows.push(&factor.rows[number % factor.rows.len()]);
        number /= factor.rows.len();
    }
    rows.into_iter().rev().flatten().copied().collect()
}
