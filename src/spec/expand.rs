//! Blocks: axes → zip → exclude → include → different variants.
//!
//! Expansion works on the nodes the user wrote, so that a bad axis value is reported where it stands; each combination
//! then goes through `check.rs`. The number of combinations is known, and refused, before the first is made.

use std::cell::LazyCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::check;
use super::config::Config;
use super::error::{Mark, Mistakes, Result, all};
use super::experiment::{Block, BlockMode, Variant, canonical};
use super::fields::Fields;
use super::keys::{BLOCK_MODE, MAX_TRIALS, SAMPLES, setting_names};
use super::label::{effective, label, resolved, shown, value_at};
use super::overrides::Overrides;
use super::random::Sampling;
use super::settings::*;
use super::slot::Slot;
use super::tune::Tuning;
use super::yaml::{Key, Node, Value};
use crate::words::shorten;

/// Each is held against every combination.
const MAX_EXCLUDES: usize = 200;

/// What all blocks of an experiment have in common.
pub struct Common<'a> {
    pub root: &'a Node,
    /// None where there are mistakes in it.
    pub base: Option<&'a Config>,
    pub overrides: &'a Overrides,
    pub tuning: Option<&'a Tuning<'a>>,
}

/// The blocks of an experiment whose base is `root`.
pub fn expand_blocks(slots: Vec<Slot>, common: &Common, mistakes: &mut Mistakes) -> Vec<Block> {
    let mut ids = HashSet::new();
    let mut count = 0usize;
    let mut plans = Vec::new();
    for slot in &slots {
        let Some(plan) = read_block(slot, common.root, mistakes) else { continue };
        if !ids.insert(plan.id.clone()) {
            mistakes.note(slot.error(format!("the id `{}` is there twice", plan.id)));
        }
        count = count.saturating_add(combinations(&plan.factors)).saturating_add(1 + plan.include.len());
        if count > MAX_TRIALS {
            let problem = format!("with block `{}` the plan has more than {MAX_TRIALS} combinations", plan.id);
            mistakes.note(slot.error(problem));
            return Vec::new();
        }
        plans.push(plan);
    }
    let blocks: Vec<Block> = plans.iter().map(|plan| plan.expand(common, mistakes)).collect();
    for (block, slot) in blocks.iter().zip(&slots) {
        mistakes.keep(refuse_another_data_set(block, slot, common));
    }
    blocks
}

fn refuse_another_data_set(block: &Block, slot: &Slot, common: &Common) -> Result<()> {
    let same = |base: &Config| block.variants.iter().all(|own| own.config.data.dataset == base.data.dataset);
    if common.base.is_none_or(same) {
        return Ok(());
    }
    let problem = format!(
        "block `{}` has another data set than the base, but an experiment has one (`data.train: N` changes one field of data, \
         `data: {{train: N}}` all)",
        block.id
    );
    Err(slot.error(problem))
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
    /// Whether all of it could be read.
    is_whole: bool,
}

/// What can be read of it.
fn read_block<'a>(slot: &Slot<'a>, root: &Node, mistakes: &mut Mistakes) -> Option<Plan<'a>> {
    let valid = setting_names(&["data"]);
    let before = mistakes.count();
    let mut fields = mistakes.keep(slot.object())?;
    let id = mistakes.keep(fields.need("id").and_then(|id| id.file_name())).unwrap_or_else(|| slot.path.clone());
    let title = mistakes.keep(fields.text("title")).flatten();
    let meant = if slot.node.field(SAMPLES.name).is_some() { BlockMode::Random } else { BlockMode::Ablate };
    let mode = mistakes.keep(fields.read(&BLOCK_MODE)).unwrap_or(meant);
    let base = fields.get("base").map_or_else(Vec::new, |slot| settings(&slot, &valid, mistakes));
    let base = mistakes.keep(changed(root, &base)).unwrap_or_else(|| root.clone());
    let factors = factors(slot, &mut fields, mode, &valid, mistakes);
    let exclude = mistakes.keep(fields.each("exclude", 0..=MAX_EXCLUDES, Ok)).unwrap_or_default();
    let include = mistakes.keep(fields.each("include", 0..=usize::MAX, Ok)).unwrap_or_default();
    mistakes.keep(fields.finish());
    let exclude = exclude.iter().map(|slot| (slot.node.at.clone(), alternatives(slot, &valid, mistakes))).collect();
    let include = include.iter().map(|slot| settings(slot, &valid, mistakes)).collect();
    let is_whole = mistakes.count() == before;
    Some(Plan { id, title, mode, base, factors, exclude, include, is_whole })
}

/// What the axes and zips of a block vary, as its mode combines them.
fn factors<'a>(
    block: &Slot,
    fields: &mut Fields<'a>,
    mode: BlockMode,
    valid: &[&str],
    mistakes: &mut Mistakes,
) -> Vec<Factor<'a>> {
    let before = mistakes.count();
    let sampling = (mode == BlockMode::Random).then(|| Sampling::read(fields, mistakes));
    if sampling.is_none() {
        mistakes.keep(Sampling::refuse(fields));
    }
    let mut factors = Vec::new();
    if let Some(axes) = fields.get("axes") {
        for (key, node) in alternatives(&axes, valid, mistakes) {
            let axis = Slot::new(format!("{}.{}", axes.path, key.name), node);
            factors.extend(mistakes.keep(match (sampling, &node.value) {
                (Some(sampling), Value::Map(_)) => sampling.of_range(key, &axis),
                _ => factor(&axes.path, &[(key, node)]).map(|factor| sampled(factor, sampling)),
            }));
        }
    }
    for zip in mistakes.keep(fields.each("zip", 0..=MAX_KEYS, Ok)).unwrap_or_default() {
        let columns = alternatives(&zip, valid, mistakes);
        if columns.is_empty() {
            continue;
        }
        factors.extend(mistakes.keep(factor(&zip.path, &columns)).map(|factor| sampled(factor, sampling)));
    }
    mistakes.keep(refuse_shared(factors.iter().flat_map(|factor| factor.keys.iter().copied())));
    match mode {
        BlockMode::Random if factors.is_empty() && mistakes.count() == before => {
            mistakes.note(block.error("there is nothing to draw without `axes` or `zip`"));
            factors
        }
        BlockMode::Random => vec![side_by_side(factors)],
        BlockMode::Grid if !factors.is_empty() => factors,
        BlockMode::Grid | BlockMode::Ablate => vec![one_at_a_time(factors)],
    }
}

fn sampled(factor: Factor, sampling: Option<Sampling>) -> Factor {
    match sampling {
        Some(sampling) => sampling.of_rows(factor),
        None => factor,
    }
}

impl<'a> Plan<'a> {
    fn expand(&self, common: &Common, mistakes: &mut Mistakes) -> Block {
        let before = mistakes.count();
        let mut variants = Variants {
            plan: self,
            keys: self.keys(),
            common,
            mistakes,
            found: vec![],
            places: HashMap::new(),
            failed: 0,
        };
        variants.add(&[]);
        let mut used = vec![false; self.exclude.len()];
        let mut is_left = !self.include.is_empty();
        for number in 0..combinations(&self.factors) {
            let settings = combination(&self.factors, number);
            let matching = self.matching(&settings, common.overrides);
            used.iter_mut().zip(&matching).for_each(|(used, matches)| *used |= matches);
            let stays = !matching.contains(&true);
            is_left |= stays;
            if stays && variants.failed < MAX_FAILED {
                variants.add(&settings);
            }
        }
        let include = self.include.iter().filter(|settings| !settings.is_empty());
        include.for_each(|settings| variants.add(settings));
        let keys = variants.keys.iter().map(|key| key.name.clone()).collect();
        let block =
            Block { id: self.id.clone(), title: self.title.clone(), mode: self.mode, keys, variants: variants.found };
        // With a mistake in it, what a block would be is not known.
        if self.is_whole && mistakes.count() == before {
            mistakes.keep(self.refuse_unused(&used, is_left));
        }
        block
    }

    /// Which excludes a combination matches. It may be one that would be refused.
    fn matching(&self, settings: &[Setting], overrides: &Overrides) -> Vec<bool> {
        let Ok(node) = changed(&self.base, settings) else { return vec![false; self.exclude.len()] };
        let config = LazyCell::new(|| check::config(&node, overrides).map_or(Json::Null, |config| resolved(&config)));
        let default = |key: &str| value_at(&config, key);
        self.exclude.iter().map(|(_, pattern)| matches(&node, pattern, default)).collect()
    }

    /// Refuses excludes that match nothing, and those that match everything.
    fn refuse_unused(&self, used: &[bool], is_left: bool) -> Result<()> {
        if let Some((at, _)) = self.exclude.first().filter(|_| !is_left) {
            return Err(at.error(format!("exclude: leaves no combination of block `{}` to compare", self.id)));
        }
        // What was drawn may happen to miss it.
        let unused = self.exclude.iter().zip(used).filter(|(_, used)| !**used && self.mode != BlockMode::Random);
        let problem = || format!("exclude: matches no combination of block `{}`", self.id);
        all(unused.map(|((at, _), _)| Err(at.error(problem()))))
    }

    /// The keys that are varied, each once.
    fn keys(&self) -> Vec<&'a Key> {
        let mut seen = HashSet::new();
        let included = self.include.iter().flatten().map(|(key, _)| *key);
        let varied = self.factors.iter().flat_map(|factor| factor.keys.iter().copied());
        varied.chain(included).filter(|key| seen.insert(&key.name)).collect()
    }
}

/// After so many bad combinations the rest of a block is not looked at.
const MAX_FAILED: usize = 1000;

/// The different configurations of one block, in the order they came up.
struct Variants<'a> {
    plan: &'a Plan<'a>,
    keys: Vec<&'a Key>,
    common: &'a Common<'a>,
    mistakes: &'a mut Mistakes,
    found: Vec<Variant>,
    places: HashMap<String, usize>,
    failed: usize,
}

impl Variants<'_> {
    fn add(&mut self, settings: &[Setting]) {
        let variant = self.variant(settings).map_err(|error| unless_null(error, settings));
        let label = || shorten(&label(&effective(settings, &Json::Null, &[])));
        let place = || format!(" (block `{}`, {})", self.plan.id, label());
        let Some(variant) = self.mistakes.keep_within(variant, place) else {
            self.failed += 1;
            return;
        };
        match self.places.entry(canonical(&variant.config)) {
            // The base keeps its name, but stands in the grid where the combination that equals it was written.
            Entry::Occupied(place) if *place.get() == 0 => self.found[0].values = variant.values,
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(self.found.len());
                self.found.push(variant);
            }
        }
    }

    fn variant(&self, settings: &[Setting]) -> Result<Variant> {
        let node = changed(&self.plan.base, settings)?;
        let config = check::config(&node, self.common.overrides)?;
        let whole = resolved(&config);
        let tuning = self.common.tuning;
        let tuned: Vec<&Key> = tuning.into_iter().flat_map(Tuning::keys).collect();
        let told = [self.keys.as_slice(), &tuned].concat();
        let values = self.keys.iter().map(|key| shown(&node, key, &told, &whole)).collect();
        let settings = effective(settings, &whole, &tuned);
        let label = label(&settings);
        let settings = settings.iter().map(|(key, value)| (key.name.clone(), value.to_string())).collect();
        let candidates = tuning.map_or_else(|| Ok(vec![]), |tuning| tuning.candidates(&node, self.common.overrides))?;
        Ok(Variant { settings, values, label, config, candidates })
    }
}
