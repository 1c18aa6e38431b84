//! Means over few seeds with their spread and interval, so Student's t; and means and differences as people read them.

use crate::verdict::rule::{Difference, t_quantile};
use crate::words::{minus, p_value, signed};

/// Two-sided error rate of every test, and one minus the confidence of every interval.
pub const SIGNIFICANCE: f64 = 0.05;
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

/// None without values, as the next.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

pub fn spread(values: &[f64]) -> Option<Spread> {
    let n = values.len();
    let mean = mean(values)?;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    let interval = std.filter(|std| *std > ROUNDING).map(|std| {
        let half = t_quantile(1.0 - SIGNIFICANCE / 2.0, n - 1) * std / (n as f64).sqrt();
        (mean - half, mean + half)
    });
    Some(Spread { n, mean, std, interval })
}

/// `63.1 ± 0.4 % (n = 3)`, from shares.
pub fn percent(spread: Option<Spread>) -> String {
    match spread {
        None => "no result".to_owned(),
        Some(spread) => format!("{} % (n = {})", mean_std(&spread, 100.0, 1), spread.n),
    }
}

/// `+1.31 (0.45 to 2.17)`: a difference in points, and its interval.
pub fn points(difference: &Difference) -> String {
    format!("{} ({})", signed(difference.value, 2), interval(difference))
}

/// `0.45 to 2.17`
pub fn interval(difference: &Difference) -> String {
    format!("{} to {}", minus(difference.low, 2), minus(difference.high, 2))
}

/// `0.012` or `< 0.001`
pub fn p_cell(p: f64) -> String {
    p_value(p).trim_start_matches("= ").to_owned()
}

/// `63.1 ± 0.4`, or the mean alone where there is no spread.
pub fn mean_std(spread: &Spread, factor: f64, decimals: usize) -> String {
    let mean = minus(factor * spread.mean, decimals);
    spread.std.map_or(mean.clone(), |std| format!("{mean} ± {:.decimals$}", factor * std))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, golden: f64) {
        assert!((ours - golden).abs() <= 1e-10 * golden.abs().max(1e-3), "{ours} is not {golden}");
    }

    /// scipy 1.17.1: `t.interval(0.95, 4, mean, sem)`, and numpy's `std(ddof=1)`
    #[test]
    fn the_interval_of_a_mean_is_scipys() {
        let five = spread(&[0.014, 0.023, 0.002, 0.017, 0.028]).unwrap();
        close(five.mean, 0.0168);
        close(five.std.unwrap(), 0.009884331034521262);
        close(five.interval.unwrap().0, 0.004526982008106797);
        close(five.interval.unwrap().1, 0.029073017991893234);
    }

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        let one = spread(&[0.5]).unwrap();
        assert_eq!((one.mean, one.std, one.interval), (0.5, None, None));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn equal_values_prove_nothing() {
        let same = spread(&[0.61 - 0.6, 0.71 - 0.7, 0.51 - 0.5]).unwrap();
        assert_eq!(same.interval, None);
    }

    #[test]
    fn a_number_carries_its_n() {
        assert_eq!(percent(spread(&[0.627, 0.631, 0.635])), "63.1 ± 0.4 % (n = 3)");
        assert_eq!(percent(spread(&[0.627])), "62.7 % (n = 1)");
        assert_eq!(percent(None), "no result");
    }

    #[test]
    fn differences_show_their_sign() {
        let difference = |value: f64, low: f64, high: f64| {
            points(&Difference { value, standard_error: 1.0, freedom: 4, critical: 1.0, low, high, p: 0.5 })
        };
        assert_eq!(difference(-1.2, -2.0, -0.4), "−1.20 (−2.00 to −0.40)");
        assert_eq!(difference(-0.001, -0.5, 0.5), "+0.00 (−0.50 to 0.50)");
    }
}
