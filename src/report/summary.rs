//! One row a configuration: its trials over the seeds, and how it differs from its block's base.

use super::metrics::{macro_average, per_class};
use super::statistics::{SIGNIFICANCE, Spread, holm, paired_p, seeds_to_settle, spread};
use super::{StoredTrial, Study, StudyBlock, StudyVariant};
use crate::models;
use crate::train::record::Status;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    Inconclusive,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// A configuration's test accuracy minus the base's, paired by seed.
#[derive(Clone, Debug)]
pub struct Difference {
    /// One a seed that both have finished on the same split of the images.
    pub by_seed: Vec<f64>,
    pub spread: Spread,
    /// Of the paired t-test.
    pub p: Option<f64>,
    /// Adjusted for the other comparisons of the block.
    pub p_holm: Option<f64>,
    pub verdict: Verdict,
    /// True where only the divergence of other seeds lets the numbers look as they do, so no verdict is given on them.
    pub withheld: bool,
    /// See [`seeds_to_settle`]; none where there is a verdict or it is withheld.
    pub seeds_needed: Option<usize>,
}

/// One configuration of one block over its seeds.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub variant: &'a StudyVariant,
    pub trials: Vec<&'a StoredTrial>,
    /// None for the base, and where no seed is done on both sides.
    pub difference: Option<Difference>,
}

#[derive(Clone, Debug)]
pub struct BlockSummary<'a> {
    pub block: &'a StudyBlock,
    /// In the block's order; the first is the base.
    pub rows: Vec<Row<'a>>,
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
    pub fn network(&self) -> Option<models::Table> {
        self.trials.first().map(|trial| models::table_of(&trial.config))
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
    let blocks = study.blocks.iter().filter(|block| !block.variants.is_empty());
    blocks.map(|block| summarize_block(block, &by_id)).collect()
}

fn summarize_block<'a>(block: &'a StudyBlock, by_id: &HashMap<&str, &'a StoredTrial>) -> BlockSummary<'a> {
    let row = |variant: &'a StudyVariant| Row {
        variant,
        trials: variant.trial_ids.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect(),
        difference: None,
    };
    let mut rows: Vec<Row> = block.variants.iter().map(row).collect();
    let mut differences: Vec<Option<Difference>> = rows.iter().skip(1).map(|row| compare(row, &rows[0])).collect();
    judge(&mut differences);
    for (row, difference) in rows.iter_mut().skip(1).zip(differences) {
        row.difference = difference;
    }
    BlockSummary { block, rows }
}

/// What two trials must share to be a pair: the seed, and the images they train on.
fn pairing(trial: &StoredTrial) -> (u64, Option<usize>, usize, u64) {
    let data = &trial.config.data;
    (trial.seed, data.train, data.val, data.split_seed)
}

/// The paired differences, still without a verdict.
fn compare(row: &Row, base: &Row) -> Option<Difference> {
    let accuracy = |trial: &StoredTrial| Measure::TestAccuracy.of(trial);
    let base_by_seed: HashMap<_, f64> =
        base.done().filter_map(|trial| Some((pairing(trial), accuracy(trial)?))).collect();
    let by_seed: Vec<f64> =
        row.done().filter_map(|trial| Some(accuracy(trial)? - base_by_seed.get(&pairing(trial))?)).collect();
    let spread = spread(&by_seed)?;
    // The seeds that diverged are missing from the mean, which flatters the side that lost them.
    let flattered = if spread.mean > 0.0 { row } else { base };
    Some(Difference {
        p: paired_p(&spread),
        by_seed,
        spread,
        p_holm: None,
        verdict: Verdict::Inconclusive,
        withheld: flattered.diverged().count() > 0,
        seeds_needed: None,
    })
}

/// Holm's adjustment needs all comparisons of the block at once: every row but the base, also those without trials yet.
fn judge(differences: &mut [Option<Difference>]) {
    let p_values: Vec<Option<f64>> = differences.iter().map(|difference| difference.as_ref()?.p).collect();
    let comparisons = p_values.len();
    for (difference, p_holm) in differences.iter_mut().zip(holm(&p_values)) {
        let Some(difference) = difference else { continue };
        difference.p_holm = p_holm;
        let clear = p_holm.is_some_and(|p| p < SIGNIFICANCE) && !difference.withheld;
        difference.verdict = match clear {
            true if difference.spread.mean > 0.0 => Verdict::Better,
            true => Verdict::Worse,
            false => Verdict::Inconclusive,
        };
        if !clear && !difference.withheld {
            let more = difference.spread.n + 1;
            difference.seeds_needed = seeds_to_settle(&difference.spread, comparisons).map(|seeds| seeds.max(more));
        }
    }
}
