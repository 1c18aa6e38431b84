//! One look at one group: the settings that share a base, each compared with it by its mean test accuracy.
//!
//! Each interval uses the setting's own spread, drawn towards the group's median spread as if that came from three more seeds
//! (moderated variances: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1)). The intervals of a block
//! hold together with 95 % confidence (Bonferroni) over its settings and looks.

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

/// P(|T| < t) for Student's t with a whole number of degrees of freedom, as a finite sum: Abramowitz and Stegun 26.7.3–4.
pub fn t_within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = if degrees == 1 { 0.0 } else { term };
    for k in (if odd { 3 } else { 2 }..degrees).step_by(2) {
        term *= cosine * cosine * (k - 1) as f64 / k as f64;
        sum += term;
    }
    if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

/// The t below which a share `probability` (½ ≤ p < 1) of Student's distribution lies, by bisection.
pub fn t_quantile(probability: f64, degrees: usize) -> f64 {
    let within = 2.0 * probability - 1.0;
    let mut high = 1.0;
    while t_within(high, degrees) < within {
        high *= 2.0;
    }
    let mut low = 0.0;
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if t_within(middle, degrees) < within { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, golden: f64) {
        assert!((ours - golden).abs() <= 1e-10 * golden.abs().max(1e-3), "{ours} is not {golden}");
    }

    /// scipy 1.17.1: `t.ppf(0.975, df)`, `t.ppf(0.8, df)`, `2 * t.sf(2.5, df)`
    const STUDENT: [(usize, f64, f64, f64); 6] = [
        (1, 12.706204736174694, 1.3763819204711738, 0.24223788318168682),
        (2, 4.302652729749462, 1.0606601717798214, 0.12961172022151082),
        (3, 3.1824463052837078, 0.9784723123633042, 0.08770664700806556),
        (4, 2.7764451051977934, 0.9409645772351816, 0.06676654481198814),
        (7, 2.364624251592784, 0.8960296443137653, 0.04099221858575289),
        (1000, 1.9623390808264083, 0.8419808221624288, 0.012578567801090807),
    ];

    #[test]
    fn student_t_is_scipys() {
        for (degrees, upper, eighty, p) in STUDENT {
            close(t_quantile(0.975, degrees), upper);
            close(t_quantile(0.8, degrees), eighty);
            close(1.0 - t_within(2.5, degrees), p);
        }
    }
}
