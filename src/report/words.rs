//! Numbers as people read them: each mean with its spread and its n.

use super::statistics::Spread;
use crate::verdict::rule::Difference;

/// Smaller p-values are not worth their digits.
const SMALL_P: f64 = 0.001;

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

/// `1 point`, `0.5 points`
pub fn points_of_margin(margin: f64) -> String {
    if margin == 1.0 { "1 point".to_owned() } else { format!("{margin} points") }
}

/// `63.1 ± 0.4`, or the mean alone where there is no spread.
pub fn mean_std(spread: &Spread, factor: f64, decimals: usize) -> String {
    let mean = minus(factor * spread.mean, decimals);
    spread.std.map_or(mean.clone(), |std| format!("{mean} ± {:.decimals$}", factor * std))
}

/// `= 0.012` or `< 0.001`
pub fn p_value(p: f64) -> String {
    if p < SMALL_P { format!("< {SMALL_P}") } else { format!("= {p:.3}") }
}

/// With a typographic minus and never `−0.00`.
pub fn minus(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if !zero.contains(|c: char| ('1'..='9').contains(&c)) => zero.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// With its sign, also where it is a plus.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = minus(value, decimals);
    if text.starts_with('−') { text } else { format!("+{text}") }
}

/// `1 trial`, `2 trials`
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `17,001,930`
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).expect("digits")).collect();
    groups.join(",")
}

/// `a, b, c and 5 more`
pub fn some(items: &[String], most: usize) -> String {
    match items.len().checked_sub(most) {
        None | Some(0) => items.join(", "),
        Some(more) => format!("{} and {more} more", items[..most].join(", ")),
    }
}

/// `42 s`, `3.5 min`, `1.2 h`
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
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
