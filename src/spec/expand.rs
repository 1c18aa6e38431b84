//! An experiment file → an [`Experiment`].
//!
//! Expansion works on the nodes the user wrote, so that a bad axis value is reported where it stands; each combination
//! then goes through `check.rs`. The number of combinations is known, and refused, before the first is made.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::check::{self, DATASETS, MAX_SEED};
use super::config::{DatasetName, Mode};
use super::error::{InputError, Mark, Result};
use super::experiment::{Block, BlockMode, Experiment, Variant, canonical};
use super::fields::Slot;
use super::label::{flatten, label, resolved};
use super::settings::{BASE_KEYS, MAX_KEYS, Setting, admit, apply, look_up, matches, refuse_shared, settings};
use super::yaml::{self, Key, Node, Value};

/// A sweep's trials, each counted once. A file may not spell out more combinations than this either.
pub const MAX_TRIALS: usize = 10_000;
const MAX_SEEDS: usize = 1000;
const MAX_TARGETS: usize = 20;
const MAX_EXCLUDES: usize = 1000;
const MAX_NAME_CHARS: usize = 64;
const DEFAULT_TARGETS: [f64; 3] = [0.4, 0.5, 0.6];
const BLOCK_MODES: [(&str, BlockMode); 2] = [("ablate", BlockMode::Ablate), ("grid", BlockMode::Grid)];

/// What the command line changes in an experiment.
#[derive(Clone, Debug)]
pub struct Overrides {
    /// `KEY=VALUE`, the value in YAML, applied in order to the base: any key of `base`, plain or dotted, or `data`,
    /// `select`, `seeds`, `targets`. What a block sets itself still wins in that block.
    pub set: Vec<String>,
    pub dataset: Option<DatasetName>,
    pub mode: Mode,
    /// The only seed.
    pub seed: Option<u64>,
}

impl Default for Overrides {
    fn default() -> Overrides {
        Overrides { set: Vec::new(), dataset: None, mode: Mode::Exact, seed: None }
    }
}

impl Experiment {
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Experiment> {
        Experiment::parse(&path.display().to_string(), &yaml::read_file(path)?, overrides)
    }

    /// Reads an experiment from its text; `name` stands in errors where a file's name would.
    pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Experiment> {
        let mut document = yaml::parse(name, text)?;
        let options = options(overrides)?;
        let (lists, options): (Vec<_>, Vec<_>) =
            options.into_iter().partition(|(key, _)| ["seeds", "targets"].contains(&key.name.as_str()));
        Slot::new("", &document).object()?;
        for (key, value) in &lists {
            apply(&mut document, (key, value))?;
        }
        experiment(&document, &options, overrides)
    }
}

/// The settings on the command line, each with its option as its place.
fn options(overrides: &Overrides) -> Result<Vec<(Key, Node)>> {
    let valid: Vec<&str> = BASE_KEYS.into_iter().chain(["data", "select", "seeds", "targets"]).collect();
    let mut options = Vec::new();
    for option in &overrides.set {
        let source = format!("--set {option}");
        let Some((name, text)) = option.split_once('=') else {
            return Err(InputError::of(source, "expected KEY=VALUE"));
        };
        let key = Key { at: Mark::option(source.as_str()), name: name.trim().to_string() };
        admit(&key, &valid)?;
        options.push((key, yaml::parse_option(&source, text)?));
    }
    if let Some((name, _)) = DATASETS.iter().find(|(_, dataset)| Some(*dataset) == overrides.dataset) {
        let at = Mark::option(format!("--dataset {name}"));
        let value = Value::Scalar { text: name.to_string(), quoted: false };
        options.push((Key { at: at.clone(), name: "data.dataset".to_string() }, Node { at, value }));
    }
    Ok(options)
}

fn experiment(document: &Node, options: &[(Key, Node)], overrides: &Overrides) -> Result<Experiment> {
    let mut fields = Slot::new("", document).object()?;
    let schema = fields.need("schema")?;
    if schema.node.plain() != Some("1") {
        return Err(schema.error(format!("expected 1, the only schema there is, found {}", schema.node.excerpt())));
    }
    let name = name(fields.need("name")?)?;
    let description = fields.get("description").map(|slot| slot.text().map(str::to_string)).transpose()?;
    let (data, select) = (fields.get("data"), fields.get("select"));
    let seeds_slot = fields.get("seeds");
    let targets = fields.get("targets").map_or_else(|| Ok(DEFAULT_TARGETS.to_vec()), targets)?;
    let base = fields.need("base")?;
    let blocks = fields.get("blocks").map_or_else(|| Ok(Vec::new()), |slot| slot.list())?;
    fields.finish()?;

    let root = root(&base, [("data", data), ("select", select)], options)?;
    let base = check::config(&root, overrides.mode)?;
    let blocks = expand_blocks(blocks, &root, overrides.mode)?;
    let seeds = match overrides.seed {
        Some(seed) => vec![only_seed(seed)?],
        None => seeds_slot.as_ref().map_or_else(|| Ok(vec![0]), seeds)?,
    };
    let experiment = Experiment { name, description, seeds, targets, base, blocks };
    let configurations = experiment.configurations().len();
    if configurations * experiment.seeds.len() > MAX_TRIALS {
        let problem = format!(
            "{configurations} configurations on {} seeds are more than {MAX_TRIALS} trials",
            experiment.seeds.len()
        );
        return Err(seeds_slot.map_or_else(|| document.at.error(&problem), |slot| slot.error(&problem)));
    }
    Ok(experiment)
}

/// The base configuration as one object: `base`'s keys, `data` and `select`, changed by the command line.
fn root(base: &Slot, beside: [(&str, Option<Slot>); 2], options: &[(Key, Node)]) -> Result<Node> {
    let mut root = Node { at: base.node.at.clone(), value: Value::Map(Vec::new()) };
    for (name, slot) in beside {
        if let Some(Slot { node, .. }) = slot {
            apply(&mut root, (&Key { at: node.at.clone(), name: name.to_string() }, node))?;
        }
    }
    for setting in settings(base, &BASE_KEYS)? {
        apply(&mut root, setting)?;
    }
    for (key, value) in options {
        apply(&mut root, (key, value))?;
    }
    Ok(root)
}

fn name(slot: Slot) -> Result<String> {
    let name = slot.text()?;
    let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    if name.len() <= MAX_NAME_CHARS && !name.starts_with('-') && !name.is_empty() && name.chars().all(is_plain) {
        return Ok(name.to_string());
    }
    let problem = format!("expected 1 to {MAX_NAME_CHARS} of a-z, 0-9, _ and -, found {}", slot.node.excerpt());
    Err(slot.error(problem))
}

fn seeds(slot: &Slot) -> Result<Vec<u64>> {
    let mut seen = HashSet::new();
    let mut seeds = Vec::new();
    for item in slot.list_of(1..=MAX_SEEDS)? {
        let seed = item.integer(0..=MAX_SEED)?;
        if !seen.insert(seed) {
            return Err(item.error(format!("{seed} is there twice")));
        }
        seeds.push(seed);
    }
    Ok(seeds)
}

fn only_seed(seed: u64) -> Result<u64> {
    match seed <= MAX_SEED as u64 {
        true => Ok(seed),
        false => Err(InputError::of(format!("--seed {seed}"), format!("expected a whole number from 0 to {MAX_SEED}"))),
    }
}

fn targets(slot: Slot) -> Result<Vec<f64>> {
    use std::ops::Bound::Excluded;
    let mut targets = Vec::new();
    for item in slot.list_of(0..=MAX_TARGETS)? {
        let target = item.number((Excluded(0.0), Excluded(1.0)))?;
        if targets.last().is_some_and(|last| target <= *last) {
            return Err(item.error("expected ascending accuracies"));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn expand_blocks(slots: Vec<Slot>, root: &Node, mode: Mode) -> Result<Vec<Block>> {
    let mut ids = HashSet::new();
    let mut combinations = 0usize;
    let mut plans = Vec::new();
    for slot in &slots {
        let plan = read_block(slot, root)?;
        if !ids.insert(plan.id.clone()) {
            return Err(slot.error(format!("the id `{}` is there twice", plan.id)));
        }
        combinations = combinations.saturating_add(plan.combinations()).saturating_add(1 + plan.include.len());
        if combinations > MAX_TRIALS {
            let problem = format!("with block `{}` the plan has more than {MAX_TRIALS} combinations", plan.id);
            return Err(slot.error(problem));
        }
        plans.push(plan);
    }
    plans.iter().map(|plan| plan.expand(mode)).collect()
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

/// One thing that a block varies: a zip, whose rows set several keys together, or an axis, which is a zip of one key.
struct Factor<'a> {
    keys: Vec<&'a Key>,
    rows: Vec<Vec<Setting<'a>>>,
}

fn read_block<'a>(slot: &Slot<'a>, root: &Node) -> Result<Plan<'a>> {
    let valid: Vec<&str> = BASE_KEYS.into_iter().chain(["data"]).collect();
    let mut fields = slot.object()?;
    let id = name(fields.need("id")?)?;
    let title = fields.get("title").map(|slot| slot.text().map(str::to_string)).transpose()?;
    let mode = fields.choice("mode", BlockMode::Ablate, &BLOCK_MODES)?;
    let mut base = root.clone();
    for setting in fields.get("base").map_or_else(|| Ok(Vec::new()), |slot| settings(&slot, &valid))? {
        apply(&mut base, setting)?;
    }
    let mut factors = Vec::new();
    if let Some(axes) = fields.get("axes") {
        for axis in settings(&axes, &valid)? {
            factors.push(factor(&axes.path, &[axis])?);
        }
    }
    for zip in fields.get("zip").map_or_else(|| Ok(Vec::new()), |slot| slot.list())? {
        factors.push(factor(&zip.path, &settings(&zip, &valid)?)?);
    }
    let listed = |slot: Option<Slot<'a>>| slot.map_or_else(|| Ok(Vec::new()), |slot| slot.list_of(0..=MAX_EXCLUDES));
    let exclude = listed(fields.get("exclude"))?;
    let exclude = exclude.iter().map(|slot| Ok((slot.node.at.clone(), settings(slot, &valid)?)));
    let exclude = exclude.collect::<Result<_>>()?;
    let include = fields.get("include").map_or_else(|| Ok(Vec::new()), |slot| slot.list())?;
    let include = include.iter().map(|slot| settings(slot, &valid)).collect::<Result<_>>()?;
    fields.finish()?;

    refuse_shared(factors.iter().flat_map(|factor| factor.keys.iter().copied()), mode == BlockMode::Grid)?;
    Ok(Plan { id, title, mode, base, factors, exclude, include })
}

/// The rows of lists that move together.
fn factor<'a>(path: &str, columns: &[Setting<'a>]) -> Result<Factor<'a>> {
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

impl<'a> Plan<'a> {
    /// How many combinations the axes and zips make; saturating, since a file may ask for 10⁹⁹.
    fn combinations(&self) -> usize {
        let lengths = self.factors.iter().map(|factor| factor.rows.len());
        match self.mode {
            BlockMode::Ablate => lengths.sum(),
            BlockMode::Grid if self.factors.is_empty() => 0,
            BlockMode::Grid => lengths.fold(1, usize::saturating_mul),
        }
    }

    /// One of them, by number: the last axis of a grid moves fastest.
    fn combination(&self, mut number: usize) -> Vec<Setting<'a>> {
        let mut rows: Vec<&Vec<Setting>> = Vec::new();
        match self.mode {
            BlockMode::Ablate => {
                let mut all = self.factors.iter().flat_map(|factor| &factor.rows);
                rows.extend(all.nth(number));
            }
            BlockMode::Grid => {
                for factor in self.factors.iter().rev() {
                    rows.push(&factor.rows[number % factor.rows.len()]);
                    number /= factor.rows.len();
                }
            }
        }
        rows.into_iter().rev().flatten().copied().collect()
    }

    fn expand(&self, mode: Mode) -> Result<Block> {
        let mut variants = Variants { plan: self, keys: self.keys(), mode, found: Vec::new(), places: HashMap::new() };
        variants.add(&[], &self.base)?;
        let mut unused: Vec<&(Mark, Vec<Setting>)> = self.exclude.iter().collect();
        for number in 0..self.combinations() {
            let settings = self.combination(number);
            let node = self.with(&settings)?;
            unused.retain(|(_, pattern)| !matches(&node, pattern));
            if !self.exclude.iter().any(|(_, pattern)| matches(&node, pattern)) {
                variants.add(&settings, &node)?;
            }
        }
        if let Some((at, _)) = unused.first() {
            return Err(at.error(format!("exclude: matches no combination of block `{}`", self.id)));
        }
        for settings in &self.include {
            variants.add(settings, &self.with(settings)?)?;
        }
        let keys = variants.keys.iter().map(|key| key.name.clone()).collect();
        Ok(Block { id: self.id.clone(), title: self.title.clone(), mode: self.mode, keys, variants: variants.found })
    }

    fn with(&self, settings: &[Setting]) -> Result<Node> {
        let mut node = self.base.clone();
        for &setting in settings {
            apply(&mut node, setting)?;
        }
        Ok(node)
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
    found: Vec<Variant>,
    places: HashMap<String, usize>,
}

impl Variants<'_> {
    fn add(&mut self, settings: &[Setting], node: &Node) -> Result<()> {
        let label = label(settings);
        let config = check::config(node, self.mode).map_err(|mut error| {
            error.message += &format!(" (block `{}`, {label})", self.plan.id);
            error
        })?;
        let rows = LazyCell::new(|| flatten(&config));
        let value = |key: &&Key| look_up(node, key).map_or_else(|| resolved(&rows, &key.name), Node::to_string);
        let values = self.keys.iter().map(value).collect();
        match self.places.get(&canonical(&config)) {
            // The base keeps its name, but stands in the grid where the combination that equals it was written.
            Some(0) => self.found[0].values = values,
            Some(_) => {}
            None => {
                self.places.insert(canonical(&config), self.found.len());
                let settings = settings.iter().map(|(key, value)| (key.name.clone(), value.to_string())).collect();
                self.found.push(Variant { settings, values, label, config });
            }
        }
        Ok(())
    }
}
