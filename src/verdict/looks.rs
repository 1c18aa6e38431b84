//! How many seeds each setting needs: looks at growing numbers of seeds until every comparison is decided.

use super::End;
use super::rule::{Difference, Group, Terms, Verdict};
use crate::spec::base_seeds;
use std::collections::{BTreeMap, BTreeSet};

/// Seeds at which a study that runs until it is settled is judged; the maximum is one more.
const LOOKS: [usize; 6] = [3, 4, 6, 9, 13, 20];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicates {
    /// Those that are listed.
    Fixed,
    /// As many seeds as the verdicts need, and at most so many.
    Settle { max_seeds: usize },
}

/// What is compared. Configurations are numbers, their places in the list of how their trials ended.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Points of test accuracy that matter.
    pub margin: f64,
    pub replicates: Replicates,
    /// The configurations of each block, its base first.
    pub blocks: Vec<Vec<usize>>,
}

/// A setting against its block's base.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub verdict: Verdict,
    /// None where it cannot be told from chance at all: see `reason`.
    pub difference: Option<Difference>,
    /// Seeds of the setting and of the base in it; 0 before the first look.
    pub seeds: usize,
    pub base_seeds: usize,
    pub reason: Option<Reason>,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No look has been taken.
    TooEarly,
    /// Fewer than two trials on one side.
    TooFew,
    /// All trials of both sides have one accuracy.
    NothingVaries,
    /// One of its trials failed: it sits out until that is rerun.
    Failed,
    /// One of the base's did.
    BaseFailed,
    /// Of its trials one diverged, or some are at chance and others not.
    Unstable,
    /// The same of the base, which ends all its comparisons.
    BaseUnstable,
}

/// How far the settings that share a base have come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub base: usize,
    /// All of them, in the order of the blocks.
    pub settings: Vec<usize>,
    /// Seeds of the last look that was taken; 0 before the first.
    pub look: usize,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Trials for the look at so many seeds are not all there.
    Waiting(usize),
    /// Every comparison is decided, or can never be.
    Settled,
    /// The last look has been taken, and some comparisons are still open.
    Exhausted,
    /// A trial of the base failed, or of each setting that is still open: its rerun goes on.
    Held,
    /// The base is unstable.
    Ended,
}

#[derive(Clone, Debug)]
pub struct Judgement {
    /// By block, in the order of its settings.
    pub comparisons: Vec<Vec<Comparison>>,
    /// How many seeds of each configuration are needed by now.
    pub asked: Vec<usize>,
    pub groups: Vec<Progress>,
}

/// `ends[configuration][seed]`; where seeds are added, what lies beyond the end of a list is pending.
pub fn judge(plan: &Plan, ends: &[Vec<End>]) -> Judgement {
    let early = || Comparison::without(Reason::TooEarly, 0, 0);
    let mut judgement = Judgement {
        comparisons: plan.blocks.iter().map(|block| block[1..].iter().map(|_| early()).collect()).collect(),
        asked: vec![0; ends.len()],
        groups: vec![],
    };
    let bases: BTreeSet<usize> = plan.blocks.iter().map(|block| block[0]).collect();
    for base in bases {
        let mut group = Members::new(plan, ends, base, &mut judgement);
        let progress = match plan.replicates {
            Replicates::Fixed => group.look_once(),
            Replicates::Settle { max_seeds } => group.settle(max_seeds),
        };
        judgement.groups.push(progress);
    }
    judgement
}

/// The numbers of seeds at which a study with this maximum is judged.
pub fn looks(max_seeds: usize) -> Vec<usize> {
    LOOKS.into_iter().filter(|look| *look < max_seeds).chain([max_seeds]).collect()
}

/// Whether trials of one configuration end too differently for a mean to say anything.
pub fn is_unstable(ends: &[End]) -> bool {
    let chance =
        |wanted: bool| ends.iter().any(|end| matches!(end, End::Done { at_chance, .. } if *at_chance == wanted));
    ends.contains(&End::Diverged) || (chance(true) && chance(false))
}

/// Whether no trial that has ended is better than always naming the largest class.
pub fn is_all_chance(ends: &[End]) -> bool {
    let mut ended = ends.iter().filter(|end| **end != End::Pending).peekable();
    ended.peek().is_some() && ended.all(|end| matches!(end, End::Done { at_chance: true, .. }))
}

fn accuracies(ends: &[End]) -> Vec<f64> {
    ends.iter().filter_map(|end| if let End::Done { accuracy, .. } = end { Some(*accuracy) } else { None }).collect()
}

impl Comparison {
    fn new(difference: Difference, seeds: usize, base_seeds: usize, terms: &Terms) -> Comparison {
        let verdict = difference.verdict(terms.margin);
        Comparison { verdict, difference: Some(difference), seeds, base_seeds, reason: None }
    }

    fn without(reason: Reason, seeds: usize, base_seeds: usize) -> Comparison {
        let verdict = if reason == Reason::Unstable { Verdict::Unstable } else { Verdict::Inconclusive };
        Comparison { verdict, difference: None, seeds, base_seeds, reason: Some(reason) }
    }

    /// Better, worse or equivalent.
    pub fn is_decided(&self) -> bool {
        matches!(self.verdict, Verdict::Better | Verdict::Worse | Verdict::Equivalent)
    }
}

/// The settings that share a base, while they are judged.
struct Members<'a> {
    plan: &'a Plan,
    ends: &'a [Vec<End>],
    base: usize,
    /// Each with its places: block and position there.
    settings: BTreeMap<usize, Vec<(usize, usize)>>,
    /// In the order of the blocks.
    order: Vec<usize>,
    /// Those whose comparisons are not all decided.
    open: BTreeSet<usize>,
    /// Unstable or failed: in no group's spread.
    out: BTreeSet<usize>,
    /// How many seeds each has by now.
    seeds: BTreeMap<usize, usize>,
    judgement: &'a mut Judgement,
}

impl<'a> Members<'a> {
    fn new(plan: &'a Plan, ends: &'a [Vec<End>], base: usize, judgement: &'a mut Judgement) -> Members<'a> {
        let mut settings: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        let mut order = vec![];
        for (block, members) in plan.blocks.iter().enumerate().filter(|(_, members)| members[0] == base) {
            for (place, setting) in members[1..].iter().enumerate() {
                if !settings.contains_key(setting) {
                    order.push(*setting);
                }
                settings.entry(*setting).or_default().push((block, place));
            }
        }
        let open = settings.keys().copied().collect();
        Members { plan, ends, base, settings, order, open, out: BTreeSet::new(), seeds: BTreeMap::new(), judgement }
    }

    /// With fixed seeds: whatever is there counts, and failed trials are left out.
    fn look_once(&mut self) -> Progress {
        let own = |configuration: &usize| (*configuration, self.ends[*configuration].len());
        self.seeds = self.settings.keys().chain([&self.base]).map(own).collect();
        self.ask();
        if is_unstable(&self.ends_of(self.base)) {
            self.give_up(Reason::BaseUnstable);
            return self.progress(self.seeds[&self.base], Stage::Ended);
        }
        self.drop(Reason::Unstable, is_unstable);
        self.compare_open(1.0);
        let listed = self.seeds.values().copied().max().unwrap_or_default();
        let stage = match self.seeds.keys().any(|configuration| self.ends_of(*configuration).contains(&End::Pending)) {
            true => Stage::Waiting(listed),
            false if self.open.is_empty() => Stage::Settled,
            false => Stage::Exhausted,
        };
        self.progress(listed, stage)
    }

    fn settle(&mut self, max_seeds: usize) -> Progress {
        let (mut before, mut held) = (0, false);
        for look in looks(max_seeds) {
            let wanted = self.open.iter().map(|setting| (*setting, look));
            let base = (self.base, base_seeds(self.settings.len(), look));
            self.seeds.extend(wanted.chain([base]).collect::<Vec<_>>());
            self.ask();
            let base = self.ends_of(self.base);
            let pending = |setting: &usize| self.ends_of(*setting).contains(&End::Pending);
            if base.contains(&End::Pending) || self.open.iter().any(pending) {
                return self.progress(before, Stage::Waiting(look));
            }
            if is_unstable(&base) {
                self.give_up(Reason::BaseUnstable);
                return self.progress(look, Stage::Ended);
            }
            if base.contains(&End::Failed) {
                self.give_up(Reason::BaseFailed);
                return self.progress(before, Stage::Held);
            }
            // An unstable setting stays so, whatever a rerun of a failed trial brings.
            self.drop(Reason::Unstable, is_unstable);
            held |= self.drop(Reason::Failed, |ends| ends.contains(&End::Failed));
            self.compare_open((look - before) as f64 / max_seeds as f64);
            before = look;
            if self.open.is_empty() {
                return self.progress(look, if held { Stage::Held } else { Stage::Settled });
            }
        }
        self.progress(before, if held { Stage::Held } else { Stage::Exhausted })
    }

    fn progress(&self, look: usize, stage: Stage) -> Progress {
        Progress { base: self.base, settings: self.order.clone(), look, stage }
    }

    fn ask(&mut self) {
        for (configuration, seeds) in &self.seeds {
            let asked = &mut self.judgement.asked[*configuration];
            *asked = (*asked).max(*seeds);
        }
    }

    /// Exactly those that count by now, however many more are stored.
    fn ends_of(&self, configuration: usize) -> Vec<End> {
        let stored = &self.ends[configuration];
        let count = self.seeds.get(&configuration).copied().unwrap_or_default();
        (0..count).map(|seed| stored.get(seed).copied().unwrap_or(End::Pending)).collect()
    }

    /// Takes open settings out of the group. Whether there were any.
    fn drop(&mut self, reason: Reason, is_out: fn(&[End]) -> bool) -> bool {
        let gone: Vec<usize> = self.open.iter().copied().filter(|setting| is_out(&self.ends_of(*setting))).collect();
        let any = !gone.is_empty();
        for setting in gone {
            self.mark(setting, reason);
            self.open.remove(&setting);
            self.out.insert(setting);
        }
        any
    }

    fn give_up(&mut self, reason: Reason) {
        for setting in std::mem::take(&mut self.open) {
            self.mark(setting, reason);
        }
    }

    /// Where a setting's comparisons are not decided yet.
    fn mark(&mut self, setting: usize, reason: Reason) {
        let (seeds, base_seeds) = (self.seeds[&setting], self.seeds[&self.base]);
        for (block, place) in self.settings[&setting].clone() {
            let comparison = &mut self.judgement.comparisons[block][place];
            if !comparison.is_decided() {
                *comparison = Comparison::without(reason, seeds, base_seeds);
            }
        }
    }

    /// Compares what is open with the base, and closes what is decided.
    fn compare_open(&mut self, share: f64) {
        let within = |configuration: &usize| !self.out.contains(configuration);
        let members = self.seeds.keys().copied().filter(within);
        let values: BTreeMap<usize, Vec<f64>> =
            members.map(|configuration| (configuration, accuracies(&self.ends_of(configuration)))).collect();
        let group = Group::new(values.values().map(Vec::as_slice));
        let base = group.moderate(&values[&self.base]);
        let mut decided = vec![];
        for setting in &self.open {
            let own = group.moderate(&values[setting]);
            let (seeds, base_seeds) = (values[setting].len(), values[&self.base].len());
            let without = |reason| Comparison::without(reason, seeds, base_seeds);
            let mut all = true;
            for (block, place) in &self.settings[setting] {
                let settings = self.plan.blocks[*block].len() - 1;
                let terms = Terms { settings, share, margin: self.plan.margin };
                let comparison = &mut self.judgement.comparisons[*block][*place];
                // A verdict that is reached keeps its interval.
                if !comparison.is_decided() {
                    let difference = own.zip(base).map(|(own, base)| Difference::new(&own, &base, &terms));
                    *comparison = match difference {
                        Some(Some(difference)) => Comparison::new(difference, seeds, base_seeds, &terms),
                        Some(None) => without(Reason::NothingVaries),
                        None => without(Reason::TooFew),
                    };
                }
                all &= comparison.is_decided();
            }
            if all {
                decided.push(*setting);
            }
        }
        self.open.retain(|setting| !decided.contains(setting));
    }
}
