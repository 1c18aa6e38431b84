//! Blocks: axes → zip → exclude → include → different variants.
//!
//! Expansion works on the nodes the user wrote, so that a bad axis value is reported where it stands; each combination
//! then goes through `check.rs`. The number of combinations is known, and refused, before the first is made.

use std::cell::LazyCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::check;
use super::config::{DatasetName, Mode};
use super::error::{Mark, Result};
use super::experiment::{Block, BlockMode, Variant, canonical};
use super::fields::{Fields, Slot};
use super::keys::{BLOCK_MODE, MAX_TRIALS, setting_names};
use super::label::{effective, label, resolved, shown, value_at};
use super::random::Sampling;
use super::settings::*;
use super::tune::Tuning;
use super::yaml::{Key, Node, Value, shorten};

/// Each is held against every combination.
const MAX_EXCLUDES: usize = 200;

/// The blocks of an experiment on `dataset` whose base is `root`.
pub fn expand_blocks(
    slots: Vec<Slot>,
    root: &Node,
    dataset: DatasetName,
    mode: Mode,
    tuning: Option<&Tuning>,
) -> Result<Vec<Block>> {
    let mut ids = HashSet::new();
    let mut count = 0usize;
    let mut plans = Vec::new();
    for slot in &slots {
        let plan = read_block(slot, root)?;
        if !ids.insert(plan.id.clone()) {
            return Err(slot.error(format!("the id `{}` is there twice", plan.id)));
        }
        count = count.saturating_add(combinations(&plan.factors)).saturating_add(1 + plan.include.len());
        if count > MAX_TRIALS {
            let problem = format!("with block `{}` the plan has more than {MAX_TRIALS} combinations", plan.id);
            return Err(slot.error(problem));
        }
        plans.push(plan);
    }
    let blocks = plans.iter().map(|plan| plan.expand(mode, tuning)).collect::<Result<Vec<Block>>>()?;
    let differs = |block: &Block| block.variants.iter().any(|variant| variant.config.data.dataset != dataset);
    match blocks.iter().zip(&slots).find(|(block, _)| differs(block)) {
        Some((block, slot)) => {
            let problem = format!(
                "block `{}` has another data set than the base, but an experiment has one (`data.train: N` changes one field of \
                 data, `data: {{train: N}}` all)",
                block.id
            );
            Err(slot.error(problem))
        }
        None => Ok(blocks),
    }
}

/// A block as it is written.
struct Plan<'a> {
    id: String,
    title: Option<String>,
    mode: BlockMode,
    base: Node,
    factors: Vec<Factor<'a>>,
    exclude: Vec<(Mark, Vec<Setting<'a>>)>,
    include: Vec<Vec<Setting<'a>>>,
}

fn read_block<'a>(slot: &Slot<'a>, root: &Node) -> Result<Plan<'a>> {
    let valid = setting_names(&["data"]);
    let mut fields = slot.object()?;
    let id = fields.need("id")?.file_name()?;
    let title = fields.text("title")?;
    let mode = fields.read(&BLOCK_MODE)?;
    let base = fields.get("base").map_or_else(|| Ok(Vec::new()), |slot| settings(&slot, &valid))?;
    let base = changed(root, &base)?;
    let factors = factors(slot, &mut fields, mode, &valid)?;
    let exclude = |slot: Slot<'a>| Ok((slot.node.at.clone(), alternatives(&slot, &valid)?));
    let exclude = fields.each("exclude", 0..=MAX_EXCLUDES, exclude)?;
    let include = fields.each("include", 0..=usize::MAX, |slot| settings(&slot, &valid))?;
    fields.finish()?;
    Ok(Plan { id, title, mode, base, factors, exclude, include })
}

/// What the axes and zips of a block vary, as its mode combines them.
fn factors<'a>(block: &Slot, fields: &mut Fields<'a>, mode: BlockMode, valid: &[&str]) -> Result<Vec<Factor<'a>>> {
    let sampling = Sampling::read(fields, mode == BlockMode::Random)?;
    let sampled = |factor| match sampling {
        Some(sampling) => sampling.of_rows(factor),
        None => factor,
    };
    let mut factors = Vec::new();
    if let Some(axes) = fields.get("axes") {
        for (key, node) in alternatives(&axes, valid)? {
            factors.push(match (sampling, &node.value) {
                (Some(sampling), Value::Map(_)) => {
                    sampling.of_range(key, &Slot::new(format!("{}.{}", axes.path, key.name), node))?
                }
                _ => sampled(factor(&axes.path, &[(key, node)])?),
            });
        }
    }
    let zip = |slot: Slot<'a>| factor(&slot.path, &alternatives(&slot, valid)?).map(sampled);
    factors.extend(fields.each("zip", 0..=MAX_KEYS, zip)?);
    refuse_shared(factors.iter().flat_map(|factor| factor.keys.iter().copied()))?;
    match mode {
        BlockMode::Random if factors.is_empty() => Err(block.error("there is nothing to draw without `axes` or `zip`")),
        BlockMode::Random => Ok(vec![side_by_side(factors)]),
        BlockMode::Grid if !factors.is_empty() => Ok(factors),
        BlockMode::Grid | BlockMode::Ablate => Ok(vec![one_at_a_time(factors)]),
    }
}

impl<'a> Plan<'a> {
    fn expand(&self, mode: Mode, tuning: Option<&Tuning>) -> Result<Block> {
        let mut variants =
            Variants { plan: self, keys: self.keys(), mode, tuning, found: Vec::new(), places: HashMap::new() };
        variants.add(&[], &self.base)?;
        let mut used = vec![false; self.exclude.len()];
        for number in 0..combinations(&self.factors) {
            let settings = combination(&self.factors, number);
            let node = changed(&self.base, &settings)?;
            // An excluded combination may be one that would be refused.
            let config = LazyCell::new(|| check::config(&node, mode).map_or(Json::Null, |config| resolved(&config)));
            let default = |key: &str| value_at(&config, key);
            let matching = self.exclude.iter().map(|(_, pattern)| matches(&node, pattern, default));
            let matching: Vec<bool> = matching.collect();
            used.iter_mut().zip(&matching).for_each(|(used, matches)| *used |= matches);
            if !matching.contains(&true) {
                variants.add(&settings, &node)?;
            }
        }
        // What was drawn may happen to miss it.
        let unused = self.exclude.iter().zip(used).find(|(_, used)| !used && self.mode != BlockMode::Random);
        if let Some(((at, _), _)) = unused {
            return Err(at.error(format!("exclude: matches no combination of block `{}`", self.id)));
        }
        for settings in &self.include {
            variants.add(settings, &changed(&self.base, settings)?)?;
        }
        let keys = variants.keys.iter().map(|key| key.name.clone()).collect();
        Ok(Block { id: self.id.clone(), title: self.title.clone(), mode: self.mode, keys, variants: variants.found })
    }

    /// The keys that are varied, each once.
    fn keys(&self) -> Vec<&'a Key> {
        let mut seen = HashSet::new();
        let included = self.include.iter().flatten().map(|(key, _)| *key);
        let varied = self.factors.iter().flat_map(|factor| factor.keys.iter().copied());
        varied.chain(included).filter(|key| seen.insert(&key.name)).collect()
    }
}

/// The different configurations of one block, in the order they came up.
struct Variants<'a> {
    plan: &'a Plan<'a>,
    keys: Vec<&'a Key>,
    mode: Mode,
    tuning: Option<&'a Tuning<'a>>,
    found: Vec<Variant>,
    places: HashMap<String, usize>,
}

impl Variants<'_> {
    fn add(&mut self, settings: &[Setting], node: &Node) -> Result<()> {
        let place = || format!("block `{}`, {}", self.plan.id, shorten(&label(&effective(settings, &Json::Null))));
        let config = check::config(node, self.mode).map_err(|error| unless_null(error, settings).within(place()))?;
        let whole = LazyCell::new(|| resolved(&config));
        let values = self.keys.iter().map(|key| shown(node, key, &self.keys, &whole)).collect();
        match self.places.entry(canonical(&config)) {
            // The base keeps its name, but stands in the grid where the combination that equals it was written.
            Entry::Occupied(place) if *place.get() == 0 => self.found[0].values = values,
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(self.found.len());
                let settings = effective(settings, &whole);
                let label = label(&settings);
                let settings = settings.iter().map(|(key, value)| (key.name.clone(), value.to_string())).collect();
                let candidates = self.tuning.map_or_else(|| Ok(vec![]), |tuning| tuning.candidates(node, self.mode))?;
                self.found.push(Variant { settings, values, label, config, candidates });
            }
        }
        Ok(())
    }
}
