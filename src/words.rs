//! Numbers, counts and times as people read them.

/// Smaller p-values are not worth their digits.
const SMALL_P: f64 = 0.001;

/// `1 point`, `0.5 points`
pub fn points_of_margin(margin: f64) -> String {
    if margin == 1.0 { "1 point".to_owned() } else { format!("{margin} points") }
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

/// `relu, seed 0 (6f1c2a90b3de)`
pub fn trial_name(label: &str, seed: u64, id: &str) -> String {
    format!("{label}, seed {seed} ({id})")
}

/// `17,001,930`
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).expect("digits")).collect();
    groups.join(",")
}

/// `a, b, c and 5 more`
pub fn some(items: &[String], named: usize) -> String {
    match items.len().checked_sub(named) {
        None | Some(0) => items.join(", "),
        Some(more) => format!("{} and {more} more", items[..named].join(", ")),
    }
}

/// `a, b, c`
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

/// `42 s`, `3.5 min`, `1.2 h`
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// As exact as anybody who waits wants it: `48 s`, `12 min`, `3 h 05 min`
pub fn rounded_duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 90.0 => format!("{seconds:.0} s"),
        0..=119 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

/// `0.3 MB`, `12.0 MB`, `1,234 MB`
pub fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 { format!("{megabytes:.1} MB") } else { format!("{} MB", grouped(megabytes as i64)) }
}

/// At most so many characters, with the beginning and the end: both tell paths and settings apart.
pub fn without_middle(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let kept = (most - 1) / 2;
    let end = &characters[characters.len() - kept..];
    characters[..kept].iter().chain(['…'].iter()).chain(end).collect()
}

/// At most this much of a user's text is repeated to them.
const MAX_EXCERPT_CHARS: usize = 60;

pub fn shorten(text: &str) -> String {
    let line: String = text.chars().take(MAX_EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}
