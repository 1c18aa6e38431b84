//! Several experiments joined into one study: their bases side by side, then the configuration that each one's validation images choose.

use super::study::{StoredTrial, Study, StudyBlock, StudyVariant};
use super::summary::{best, summarize};
use crate::verdict::looks::Replicates;
use anyhow::{Result, ensure};

/// The id of the first block.
const BASES: &str = "experiments";

/// One study of all, each with the name it is to have there; the first is what the others are measured against. Refuses
/// experiments on different images.
pub fn join(name: &str, experiments: &[(String, Study)]) -> Result<Study> {
    let Some(((first_name, first), others)) = experiments.split_first() else { anyhow::bail!("nothing to compare") };
    for (other_name, other) in others {
        ensure!(
            other.dataset_note == first.dataset_note,
            "{first_name} and {other_name} cannot be compared: their images differ, {} and {}",
            first.dataset_note,
            other.dataset_note
        );
    }
    let mut blocks = vec![block(BASES, "Experiments", experiments, base)];
    let chosen = block("chosen", "Best by validation accuracy", experiments, choice);
    let ids = |block: &StudyBlock| block.variants.iter().map(|variant| variant.trial_ids.clone()).collect::<Vec<_>>();
    if ids(&chosen) != ids(&blocks[0]) {
        blocks.push(chosen);
    }
    let mut targets: Vec<f64> = experiments.iter().flat_map(|(_, study)| study.targets.clone()).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    // Each is a configuration of its own: runs of one experiment may be compared.
    blocks.iter_mut().flat_map(|block| &mut block.variants).enumerate().for_each(|(place, v)| v.configuration = place);
    // Those of the same images are the same.
    let test_labels = experiments.iter().find_map(|(_, study)| study.test_labels.clone());
    let names: Vec<&str> = experiments.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Study {
        name: name.to_owned(),
        description: Some(format!("The experiments {} side by side.{}", names.join(", "), chosen_seeds(experiments))),
        targets,
        replicates: Replicates::Fixed,
        changed_plans: vec![],
        test_labels,
        trials: trials(experiments, &blocks),
        blocks,
        ..first.clone()
    })
}

/// What is to be known where the numbers of seeds were not fixed in advance.
fn chosen_seeds(experiments: &[(String, Study)]) -> String {
    let settled: Vec<&str> =
        experiments.iter().filter(|(_, study)| study.settles()).map(|(name, _)| name.as_str()).collect();
    if settled.is_empty() {
        return String::new();
    }
    let names = settled.join(" and ");
    format!(
        " How many seeds {names} has was chosen by looks at its results, so intervals here are a little too narrow."
    )
}

/// One variant an experiment.
fn block(
    id: &str,
    title: &str,
    experiments: &[(String, Study)],
    pick: fn(&Study) -> Option<StudyVariant>,
) -> StudyBlock {
    let variant = |(name, study): &(String, Study)| {
        let picked = pick(study)?;
        let label = if id == BASES { name.clone() } else { format!("{name}: {}", picked.label) };
        let settings = std::iter::once(("experiment".to_owned(), name.clone())).chain(picked.settings).collect();
        Some(StudyVariant {
            label,
            settings,
            configuration: 0,
            trial_ids: picked.trial_ids.iter().map(|trial| full_id(name, trial)).collect(),
            tuning: picked.tuning.clone(),
        })
    };
    StudyBlock {
        id: id.into(),
        title: Some(title.into()),
        terms: vec![],
        variants: experiments.iter().filter_map(variant).collect(),
    }
}

/// That of the first block.
fn base(study: &Study) -> Option<StudyVariant> {
    study.blocks.first()?.variants.first().cloned()
}

/// The base where no trial is done.
fn choice(study: &Study) -> Option<StudyVariant> {
    let blocks = summarize(study);
    best(blocks.iter().flat_map(|block| &block.rows)).map(|row| row.variant.clone()).or_else(|| base(study))
}

/// A trial's id where several experiments meet, which may have run the same one.
fn full_id(experiment: &str, trial: &str) -> String {
    format!("{experiment}/{trial}")
}

/// Those that the blocks name.
fn trials(experiments: &[(String, Study)], blocks: &[StudyBlock]) -> Vec<StoredTrial> {
    let mut named = vec![];
    for (name, study) in experiments {
        for trial in &study.trials {
            let id = full_id(name, &trial.id);
            let naming =
                blocks.iter().filter(|block| block.variants.iter().any(|variant| variant.trial_ids.contains(&id)));
            let blocks: Vec<String> = naming.map(|block| block.id.clone()).collect();
            if !blocks.is_empty() {
                named.push(StoredTrial { id, blocks, ..trial.clone() });
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::setup::caveats;
    use crate::report::tests::example;

    fn experiment(name: &str, settings: &[(&str, f64)]) -> (String, Study) {
        (name.to_owned(), example::study(&[("init", settings)], 3, 5))
    }

    #[test]
    fn each_experiment_is_there_with_its_base_and_its_choice() {
        let parts = [
            experiment("small", &[("base", 0.5), ("worse", 0.4)]),
            experiment("large", &[("base", 0.6), ("better", 0.7)]),
        ];
        let study = join("both", &parts).unwrap();
        let labels = |block: usize| {
            study.blocks[block].variants.iter().map(|variant| variant.label.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((labels(0), labels(1)), (vec!["small", "large"], vec!["small: base", "large: better"]));
        // Three trials of three configurations: the base of "small" is in both blocks and there once.
        assert_eq!(study.trials.len(), 9);
        let blocks = summarize(&study);
        assert!(blocks.iter().flat_map(|block| &block.rows).all(|row| row.n() == 3));
        assert_eq!(caveats(&blocks), [""; 0]);
    }

    #[test]
    fn the_choice_looks_at_validation_only_and_never_at_a_setting_that_diverges() {
        let (name, mut study) = experiment("one", &[("base", 0.5), ("good", 0.6), ("lucky", 0.55), ("wild", 0.9)]);
        for trial in &mut study.trials[6..9] {
            trial.outcome.as_mut().unwrap().scores.as_mut().unwrap().test.accuracy = 0.99;
        }
        example::diverge(&mut study.trials[11], 2);
        let both = join("both", &[(name, study), experiment("two", &[("base", 0.5)])]).unwrap();
        assert_eq!(both.blocks[1].variants[0].label, "one: good");
    }

    #[test]
    fn other_images_are_refused_and_other_splits_and_rules_are_named() {
        let (small, mut large) = (experiment("small", &[("base", 0.5)]), experiment("large", &[("base", 0.6)]));
        for trial in &mut large.1.trials {
            trial.config.data.val = 10_000;
            trial.config.select = crate::spec::config::Select::ValAccuracy;
        }
        let study = join("both", &[small.clone(), large.clone()]).unwrap();
        let blocks = summarize(&study);
        let found = caveats(&blocks);
        let words = ["10,000 to validate, split seed 0 (large)", "highest validation accuracy (large)"];
        assert_eq!(found.len(), words.len());
        found.iter().zip(words).for_each(|(caveat, words)| assert!(caveat.contains(words), "{caveat}"));
        assert!(blocks[0].rows[1].difference().is_some(), "they share the test images");
        large.1.dataset_note = "cifar10 (sha256 00000000…)".into();
        let error = join("both", &[small, large]).unwrap_err().to_string();
        assert!(error.contains("small and large cannot be compared"), "{error}");
    }
}
