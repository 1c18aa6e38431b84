//! Verdicts in words: which settings are better, worse, equivalent or open, from how many seeds, and how that is to be read.

use super::measure::{Measure, NEWER};
use super::statistics::{interval, mean_std};
use super::study::Study;
use super::summary::{BlockSummary, Row};
use super::table::markdown;
use crate::record::Status;
use crate::verdict::asked::Taken;
use crate::verdict::looks::{Reason, Stage, is_all_chance};
use crate::verdict::rule::Verdict;
use crate::words::{count, grouped, minus, p_value, points_of_margin, signed};
use std::collections::HashSet;

/// Open settings that the summary names.
const NEAREST: usize = 5;

const VERDICTS: [Verdict; 5] =
    [Verdict::Better, Verdict::Worse, Verdict::Equivalent, Verdict::Inconclusive, Verdict::Unstable];

pub fn name_of(base: &Row) -> String {
    if base.base_name().is_empty() { String::new() } else { format!(", {}", markdown(base.base_name())) }
}

/// `56.2 ± 0.9 % test accuracy (n = 2, 1 of 3 diverged)`
pub fn accuracy(row: &Row) -> String {
    match row.spread(Measure::TestAccuracy) {
        Some(spread) => format!("{} % test accuracy ({})", mean_std(&spread, 100.0, 1), row.count_label()),
        None => format!("no result ({})", row.count_label()),
    }
}

/// `Equivalent (within ±1 point)`
fn heading(study: &Study, verdict: Verdict) -> String {
    match verdict {
        Verdict::Better => "Better than the base".to_owned(),
        Verdict::Worse => "Worse than the base".to_owned(),
        Verdict::Equivalent => format!("Equivalent (within ±{})", points_of_margin(study.margin)),
        Verdict::Inconclusive => "Inconclusive".to_owned(),
        Verdict::Unstable => "Unstable".to_owned(),
    }
}

/// How many settings have each verdict, and which.
pub fn tally(study: &Study, blocks: &[BlockSummary]) -> Vec<String> {
    let rows = || blocks.iter().flat_map(|block| block.rows.iter().skip(1));
    let total = rows().count();
    if total == 0 {
        return vec![];
    }
    let mut lines: Vec<String> = unstable_bases(study, blocks);
    for verdict in VERDICTS {
        let mut with: Vec<&Row> = rows().filter(|row| row.verdict() == verdict).collect();
        let number = with.len();
        if number == 0 && verdict == Verdict::Unstable {
            continue;
        }
        // The largest differences first: where nothing is decided yet, those are nearest to it.
        with.sort_by(|a, b| b.shift.unwrap_or_default().abs().total_cmp(&a.shift.unwrap_or_default().abs()));
        let named = if verdict == Verdict::Inconclusive { NEAREST } else { total };
        let mut names: Vec<String> = with.iter().take(named).map(|row| words(row)).collect();
        names.extend((number > named).then(|| format!("and {} more", number - named)));
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join("; ")) };
        lines.push(format!("- **{}**: {number} of {total}{names}.", heading(study, verdict)));
    }
    lines.extend(standing(study, blocks));
    if blocks.len() > 1 {
        lines.push(
            "- Each block's answers hold together with 95 % confidence; counts over several blocks do not.".to_owned(),
        );
    }
    lines
}

/// What ends a group of comparisons is said before them.
fn unstable_bases(study: &Study, blocks: &[BlockSummary]) -> Vec<String> {
    let ended = blocks.iter().filter(|block| block.progress.stage == Stage::Ended);
    let line = |block: &BlockSummary| {
        let title = markdown(study.title(block.block));
        format!(
            "- **The base of {title} is unstable** (trials diverged, or some are at chance and others not): nothing can be compared with it."
        )
    };
    ended.map(line).collect()
}

/// How far a study that settles itself has come.
fn standing(study: &Study, blocks: &[BlockSummary]) -> Option<String> {
    if !study.settles() {
        return None;
    }
    let mut seen = HashSet::new();
    let said = blocks.iter().filter(|block| seen.insert(block.progress.base)).map(|block| {
        let settings = block.progress.settings.len();
        let look = match block.progress.look {
            0 => "no look yet".to_owned(),
            look => format!("last look at {look} seeds"),
        };
        let open = open_settings(blocks, block.progress.base);
        let settings = match block.progress.stage {
            Stage::Waiting(_) if open < settings => format!("{open} of {} are open", count(settings, "setting")),
            _ => count(settings, "setting"),
        };
        let stage = match block.progress.stage {
            Stage::Waiting(next) => format!("trials for the look at {next} seeds are still to come"),
            Stage::Settled => "all settled".to_owned(),
            Stage::Exhausted => "the most seeds allowed are reached, and what is inconclusive stays so".to_owned(),
            Stage::Held => "held by failed trials until they are rerun".to_owned(),
            Stage::Ended => "ended by the unstable base".to_owned(),
        };
        format!("{settings}: {look}; {stage}")
    });
    Some(format!("- **Seeds**: {}.", said.collect::<Vec<_>>().join(" · ")))
}

/// Of those that share the base, each once, how many are neither decided nor unstable.
fn open_settings(blocks: &[BlockSummary], base: usize) -> usize {
    let rows = blocks.iter().filter(|block| block.progress.base == base).flat_map(|block| &block.rows[1..]);
    let open = rows.filter(|row| row.verdict() == Verdict::Inconclusive).map(|row| row.variant.configuration);
    open.collect::<HashSet<_>>().len()
}

/// `sgd, lr 0.01 (−8.97 points, −11.65 to −6.30, n = 3 against 6, p = 0.019)`
fn words(row: &Row) -> String {
    let mut parts: Vec<String> = row.shift.map(|shift| format!("{} points", signed(shift, 2))).into_iter().collect();
    parts.extend(row.difference().map(interval));
    parts.push(row.compared_label());
    parts.extend(row.difference().map(|difference| format!("p {}", p_value(difference.p))));
    let reason = row.comparison.as_ref().and_then(|comparison| comparison.reason);
    parts.extend(reason.map(|reason| reason_word(reason).to_owned()));
    parts.extend(is_all_chance(&row.ends()).then(|| "all trials at chance".to_owned()));
    if let Some(Taken::Candidate(_)) = row.variant.tuning.as_ref().map(|tuning| tuning.taken) {
        parts.push(format!("at {}", row.variant.taken()));
    }
    format!("{} ({})", markdown(&row.variant.label), parts.join(", "))
}

/// Why there is no interval.
pub fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::TooEarly => "its trials are not all there",
        Reason::TooFew => "one trial cannot tell a difference from chance",
        Reason::NothingVaries => "nothing varies, so there is nothing to judge by",
        Reason::Failed => "a trial failed; --rerun failed",
        Reason::BaseFailed => "a trial of the base failed; --rerun failed",
        Reason::Unstable => "trials diverged, or some are at chance and others not",
        Reason::BaseUnstable => "the base is unstable",
    }
}

/// Each setting of the block under its verdict.
pub fn verdicts(study: &Study, block: &BlockSummary) -> String {
    let base = block.base().map(|base| {
        let taken = base.variant.tuning.as_ref().map_or(String::new(), |tuning| format!(", at {}", tuning.words()));
        format!("- Base{}{}: {}{taken}.", name_of(base), terms(block), accuracy(base))
    });
    let mut lines = Vec::from_iter(base);
    for verdict in VERDICTS {
        let settings: Vec<String> =
            block.rows.iter().skip(1).filter(|row| row.verdict() == verdict).map(words).collect();
        if !settings.is_empty() {
            lines.push(format!("- **{}**: {}.", heading(study, verdict), settings.join("; ")));
        }
    }
    lines.join("\n")
}

/// What the base has where the block's settings differ: ` (init pytorch)`.
fn terms(block: &BlockSummary) -> String {
    let terms: Vec<String> = block.block.terms.iter().map(|(key, value)| format!("{key} {value}")).collect();
    if terms.is_empty() { String::new() } else { format!(" ({})", markdown(&terms.join(", "))) }
}

pub fn how_to_read(study: &Study) -> String {
    let looks = match study.settles() {
        true => {
            " and over the looks that were planned in advance: seeds are added until every comparison is decided or the most \
             seeds allowed are reached, and a verdict that is reached keeps its interval. Trials that came after a look are in the \
             means and in n, not in its difference"
        }
        false => "",
    };
    let held = match study.blocks.iter().flat_map(|block| &block.variants).any(|variant| variant.tuning.is_some()) {
        true => {
            "Each setting is compared at its own best values, chosen among those that were tried by the validation images on seeds \
             of their own; everything else is held, and where the best lies at the edge of the list a value beyond it may be better"
        }
        false => {
            "Everything but the setting is held at this recipe: at another learning rate or length of training the answer may be \
             another"
        }
    };
    format!(
        "## How to read this\n\n\
         Numbers are means ± standard deviations over n seeds, of the weights of the selected epoch. The test set is looked at \
         with those and with the last epoch's, and chooses neither. A choice among settings is made by validation accuracy, so \
         its test accuracy is not the luckiest of many. {held}.\n\n\
         Each interval of a difference uses the setting's own spread, drawn towards the study's median spread as if that came \
         from three more seeds. A block's intervals hold together with 95 % confidence, over its settings{looks}. Wholly above \
         zero is better, wholly below is worse, else wholly within ±{} is equivalent; anything else is inconclusive, which is not \
         the same as equal. What is better or worse may be so by less than matters. A setting of which a trial diverged, or of \
         which some trials are at chance and others not, is unstable and has no interval.\n\n\
         There is one split and one test set: the intervals cover what training leaves to chance, not other images. One \
         accuracy on {} points for that alone.\n\n\
         The accuracy gap is training minus test accuracy, the loss gap test minus training loss, both of the selected epoch's \
         weights and without dropout; curves of the training are means over an epoch's steps, with it. Seconds and images a second \
         are by the wall clock: where the machine did other work, a worker was suspended or trials ran on different devices, they \
         say little, and epochs compare better.{}",
        points_of_margin(study.margin),
        error_of_an_accuracy(study),
        older_trials(study)
    )
}

/// Why numbers of some trials are missing.
fn older_trials(study: &Study) -> String {
    let done = study.trials.iter().filter(|trial| trial.status() == Some(Status::Done));
    let (whole, older): (Vec<_>, Vec<_>) =
        done.partition(|trial| NEWER.iter().all(|measure| measure.value(trial).is_some()));
    if whole.is_empty() || older.is_empty() {
        return String::new();
    }
    format!(
        " {} {} by a version that did not store the last epoch's scores, the top-3 accuracy, the calibration error and the Brier \
         score: those are of the others.",
        count(older.len(), "trial"),
        if older.len() == 1 { "was made" } else { "were made" }
    )
}

/// What the choice of the test images does to an accuracy: of a few it is much, and near 100 % little.
fn error_of_an_accuracy(study: &Study) -> String {
    let images = study.dataset.test_part() as f64;
    let mut shares: Vec<f64> = study.trials.iter().filter_map(|trial| Measure::TestAccuracy.value(trial)).collect();
    shares.sort_by(f64::total_cmp);
    let share = shares.get(shares.len() / 2).copied().unwrap_or(0.5);
    let points = minus(100.0 * (share * (1.0 - share) / images).sqrt(), 1);
    format!("these {} test images has a standard error of about {points}", grouped(images as i64))
}
