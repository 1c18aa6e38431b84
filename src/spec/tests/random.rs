//! Blocks that draw their combinations.

use super::*;

fn block(samples: usize, lines: &str) -> String {
    format!("blocks:\n  - id: r\n    mode: random\n    samples: {samples}\n{lines}")
}

const RANGES: &str = "    axes:\n      optimizer: [{name: sgd, momentum: 0.9}, adam]\n      optimizer.lr: {log: [1e-4, 1e-1]}\n      \
                      regularization.dropout: {uniform: [0, 0.5]}\n      batch_size: {int: [16, 256]}\n";

fn cells(text: &str) -> Vec<String> {
    with(text).blocks[0].variants[1..].iter().map(|variant| variant.values.join(" | ")).collect()
}

/// The draws are part of every trial's id, so they may never change.
#[test]
fn what_is_drawn_is_pinned() {
    let wanted = [
        "{name: sgd, momentum: 0.9} | 0.016 | 0.41 | 28",
        "adam | 0.0314 | 0.214 | 238",
        "{name: sgd, momentum: 0.9} | 0.000658 | 0.0732 | 158",
        "{name: sgd, momentum: 0.9} | 0.00716 | 0.209 | 96",
        "{name: sgd, momentum: 0.9} | 0.0371 | 0.31 | 19",
        "adam | 0.00248 | 0.469 | 61",
    ];
    assert_eq!(cells(&block(6, RANGES)), wanted);
    let seeded = block(2, &format!("    seed: 7\n{RANGES}"));
    let wanted =
        ["{name: sgd, momentum: 0.9} | 0.00772 | 0.098 | 251", "{name: sgd, momentum: 0.9} | 0.00107 | 0.474 | 141"];
    assert_eq!(cells(&seeded), wanted);
    let experiment = with(&block(1, RANGES));
    assert_eq!(experiment.blocks[0].mode, BlockMode::Random);
    assert_eq!(labels(&experiment.blocks[0]), ["base", "sgd, momentum 0.9 · lr=0.016 · dropout=0.41 · batch_size=28"]);
    assert_eq!(experiment.trials()[2].id, "4b2a1b9337cd");
}

#[test]
fn more_samples_extend_the_earlier_ones_and_another_axis_leaves_them() {
    let many = cells(&block(300, RANGES));
    assert_eq!(cells(&block(40, RANGES)), many[..40]);
    let without = cells(&block(40, &RANGES.replace("      batch_size: {int: [16, 256]}\n", "")));
    for (without, with) in without.iter().zip(&many) {
        assert!(with.starts_with(without.as_str()), "{without} is no part of {with}");
    }
    let column = |place: usize| many.iter().map(move |row| row.split(" | ").nth(place).unwrap());
    let numbers = |place: usize| column(place).map(|text| text.parse::<f64>().unwrap()).collect::<Vec<_>>();
    for (place, low, middle, high) in [(1, 1e-4, 10f64.powf(-2.5), 1e-1), (2, 0.0, 0.25, 0.5), (3, 16.0, 136.0, 256.0)]
    {
        let numbers = numbers(place);
        let below = numbers.iter().filter(|number| **number < middle).count();
        assert!(numbers.iter().all(|number| (low..=high).contains(number)), "{place}");
        assert!((120..=180).contains(&below), "{below} of 300 are below the middle of {place}");
    }
    let adam = column(0).filter(|name| *name == "adam").count();
    assert!((120..=180).contains(&adam), "{adam} of 300");
}

#[test]
fn draws_have_few_digits_and_stay_within_their_ends() {
    let column = |axis: &str| cells(&block(200, &format!("    axes: {{{axis}}}\n")));
    let digits = |text: &String| text.trim_start_matches(['0', '.']).len();
    assert!(column("optimizer.lr: {log: [1e-4, 1e-1]}").iter().all(|text| digits(text) <= 3));
    let narrow = column("optimizer.momentum: {uniform: [0.99, 0.999]}");
    assert!(narrow.len() > 100 && narrow.iter().all(|text| text.len() <= 7), "{narrow:?}");
    let ends = column("epochs: {int: [1, 3]}");
    assert_eq!(ends.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "both ends are drawn: {ends:?}");
}

#[test]
fn lists_zips_and_excludes_are_drawn_from_as_well() {
    let lines = "    zip: [{optimizer: [sgd, adam], optimizer.momentum: [0.9, null]}]\n    axes: {init: [keras, orthogonal]}\n    \
                 exclude: [{init: keras}, {epochs: 3}]\n";
    // Equal draws are one, and an exclude may happen to meet none.
    assert_eq!(cells(&block(50, lines)), ["orthogonal | sgd | 0.9", "orthogonal | adam | none"]);
}

#[test]
fn bad_ranges_are_refused_where_they_are_written() {
    let axis = |axis: &str| error_with(&block(3, &format!("    axes: {{{axis}}}\n")));
    let cases = [
        (
            "optimizer.lr: {log: [0, 1]}",
            "33: blocks[0].axes.optimizer.lr.log[0]: expected a finite number above 0, found `0`",
        ),
        (
            "optimizer.lr: {log: [1, 0.1]}",
            "32: blocks[0].axes.optimizer.lr.log: expected [low, high], the lower number first",
        ),
        ("optimizer.lr: {log: [1]}", "32: blocks[0].axes.optimizer.lr.log: expected a list of 2 values, found 1"),
        ("optimizer.lr: {log: 1}", "32: blocks[0].axes.optimizer.lr.log: expected a list, found `1`"),
        (
            "optimizer.lr: {lgo: [1, 2]}",
            "27: blocks[0].axes.optimizer.lr.lgo: there is no such key; valid: log, uniform, int; did you mean `log`?",
        ),
        (
            "optimizer.lr: {}",
            "26: blocks[0].axes.optimizer.lr: expected a list of values, {log: [1e-4, 1e-1]}, {uniform",
        ),
        ("optimizer.lr: {log: [1, 2], int: [1, 2]}", "26: blocks[0].axes.optimizer.lr: expected a list of values"),
        ("optimizer.lrr: {log: [1, 2]}", "12: optimizer.lrr: there is no such key; valid: lr, momentum"),
        (
            "optimizer.momentum: {uniform: [0, 1]}",
            "46: blocks[0].axes.optimizer.momentum.uniform[1]: expected a finite number at least 0 and below 1, found `1`",
        ),
        (
            "batch_size: {int: [0, 8]}",
            "31: blocks[0].axes.batch_size.int[0]: expected a whole number from 1 to 2147483647, found `0`",
        ),
        (
            "batch_size: {log: [1, 8]}",
            "24: blocks[0].axes.batch_size: takes whole numbers, which {int: [low, high]} draws",
        ),
        ("init: {uniform: [0, 1]}", "29: blocks[0].axes.init.uniform[0]: there is no `0`; valid: pytorch"),
    ];
    for (text, wanted) in cases {
        assert_starts(&axis(text), &format!("x.yaml:11:{wanted}"));
    }
    let said = |lines: &str| error_with(&format!("blocks:\n  - id: r\n{lines}"));
    assert_starts(&said("    mode: random\n"), "x.yaml:8:5: blocks[0].samples: this key is missing");
    assert_starts(
        &said("    mode: random\n    samples: 3\n"),
        "x.yaml:8:5: blocks[0]: there is nothing to draw without",
    );
    assert_starts(&said("    samples: 3\n"), "x.yaml:9:14: blocks[0].samples: only goes with `mode: random`");
    assert_starts(
        &said("    mode: grid\n    seed: 3\n"),
        "x.yaml:10:11: blocks[0].seed: only goes with `mode: random`",
    );
    // Nothing is said of the range that is right, and everything of the one that is not.
    let axes = "    axes: {optimizer.lr: {log: [0.1, 0.2]}, optimizer.momentum: {uniform: [0.9, 0.1]}}\n";
    for mistaken in [
        "mode: random\n    samples: 0",
        "mode: random",
        "mode: radnom\n    samples: 3",
        "mode: random\n    samples: six",
    ] {
        let said = said(&format!("    {mistaken}\n{axes}"));
        assert!(said.contains("optimizer.momentum") && !said.contains("optimizer.lr"), "{mistaken}: {said}");
        assert_eq!(places(&said).len(), 2, "{mistaken}: {said}");
    }
    let plain = said("    axes: {optimizer.lr: {log: [1, 2]}}\n");
    assert_starts(
        &plain,
        "x.yaml:9:26: blocks[0].axes.optimizer.lr: expected a list, found `{log: [1, 2]}`; `mode: random`",
    );
    for (zip, place) in [("{}", "11:11"), ("{inti: [1]}", "11:12"), ("3", "11:11"), ("{init: []}", "11:18")] {
        let said = error_with(&block(3, &format!("    zip: [{zip}]\n")));
        assert_eq!(places(&said), [format!("x.yaml:{place}")], "{said}");
    }
    let two = "- {id: a, axes: {epochs: [1, 2]}}\n  - id: r";
    let sum = error_with(&block(9_999, RANGES).replace("- id: r", two));
    assert_eq!(sum, "x.yaml:9:5: blocks[1]: with block `r` the plan has more than 10000 combinations");
}
