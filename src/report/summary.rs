//! One row a configuration: its trials over the seeds, and how it differs from its block's base.

use super::measure::Measure;
use super::statistics::{Spread, mean, spread};
use super::study::{StoredTrial, Study, StudyBlock, StudyVariant};
use crate::networks;
use crate::record::Status;
use crate::verdict::End;
use crate::verdict::asked::{Ended, ends};
use crate::verdict::looks::{Comparison, Plan, Progress, Reason, judge};
use crate::verdict::rule::{Difference, Verdict};
use std::collections::{HashMap, HashSet};

/// One configuration of one block over its seeds.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub variant: &'a StudyVariant,
    pub trials: Vec<&'a StoredTrial>,
    /// None for the base.
    pub comparison: Option<Comparison>,
    /// Mean test accuracy minus the base's, in points: the comparison's where it has one, else of all that is done on both sides.
    /// None for the base, and where the comparison is withheld.
    pub shift: Option<f64>,
    /// Test accuracies minus the base's mean, in points, of the trials that `shift` is of.
    pub dots: Vec<f64>,
}

#[derive(Clone, Debug)]
pub struct BlockSummary<'a> {
    pub block: &'a StudyBlock,
    /// In the block's order; the first is the base.
    pub rows: Vec<Row<'a>>,
    /// Of all settings that share the base, in this block and others.
    pub progress: Progress,
}

impl<'a> Row<'a> {
    fn unjudged(variant: &'a StudyVariant, by_id: &HashMap<&str, &'a StoredTrial>) -> Row<'a> {
        let trials = variant.trial_ids.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
        Row { variant, trials, comparison: None, shift: None, dots: vec![] }
    }

    fn judge(&mut self, base: &Row, comparison: Comparison) {
        let withheld = matches!(comparison.reason, Some(Reason::Unstable | Reason::BaseUnstable));
        // Trials that came after a look did not enter.
        let all = (usize::MAX, usize::MAX);
        let (seeds, base_seeds) = comparison.difference.map_or(all, |_| (comparison.seeds, comparison.base_seeds));
        if let Some(base) = mean(&base.first_accuracies(base_seeds)).filter(|_| !withheld) {
            let own = self.first_accuracies(seeds);
            self.dots = own.iter().map(|accuracy| 100.0 * (accuracy - base)).collect();
            let shift = mean(&own).map(|own| 100.0 * (own - base));
            self.shift = comparison.difference.map(|difference| difference.value).or(shift);
        }
        self.comparison = Some(comparison);
    }

    fn first_accuracies(&self, seeds: usize) -> Vec<f64> {
        self.done().take(seeds).filter_map(|trial| Measure::TestAccuracy.value(trial)).collect()
    }

    /// Inconclusive for the base.
    pub fn verdict(&self) -> Verdict {
        self.comparison.as_ref().map_or(Verdict::Inconclusive, |comparison| comparison.verdict)
    }

    pub fn difference(&self) -> Option<&Difference> {
        self.comparison.as_ref()?.difference.as_ref()
    }

    /// What to call it where it is the base of others: nothing for the plain base; that of a comparison has a name.
    pub fn base_name(&self) -> &'a str {
        if self.variant.label == "base" { "" } else { &self.variant.label }
    }

    pub fn done(&self) -> impl Iterator<Item = &'a StoredTrial> {
        self.with_status(Status::Done)
    }

    pub fn diverged(&self) -> impl Iterator<Item = &'a StoredTrial> {
        self.with_status(Status::Diverged)
    }

    pub fn failed(&self) -> impl Iterator<Item = &'a StoredTrial> {
        self.with_status(Status::Failed)
    }

    fn with_status(&self, status: Status) -> impl Iterator<Item = &'a StoredTrial> {
        self.trials.iter().copied().filter(move |trial| trial.status() == Some(status))
    }

    /// Trials in the numbers.
    pub fn n(&self) -> usize {
        self.done().count()
    }

    /// Trials that have not ended yet.
    pub fn pending(&self) -> usize {
        self.variant.trial_ids.len() - self.n() - self.failed().count() - self.diverged().count()
    }

    pub fn spread(&self, measure: Measure) -> Option<Spread> {
        spread(&self.done().filter_map(|trial| measure.value(trial)).collect::<Vec<_>>())
    }

    /// The network's layers.
    pub fn network(&self) -> Option<networks::Table> {
        self.trials.first().map(|trial| trial.config.table())
    }

    /// `1 of 3 diverged`: what a mean leaves out and must say so. None if it is complete.
    pub fn missing_label(&self) -> Option<String> {
        let all = self.variant.trial_ids.len();
        let missing =
            [(self.failed().count(), "failed"), (self.diverged().count(), "diverged"), (self.pending(), "to come")];
        let parts = missing.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} of {all} {word}")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// `3`, or `2, 1 of 3 diverged`
    pub fn n_label(&self) -> String {
        self.with_missing(self.n().to_string())
    }

    /// `n = 2, 1 of 3 diverged`: what every mean of this row must carry beside it.
    pub fn count_label(&self) -> String {
        format!("n = {}", self.n_label())
    }

    /// `n = 6 against 12, 2 of 9 to come`: the seeds that the difference is of, which trials that came after a look are not among.
    pub fn compared_label(&self) -> String {
        self.with_missing(self.compared_seeds())
    }

    /// `n = 6 against 12`, or `n = 3` where the base has as many. All that is done where there is no interval.
    pub fn compared_seeds(&self) -> String {
        match self.comparison.as_ref().filter(|comparison| comparison.difference.is_some()) {
            Some(Comparison { seeds, base_seeds, .. }) if seeds == base_seeds => format!("n = {seeds}"),
            Some(Comparison { seeds, base_seeds, .. }) => format!("n = {seeds} against {base_seeds}"),
            None => format!("n = {}", self.n()),
        }
    }

    fn with_missing(&self, counted: String) -> String {
        match self.missing_label() {
            Some(missing) => format!("{counted}, {missing}"),
            None => counted,
        }
    }

    /// Whether a trial has ended, so that there is something to draw or to own up to.
    pub fn has_begun(&self) -> bool {
        self.pending() < self.variant.trial_ids.len()
    }

    /// How its trials ended as the rule sees them, in the order of the seeds.
    pub fn ends(&self) -> Vec<End> {
        let ended = |id: &String| Some(Ended::new(self.trial(id)?.outcome.as_ref()?));
        let tuning = self.variant.tuning.as_ref();
        ends(tuning.map(|tuning| (tuning.taken, tuning.comparison_seeds)), self.variant.trial_ids.iter().map(ended))
    }

    pub fn trial(&self, id: &str) -> Option<&'a StoredTrial> {
        self.trials.iter().copied().find(|trial| trial.id == id)
    }

    /// Whether a trial ended badly.
    pub fn troubled(&self) -> bool {
        self.failed().chain(self.diverged()).next().is_some()
    }
}

impl<'a> BlockSummary<'a> {
    pub fn base(&self) -> Option<&Row<'a>> {
        self.rows.first()
    }

    /// Whether its networks are of different sizes.
    pub fn compares_networks(&self) -> bool {
        let sizes: HashSet<_> =
            self.rows.iter().filter_map(|row| row.network().map(|table| table.multiply_adds())).collect();
        sizes.len() > 1
    }

    /// Whether there is something to show.
    pub fn has_begun(&self) -> bool {
        self.rows.iter().any(Row::has_begun)
    }

    pub fn finished(&self) -> bool {
        self.rows.iter().any(|row| row.n() > 0)
    }

    /// The row with the highest mean validation accuracy: chosen without the test set, its test scores are not lucky ones. A row
    /// that lost a seed to divergence is none to recommend.
    pub fn best(&self) -> Option<&Row<'a>> {
        best(self.rows.iter())
    }
}

/// See [`BlockSummary::best`]; the first of equals.
pub fn best<'r, 'a: 'r>(rows: impl Iterator<Item = &'r Row<'a>>) -> Option<&'r Row<'a>> {
    let steady = rows.filter(|row| row.diverged().next().is_none());
    let scored = steady.filter_map(|row| Some((row.spread(Measure::ValAccuracy)?.mean, row)));
    let best = scored.reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map(|(_, row)| row)
}

pub fn summarize(study: &Study) -> Vec<BlockSummary<'_>> {
    let by_id: HashMap<&str, &StoredTrial> = study.trials.iter().map(|trial| (trial.id.as_str(), trial)).collect();
    let blocks = study.blocks.iter().filter(|block| !block.variants.is_empty());
    let row = |variant| Row::unjudged(variant, &by_id);
    let unjudged: Vec<(&StudyBlock, Vec<Row>)> =
        blocks.map(|block| (block, block.variants.iter().map(row).collect())).collect();
    let all = || unjudged.iter().flat_map(|(_, rows)| rows);
    let mut ends = vec![vec![]; all().map(|row| row.variant.configuration + 1).max().unwrap_or_default()];
    all().for_each(|row| ends[row.variant.configuration] = row.ends());
    let places = |(_, rows): &(_, Vec<Row>)| rows.iter().map(|row| row.variant.configuration).collect();
    let blocks = unjudged.iter().map(places).collect();
    let plan = Plan { margin: study.margin, replicates: study.replicates, blocks };
    let judgement = judge(&plan, &ends);
    let judged = unjudged.into_iter().zip(judgement.comparisons).map(|((block, mut rows), comparisons)| {
        let (base, settings) = rows.split_first_mut().expect("a block has a base");
        settings.iter_mut().zip(comparisons).for_each(|(row, comparison)| row.judge(base, comparison));
        let progress = judgement.groups.iter().find(|group| group.base == base.variant.configuration);
        BlockSummary { block, progress: progress.expect("each base has a group").clone(), rows }
    });
    judged.collect()
}
