//! `mode: random`: each factor of a block becomes a list of samples.
//!
//! A sample is drawn from the block's seed, the key and the sample's number alone, so that more samples or other axes leave it
//! as it is, on every machine.

use std::borrow::Cow;
use std::ops::Bound;

use sha2::{Digest, Sha256};

use super::advice::{choices, number_text};
use super::error::{Mistakes, Result};
use super::fields::Fields;
use super::keys::{self, MAX_SEED, SAMPLES, SAMPLING_SEED};
use super::settings::Factor;
use super::slot::Slot;
use super::yaml::{Key, Node, Value};
use crate::options::Takes;

/// At least so many digits of a drawn number are kept: of itself, and of where it lies in its range.
const DIGITS: i32 = 3;

/// How often is drawn, and from which seed.
#[derive(Clone, Copy)]
pub struct Sampling {
    samples: usize,
    seed: u64,
}

impl Sampling {
    /// Of a block that draws at random. Where that is mistaken, one sample stands for all, so that the ranges are looked at too.
    pub fn read(fields: &mut Fields, mistakes: &mut Mistakes) -> Sampling {
        let samples = mistakes.keep(fields.read(&SAMPLES)).unwrap_or(1);
        Sampling { samples, seed: mistakes.keep(fields.read(&SAMPLING_SEED)).unwrap_or(0) }
    }

    /// Another block has neither key.
    pub fn refuse(fields: &mut Fields) -> Result<()> {
        match fields.get(SAMPLES.name).or_else(|| fields.get(SAMPLING_SEED.name)) {
            Some(slot) => Err(slot.error("only goes with `mode: random`")),
            None => Ok(()),
        }
    }

    /// One row of a factor for each sample.
    pub fn of_rows<'a>(&self, Factor { keys, rows }: Factor<'a>) -> Factor<'a> {
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let names = names.join(" ");
        let row = |sample| rows[(self.share(&names, sample) * rows.len() as f64) as usize].clone();
        Factor { rows: (0..self.samples).map(row).collect(), keys }
    }

    /// One value of a range, `{log: [1e-4, 1e-1]}`, for each sample.
    pub fn of_range<'a>(&self, key: &'a Key, slot: &Slot) -> Result<Factor<'a>> {
        let range = Range::read(slot, key)?;
        let value = |sample| {
            let text = number_text(range.at(self.share(&key.name, sample)));
            Node { at: slot.node.at.clone(), value: Value::Scalar { text, quoted: false } }
        };
        let rows = (0..self.samples).map(|sample| vec![(key, Cow::Owned(value(sample)))]);
        Ok(Factor { rows: rows.collect(), keys: vec![key] })
    }

    /// A number in [0, 1): the first 53 bits of a SHA-256.
    fn share(&self, names: &str, sample: usize) -> f64 {
        let digest = Sha256::digest(format!("{} {names} {sample}", self.seed));
        let bits = u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

enum Scale {
    Log,
    Uniform,
    Int,
}

struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    fn read(slot: &Slot, key: &Key) -> Result<Range> {
        let mut fields = slot.object()?;
        let scales = [("log", Scale::Log), ("uniform", Scale::Uniform), ("int", Scale::Int)];
        let mut written: Vec<_> =
            scales.into_iter().filter_map(|(name, scale)| Some((fields.get(name)?, scale))).collect();
        fields.finish()?;
        let (Some((ends, scale)), true) = (written.pop(), written.is_empty()) else {
            return Err(slot.error(
                "expected a list of values, {log: [1e-4, 1e-1]}, {uniform: [0, 0.5]} or {int: [16, 256]}, one of them",
            ));
        };
        let (low, high) = (&ends.list_of(2..=2)?[0], &ends.list_of(2..=2)?[1]);
        let number = |end: &Slot| match scale {
            Scale::Log => end.number((Bound::Excluded(0.0), Bound::Unbounded)),
            Scale::Uniform => end.number(..),
            Scale::Int => end.integer(0..=MAX_SEED).map(|number| number as f64),
        };
        let range = Range { low: number(low)?, high: number(high)?, scale };
        if range.low >= range.high {
            return Err(ends.error("expected [low, high], the lower number first"));
        }
        refuse_what_the_key_does_not_take(&range, key, slot, [low, high])?;
        Ok(range)
    }

    /// The number that so large a `share` of the range lies below.
    fn at(&self, share: f64) -> f64 {
        let Range { low, high, .. } = *self;
        match self.scale {
            Scale::Log => self.rounded((low.ln() + share * (high.ln() - low.ln())).exp()),
            Scale::Uniform => self.rounded(low + share * (high - low)),
            Scale::Int => low + (share * (high - low + 1.0)).floor(),
        }
    }

    /// With few digits, also because two machines' logarithms may have other last ones.
    fn rounded(&self, number: f64) -> f64 {
        let power = power_of_ten(number).min(power_of_ten(self.high - self.low));
        let places = (DIGITS - 1 - power).max(0) as usize;
        let number: f64 = format!("{number:.places$}").parse().expect("digits");
        number.clamp(self.low, self.high)
    }
}

/// -4 for 0.00057.
fn power_of_ten(number: f64) -> i32 {
    let text = format!("{number:e}");
    text.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or_default()
}

/// All between two ends is accepted where these are.
fn refuse_what_the_key_does_not_take(range: &Range, key: &Key, slot: &Slot, ends: [&Slot; 2]) -> Result<()> {
    let known = keys::meanings(&key.name);
    let (group, field) = keys::split(&key.name);
    let Some(first) = known.first() else {
        let problem =
            format!("{}: there is no such key; {}", key.name, choices(field.unwrap_or(group), &keys::fields(group)));
        return Err(key.at.error(problem));
    };
    let is_whole = |takes| matches!(takes, Takes::Integer(..) | Takes::IntegerOr(..));
    if !matches!(range.scale, Scale::Int) && known.iter().all(|key| is_whole(key.takes)) {
        return Err(slot.error("takes whole numbers, which {int: [low, high]} draws"));
    }
    let accepts = |end: &Slot| known.iter().any(|key| end.value(key.takes).is_ok());
    match ends.into_iter().find(|end| !accepts(end)) {
        Some(end) => end.value(first.takes).map(|_| ()),
        None => Ok(()),
    }
}
