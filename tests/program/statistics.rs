//! The tables of the results in this repository: made from the stored trials by this program, and equal to what NumPy, SciPy
//! and scikit-learn make of them.
//!
//! Where no Python with those is found, the tests that need one are skipped, with a line saying so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::skip::skip;
use crate::common::{Lab, files};
use runner::data::sha256;
use runner::parity::python;
use runner::spec::{FIRST_TUNING_SEED, trial_id};
use serde_json::{Value, json};

/// Another processor's sine may differ in its last bit, and Student's t with it.
const RELATIVE: f64 = 1e-12;
/// And so may the rounding of a pixel's place.
const PIXELS_THAT_MAY_DIFFER: f64 = 0.001;

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/lenet_ablation")
}

/// A copy of the stored trials with freshly made tables and plots.
fn rendered() -> (Lab, PathBuf) {
    let lab = Lab::new("");
    let copy = lab.path("results/lenet_ablation");
    for file in files(&stored()) {
        let name = file.strip_prefix(stored()).unwrap();
        let given = ["manifest.json", "test_labels.npy"].iter().any(|given| name == Path::new(given));
        if name.starts_with("trials") || given {
            fs::create_dir_all(copy.join(name).parent().unwrap()).unwrap();
            fs::copy(&file, copy.join(name)).unwrap();
        }
    }
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    lab.run(&format!("report results/lenet_ablation --data {}", images.display())).expect(0);
    (lab, copy)
}

/// Exit code and output of `check_statistics.py`; None, after saying why, where there is no Python.
fn check(test: &str, results: &Path) -> Option<(Option<i32>, String)> {
    let python = python::find().map_err(|error| skip(&format!("{test}: {error:#}"))).ok()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/check_statistics.py");
    let output = Command::new(python).arg(script).arg(results).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some((output.status.code(), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn every_number_is_scipys_and_scikit_learns() {
    let (_lab, results) = rendered();
    let Some((code, said)) = check("every_number_is_scipys_and_scikit_learns", &results) else { return };
    assert_eq!(code, Some(0), "{said}");
    let count: usize = said.split(' ').next().unwrap().parse().unwrap();
    let trials = fs::read_dir(stored().join("trials")).unwrap().count();
    assert!(count > 20_000 && trials >= 75 && said.contains(&format!("{trials} trials")), "{said}");
}

/// Changes the cell of the first data row for which `wanted` holds.
fn falsify(path: &Path, column: &str, value: &str) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let place = header.iter().position(|name| name == column).unwrap();
    let mut rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    // The first row is a base, whose differences are empty.
    let cells = rows[1].iter().enumerate().map(|(index, cell)| if index == place { value } else { cell });
    rows[1] = cells.collect();
    let mut writer = csv::Writer::from_path(path).unwrap();
    writer.write_record(&header).unwrap();
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
}

#[test]
fn a_wrong_number_is_found_whatever_it_is() {
    let (_lab, results) = rendered();
    let columns = [
        ("trials.csv", &["val_curve_area", "seconds_to_val_0.5", "macro_specificity", "accuracy_gap", "test_loss"][..]),
        ("classes.csv", &["precision", "recall", "specificity", "f1"]),
        ("confusion.csv", &["count"]),
        ("history.csv", &["value"]),
        ("summary.csv", SUMMARY),
    ];
    for (table, columns) in columns {
        columns.iter().for_each(|column| falsify(&results.join(table), column, "77"));
    }
    let words =
        [("trials.csv", "role"), ("summary.csv", "verdict"), ("summary.csv", "taken"), ("summary.csv", BECAUSE)];
    for (table, column) in words {
        falsify(&results.join(table), column, "other");
    }
    let Some((code, said)) = check("a_wrong_number_is_found_whatever_it_is", &results) else { return };
    assert_eq!(code, Some(1));
    let found = |table: &str, words: &str| said.lines().any(|line| line.starts_with(table) && line.contains(words));
    for (table, columns) in columns {
        for column in columns {
            let words = match *column {
                "count" => "other counts",
                "value" => "'77'",
                column => column,
            };
            assert!(found(table, words), "{table}, {column} was not missed:\n{said}");
        }
    }
    for (table, column) in words {
        assert!(found(table, column), "{table}, {column} was not missed:\n{said}");
    }
}

const SUMMARY: &[&str] = &[
    "test_accuracy_std",
    "val_loss_ci_low",
    "difference",
    "difference_ci_low",
    "difference_ci_high",
    "p",
    "look",
    "look_base",
    "pending",
];
const BECAUSE: &str = "no_interval_because";

/// A study that settles itself and tunes, made of stored trials: three seeds of each setting and six of the base, which is the
/// first look of at most four seeds.
fn settling() -> (Lab, PathBuf) {
    let lab = Lab::new("");
    let copy = lab.path("results/lenet_ablation");
    let mut manifest: Value = serde_json::from_slice(&fs::read(stored().join("manifest.json")).unwrap()).unwrap();
    let experiment = &mut manifest["experiment"];
    let base = experiment["base"].clone();
    experiment["settle"] = json!({"max_seeds": 4});
    experiment["tune"] = json!({"keys": ["optimizer.lr"], "seeds": 1});
    experiment["seeds"] = json!((0..8).collect::<Vec<u64>>());
    experiment["candidates"] = try_another_rate(&copy, &base);
    // Of the blocks whose trials all have three seeds from the start.
    experiment["blocks"].as_array_mut().unwrap().retain(|block| block["id"] != "early_stopping");
    for block in experiment["blocks"].as_array_mut().unwrap() {
        for variant in block["variants"].as_array_mut().unwrap() {
            variant["candidates"] = try_another_rate(&copy, &variant["config"]);
        }
    }
    for seed in 0..3 {
        imitate(&copy, &base, seed, &base, seed + 3, &|_| {});
    }
    fs::write(copy.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    lab.run("report results/lenet_ablation --data /nowhere").expect(0);
    (lab, copy)
}

/// What the configuration is tuned to: its own learning rate, for the other one's loss is higher. Its trials are written too.
fn try_another_rate(copy: &Path, config: &Value) -> Value {
    let mut other = config.clone();
    other["optimizer"]["lr"] = json!(config["optimizer"]["lr"].as_f64().unwrap() / 2.0);
    for seed in 0..3 {
        imitate(copy, config, seed, config, seed, &|_| {});
    }
    imitate(copy, config, 0, config, FIRST_TUNING_SEED, &|_| {});
    imitate(copy, config, 1, &other, FIRST_TUNING_SEED, &|result| {
        result["scores"]["val"]["loss"] = json!(9.0);
    });
    let candidate = |config: &Value| {
        let rate = config["optimizer"]["lr"].to_string();
        json!({"label": format!("lr={rate}"), "values": [rate], "config": config})
    };
    json!([candidate(config), candidate(&other)])
}

/// A trial with the files of a stored one.
fn imitate(copy: &Path, from: &Value, from_seed: u64, config: &Value, seed: u64, change: &dyn Fn(&mut Value)) {
    let id = |config: &Value, seed| trial_id(&serde_json::from_value(config.clone()).unwrap(), seed);
    let (source, target) =
        (stored().join("trials").join(id(from, from_seed)), copy.join("trials").join(id(config, seed)));
    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(source.join(name)).unwrap()).unwrap();
    let (mut identity, mut result) = (read("config.json"), read("result.json"));
    identity["id"] = json!(id(config, seed));
    identity["config"] = config.clone();
    identity["seed"] = json!(seed);
    change(&mut result);
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("config.json"), serde_json::to_vec(&identity).unwrap()).unwrap();
    fs::write(target.join("result.json"), serde_json::to_vec(&result).unwrap()).unwrap();
    fs::copy(source.join("history.csv"), target.join("history.csv")).unwrap();
}

#[test]
fn looks_and_tuned_values_are_scipys_too() {
    let (_lab, results) = settling();
    let mut reader = csv::Reader::from_path(results.join("summary.csv")).unwrap();
    let rows: Vec<HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let has = |column: &str, value: &str| rows.iter().filter(|row| row[column] == value).count();
    // Decided settings are at the first look, the others wait for the second.
    assert!(has("look", "3") == 24 && has("look_base", "6") == 24 && has("pending", "1") > 10, "{rows:?}");
    assert!(has("verdict", "worse") > 1 && has("pending", "0") > 1, "{rows:?}");
    assert_eq!(has("taken", "lr=0.01 (at the edge)"), 26, "{rows:?}");
    let test = "looks_and_tuned_values_are_scipys_too";
    let Some((code, said)) = check(test, &results) else { return };
    assert_eq!(code, Some(0), "{said}");
    for (column, value) in [("look", "4"), ("taken", "lr=0.02"), ("difference_ci_low", "0.5"), ("pending", "7")] {
        falsify(&results.join("summary.csv"), column, value);
    }
    let Some((_, said)) = check(test, &results) else { return };
    for column in ["look", "taken", "difference_ci_low", "pending"] {
        assert!(said.lines().any(|line| line.contains(&format!(", {column}: "))), "{column} was missed:\n{said}");
    }
}

#[test]
fn the_stored_tables_and_plots_are_what_the_program_makes() {
    let (_lab, fresh) = rendered();
    let names = |folder: &Path| -> Vec<PathBuf> {
        let elsewhere = ["trials", "work", "tensorboard", "report.html"];
        let own = |path: &PathBuf| !elsewhere.iter().any(|part| path.starts_with(part));
        let below = files(folder).into_iter().map(|path| path.strip_prefix(folder).unwrap().to_owned());
        let mut names: Vec<PathBuf> = below.filter(own).collect();
        names.sort();
        names
    };
    // Without the test images, pictures of them cannot be made.
    let needs_images = |name: &PathBuf| name.to_string_lossy().starts_with("plots/mistakes_");
    let missing: Vec<PathBuf> = names(&stored()).into_iter().filter(|name| !fresh.join(name).exists()).collect();
    assert!(missing.iter().all(needs_images), "no longer made: {missing:?}");
    for name in names(&fresh) {
        let (old, new) = (fs::read(stored().join(&name)).unwrap(), fs::read(fresh.join(&name)).unwrap());
        let same = match name.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => same_table(&old, &new),
            Some("png") => same_picture(&old, &new),
            // Checksums of all these, which need not be the same to the last byte: each folder's are of its own.
            Some("json") if name == Path::new("made.json") => made(&stored(), &old) == made(&fresh, &new),
            _ => old == new,
        };
        assert!(same, "{} is not what `runner report results/lenet_ablation` makes", name.display());
    }
}

/// The files that are listed as made by the program, held against their checksums where they are there.
fn made(folder: &Path, list: &[u8]) -> BTreeSet<String> {
    let checksums: BTreeMap<String, BTreeSet<String>> = serde_json::from_slice(list).unwrap();
    for (name, own) in &checksums {
        if let Ok(bytes) = fs::read(folder.join(name)) {
            assert!(own.contains(&sha256([&*bytes])), "{}: {name} is not what is listed", folder.display());
        }
    }
    checksums.into_keys().collect()
}

fn same_table(old: &[u8], new: &[u8]) -> bool {
    let cells = |bytes: &[u8]| -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let same_cell = |(old, new): (&String, &String)| {
        old == new
            || matches!((old.parse::<f64>(), new.parse::<f64>()), (Ok(a), Ok(b)) if (a - b).abs() <= RELATIVE * a.abs())
    };
    let (old, new) = (cells(old), cells(new));
    let same_row =
        |(old, new): (&Vec<String>, &Vec<String>)| old.len() == new.len() && old.iter().zip(new).all(same_cell);
    old.len() == new.len() && old.iter().zip(&new).all(same_row)
}

fn same_picture(old: &[u8], new: &[u8]) -> bool {
    let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8();
    let (old, new) = (pixels(old), pixels(new));
    let different = old.pixels().zip(new.pixels()).filter(|(old, new)| old != new).count();
    old.dimensions() == new.dimensions()
        && different as f64 <= PIXELS_THAT_MAY_DIFFER * f64::from(old.width() * old.height())
}

/// The page that holds the stored results against what was claimed.
#[test]
fn the_page_of_claims_is_made_from_the_stored_tables() {
    let Ok(python) = python::find().map_err(|error| skip(&format!("the page of claims: {error:#}"))) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/claims.py");
    let output = Command::new(python).arg(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// That page has no table of Student's t, as it needs nothing but Python.
const STUDENTS_T: &str = "
import sys
sys.path.insert(0, sys.argv[1])
import claims
from scipy import stats
for freedom in range(1, 100):
    ours, theirs = claims.t_quantile(freedom), stats.t.ppf(0.975, freedom)
    assert abs(ours - theirs) < 1e-7 * theirs, (freedom, ours, theirs)
";

#[test]
fn the_intervals_of_the_page_of_claims_are_of_scipys_t() {
    let Ok(python) = python::find().map_err(|error| skip(&format!("the page's t: {error:#}"))) else { return };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let output = Command::new(python).args(["-B", "-c", STUDENTS_T]).arg(scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
