//! One row a configuration: its trials over the seeds, and how it differs from its block's base.

use super::metrics::{macro_average, per_class};
use super::statistics::{Spread, spread};
use super::{StoredTrial, Study, StudyBlock, StudyVariant};
use crate::networks;
use crate::record::Status;
use crate::verdict::End;
use crate::verdict::asked::{Ended, Taken};
use crate::verdict::looks::{Comparison, Plan, Planned, Progress, Reason, judge};
use crate::verdict::rule::{Difference, Verdict};
use std::collections::{HashMap, HashSet};

/// A number that a finished trial has; accuracies are shares in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    TestAccuracy,
    TestLoss,
    ValAccuracy,
    ValLoss,
    /// Of the last epoch's weights, as the next; trials of older versions have neither, nor the three that follow.
    LastTestAccuracy,
    LastTestLoss,
    /// Share of test images whose true class is among the three most probable ones.
    Top3Accuracy,
    /// Expected calibration error on the test images.
    Ece,
    Brier,
    /// On the test images, as the unweighted mean over the classes; so are the next three.
    MacroPrecision,
    MacroRecall,
    MacroSpecificity,
    MacroF1,
    BestEpoch,
    /// Train minus test accuracy of the selected epoch's weights.
    AccuracyGap,
    /// Test minus train loss of the selected epoch's weights.
    LossGap,
    /// Validation loss after the last epoch minus the lowest of all epochs: what training on has cost.
    LossRise,
    /// The highest validation accuracy of any epoch, which need not be the selected one's.
    PeakValAccuracy,
    /// Mean validation accuracy over the epochs: the area under its curve, divided by its length.
    CurveArea,
    /// First epoch whose validation accuracy reaches the target; trials that never do have none.
    EpochsTo(f64),
    /// Seconds until the end of that epoch, validation and checkpoints included.
    SecondsTo(f64),
    /// Finished epochs.
    Epochs,
    /// Training, validation and checkpoints of all epochs.
    Seconds,
    ImagesPerSecond,
}

impl Measure {
    pub fn of(self, trial: &StoredTrial) -> Option<f64> {
        let history = &trial.history;
        let reached = |target| history.iter().position(|epoch| epoch.val_accuracy >= target);
        match self {
            Measure::EpochsTo(target) => return reached(target).map(|index| history[index].epoch as f64),
            Measure::SecondsTo(target) => {
                return reached(target).map(|index| history[..=index].iter().map(|epoch| epoch.seconds).sum());
            }
            _ => {}
        }
        let (outcome, scores) = (trial.outcome.as_ref()?, trial.scores()?);
        let macro_average = || macro_average(&per_class(&scores.confusion));
        Some(match self {
            Measure::TestAccuracy => scores.test.accuracy,
            Measure::TestLoss => scores.test.loss,
            Measure::ValAccuracy => scores.val.accuracy,
            Measure::ValLoss => scores.val.loss,
            Measure::LastTestAccuracy => scores.last_test?.accuracy,
            Measure::LastTestLoss => scores.last_test?.loss,
            Measure::Top3Accuracy => scores.evidence?.top3_accuracy,
            Measure::Ece => scores.evidence?.ece,
            Measure::Brier => scores.evidence?.brier,
            Measure::MacroPrecision => macro_average().precision,
            Measure::MacroRecall => macro_average().recall,
            Measure::MacroSpecificity => macro_average().specificity,
            Measure::MacroF1 => macro_average().f1,
            Measure::BestEpoch => scores.best_epoch as f64,
            Measure::AccuracyGap => scores.train.accuracy - scores.test.accuracy,
            Measure::LossGap => scores.test.loss - scores.train.loss,
            Measure::LossRise => {
                let lowest = history.iter().map(|epoch| epoch.val_loss).fold(f64::INFINITY, f64::min);
                history.last()?.val_loss - lowest
            }
            Measure::PeakValAccuracy => history.iter().map(|epoch| epoch.val_accuracy).fold(0.0, f64::max),
            Measure::Epochs => outcome.epochs as f64,
            Measure::Seconds => outcome.seconds,
            Measure::ImagesPerSecond => outcome.images_per_second,
            _ => spread(&history.iter().map(|epoch| epoch.val_accuracy).collect::<Vec<_>>())?.mean,
        })
    }

    /// The measure's column in the tables.
    pub fn column(self) -> String {
        match self {
            Measure::TestAccuracy => "test_accuracy".into(),
            Measure::TestLoss => "test_loss".into(),
            Measure::ValAccuracy => "val_accuracy".into(),
            Measure::ValLoss => "val_loss".into(),
            Measure::LastTestAccuracy => "last_test_accuracy".into(),
            Measure::LastTestLoss => "last_test_loss".into(),
            Measure::Top3Accuracy => "test_top3_accuracy".into(),
            Measure::Ece => "test_ece".into(),
            Measure::Brier => "test_brier".into(),
            Measure::MacroPrecision => "macro_precision".into(),
            Measure::MacroRecall => "macro_recall".into(),
            Measure::MacroSpecificity => "macro_specificity".into(),
            Measure::MacroF1 => "macro_f1".into(),
            Measure::BestEpoch => "best_epoch".into(),
            Measure::AccuracyGap => "accuracy_gap".into(),
            Measure::LossGap => "loss_gap".into(),
            Measure::LossRise => "val_loss_rise".into(),
            Measure::PeakValAccuracy => "val_accuracy_peak".into(),
            Measure::CurveArea => "val_curve_area".into(),
            Measure::EpochsTo(target) => format!("epochs_to_val_{target}"),
            Measure::SecondsTo(target) => format!("seconds_to_val_{target}"),
            Measure::Epochs => "epochs_run".into(),
            Measure::Seconds => "seconds".into(),
            Measure::ImagesPerSecond => "images_per_second".into(),
        }
    }
}

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
    /// The trials' test accuracies minus the base's mean, in points.
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
        spread(&self.done().filter_map(|trial| measure.of(trial)).collect::<Vec<_>>())
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

    /// `n = 2, 1 of 3 diverged`: what every mean of this row must carry beside it.
    pub fn count_label(&self) -> String {
        let missing = self.missing_label().map_or(String::new(), |missing| format!(", {missing}"));
        format!("n = {}{missing}", self.n())
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
    let judgement = judge(&plan(study), &ends(study, &by_id));
    let blocks = blocks(study).zip(judgement.comparisons);
    let progress =
        |base| judgement.groups.iter().find(|group| group.base == base).expect("each base has a group").clone();
    blocks
        .map(|(block, comparisons)| {
            let mut rows: Vec<Row> = block.variants.iter().map(|variant| unjudged(variant, &by_id)).collect();
            let (base, settings) = rows.split_first_mut().expect("a block has a base");
            settings.iter_mut().zip(comparisons).for_each(|(row, comparison)| row.judge(base, comparison));
            BlockSummary { block, rows, progress: progress(block.variants[0].configuration) }
        })
        .collect()
}

fn blocks(study: &Study) -> impl Iterator<Item = &StudyBlock> {
    study.blocks.iter().filter(|block| !block.variants.is_empty())
}

fn plan(study: &Study) -> Plan {
    let planned = |block: &StudyBlock| Planned {
        base: block.variants[0].configuration,
        settings: block.variants[1..].iter().map(|variant| variant.configuration).collect(),
    };
    Plan { margin: study.margin, replicates: study.replicates, blocks: blocks(study).map(planned).collect() }
}

/// By configuration and seed.
fn ends(study: &Study, by_id: &HashMap<&str, &StoredTrial>) -> Vec<Vec<End>> {
    let variants = || blocks(study).flat_map(|block| &block.variants);
    let count = variants().map(|variant| variant.configuration + 1).max().unwrap_or_default();
    let mut ends = vec![vec![]; count];
    let end = |id: &String| {
        let outcome = by_id.get(id.as_str()).and_then(|trial| trial.outcome.as_ref());
        outcome.map_or(End::Pending, |outcome| Ended::new(outcome).end)
    };
    for variant in variants() {
        ends[variant.configuration] = match &variant.tuning {
            Some(tuning) if tuning.taken == Taken::Nothing => vec![End::Diverged; tuning.comparison_seeds],
            _ => variant.trial_ids.iter().map(end).collect(),
        };
    }
    ends
}

fn unjudged<'a>(variant: &'a StudyVariant, by_id: &HashMap<&str, &'a StoredTrial>) -> Row<'a> {
    let trials = variant.trial_ids.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
    Row { variant, trials, comparison: None, shift: None, dots: vec![] }
}

impl Row<'_> {
    fn judge(&mut self, base: &Row, comparison: Comparison) {
        let withheld = matches!(comparison.reason, Some(Reason::Unstable | Reason::BaseUnstable));
        if let Some(base) = base.spread(Measure::TestAccuracy).filter(|_| !withheld) {
            let accuracies = self.done().filter_map(|trial| Measure::TestAccuracy.of(trial));
            self.dots = accuracies.map(|accuracy| 100.0 * (accuracy - base.mean)).collect();
            let own = self.spread(Measure::TestAccuracy).map(|own| 100.0 * (own.mean - base.mean));
            self.shift = comparison.difference.map(|difference| difference.value).or(own);
        }
        self.comparison = Some(comparison);
    }

    /// Inconclusive for the base.
    pub fn verdict(&self) -> Verdict {
        self.comparison.as_ref().map_or(Verdict::Inconclusive, |comparison| comparison.verdict)
    }

    pub fn difference(&self) -> Option<&Difference> {
        self.comparison.as_ref()?.difference.as_ref()
    }
}
