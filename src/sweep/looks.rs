//! What a sweep says of the looks that a study takes while it settles.

use crate::spec::Experiment;
use crate::verdict::asked::Asked;
use crate::verdict::looks::{Comparison, Judgement, Progress, Reason, Stage};
use crate::verdict::rule::Verdict;
use crate::words::{count, some};

/// Settings that a line names.
const NAMED: usize = 6;

/// What trials that run now are for: `the look at 4 seeds`; None where nothing more can follow.
pub fn goal(judgement: &Judgement) -> Option<String> {
    let waiting = judgement.groups.iter().filter_map(|group| match group.stage {
        Stage::Waiting(look) if group.look != look => Some(look),
        _ => None,
    });
    waiting.min().map(|look| format!("the look at {look} seeds"))
}

/// Some lines for each base whose settings have just had a look.
pub fn describe(experiment: &Experiment, before: &Judgement, now: &Asked) -> Vec<String> {
    let mut lines = vec![];
    for (earlier, group) in before.groups.iter().zip(&now.judgement.groups) {
        if experiment.settle.is_some() && (group.look, ended(group)) != (earlier.look, ended(earlier)) {
            lines.extend(look(experiment, before, now, group));
        }
    }
    lines
}

fn ended(group: &Progress) -> bool {
    !matches!(group.stage, Stage::Waiting(_))
}

fn look(experiment: &Experiment, before: &Judgement, now: &Asked, group: &Progress) -> Vec<String> {
    let comparisons = comparisons_of(experiment, now, group, &now.judgement);
    let with = |verdict| comparisons.iter().filter(|(_, comparison)| comparison.verdict == verdict).count();
    let [better, worse, equivalent, unstable] =
        [Verdict::Better, Verdict::Worse, Verdict::Equivalent, Verdict::Unstable].map(with);
    let failed = |comparison: &Comparison| comparison.reason == Some(Reason::Failed);
    let sits_out = comparisons.iter().filter(|(_, comparison)| failed(comparison)).count();
    let open = with(Verdict::Inconclusive) - sits_out;
    let next = match group.stage {
        Stage::Waiting(look) => format!("{open} go on to {look} seeds"),
        Stage::Exhausted => format!("{open} stay open at the most seeds allowed"),
        Stage::Settled => "all settled".to_owned(),
        Stage::Held => "held by failed trials; --rerun failed runs them again".to_owned(),
        Stage::Ended => "the base is unstable, so nothing can be compared with it".to_owned(),
    };
    let unstable = if unstable > 0 { format!(", {unstable} unstable") } else { String::new() };
    let failed = if sits_out > 0 { format!(", {sits_out} with a failed trial") } else { String::new() };
    if group.look == 0 {
        return vec![next];
    }
    let mut lines = vec![format!(
        "look at {} seeds, {}: {better} better, {worse} worse, {equivalent} equivalent{unstable}{failed}; {next}",
        group.look,
        count(comparisons.len(), "comparison")
    )];
    let earlier = |name: &str| {
        comparisons_of(experiment, now, group, before)
            .into_iter()
            .any(|(own, comparison)| own == name && comparison.is_decided())
    };
    let new: Vec<String> = comparisons
        .iter()
        .filter(|(name, comparison)| comparison.is_decided() && !earlier(name))
        .map(|(name, comparison)| format!("{name} {}", comparison.verdict.word()))
        .collect();
    lines.extend((!new.is_empty()).then(|| format!("  decided now: {}", some(&new, NAMED))));
    lines
}

/// The comparisons of a judgement that a group has, with their names.
fn comparisons_of<'a>(
    experiment: &Experiment,
    asked: &Asked,
    group: &Progress,
    judgement: &'a Judgement,
) -> Vec<(String, &'a Comparison)> {
    let blocks = experiment.blocks.iter().zip(&asked.plan.blocks).zip(&judgement.comparisons);
    let own = blocks.filter(|((_, places), _)| places[0] == group.base);
    own.flat_map(|((block, _), comparisons)| {
        let names = block.variants[1..].iter().map(|variant| format!("{}: {}", block.id, variant.label));
        names.zip(comparisons)
    })
    .collect()
}
