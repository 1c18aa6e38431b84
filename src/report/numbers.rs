//! Means and differences as people read them: each with its spread, its interval and its n.

use super::statistics::Spread;
use crate::verdict::rule::Difference;
use crate::words::{minus, p_value, signed};

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
    use crate::report::statistics::spread;

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
