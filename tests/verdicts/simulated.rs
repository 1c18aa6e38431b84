//! The program's own decisions where the truth is known: studies that are drawn at random and run as a sweep runs them.
//!
//! A verdict is wrong if it is better or worse without such a difference, or equivalent although the difference is larger than
//! the margin; one of exactly the margin may be called either.

use std::fmt;

use runner::verdict::End;
use runner::verdict::looks::{Comparison, Plan, Replicates, judge};
use runner::verdict::rule::Verdict;

use crate::random::Random;

/// In the default run; it takes a few seconds.
const STUDIES: usize = 300;
const MARGIN: f64 = 1.0;
const MOST: usize = 20;
/// The five blocks' true differences, in points.
const MIXED: [&[f64]; 5] = [
    &[0.0, 0.5, 1.0, -2.0, 3.0, 0.0],
    &[0.0, -0.5, 1.0, 2.0],
    &[0.0, 0.5, -1.0, 2.0, -3.0],
    &[0.0, 0.5, 1.0, 2.0],
    &[0.0, -0.5, 1.0, -2.0, 3.0],
];
const DEVIATION: f64 = 0.75;
/// How far estimated deviations vary about it: as with so many degrees of freedom.
const FREEDOM: usize = 11;
/// What a seed does to all settings alike.
const SEED_DEVIATION: f64 = 0.13;

fn studies() -> usize {
    std::env::var("RUNNER_STUDIES").map_or(STUDIES, |count| count.parse().expect("RUNNER_STUDIES is a number"))
}

/// The base is configuration 0, the settings follow in the order of the blocks.
fn plan(replicates: Replicates) -> Plan {
    let mut next = 1;
    let block = |effects: &&[f64]| {
        next += effects.len();
        std::iter::once(0).chain(next - effects.len()..next).collect()
    };
    Plan { margin: MARGIN, replicates, blocks: MIXED.iter().map(block).collect() }
}

fn mixed() -> Vec<f64> {
    MIXED.iter().flat_map(|effects| effects.iter().copied()).collect()
}

/// What is true of a study: the settings' differences, and each configuration's deviation, the base's first.
struct Truth {
    effects: Vec<f64>,
    deviations: Vec<f64>,
}

impl Truth {
    /// With deviations that vary as those of stored studies do.
    fn varied(random: &mut Random, effects: Vec<f64>) -> Truth {
        let deviation = |_| DEVIATION * (FREEDOM as f64 / random.chi_square(FREEDOM)).sqrt();
        Truth { deviations: (0..=effects.len()).map(deviation).collect(), effects }
    }

    /// The accuracies of one seed, of each configuration.
    fn seed(&self, random: &mut Random) -> Vec<f64> {
        let shared = SEED_DEVIATION * random.normal();
        let effects = std::iter::once(&0.0).chain(&self.effects);
        effects
            .zip(&self.deviations)
            .map(|(effect, deviation)| 60.0 + effect + shared + deviation * random.normal())
            .collect()
    }

    fn is_missed(&self, setting: usize, comparison: &Comparison) -> bool {
        let effect = self.effects[setting - 1];
        comparison.difference.is_some_and(|found| effect < found.low || effect > found.high)
    }

    fn is_wrong(&self, setting: usize, verdict: Verdict) -> bool {
        let effect = self.effects[setting - 1];
        match verdict {
            Verdict::Better => effect <= 0.0,
            Verdict::Worse => effect >= 0.0,
            Verdict::Equivalent => effect.abs() > MARGIN,
            Verdict::Inconclusive | Verdict::Unstable => false,
        }
    }
}

/// As a sweep does: what is asked for is run and judged, until nothing more is.
fn run(plan: &Plan, truth: &Truth, random: &mut Random) -> (Vec<Vec<Comparison>>, usize) {
    let most = if plan.replicates == Replicates::Fixed { 3 } else { 2 * MOST };
    let accuracies: Vec<Vec<f64>> = (0..most).map(|_| truth.seed(random)).collect();
    let done =
        |configuration: usize, seed: usize| End::Done { accuracy: accuracies[seed][configuration], at_chance: false };
    let fixed = if plan.replicates == Replicates::Fixed { 3 } else { 0 };
    let mut ends: Vec<Vec<End>> = vec![vec![End::Pending; fixed]; truth.deviations.len()];
    loop {
        let judgement = judge(plan, &ends);
        let mut ran = false;
        for (configuration, asked) in judgement.asked.iter().enumerate() {
            ends[configuration].retain(|end| *end != End::Pending);
            ran |= ends[configuration].len() < *asked;
            (ends[configuration].len()..*asked).for_each(|seed| ends[configuration].push(done(configuration, seed)));
        }
        if !ran {
            return (judgement.comparisons, ends.iter().map(Vec::len).sum());
        }
    }
}

/// What came of many studies.
#[derive(Default)]
struct Figures {
    studies: usize,
    trials: usize,
    /// How often each block had a wrong verdict, or an interval that the true difference is not in.
    wrong: [usize; MIXED.len()],
    missed: [usize; MIXED.len()],
    /// By true difference, as in [`SIZES`].
    sizes: [Size; SIZES.len()],
}

/// The settings with a true difference of one size.
#[derive(Default)]
struct Size {
    settings: usize,
    decided: usize,
    equivalent: usize,
    seeds: usize,
}

const SIZES: [f64; 5] = [0.0, 0.5, 1.0, 2.0, 3.0];

fn place(effect: f64) -> usize {
    SIZES.iter().position(|size| *size == effect.abs()).unwrap()
}

impl Figures {
    fn of(replicates: Replicates, seed: u64, mut truth: impl FnMut(&mut Random) -> Truth) -> Figures {
        let (plan, mut figures) = (plan(replicates), Figures { studies: studies(), ..Figures::default() });
        for study in 0..figures.studies as u64 {
            let mut random = Random((seed << 32) + study);
            let truth = truth(&mut random);
            let (comparisons, trials) = run(&plan, &truth, &mut random);
            figures.trials += trials;
            figures.add(&plan, &truth, &comparisons);
        }
        figures
    }

    fn add(&mut self, plan: &Plan, truth: &Truth, comparisons: &[Vec<Comparison>]) {
        for (block, (planned, comparisons)) in plan.blocks.iter().zip(comparisons).enumerate() {
            let pairs = || planned[1..].iter().copied().zip(comparisons);
            self.wrong[block] += usize::from(pairs().any(|(setting, own)| truth.is_wrong(setting, own.verdict)));
            self.missed[block] += usize::from(pairs().any(|(setting, own)| truth.is_missed(setting, own)));
            for (setting, own) in pairs() {
                let size = &mut self.sizes[place(truth.effects[setting - 1])];
                size.settings += 1;
                size.decided += usize::from(own.is_decided());
                size.equivalent += usize::from(own.verdict == Verdict::Equivalent);
                size.seeds += own.seeds;
            }
        }
    }

    /// Share of blocks.
    fn share(&self, blocks: [usize; MIXED.len()]) -> f64 {
        blocks.iter().sum::<usize>() as f64 / (blocks.len() * self.studies) as f64
    }

    fn size(&self, effect: f64) -> &Size {
        &self.sizes[place(effect)]
    }

    fn trials(&self) -> f64 {
        self.trials as f64 / self.studies as f64
    }
}

impl Size {
    fn decided(&self) -> f64 {
        self.decided as f64 / self.settings as f64
    }

    fn equivalent(&self) -> f64 {
        self.equivalent as f64 / self.settings as f64
    }

    fn seeds(&self) -> f64 {
        self.seeds as f64 / self.settings as f64
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let (wrong, missed) = (percent(self.share(self.wrong)), percent(self.share(self.missed)));
        let (studies, trials) = (self.studies, self.trials());
        write!(f, "{studies} studies of {trials:.1} trials; blocks with a wrong verdict: {wrong}; ")?;
        write!(f, "with an interval that misses the truth: {missed}")?;
        for (effect, size) in SIZES.iter().zip(&self.sizes).filter(|(_, size)| size.settings > 0) {
            let (decided, equivalent) = (percent(size.decided()), percent(size.equivalent()));
            write!(f, "\n  {effect} points: {decided} decided, {equivalent} equivalent, {:.1} seeds", size.seeds())?;
        }
        Ok(())
    }
}

/// How far a share of `count` may lie from the true one by chance: four standard deviations.
fn chance(share: f64, count: usize) -> f64 {
    4.0 * (share * (1.0 - share) / count as f64).sqrt()
}

/// Blocks share a base, so they count as one.
#[track_caller]
fn at_most(most: f64, share: f64, figures: &Figures) {
    let limit = most + chance(most, figures.studies);
    assert!(share <= limit, "{share} is more than {most}, and than {limit}: {figures}");
}

/// `share`, give or take three points and chance.
#[track_caller]
fn about(found: f64, share: f64, of: usize, what: &str) {
    assert!((found - share).abs() <= 0.03 + chance(share, of), "{what}: {found} instead of {share}");
}

const SETTLE: Replicates = Replicates::Settle { max_seeds: MOST };

fn no_difference() -> Vec<f64> {
    vec![0.0; mixed().len()]
}

/// An eighth of the settings varies four times as much.
fn some_wide(random: &mut Random, effects: Vec<f64>) -> Truth {
    let mut truth = Truth::varied(random, effects);
    truth.deviations.iter_mut().skip(1).for_each(|own| *own *= if random.happens(0.125) { 4.0 } else { 1.0 });
    truth
}

#[test]
fn simulated_studies_without_any_difference_seldom_find_one() {
    let figures = Figures::of(SETTLE, 1, |random| Truth::varied(random, no_difference()));
    println!("no difference: {figures}");
    at_most(0.05, figures.share(figures.wrong), &figures);
    at_most(0.05, figures.share(figures.missed), &figures);
}

#[test]
fn simulated_studies_with_mixed_differences_find_them() {
    let figures = Figures::of(SETTLE, 2, |random| Truth::varied(random, mixed()));
    println!("mixed differences: {figures}");
    at_most(0.05, figures.share(figures.wrong), &figures);
    at_most(0.05, figures.share(figures.missed), &figures);
    let (none, one, three) = (figures.size(0.0), figures.size(1.0), figures.size(3.0));
    about(one.decided(), 0.89, one.settings, "1 point is decided");
    about(none.equivalent(), 0.77, none.settings, "0 is called equivalent");
    assert!((three.seeds() - 4.0).abs() < 0.5, "3 points take {} seeds", three.seeds());
    assert!((figures.trials() - 347.0).abs() < 10.0, "{} trials", figures.trials());
}

#[test]
fn simulated_studies_with_some_wide_settings_err_hardly_more() {
    let figures = Figures::of(SETTLE, 3, |random| some_wide(random, no_difference()));
    println!("no difference, an eighth four times as wide: {figures}");
    at_most(0.052, figures.share(figures.wrong), &figures);
    let figures = Figures::of(SETTLE, 4, |random| some_wide(random, mixed()));
    println!("mixed differences, an eighth four times as wide: {figures}");
    at_most(0.052, figures.share(figures.missed), &figures);
}

#[test]
fn simulated_studies_with_three_fixed_seeds_err_as_often_as_was_found() {
    let figures = Figures::of(Replicates::Fixed, 5, |random| Truth::varied(random, no_difference()));
    println!("three seeds, deviations that vary as stored ones do: {figures}");
    at_most(0.027, figures.share(figures.wrong), &figures);
    let one_wide = |wide: usize| {
        move |_: &mut Random| {
            let mut deviations = vec![DEVIATION; mixed().len() + 1];
            deviations[wide] *= 4.0;
            Truth { effects: no_difference(), deviations }
        }
    };
    let figures = Figures::of(Replicates::Fixed, 6, one_wide(1));
    let first = figures.wrong[0] as f64 / figures.studies as f64;
    println!("three seeds, one setting four times as wide: {:.1} % of its blocks with a wrong verdict", 100.0 * first);
    at_most(0.083, first, &figures);
    // It is in every comparison.
    let figures = Figures::of(Replicates::Fixed, 7, one_wide(0));
    println!("three seeds, the base four times as wide: {figures}");
    at_most(0.13, figures.share(figures.wrong), &figures);
}
