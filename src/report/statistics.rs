//! Means, intervals and paired comparisons over few seeds, so Student's t throughout.

/// Two-sided error rate of every test, and one minus the confidence of every interval.
pub const SIGNIFICANCE: f64 = 0.05;
/// Chance to see a difference that is there, for [`seeds_to_settle`].
pub const POWER: f64 = 0.8;
/// Where counting seeds ends: nobody runs more.
pub const MAX_SEEDS: usize = 1000;
/// Below this a standard deviation of accuracies is rounding, not spread.
const ROUNDING: f64 = 1e-12;

/// A sample's size, mean and spread. `std` (n − 1 in the denominator) needs two values, and `interval` (95 %, of the mean)
/// needs them to differ: equal values in a handful of runs are luck, not certainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub n: usize,
    pub mean: f64,
    pub std: Option<f64>,
    pub interval: Option<(f64, f64)>,
}

/// None without values.
pub fn spread(values: &[f64]) -> Option<Spread> {
    if values.is_empty() {
        return None;
    }
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    let interval = std.filter(|std| *std > ROUNDING).map(|std| {
        let half = t_quantile(1.0 - SIGNIFICANCE / 2.0, n - 1) * std / (n as f64).sqrt();
        (mean - half, mean + half)
    });
    Some(Spread { n, mean, std, interval })
}

/// Two-sided p of the paired t-test that the mean difference is zero. None for fewer than two pairs, and where the differences
/// do not vary (SciPy answers 0 or NaN there).
pub fn paired_p(differences: &Spread) -> Option<f64> {
    let std = differences.std.filter(|std| *std > ROUNDING)?;
    let t = differences.mean / (std / (differences.n as f64).sqrt());
    Some((1.0 - t_within(t.abs(), differences.n - 1)).clamp(0.0, 1.0))
}

/// Holm's step-down adjustment of the p-values that are there. The others stay none and count as the largest: a comparison
/// that has no p-value yet, or lost its trials, is one that was planned.
pub fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| p_values[i].is_some()).collect();
    order.sort_by(|&a, &b| f64::total_cmp(&p_values[a].unwrap_or(1.0), &p_values[b].unwrap_or(1.0)));
    let mut adjusted = vec![None; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max(p_values[i].unwrap_or(1.0) * (p_values.len() - rank) as f64).min(1.0);
        adjusted[i] = Some(floor);
    }
    adjusted
}

/// How many paired seeds a t-test would need, if the true difference and its spread are those measured, to find it with
/// probability [`POWER`] at an error rate of [`SIGNIFICANCE`] shared among `comparisons`. None above [`MAX_SEEDS`].
///
/// n ≥ ((t₁₋α⁄₂ + t₀.₈) · std / mean)², with n − 1 degrees of freedom on both sides; within one of the noncentral t.
pub fn seeds_to_settle(differences: &Spread, comparisons: usize) -> Option<usize> {
    let std = differences.std.filter(|std| *std > ROUNDING)?;
    let level = 1.0 - SIGNIFICANCE / comparisons.max(1) as f64 / 2.0;
    let enough = |n: usize| {
        let needed = (t_quantile(level, n - 1) + t_quantile(POWER, n - 1)) * std / differences.mean.abs();
        n as f64 >= needed * needed
    };
    // The right side falls as n grows, so halving finds the first n that is enough.
    let (mut too_few, mut plenty) = (1, MAX_SEEDS + 1);
    while plenty - too_few > 1 {
        let middle = (too_few + plenty) / 2;
        if enough(middle) { plenty = middle } else { too_few = middle }
    }
    (plenty <= MAX_SEEDS).then_some(plenty)
}

/// P(|T| < t) for Student's t with a whole number of degrees of freedom, as a finite sum: Abramowitz and Stegun 26.7.3–4.
fn t_within(t: f64, degrees: usize) -> f64 {
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
fn t_quantile(probability: f64, degrees: usize) -> f64 {
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

    /// scipy 1.17.1: `ttest_rel(a, b)`, its `confidence_interval()`, and numpy's `std(ddof=1)`
    #[test]
    fn paired_test_is_scipys() {
        let a = [0.612, 0.634, 0.627, 0.619, 0.641];
        let b = [0.598, 0.611, 0.625, 0.602, 0.613];
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let five = spread(&differences).unwrap();
        close(five.mean, 0.016800000000000016);
        close(five.std.unwrap(), 0.009884331034521262);
        close(five.interval.unwrap().0, 0.004526982008106797);
        close(five.interval.unwrap().1, 0.029073017991893234);
        close(paired_p(&five).unwrap(), 0.019094545597454726);
        close(paired_p(&spread(&differences[..4]).unwrap()).unwrap(), 0.050466092645443536);
        close(paired_p(&spread(&differences[..2]).unwrap()).unwrap(), 0.15190341257995374);
    }

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        let one = spread(&[0.5]).unwrap();
        assert_eq!((one.mean, one.std, one.interval, paired_p(&one)), (0.5, None, None, None));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn equal_differences_prove_nothing() {
        let same = spread(&[0.61 - 0.6, 0.71 - 0.7, 0.51 - 0.5]).unwrap();
        assert_eq!((paired_p(&same), same.interval), (None, None));
    }

    /// By hand, from Holm 1979: sorted p times the number of hypotheses left, never falling.
    #[test]
    fn holm_steps_down() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005, 0.2].map(Some));
        for (ours, golden) in adjusted.into_iter().zip([0.04, 0.09, 0.09, 0.025, 0.2]) {
            close(ours.unwrap(), golden);
        }
    }

    #[test]
    fn a_comparison_still_to_come_counts_in_holms_adjustment() {
        let adjusted = holm(&[Some(0.01), None, Some(0.04), None]);
        close(adjusted[0].unwrap(), 0.04);
        close(adjusted[2].unwrap(), 0.12);
        assert_eq!((adjusted[1], adjusted[3]), (None, None));
    }

    /// scipy 1.17.1: the smallest n with `nct` power of at least 0.8, for mean / std, at 0.05 and at 0.05 / 4
    #[test]
    fn seeds_are_counted_as_by_the_noncentral_t() {
        for (effect, alone, of_four) in [(0.2, 199, 282), (0.5, 34, 48), (1.0, 10, 15), (2.0, 5, 7), (5.0, 3, 3)] {
            let differences = Spread { n: 3, mean: -effect, std: Some(1.0), interval: None };
            for (comparisons, golden) in [(1, alone), (4, of_four)] {
                let ours = seeds_to_settle(&differences, comparisons).unwrap();
                assert!(ours.abs_diff(golden) <= 1, "effect {effect}: {ours} is not about {golden}");
            }
        }
        assert_eq!(seeds_to_settle(&Spread { n: 3, mean: 0.0, std: Some(1.0), interval: None }, 1), None);
    }
}
