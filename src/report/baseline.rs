//! What was asked afterwards: every setting of a study against any one of them, by the same rule as the planned comparisons.

use super::measure::Measure;
use super::statistics::{interval, p_cell};
use super::study::Study;
use super::summary::{BlockSummary, Row};
use super::table::{Column, Table, plain_table};
use crate::spec::{base_seeds, choices};
use crate::verdict::looks::{Replicates, is_unstable, looks};
use crate::verdict::rule::{Difference, Group, Terms, Verdict};
use crate::words::{points_of_margin, signed};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::collections::HashSet;

/// A setting against the chosen baseline.
#[derive(Clone, Debug)]
pub struct Pair {
    pub setting: String,
    /// Seeds of the setting and of the baseline: those of the last look that both have had.
    pub n: usize,
    pub baseline_n: usize,
    pub difference: Option<Difference>,
    pub verdict: Verdict,
}

/// All settings against one of them, each once. How many pairs are shown counts for how wide their intervals are.
#[derive(Clone, Debug)]
pub struct Against {
    pub baseline: String,
    pub margin: f64,
    pub pairs: Vec<Pair>,
}

/// `name` is a setting's label, alone or after its block: `relu`, `activation: relu`; `base` is the experiment's own.
pub fn against(study: &Study, blocks: &[BlockSummary], name: &str) -> Result<Against> {
    let settings = settings(blocks);
    let mut found: Vec<&Setting> = settings.iter().filter(|setting| setting.full == name).collect();
    if found.is_empty() {
        found = settings.iter().filter(|setting| setting.row.variant.label == name).collect();
    }
    let baseline = match found[..] {
        [one] => one,
        [] => bail!("--baseline {name}: there is no such setting; {}", choices(name, &names(&settings))),
        _ => bail!("--baseline {name}: which one? {}", names(found).join(", ")),
    };
    let others: Vec<&Setting> =
        settings.iter().filter(|own| own.row.variant.configuration != baseline.row.variant.configuration).collect();
    let stable = settings.iter().filter(|setting| !setting.is_unstable());
    let values: Vec<Vec<f64>> = stable.map(|setting| setting.accuracies(usize::MAX)).collect();
    let group = Group::new(values.iter().map(Vec::as_slice));
    let pair = |other: &&Setting| pair(study, &group, baseline, other, others.len());
    Ok(Against { baseline: baseline.full.clone(), margin: study.margin, pairs: others.iter().map(pair).collect() })
}

/// A configuration of the study, under the first name that it has there.
struct Setting<'a> {
    row: &'a Row<'a>,
    full: String,
    /// How many settings the block's base is compared with; none where this is no base.
    compared: Option<usize>,
}

fn settings<'a>(blocks: &'a [BlockSummary<'a>]) -> Vec<Setting<'a>> {
    let mut seen = HashSet::new();
    let rows =
        blocks.iter().flat_map(|block| block.rows.iter().enumerate().map(move |(place, row)| (block, place, row)));
    let new = rows.filter(|(_, _, row)| seen.insert(row.variant.configuration));
    new.map(|(block, place, row)| {
        // The first block's base is the experiment's own.
        let is_own = place == 0 && std::ptr::eq(block, &blocks[0]);
        let full =
            if is_own { row.variant.label.clone() } else { format!("{}: {}", block.block.id, row.variant.label) };
        let compared = (place == 0).then_some(block.progress.settings.len());
        Setting { row, full, compared }
    })
    .collect()
}

fn names<'a>(settings: impl IntoIterator<Item = &'a Setting<'a>>) -> Vec<&'a str> {
    settings.into_iter().map(|setting| setting.full.as_str()).collect()
}

impl Setting<'_> {
    fn is_unstable(&self) -> bool {
        self.row.verdict() == Verdict::Unstable || is_unstable(&self.row.ends())
    }

    /// Test accuracies in percent of those of the first `seeds` trials that are done.
    fn accuracies(&self, seeds: usize) -> Vec<f64> {
        let first = self.row.variant.trial_ids.iter().take(seeds).filter_map(|id| self.row.trial(id));
        first.filter_map(|trial| Some(100.0 * Measure::TestAccuracy.value(trial)?)).collect()
    }

    /// The seeds of its own that a look at `seeds` has.
    fn seeds_of_look(&self, seeds: usize) -> usize {
        self.compared.map_or(seeds, |settings| base_seeds(settings, seeds))
    }
}

fn pair(study: &Study, group: &Group, baseline: &Setting, other: &Setting, pairs: usize) -> Pair {
    let (look, share) = last_look(study, baseline, other);
    let [base, own] = [baseline, other]
        .map(|setting| setting.accuracies(look.map_or(usize::MAX, |look| setting.seeds_of_look(look))));
    let terms = Terms { settings: pairs, share, margin: study.margin };
    let sides = group.moderate(&own).zip(group.moderate(&base));
    let unstable = [baseline, other].iter().any(|setting| setting.is_unstable());
    let difference = sides.filter(|_| !unstable).and_then(|(own, base)| Difference::new(&own, &base, &terms));
    let verdict = match difference {
        _ if unstable => Verdict::Unstable,
        Some(difference) => difference.verdict(study.margin),
        None => Verdict::Inconclusive,
    };
    Pair { setting: other.full.clone(), n: own.len(), baseline_n: base.len(), difference, verdict }
}

/// The last look that both have had, with its share of the error rate; all trials where the seeds are fixed.
fn last_look(study: &Study, one: &Setting, other: &Setting) -> (Option<usize>, f64) {
    let Replicates::Settle { max_seeds } = study.replicates else { return (None, 1.0) };
    let has = |setting: &Setting, look: usize| setting.accuracies(usize::MAX).len() >= setting.seeds_of_look(look);
    let looks = looks(max_seeds);
    let last = (0..looks.len()).rev().find(|place| has(one, looks[*place]) && has(other, looks[*place]));
    let Some(last) = last else { return (Some(0), 1.0) };
    let before = if last == 0 { 0 } else { looks[last - 1] };
    (Some(looks[last]), (looks[last] - before) as f64 / max_seeds as f64)
}

impl Against {
    /// For programs; a pair without an interval has nulls.
    pub fn json(&self) -> Value {
        let pair = |pair: &Pair| {
            let number = |part: fn(&Difference) -> f64| pair.difference.as_ref().map(part);
            json!({
                "setting": pair.setting,
                "n": pair.n,
                "baseline_n": pair.baseline_n,
                "difference": number(|difference| difference.value),
                "low": number(|difference| difference.low),
                "high": number(|difference| difference.high),
                "p": number(|difference| difference.p),
                "verdict": pair.verdict.word(),
            })
        };
        let pairs: Vec<Value> = self.pairs.iter().map(pair).collect();
        json!({ "baseline": self.baseline, "margin": self.margin, "pairs": pairs })
    }
}

impl std::fmt::Display for Against {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        type PairColumn<'a> = Column<'a, Pair>;
        let columns = [
            PairColumn::words("Setting", |pair| pair.setting.clone()),
            PairColumn::numbers("n", |pair| Some(pair.n.to_string())),
            PairColumn::numbers("n of the baseline", |pair| Some(pair.baseline_n.to_string())),
            PairColumn::numbers("Difference (points)", |pair| Some(signed(pair.difference?.value, 2))),
            PairColumn::numbers("Interval (points)", |pair| pair.difference.as_ref().map(interval)),
            PairColumn::numbers("p", |pair| Some(p_cell(pair.difference?.p))),
            PairColumn::words("Verdict", |pair| pair.verdict.word().to_owned()),
        ];
        let table = plain_table(&Table::new(&columns, &self.pairs));
        writeln!(f, "Against {}, which was asked afterwards:\n\n{table}", self.baseline)?;
        write!(
            f,
            "\nThe intervals of the {} pairs hold together with 95 % confidence; equivalent: within ±{}.",
            self.pairs.len(),
            points_of_margin(self.margin)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{summary::summarize, tests::example};

    fn pairs(baseline: &str) -> Result<Against> {
        let study = example::study(&[("init", &[("base", 0.5), ("good", 0.6), ("best", 0.7)])], 5, 3);
        against(&study, &summarize(&study), baseline)
    }

    #[test]
    fn any_setting_can_be_the_baseline_and_all_pairs_count() {
        let found = pairs("init: good").unwrap();
        let verdicts: Vec<(&str, &str)> =
            found.pairs.iter().map(|pair| (pair.setting.as_str(), pair.verdict.word())).collect();
        assert_eq!(verdicts, [("base", "worse"), ("init: best", "better")]);
        assert_eq!(pairs("good").unwrap().baseline, "init: good");
        let text = found.to_string();
        assert!(text.contains("Against init: good") && text.contains("of the 2 pairs"), "{text}");
    }

    #[test]
    fn a_terminal_shows_names_as_they_are() {
        let study = example::study(&[("init", &[("base", 0.5), (r"a\b_$c", 0.6)])], 3, 3);
        let text = against(&study, &summarize(&study), "base").unwrap().to_string();
        assert!(text.contains(r"| init: a\b_$c | 3 |"), "{text}");
    }

    #[test]
    fn against_the_base_it_is_what_the_block_says() {
        let study = example::study(&[("init", &[("base", 0.5), ("good", 0.51), ("best", 0.7)])], 5, 3);
        let blocks = summarize(&study);
        let found = against(&study, &blocks, "base").unwrap();
        for (pair, row) in found.pairs.iter().zip(&blocks[0].rows[1..]) {
            assert_eq!((pair.difference.as_ref(), pair.verdict), (row.difference(), row.verdict()));
        }
    }

    #[test]
    fn a_name_that_is_none_gets_the_ones_there_are() {
        let error = pairs("god").unwrap_err().to_string();
        assert!(error.contains("--baseline god: there is no such setting"), "{error}");
    }
}
