//! One look at one group: the settings that share a base, each compared with it by its mean test accuracy.
//!
//! Each interval uses the setting's own spread, drawn towards the group's median spread as if that came from three more seeds
//! (moderated variances: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1)). The intervals of a block
//! hold together with 95 % confidence (Bonferroni) over its settings and looks.

use super::student::{t_quantile, t_within};

/// What may go wrong in a block, over its settings and looks.
pub const ERROR_RATE: f64 = 0.05;
/// How many seeds the group's median spread counts for.
const PRIOR_FREEDOM: f64 = 3.0;
/// In points; less is rounding, for accuracies are counts of images.
const ROUNDING: f64 = 1e-9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Better,
    Worse,
    /// The whole interval lies within the margin.
    Equivalent,
    Inconclusive,
    /// A trial diverged, or some trials are at chance and others above it.
    Unstable,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Equivalent => "equivalent",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Unstable => "unstable",
        }
    }
}

/// A configuration's mean with its moderated variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moderated {
    pub n: usize,
    /// Percent.
    pub mean: f64,
    /// Of one trial, in squared points.
    pub variance: f64,
    pub freedom: f64,
}

/// What the configurations that share a base lend each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The median spread, in squared points.
    pub prior_variance: f64,
    pub prior_freedom: f64,
    total_freedom: f64,
}

impl Group {
    /// Of the test accuracies of each configuration, in percent, the base's among them. Those with one trial say nothing.
    pub fn new<'a>(configurations: impl Iterator<Item = &'a [f64]>) -> Group {
        let spreads: Vec<(f64, f64)> = configurations.filter_map(mean_and_variance).map(|(n, _, v)| (n, v)).collect();
        // The median of a chi-square over its degrees of freedom: Wilson and Hilferty 1931.
        let median_of_one = |freedom: f64| (1.0 - 2.0 / (9.0 * freedom)).powi(3);
        let mut scaled: Vec<f64> = spreads.iter().map(|(n, variance)| variance / median_of_one(n - 1.0)).collect();
        Group {
            prior_variance: median(&mut scaled).unwrap_or(0.0),
            prior_freedom: PRIOR_FREEDOM.min((spreads.len() as f64 - 1.0) / 2.0).max(0.0),
            total_freedom: spreads.iter().map(|(n, _)| n - 1.0).fold(0.0, |sum, freedom| sum + freedom),
        }
    }

    /// None for fewer than two trials.
    pub fn moderate(&self, accuracies: &[f64]) -> Option<Moderated> {
        let (n, mean, variance) = mean_and_variance(accuracies)?;
        let (own, prior) = (n - 1.0, self.prior_freedom);
        Some(Moderated {
            n: accuracies.len(),
            mean,
            variance: (prior * self.prior_variance + own * variance) / (prior + own),
            freedom: (prior + own).min(self.total_freedom),
        })
    }
}

/// n, mean and variance (n − 1 in the denominator); None for fewer than two values.
fn mean_and_variance(values: &[f64]) -> Option<(f64, f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    Some((n, mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { *upper } else { (values[values.len() / 2 - 1] + upper) / 2.0 })
}

/// How strict a comparison is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// How many settings the block plans to compare.
    pub settings: usize,
    /// This look's part of the error rate, in (0, 1].
    pub share: f64,
    /// Points that matter.
    pub margin: f64,
}

/// A setting's test accuracy minus the base's, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub value: f64,
    pub standard_error: f64,
    /// Degrees of freedom, after Satterthwaite 1946.
    pub freedom: usize,
    /// Of the interval, in standard errors.
    pub critical: f64,
    /// Holds together with those of the block's other settings and looks.
    pub low: f64,
    pub high: f64,
    /// Adjusted for the same.
    pub p: f64,
}

impl Difference {
    /// None where nothing varies.
    pub fn new(setting: &Moderated, base: &Moderated, terms: &Terms) -> Option<Difference> {
        let [a, b] = [setting, base].map(|side| side.variance / side.n as f64);
        let standard_error = (a + b).sqrt();
        if standard_error < ROUNDING {
            return None;
        }
        let freedom = (a + b).powi(2) / (a * a / setting.freedom + b * b / base.freedom);
        let freedom = (freedom + 1e-9).floor() as usize;
        let value = setting.mean - base.mean;
        let tests = 2.0 * terms.settings as f64 / terms.share;
        let critical = t_quantile(1.0 - ERROR_RATE / tests, freedom);
        let beyond = (1.0 - t_within((value / standard_error).abs(), freedom)) / 2.0;
        Some(Difference {
            value,
            standard_error,
            freedom,
            critical,
            low: value - critical * standard_error,
            high: value + critical * standard_error,
            p: (tests * beyond).clamp(0.0, 1.0),
        })
    }

    /// Where the interval lies.
    pub fn verdict(&self, margin: f64) -> Verdict {
        match () {
            () if self.low > 0.0 => Verdict::Better,
            () if self.high < 0.0 => Verdict::Worse,
            () if self.low >= -margin && self.high <= margin => Verdict::Equivalent,
            () => Verdict::Inconclusive,
        }
    }
}
