//! Values of the rule that SciPy 1.17 gave for two stored studies, margin 1.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use runner::verdict::is_at_chance;
use runner::verdict::looks::Comparison;
use runner::verdict::rule::{Difference, Group, Terms};
use serde_json::Value;

use crate::stored::{Stored, accuracies, read_as_referenced};

const TOLERANCE: f64 = 1e-9;

/// Setting with its block, settings of that, v, se, f, c, interval, p, and c at a look's share of 3/20.
type Row = (&'static str, usize, f64, f64, usize, f64, [f64; 2], f64, f64);

#[rustfmt::skip]
const TABLE: [Row; 4] = [
    ("regularization/dropout 0.5", 6, 0.630447826, 0.638314356, 9, 3.364203432, [-4.304086014, -0.009247319], 0.0488632683, 4.622447401),
    ("initialization/init=orthogonal", 5, 1.267594492, 0.787291204, 8, 3.355387331, [-2.465000264, 2.818333597], 1.0, 4.721118326),
    ("activation/leaky_relu 0.1", 5, 0.472234492, 0.595573202, 9, 3.249835542, [0.561151706, 4.432181627], 0.0116702529, 4.494857410),
    ("batch_size/batch_size=16", 4, 0.356607826, 0.562285708, 9, 3.110934823, [-5.205900855, -1.707432478], 0.00067690025, 4.340899453),
];
const PRIOR_VARIANCE: f64 = 0.500190820313;
const BASE_VARIANCE: f64 = 0.591887825521;

#[track_caller]
fn close(ours: f64, golden: f64, what: &str) {
    assert!((ours - golden).abs() <= TOLERANCE * golden.abs().max(1.0), "{what}: {ours} is not {golden}");
}

/// Each setting as `block/label`, with its place among the configurations and its comparison.
fn comparisons(study: &Stored) -> BTreeMap<String, (usize, Comparison)> {
    let blocks = study.experiment.blocks.iter().zip(&study.asked.plan.blocks).zip(&study.asked.judgement.comparisons);
    let settings = blocks.flat_map(|((block, places), comparisons)| {
        let name = |label: &str| format!("{}/{label}", block.id);
        let names = block.variants.iter().map(move |variant| name(&variant.label));
        names.zip(places.iter().copied()).skip(1).zip(comparisons.iter().cloned())
    });
    settings.map(|((name, place), comparison)| (name, (place, comparison))).collect()
}

#[test]
fn the_table_of_the_rule_is_ours() {
    let study = read_as_referenced("lenet_ablation");
    let samples: Vec<Vec<f64>> = study.ends.iter().map(|ends| accuracies(ends)).collect();
    let group = Group::new(samples.iter().map(Vec::as_slice));
    let base = group.moderate(&samples[study.asked.plan.blocks[0][0]]).unwrap();
    close(group.prior_variance, PRIOR_VARIANCE, "prior variance");
    close(base.variance, BASE_VARIANCE, "the base's variance");
    assert_eq!(group.prior_freedom, 3.0);
    let comparisons = comparisons(&study);
    for (name, settings, variance, error, freedom, critical, [low, high], p, early) in TABLE {
        let (place, comparison) = &comparisons[name];
        let found = comparison.difference.unwrap();
        let own = group.moderate(&samples[*place]).unwrap();
        assert_eq!(found.freedom, freedom, "{name}");
        let numbers = [own.variance, found.standard_error, found.critical, found.low, found.high, found.p];
        for (ours, golden) in numbers.into_iter().zip([variance, error, critical, low, high, p]) {
            close(ours, golden, name);
        }
        let at_a_look = Difference::new(&own, &base, &Terms { settings, share: 3.0 / 20.0, margin: 1.0 }).unwrap();
        close(at_a_look.critical, early, name);
    }
}

/// All settings against a file beside this one.
fn hold_against(name: &str, decided: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/verdicts/verdicts-{name}.json"));
    let golden: BTreeMap<String, Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let study = read_as_referenced(name);
    let samples: Vec<Vec<f64>> = study.ends.iter().map(|ends| accuracies(ends)).collect();
    let group = Group::new(samples.iter().map(Vec::as_slice));
    let ours = comparisons(&study);
    assert!(ours.keys().eq(golden.keys()), "{:?} are not {:?}", ours.keys(), golden.keys());
    for (setting, golden) in &golden {
        let (place, comparison) = &ours[setting];
        let found = comparison.difference.unwrap();
        let variance = group.moderate(&samples[*place]).unwrap().variance;
        let numbers = [
            ("diff", found.value),
            ("var", variance),
            ("se", found.standard_error),
            ("df", found.freedom as f64),
            ("c", found.critical),
            ("lo", found.low),
            ("hi", found.high),
            ("p", found.p),
        ];
        for (key, ours) in numbers {
            close(ours, golden[key].as_f64().unwrap(), &format!("{name}, {setting}, {key}"));
        }
        assert_eq!(comparison.verdict.word(), golden["verdict"], "{name}, {setting}");
    }
    assert_eq!(ours.values().filter(|(_, comparison)| comparison.is_decided()).count(), decided, "{name}");
}

#[test]
fn every_verdict_of_lenet_ablation_is_scipys() {
    hold_against("lenet_ablation", 8);
}

#[test]
fn every_verdict_of_leaky_cnn_is_scipys() {
    hold_against("leaky_cnn", 3);
}

/// Three standard deviations above the largest class's share: of 10,000 test images in ten equal classes, 1,090 right ones.
#[test]
fn chance_ends_three_deviations_above_the_largest_class() {
    for (right, images, share, at_chance) in [
        (1000, 10_000, 0.1, true),
        (1089, 10_000, 0.1, true),
        (1090, 10_000, 0.1, true),
        (1091, 10_000, 0.1, false),
        (0, 10_000, 0.1, true),
        (128, 1000, 0.1, true),
        (129, 1000, 0.1, false),
        (545, 1000, 0.5, true),
        (548, 1000, 0.5, false),
    ] {
        assert_eq!(is_at_chance(f64::from(right) / images as f64, share, images), at_chance, "{right} of {images}");
    }
}
