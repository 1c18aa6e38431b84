//! `tune`: values that every configuration tries before it is compared at the best of them.

use serde_json::Value as Json;

use super::check;
use super::error::{Mistakes, Result};
use super::experiment::{Candidate, Tune, canonical};
use super::keys::{TUNING_SEEDS, setting_names};
use super::label::{effective, label, resolved, shown};
use super::overrides::Overrides;
use super::settings::{Factor, Setting, alternatives, changed, combination, combinations, factor, unless_null};
use super::slot::Slot;
use super::yaml::{Key, Node};
use crate::words::shorten;

/// Each configuration tries all of them.
const MAX_CANDIDATES: usize = 100;

/// The product of its axes.
pub struct Tuning<'a> {
    factors: Vec<Factor<'a>>,
    seeds: usize,
}

impl<'a> Tuning<'a> {
    pub fn read(slot: &Slot<'a>, mistakes: &mut Mistakes) -> Option<Tuning<'a>> {
        let mut fields = mistakes.keep(slot.object())?;
        let axes = mistakes.keep(fields.need("axes"));
        let seeds = mistakes.keep(fields.read(&TUNING_SEEDS));
        mistakes.keep(fields.finish());
        let axes = axes?;
        let settings = alternatives(&axes, &setting_names(&[]), mistakes).into_iter();
        let factors = settings.filter_map(|axis| mistakes.keep(factor(&axes.path, &[axis])));
        let factors: Vec<Factor> = factors.collect();
        let count = combinations(&factors);
        if count > MAX_CANDIDATES {
            let problem = format!("{count} combinations are more than the {MAX_CANDIDATES} that may be tried");
            mistakes.note(axes.error(problem));
            return None;
        }
        Some(Tuning { factors, seeds: seeds? })
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a Key> {
        self.factors.iter().flat_map(|factor| factor.keys.iter().copied())
    }

    pub fn summary(&self) -> Tune {
        Tune { keys: self.keys().map(|key| key.name.clone()).collect(), seeds: self.seeds }
    }

    /// What the configuration in `root` may become; values that make it the same count once.
    pub fn candidates(&self, root: &Node, overrides: &Overrides) -> Result<Vec<Candidate>> {
        let mut found: Vec<Candidate> = vec![];
        let mut mistakes = Mistakes::default();
        for number in 0..combinations(&self.factors) {
            let settings = combination(&self.factors, number);
            let place = || format!(" (tune, {})", shorten(&label(&effective(&settings, &Json::Null, &[]))));
            let candidate = candidate(root, &settings, overrides).map_err(|error| unless_null(error, &settings));
            let new = |own: &Candidate| found.iter().all(|known| canonical(&known.config) != canonical(&own.config));
            found.extend(mistakes.keep_within(candidate, place).filter(new));
        }
        mistakes.end(Some(found))
    }
}

fn candidate(root: &Node, settings: &[Setting], overrides: &Overrides) -> Result<Candidate> {
    let node = changed(root, settings)?;
    let config = check::config(&node, overrides)?;
    let whole = resolved(&config);
    let keys: Vec<&Key> = settings.iter().map(|(key, _)| *key).collect();
    let values = keys.iter().map(|key| shown(&node, key, &keys, &whole)).collect();
    Ok(Candidate { label: label(&effective(settings, &whole, &[])), values, config })
}

#[cfg(test)]
mod tests {
    use crate::spec::{Experiment, FIRST_TUNING_SEED, Overrides, Settle};

    const HEAD: &str = "schema: 1\nname: t\nbase: {model: lenet5, optimizer: {name: sgd, lr: 0.01}}\n";
    const BLOCKS: &str =
        "blocks:\n- {id: a, axes: {init: [keras, orthogonal]}}\n- {id: b, axes: {activation: [relu]}}\n";
    const TUNE: &str = "tune: {axes: {optimizer.lr: [0.01, 0.1]}, seeds: 2}\n";

    fn parse(lines: &[&str]) -> Experiment {
        Experiment::parse("x", &format!("{HEAD}{}", lines.concat()), &Overrides::default()).unwrap()
    }

    fn error(lines: &[&str]) -> String {
        let text = format!("{HEAD}{}", lines.concat());
        Experiment::parse("x", &text, &Overrides::default()).expect_err("should be refused").to_string()
    }

    #[test]
    fn seeds_are_added_up_to_the_most_and_twice_as_many_of_a_base_of_three() {
        let experiment = parse(&["settle: {max_seeds: 5}\n", BLOCKS]);
        assert_eq!(experiment.settle, Some(Settle { max_seeds: 5 }));
        assert_eq!(experiment.trials().len(), 10 + 3 * 5);
        assert_eq!(crate::spec::load::most_trials(&experiment), 25);
        let two = parse(&["settle: {max_seeds: 5}\n", "blocks: [{id: a, axes: {init: [keras, orthogonal]}}]\n"]);
        assert_eq!(two.trials().len(), 3 * 5, "the base of two settings has as many seeds as they");
        assert_eq!(parse(&["settle: {}\n", BLOCKS]).settle, Some(Settle { max_seeds: 20 }));
    }

    #[test]
    fn settle_and_seeds_exclude_each_other_and_the_command_line_wins() {
        assert!(
            error(&["settle: {max_seeds: 5}\nseeds: [0]\n", BLOCKS]).starts_with("x:5:8: seeds: `settle` finds out")
        );
        assert!(error(&["settle: {max_seeds: 5}\n"]).contains("nothing to settle without blocks"));
        assert!(error(&["settle: {max_seeds: 2}\n", BLOCKS]).contains("expected a whole number from 3 to 1000"));
        assert!(error(&["margin: 0\n", BLOCKS]).contains("margin: expected a finite number"));
        let text = format!("{HEAD}settle: {{max_seeds: 5}}\n{BLOCKS}");
        let set = Overrides { set: vec!["seeds=[7, 8]".into()], ..Overrides::default() };
        let experiment = Experiment::parse("x", &text, &set).unwrap();
        assert_eq!((experiment.settle, experiment.seeds), (None, vec![7, 8]));
        let one = Experiment::parse("x", &text, &Overrides { seed: Some(3), ..Overrides::default() }).unwrap();
        assert_eq!((one.settle, one.seeds), (None, vec![3]));
    }

    #[test]
    fn every_configuration_tries_all_values_on_seeds_of_its_own() {
        let experiment = parse(&["seeds: [0, 1, 2]\n", TUNE, BLOCKS]);
        let trials = experiment.trials();
        let tries: Vec<_> = trials.iter().filter(|trial| trial.is_tuning).collect();
        assert_eq!((tries.len(), trials.len()), (4 * 2 * 2, 4 * 2 * 2 + 4 * 2 * 3));
        assert!(trials.iter().all(|trial| trial.is_tuning == (trial.seed >= FIRST_TUNING_SEED)));
        assert_eq!(crate::spec::load::most_trials(&experiment), trials.len(), "they are counted without being made");
        assert!(
            error(&["seeds: [2147483648]\n", TUNE, BLOCKS]).contains("tuning has seeds of its own from 2147483648 on")
        );
        let product = "tune: {axes: {optimizer.lr: [0.01, 0.1], batch_size: [32, 64, 128]}}\n";
        assert_eq!(parse(&[product, BLOCKS]).candidates.len(), 6);
    }

    #[test]
    fn settings_that_become_one_by_tuning_are_refused_with_both_names() {
        let rates = "blocks:\n- {id: o, axes: {optimizer: [{name: sgd, lr: 0.1}, {name: sgd, lr: 0.5}]}}\n";
        let said = error(&[TUNE, rates]);
        assert!(
            said.starts_with("x:4:7: tune: o: base and o: sgd become the same setting by it, at lr=0.01"),
            "{said}"
        );
    }

    #[test]
    fn a_tuned_value_is_in_no_name() {
        let blocks = "blocks:\n- {id: o, axes: {optimizer: [{name: sgd, lr: 0.01, momentum: 0.9}, {name: adam, lr: 0.001}]}}\n\
                      - {id: i, include: [{init: orthogonal, optimizer.lr: 0.5}]}\n";
        let experiment = parse(&[TUNE, blocks]);
        let labels: Vec<&str> = experiment.variants().map(|(_, variant)| variant.label.as_str()).collect();
        assert_eq!(labels, ["base", "sgd, momentum 0.9", "adam", "base", "init=orthogonal"]);
        let values = |block: usize| &experiment.blocks[block].variants[0].values;
        assert_eq!(values(0), &["sgd"], "nor among what the base has where the settings differ");
    }

    #[test]
    fn what_cannot_be_tuned_is_refused_where_it_is_written() {
        let momentum = "tune: {axes: {optimizer.momentum: [0.5, 0.9]}}\n";
        let adam = "blocks:\n- {id: o, axes: {optimizer: [adam]}}\n";
        let said = error(&[momentum, adam]);
        assert!(said.contains("adam has no such option") && said.contains("(tune, momentum=0.5)"), "{said}");
        assert!(error(&["tune: {axes: {optimizer.lr: []}}\n", BLOCKS]).contains("optimizer.lr"));
        assert!(error(&["tune: {seeds: 2}\n", BLOCKS]).contains("axes: this key is missing"));
    }

    #[test]
    fn an_experiment_without_them_is_stored_as_before() {
        let json = serde_json::to_value(parse(&["seeds: [0]\n", BLOCKS])).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["name", "description", "seeds", "targets", "base", "blocks"]);
        let variant: Vec<&String> = json["blocks"][0]["variants"][0].as_object().unwrap().keys().collect();
        assert_eq!(variant, ["settings", "values", "label", "config"]);
    }
}
