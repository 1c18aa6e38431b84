//! Configuration keys as columns of a table: what people call them, and which of them tell trials apart.

use std::collections::BTreeSet;

/// `optimizer.lr` → `lr`, `optimizer.name` → `optimizer`, unless another key or one of the `other` columns is or would be
/// called so.
pub fn short_names(keys: &[String], other: &[String]) -> Vec<String> {
    let candidate = |key: &String| match key.split_once('.') {
        Some((group, "name")) => group.to_owned(),
        Some((_, field)) => field.to_owned(),
        None => key.clone(),
    };
    let is_clear = |key: &String, short: &String| {
        let clashes = |another: &String| another != key && (another == short || candidate(another) == *short);
        !keys.iter().any(clashes) && !other.contains(short)
    };
    let name = |key: &String| Some(candidate(key)).filter(|short| is_clear(key, short)).unwrap_or(key.clone());
    keys.iter().map(name).collect()
}

/// Whether trials have different `values` of `key`, one of `keys`; an empty value means that a trial has no such key. That
/// is no difference of its own where a name goes with it: of two optimizers, one has no momentum.
pub fn differ<'a>(key: &str, keys: &[String], values: impl Iterator<Item = &'a str>) -> bool {
    let named = key.split_once('.').is_some_and(|(group, _)| keys.contains(&format!("{group}.name")));
    values.filter(|value| !(named && value.is_empty())).collect::<BTreeSet<_>>().len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_short_name_means_one_column() {
        let keys = names(&["epochs", "warmup.epochs", "optimizer.lr", "optimizer.name", "a.x", "b.x", "c.seed"]);
        let expected = ["epochs", "warmup.epochs", "lr", "optimizer", "a.x", "b.x", "c.seed"];
        assert_eq!(short_names(&keys, &names(&["id", "seed"])), expected);
    }

    #[test]
    fn an_option_that_goes_with_a_name_is_no_difference() {
        let keys = names(&["optimizer.name", "optimizer.momentum", "warmup.epochs"]);
        assert!(!differ("optimizer.momentum", &keys, ["0.9", ""].into_iter()));
        assert!(differ("optimizer.momentum", &keys, ["0.9", "", "0"].into_iter()));
        assert!(differ("warmup.epochs", &keys, ["2", ""].into_iter()));
    }
}
