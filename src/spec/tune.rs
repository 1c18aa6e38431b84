//! `tune`: values that every configuration tries before it is compared at the best of them.

use super::block::{Factor, factor};
use super::check;
use super::config::Mode;
use super::error::Result;
use super::experiment::{Candidate, Tune, canonical};
use super::fields::Slot;
use super::label::label;
use super::settings::{BASE_KEYS, Setting, alternatives, apply, refuse_shared};
use super::yaml::{Node, shorten};

const DEFAULT_SEEDS: usize = 2;
const MAX_SEEDS: i64 = 100;
/// Each configuration tries all of them.
const MAX_CANDIDATES: usize = 100;

/// The product of its axes.
pub struct Tuning<'a> {
    factors: Vec<Factor<'a>>,
    seeds: usize,
}

impl<'a> Tuning<'a> {
    pub fn read(slot: &Slot<'a>) -> Result<Tuning<'a>> {
        let mut fields = slot.object()?;
        let axes = fields.need("axes")?;
        let seeds = fields.integer("seeds", DEFAULT_SEEDS, 1..=MAX_SEEDS)?;
        fields.finish()?;
        let keys = alternatives(&axes, &BASE_KEYS)?;
        refuse_shared(keys.iter().map(|(key, _)| *key), true)?;
        let factors = keys.into_iter().map(|axis| factor(&axes.path, &[axis])).collect::<Result<Vec<_>>>()?;
        let count = factors.iter().fold(1, |count: usize, factor| count.saturating_mul(factor.rows.len()));
        if count > MAX_CANDIDATES {
            return Err(axes.error(format!("{count} combinations are more than the {MAX_CANDIDATES} that may be tried")));
        }
        Ok(Tuning { factors, seeds })
    }

    pub fn summary(&self) -> Tune {
        let keys = self.factors.iter().flat_map(|factor| &factor.keys).map(|key| key.name.clone());
        Tune { keys: keys.collect(), seeds: self.seeds }
    }

    /// What the configuration in `root` may become; values that make it the same count once.
    pub fn candidates(&self, root: &Node, mode: Mode) -> Result<Vec<Candidate>> {
        let mut combinations: Vec<Vec<Setting>> = vec![vec![]];
        for factor in &self.factors {
            let longer = |known: &Vec<Setting<'a>>| factor.rows.iter().map(|row| [known.clone(), row.clone()].concat()).collect();
            combinations = combinations.iter().flat_map::<Vec<_>, _>(longer).collect();
        }
        let mut found: Vec<Candidate> = vec![];
        for settings in combinations {
            let mut node = root.clone();
            settings.iter().try_for_each(|setting| apply(&mut node, *setting))?;
            let label = label(&settings);
            let config = check::config(&node, mode).map_err(|mut error| {
                error.message += &format!(" (tune, {})", shorten(&label));
                error
            })?;
            if found.iter().all(|known| canonical(&known.config) != canonical(&config)) {
                let values = settings.iter().map(|(_, value)| value.to_string()).collect();
                found.push(Candidate { label, values, config });
            }
        }
        Ok(found)
    }
}
