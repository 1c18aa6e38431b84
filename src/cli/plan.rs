//! `runner sweep --plan`: the trials, and which of them would run.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

use super::common::say;
use crate::publish::study::{ask_with, grows, stored_outcomes};
use crate::spec::{Configuration, Experiment, Trial};
use crate::store::Store;
use crate::store::files::is_refused;
use crate::sweep::{self, Rerun};
use crate::words::count;

pub fn show(experiment: &Experiment, trials: &[Trial], out: &Path, rerun: Rerun) -> Result<()> {
    let may_run: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let stored = match Store::open(out) {
        Err(_) => HashMap::new(),
        Ok(store) => stored_outcomes(experiment, &store, |id, error| {
            let may_be_damaged = rerun != Rerun::None || !may_run.contains(id);
            if may_be_damaged || is_refused(&error) { Ok(()) } else { Err(error) }
        })?,
    };
    let is_again = |id: &str, status| may_run.contains(id) && sweep::is_rerun(rerun, status);
    let mut ended = stored.clone();
    ended.retain(|id, outcome| !is_again(id, outcome.status));
    let (mut lines, mut new, mut seen) = (vec![], 0, HashSet::new());
    let asked = ask_with(experiment, &ended);
    for trial in asked.trials().filter(|trial| may_run.contains(trial.id.as_str()) && seen.insert(trial.id.clone())) {
        let state = match stored.get(&trial.id) {
            None => "new",
            Some(outcome) if is_again(&trial.id, outcome.status) => "again",
            Some(_) => "stored",
        };
        new += usize::from(state != "stored");
        lines.push(format!("{}  seed {:<4} {state:<6}  {}", trial.id, trial.seed, plan_names(experiment, trial)));
    }
    let most = match grows(experiment) {
        true => format!(", at most {} in the end", at_most(experiment, &may_run)),
        false => String::new(),
    };
    lines.push(format!("{}, {new} to run{most}; results in {}", count(lines.len(), "trial"), out.display()));
    say(lines.join("\n"))
}

/// How many of the trials that may run there can be: only one of a configuration's candidates is compared.
fn at_most(experiment: &Experiment, may_run: &HashSet<&str>) -> usize {
    let count = |trials: Vec<Trial>| trials.iter().filter(|trial| may_run.contains(trial.id.as_str())).count();
    let trials_of = |configuration: Configuration| {
        let tried: usize = experiment.tuning_trials(&configuration).into_iter().map(count).sum();
        let Configuration { config, candidates, blocks, most_seeds, .. } = &configuration;
        let configs =
            candidates.iter().map(|candidate| &candidate.config).chain(candidates.is_empty().then_some(*config));
        let compared = configs.map(|config| count(experiment.comparison_trials(config, blocks, *most_seeds)));
        tried + compared.max().unwrap_or_default()
    };
    experiment.configurations().into_iter().map(trials_of).sum()
}

/// `init: orthogonal; start: orthogonal`
fn plan_names(experiment: &Experiment, trial: &Trial) -> String {
    let names: Vec<String> = experiment
        .variants()
        .filter_map(|(block, variant)| {
            let own = || Some(format!("{}: {}", block.id, variant.label));
            if variant.candidates.is_empty() {
                return if variant.config == trial.config { own() } else { None };
            }
            let tuned = variant.candidates.iter().find(|candidate| candidate.config == trial.config)?;
            let tries = if trial.is_tuning { "tries" } else { "at" };
            Some(format!("{} {tries} {}", own()?, tuned.label))
        })
        .collect();
    let tried = experiment.candidates.iter().find(|candidate| candidate.config == trial.config);
    match (names.is_empty(), tried) {
        (false, _) => names.join("; "),
        (true, None) => "base".to_owned(),
        (true, Some(tried)) if trial.is_tuning => format!("base tries {}", tried.label),
        (true, Some(tried)) => format!("base at {}", tried.label),
    }
}
