//! `manifest.json`: what a results folder was made from, and the check that it is not continued with something else.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::files::{pretty, read_if_there};
use super::layout::Store;
use crate::spec::{Experiment, Variant};
use crate::words::count;
use crate::{host, native};

const FILE: &str = "manifest.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub runner: String,
    /// The commit the program was built from; like the next four, of the last sweep that had something to run.
    pub git: String,
    pub libtorch: String,
    pub device: String,
    pub threads_per_worker: usize,
    pub processor: String,
    /// By name: the experiment's, and those that other trials of the folder were made from.
    pub data: BTreeMap<String, DataSource>,
    /// With every default filled in.
    pub experiment: Experiment,
    /// By which looks were taken, of studies that settle themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<JudgedPlan>,
}

/// A plan by which the settings that share a base were judged. Looks that were taken by another one had other intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedPlan {
    /// See [`crate::spec::Configuration::id`].
    pub base: String,
    pub margin: f64,
    /// None of fixed seeds, whose plans are not kept.
    pub max_seeds: Option<usize>,
    /// By block, sorted.
    pub settings: Vec<Vec<String>>,
}

impl JudgedPlan {
    /// One for each base of an experiment that settles itself, by its place among the experiment's configurations.
    pub fn of(experiment: &Experiment) -> BTreeMap<usize, JudgedPlan> {
        let configurations = experiment.configurations();
        let place = |variant: &Variant| {
            configurations.iter().position(|own| *own.config == variant.config).expect("one of its own")
        };
        let mut plans: BTreeMap<usize, JudgedPlan> = BTreeMap::new();
        for block in &experiment.blocks {
            let mut ids = block.variants.iter().map(|variant| (place(variant), configurations[place(variant)].id()));
            let Some((place, base)) = ids.next() else { continue };
            let (margin, max_seeds) = (experiment.margin, experiment.settle.map(|settle| settle.max_seeds));
            let plan = plans.entry(place).or_insert(JudgedPlan { base, margin, max_seeds, settings: vec![] });
            let mut settings: Vec<String> = ids.map(|(_, id)| id).collect();
            settings.sort();
            plan.settings.push(settings);
        }
        plans.values_mut().for_each(|plan| plan.settings.sort());
        plans
    }

    fn in_words(&self) -> String {
        let settings: usize = self.settings.iter().map(Vec::len).sum();
        let seeds = self.max_seeds.map_or("fixed seeds".to_owned(), |most| format!("at most {most} seeds"));
        format!("margin {}, {seeds}, {}", self.margin, count(settings, "comparison"))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataSource {
    pub sha256: String,
    /// Whether these are the published pixels; an invented set has none to differ from.
    pub official: bool,
    pub source: String,
    pub class_names: Vec<String>,
}

impl Manifest {
    /// Of an experiment whose images are from `source`.
    pub fn new(experiment: &Experiment, source: DataSource, device: String, threads: usize) -> Manifest {
        Manifest {
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("RUNNER_GIT").to_owned(),
            libtorch: native::libtorch_version().to_owned(),
            device,
            threads_per_worker: threads,
            processor: host::processor(),
            data: BTreeMap::from([(experiment.base.data.dataset.as_str().to_owned(), source)]),
            experiment: experiment.clone(),
            plans: vec![],
        }
    }

    pub fn load(store: &Store) -> Result<Option<Manifest>> {
        let path = store.root().join(FILE);
        let manifest = read_if_there(&path)?.map(|bytes| serde_json::from_slice(&bytes));
        manifest.transpose().with_context(|| format!("{}: not a manifest", path.display()))
    }

    /// Takes over which data the folder's earlier trials were made from, and refuses to mix trials of different images.
    pub fn follow(&mut self, earlier: &Manifest, store: &Store) -> Result<()> {
        for (name, source) in &self.data {
            earlier.check_data(name, &source.sha256, &source.source, store)?;
        }
        for (name, source) in &earlier.data {
            self.data.entry(name.clone()).or_insert(source.clone());
        }
        self.plans.clone_from(&earlier.plans);
        Ok(())
    }

    /// The same experiment and data, but the program and machine of `earlier`: nothing new was computed.
    pub fn computed_by(self, earlier: Manifest) -> Manifest {
        Manifest { data: self.data, experiment: self.experiment, plans: self.plans, ..earlier }
    }

    /// Fails if data set `name`, read from `source`, is not the one this folder's trials were made from.
    pub fn check_data(&self, name: &str, sha256: &str, source: &str, store: &Store) -> Result<()> {
        let Some(before) = self.data.get(name).filter(|before| before.sha256 != sha256) else { return Ok(()) };
        bail!(
            "{}: its trials were made from other {name} images (sha256 {} there, {sha256} in {source}); \
             use another --out, or the data of that time",
            store.root().display(),
            before.sha256,
        )
    }

    /// What earlier looks at this experiment's settings were judged by, where that was another plan.
    pub fn changed_plans(&self, experiment: &Experiment) -> Vec<String> {
        let now = JudgedPlan::of(experiment);
        let changed = |earlier: &&JudgedPlan| now.values().any(|plan| plan.base == earlier.base && plan != *earlier);
        let words = |earlier: &JudgedPlan| {
            format!(
                "Looks have been taken by another plan before ({}). All looks were computed anew by this one, and the intervals of \
                 these settings no longer hold together with 95 % confidence.",
                earlier.in_words()
            )
        };
        self.plans.iter().filter(changed).map(words).collect()
    }

    /// Keeps the plans of `experiment` whose bases, by their places, have had a look. Whether there were new ones.
    pub fn keep_plans(&mut self, experiment: &Experiment, looked_at: &[usize]) -> bool {
        let plans = JudgedPlan::of(experiment).into_iter().filter(|(base, _)| looked_at.contains(base));
        let new: Vec<JudgedPlan> =
            plans.map(|(_, plan)| plan).filter(|plan| plan.max_seeds.is_some() && !self.plans.contains(plan)).collect();
        let any = !new.is_empty();
        self.plans.extend(new);
        any
    }

    pub fn write(&self, store: &Store) -> Result<()> {
        store.write(FILE, &pretty(self)?)
    }
}
