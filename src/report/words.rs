//! Numbers as people read them: each mean with its spread and its n.

use super::statistics::Spread;

/// Smaller p-values are not worth their digits.
const SMALL_P: f64 = 0.001;

/// `63.1 ± 0.4 % (n = 3)`, from shares.
pub fn percent(spread: Option<Spread>) -> String {
    match spread {
        None => "no result".to_owned(),
        Some(spread) => format!("{} % (n = {})", mean_std(&spread, 100.0, 1), spread.n),
    }
}

/// `+1.31 (0.45 to 2.17)`: a difference of shares in percentage points, and its interval.
pub fn points(spread: &Spread) -> String {
    let mean = signed(100.0 * spread.mean, 2);
    interval(spread).map_or(mean.clone(), |interval| format!("{mean} ({interval})"))
}

/// `0.45 to 2.17`, in percentage points.
pub fn interval(spread: &Spread) -> Option<String> {
    let (low, high) = spread.interval?;
    Some(format!("{} to {}", minus(100.0 * low, 2), minus(100.0 * high, 2)))
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
        assert_eq!(points(&spread(&[-0.012]).unwrap()), "−1.20");
        assert_eq!(points(&spread(&[-0.00001]).unwrap()), "+0.00");
        assert_eq!(points(&spread(&[0.01, 0.012]).unwrap()), "+1.10 (−0.17 to 2.37)");
    }
}
