//! The list and the schema against the reader: neither says anything else than what is read.

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value as Json};

use super::{Row, find, rows, schema};
use crate::spec::error::Mistakes;
use crate::spec::yaml::{self, Node, Value};
use crate::spec::{Experiment, Overrides};

const HEAD: &str = "schema: 1\nname: t\n";
const BASE: &str = "base:\n  model: lenet5\n  optimizer: sgd\n";

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).unwrap()
}

/// What an editor makes of a file: YAML 1.2's core.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, quoted: true } => text.as_str().into(),
        Value::Scalar { text, .. } => match text.as_str() {
            "" | "~" | "null" => Json::Null,
            "true" | "false" => (text == "true").into(),
            text => text
                .parse::<i64>()
                .map(Json::from)
                .or_else(|_| text.parse::<f64>().map(Json::from))
                .unwrap_or(text.into()),
        },
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, node)| (key.name.clone(), json(node))).collect::<Map<_, _>>().into()
        }
    }
}

fn tree(text: &str) -> Option<Node> {
    yaml::parse("x.yaml", text, &mut Mistakes::default())
}

/// Fails with what an editor would mark in a file.
fn agrees(validator: &Validator, about: &str, text: &str) {
    let node = tree(text).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json(&node)).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{about}: {errors:?}");
}

/// Whether the program and an editor take the file.
fn taken(validator: &Validator, text: &str) -> (bool, bool) {
    let program = Experiment::parse("x.yaml", text, &Overrides::default()).is_ok();
    (program, tree(text).is_some_and(|node| validator.is_valid(&json(&node))))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_schema_beside_the_experiments_is_the_programs() {
    let path = repository().join("experiments/schema.json");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let own = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(stored == own, "`runner schema > experiments/schema.json` makes it anew");
}

#[test]
fn every_experiment_of_the_repository_names_the_schema_and_agrees_with_it() {
    let validator = validator();
    let (_folder, paths) = crate::spec::tests::experiments();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=schema.json\n"), "{}", path.display());
        agrees(&validator, &path.display().to_string(), &text);
    }
    assert!(paths.len() > 4);
}

/// Values that one key or another takes, at the ends of the ranges and beyond.
const PROBES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "0.5",
    "1.5",
    "-0.5",
    "1e-3",
    "100",
    "1e39",
    "1000000",
    "4294967296",
    "true",
    "none",
    "all",
    "no",
    "\"1\"",
    "[]",
    "[1]",
    "[0]",
    "[0.5]",
    "[2, 2]",
    "[0.9, 1]",
    "[1, 2, 3]",
    "{}",
    "{bogus: 1}",
    "{name: bogus}",
    "bogus",
    "relu",
    "leaky_relu",
    "{name: leaky_relu, slope: 0.1}",
    "{name: leaky_relu, slope: 2}",
    "{name: relu, slope: 0.1}",
    "{slope: 0.1}",
    "lenet5",
    "{name: lenet5, dense: []}",
    "{name: lenet5, channels: [0]}",
    "{name: lenet5, convs_per_block: 2}",
    "adam",
    "{name: adam, momentum: 0.9}",
    "{name: adam, betas: [0.9]}",
    "{name: sgd, nesterov: yes}",
    "{lr: 0.1}",
    "step",
    "{name: step, every: 5}",
    "{name: step}",
    "{name: staged, stages: []}",
    "{name: staged, stages: [{epochs: 20, lr: 0.1}]}",
    "{name: staged, stages: [{epochs: 20}]}",
    "{norm: 1}",
    "{norm: 0}",
    "{norm: 1, value: 1}",
    "{epochs: 2}",
    "{flip: true}",
    "{flip: 1}",
    "{l2: 0.1}",
    "{l2: -1}",
    "{patience: 3}",
    "{patience: 0}",
    "{metric: val_loss}",
    "{metric: loss}",
    "{goal: min}",
    "{max_seeds: 5}",
    "{max_seeds: 2}",
    "{dataset: synthetic}",
    "{dataset: mnist}",
    "{train: 1000}",
    "{train: all, scale: unit}",
];

/// What is right by itself and wrong beside the other keys: no schema says so.
const TOGETHER: &[&str] = &[
    "more than the",
    "does nothing without",
    "needs a momentum",
    "sgd has no such option",
    "tanh has no such option",
    "lenet5 has no such option",
    "constant has no such option",
    "its stages cover",
    "is there twice",
    "this key is missing",
    "3x3 kernel",
    "its first step is",
    "nothing to settle",
    "expected ascending",
    "expected a list of 1 to 2 values",
    "leave none of",
    "images of your own",
    "lenet5 has no layer",
    "start.weights: ",
];

#[test]
fn program_and_schema_take_the_same_values_of_every_key_in_the_base() {
    let validator = validator();
    let (mut both, mut neither) = (0, 0);
    let keys: BTreeSet<String> = rows().into_iter().filter(|row| !row.key.contains(':')).map(|row| row.key).collect();
    for key in keys {
        let is_outer =
            ["data", "select", "seeds", "settle", "margin", "targets"].contains(&key.split('.').next().unwrap());
        if ["schema", "name", "description", "tune", "base", "blocks"].contains(&key.split('.').next().unwrap())
            || (is_outer && key.contains('.'))
            // Any name is that of some network, whose layers stand elsewhere.
            || key == "model.name"
        {
            continue;
        }
        for value in PROBES {
            let text = match () {
                () if is_outer => format!("{HEAD}{BASE}{key}: {value}\n"),
                () if key == "optimizer" => format!("{HEAD}base:\n  model: lenet5\n  {key}: {value}\n"),
                () if key.starts_with("optimizer.") => {
                    format!("{HEAD}base:\n  model: lenet5\n  optimizer.name: sgd\n  {key}: {value}\n")
                }
                () if key.starts_with("model") => {
                    format!("{HEAD}base:\n  optimizer: sgd\n  model.name: lenet5\n  {key}: {value}\n")
                        .replace(if key == "model" { "  model.name: lenet5\n" } else { "\0" }, "")
                }
                () => format!("{HEAD}{BASE}  {key}: {value}\n"),
            };
            let (program, schema) = taken(&validator, &text);
            assert!(schema || !program, "the schema refuses what the program takes:\n{text}");
            if schema && !program {
                let error = Experiment::parse("x.yaml", &text, &Overrides::default()).unwrap_err().to_string();
                assert!(
                    TOGETHER.iter().any(|words| error.contains(words)),
                    "the schema takes what the program refuses:\n{text}{error}"
                );
            }
            both += usize::from(program && schema);
            neither += usize::from(!program && !schema);
        }
    }
    assert!(both > 100 && neither > 3000, "{both} values were taken by both and {neither} refused");
}

#[test]
fn pytorchs_words_find_keys_too() {
    let keys = |name| -> Vec<String> { find(name).unwrap().into_iter().map(|row| row.key).collect() };
    assert!(keys("learning_rate").contains(&"optimizer.lr".to_owned()));
    assert!(keys("StepLR").iter().any(|key| key.starts_with("schedule")));
    assert!(keys("batch").contains(&"batch_size".to_owned()));
    assert_eq!(find("epoch").unwrap_err().as_deref(), Some("epochs"));
    assert!(find("nonsense").is_err());
}

#[test]
fn what_a_block_may_say_is_taken() {
    let validator = validator();
    let good = [
        "blocks: []",
        "blocks: [{id: a}, {id: 1}]",
        "description: 5\nblocks: [{id: a, title: 2024, mode: grid, axes: {init: [keras]}}]",
        "blocks: [{id: a, base: {model: resnet, optimizer.lr: 0.5, data.train: 100}, axes: {optimizer.betas: [[0.9, 0.9]], optimizer: [adam]}}]",
        "blocks: [{id: a, zip: [{batch_size: [4, 8], epochs: [1, 2]}], exclude: [{optimizer: {lr: 0.001}, batch_size: 4}], include: [{schedule: {name: step, every: 2}}]}]",
        "tune: {axes: {optimizer.lr: [0.1], batch_size: [1, 2]}, seeds: 3}\nblocks: [{id: a, axes: {init: [keras]}}]",
        "blocks: [{id: a, mode: grid, axes: {optimizer: [sgd, adam], optimizer.lr: [0.1, 0.01], optimizer.momentum: [null]}}]",
        "blocks: [{id: a, mode: random, samples: 4, seed: 1, axes: {optimizer.lr: {log: [0.001, 0.1]}, batch_size: {int: [4, 64]}, init: [keras, pytorch]}}]",
        "settle: {max_seeds: 5}\nblocks: [{id: a, axes: {init: [keras]}}]",
    ];
    for more in good {
        agrees(&validator, more, &format!("{HEAD}{BASE}{more}\n"));
    }
}

#[test]
fn what_is_wrong_around_the_base_is_refused() {
    let validator = validator();
    let bad = [
        "base: {model: lenet5}",
        "base: {optimizer: sgd}",
        "base: {model: lenet5, optimizer: sgd, data: {val: 1}}",
        "bogus: 1",
        "blocks: {id: a}",
        "blocks: [{axes: {init: [keras]}}]",
        "blocks: [{id: A b}]",
        "blocks: [{id: a, axis: {}}]",
        "blocks: [{id: a, mode: gird}]",
        "blocks: [{id: a, axes: {init: keras}}]",
        "blocks: [{id: a, axes: {init: []}}]",
        "blocks: [{id: a, axes: {seeds: [1]}}]",
        "blocks: [{id: a, axes: {epochs: [1, 0]}}]",
        "blocks: [{id: a, exclude: [{}]}]",
        "blocks: [{id: a, axes: {epochs.x: [1]}}]",
        "tune: {seeds: 2}",
        "tune: {axes: {optimizer.lr: []}}",
        "tune: {axes: {data.train: [5]}}",
        "settle: {max_seeds: 5}",
        "settle: {max_seeds: 5}\nseeds: [1]\nblocks: [{id: a}]",
    ];
    for more in bad {
        let base = if more.starts_with("base") { "" } else { BASE };
        let (program, schema) = taken(&validator, &format!("{HEAD}{base}{more}\n"));
        assert!(!program && !schema, "{more}: program {program}, schema {schema}");
    }
    for head in ["name: t\n", "schema: 2\nname: t\n", "schema: 1\n", "schema: 1\nname: ../x\n", "schema: 1\nname: X\n"]
    {
        assert_eq!(taken(&validator, &format!("{head}{BASE}")), (false, false), "{head}");
    }
}

/// The keys that the reader says are valid where it meets one that is not.
fn valid_after(more: &str) -> BTreeSet<String> {
    let text = format!("{HEAD}{BASE}{more}\n");
    let error = Experiment::parse("x.yaml", &text, &Overrides::default()).unwrap_err().to_string();
    let list = error.split_once("valid: ").unwrap_or_else(|| panic!("{error}")).1;
    list.split(';').next().unwrap().split(", ").map(str::to_owned).collect()
}

/// The keys directly below `key` in the list, and their names in the schema.
fn below(key: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = schema();
    let place = match key {
        "" => &schema["properties"],
        "blocks" => &schema["properties"]["blocks"]["items"]["properties"],
        key => &schema["properties"][key]["properties"],
    };
    let rows = rows();
    let keys = rows.iter().filter(|row| !row.key.contains(':')).map(|row| row.key.as_str());
    let listed = keys.filter_map(|own| match key {
        "" => (!own.contains('.')).then_some(own),
        key => own.strip_prefix(key)?.strip_prefix('.').filter(|rest| !rest.contains('.')),
    });
    (listed.map(str::to_owned).collect(), place.as_object().unwrap().keys().cloned().collect())
}

#[test]
fn list_and_schema_have_every_key_that_the_reader_knows() {
    let base: BTreeSet<String> = crate::spec::keys::BASE.iter().map(|key| key.name.to_owned()).collect();
    for (key, more) in [
        ("", "bogus_key: 1"),
        ("blocks", "blocks: [{id: a, bogus_key: 1}]"),
        ("data", "data: {bogus_key: 1}"),
        ("tune", "tune: {axes: {init: [keras]}, bogus_key: 1}"),
    ] {
        let (mut listed, in_schema) = below(key);
        if key.is_empty() {
            listed = listed.difference(&base).cloned().collect();
        }
        assert_eq!((&listed, &in_schema), (&valid_after(more), &valid_after(more)), "{key}");
    }
}

#[test]
fn keys_are_found_by_path_by_their_last_part_and_by_name_and_a_slip_is_guessed() {
    let keys = |name: &str| find(name).map(|rows| rows.into_iter().map(|row| row.key).collect::<Vec<_>>());
    assert_eq!(keys("clip").unwrap(), ["clip", "clip.norm", "clip.value"]);
    assert_eq!(keys("base.clip.norm").unwrap(), ["clip.norm"]);
    assert_eq!(keys("lr").unwrap().first().unwrap(), "optimizer.lr");
    assert_eq!(keys("adagrad").unwrap()[..2], ["optimizer: adagrad", "optimizer.lr"]);
    assert!(keys("optimizer").unwrap().len() > 25 && keys("schedule.stages.lr").unwrap().len() == 1);
    for (slip, meant) in [("optimiser", "optimizer"), ("optimizer.momentun", "optimizer.momentum"), ("adma", "adam")] {
        assert_eq!(keys(slip), Err(Some(meant.to_owned())));
    }
    assert_eq!(keys("zzzz"), Err(None));
    let Row { default, is_required, pytorch, .. } = find("optimizer.lr").unwrap().remove(0);
    assert_eq!((default, is_required, pytorch.as_str()), (Some("0.001"), false, "torch.optim.SGD(lr=)"));
    assert_eq!(find("warmup.epochs").unwrap()[0].pytorch, "LinearLR(total_iters=)");
    assert!(find("resnet").unwrap().iter().all(|row| row.pytorch.is_empty()), "PyTorch has none of the networks");
}

#[test]
fn a_network_in_a_file_has_its_keys_in_the_list_and_in_the_schema() {
    let network = crate::spec::tests::keys_of_a_network_in_a_file();
    for key in &network {
        let rows = find(&format!("model.{key}")).unwrap_or_else(|meant| panic!("model.{key}: {meant:?}"));
        assert!(
            rows.iter().all(|row| row.key == format!("model.{key}") && !row.values.is_empty() && !row.about.is_empty())
        );
    }
    let forms = schema()["definitions"]["model"]["anyOf"].as_array().unwrap().clone();
    let of_file = forms.iter().find(|form| form["properties"]["file"].is_object()).unwrap();
    let in_schema: BTreeSet<String> = of_file["properties"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(in_schema, network);
    assert!(of_file["properties"].as_object().unwrap().values().all(|form| form["description"].is_string()));
}
