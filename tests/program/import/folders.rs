//! Folders of pictures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::ImageFormat;
use runner::pictures::small_square;
use serde_json::Value;

use super::made::{NAMES, class_folders, encoded, picture, transparent};
use crate::common::{BAD_INPUT, DONE, FAILED, Lab, files};

const EXPERIMENT: &str = "
schema: 1
name: tiny
data: {dataset: shapes}
seeds: [0, 1]
base:
  model: lenet5
  epochs: 2
  batch_size: 64
  optimizer: {name: sgd, lr: 0.02, momentum: 0.9}
blocks:
  - {id: init, axes: {init: [xavier_uniform]}}
";

fn manifest(lab: &Lab, out: &str) -> Value {
    serde_json::from_slice(&fs::read(lab.path(out).join("import.json")).unwrap()).unwrap()
}

/// Two classes of six pictures each, of other shades with another `seed`.
fn few(folder: &Path, seed: u8) {
    for (class, name) in ["cats", "dogs"].iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..6_u8 {
            let planes = vec![seed + 20 * number + 110 * class as u8; 3072];
            fs::write(folder.join(format!("{number}.png")), encoded(&picture(&planes, 5), ImageFormat::Png)).unwrap();
        }
    }
}

#[test]
fn a_thousand_pictures_with_a_broken_one_and_a_class_of_two_are_imported_trained_and_reported() {
    let lab = Lab::new(EXPERIMENT);
    class_folders(&lab.path("pictures"));
    fs::write(lab.path("pictures/disc/.DS_Store"), b"x").unwrap();
    fs::write(lab.path("pictures/ring/notes.txt"), b"not a picture").unwrap();
    fs::write(lab.path("pictures/README"), b"beside the classes").unwrap();

    let ended = lab.run("data import pictures shapes").expect(FAILED).saying(&[
        "not read: disc/0002.png: ",
        "not read: ring/notes.txt: not a picture that can be read here",
        "passed over: disc/.DS_Store: its name begins with a dot",
        "passed over: README: not in the folder of a class",
        "warning: class triangle has 1 image to train on and 1 to test",
    ]);
    assert!(ended.out.contains("2 pictures not read, 2 passed over"), "{}", ended.out);
    let told = manifest(&lab, "shapes");
    assert_eq!(
        told["classes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>(),
        NAMES
    );
    let (train, test) = (told["train"].as_u64().unwrap(), told["test"].as_u64().unwrap());
    assert_eq!(train + test, 1_000, "of 1,001 pictures one is broken");
    assert_eq!(told["images_per_class"][6], serde_json::json!([1, 1]));
    assert_eq!(told["unreadable"].as_array().unwrap().len(), 2);

    // The same once more is the same, and what is there is whole.
    let before = files(&lab.path("shapes"));
    lab.run("data import pictures shapes").expect(FAILED);
    assert!(files(&lab.path("shapes")) == before);
    assert!(lab.run("data verify --data shapes").expect(DONE).out.contains("as it was imported"));
    let info: Value = serde_json::from_str(&lab.run("data info --json --data shapes").expect(DONE).out).unwrap();
    assert_eq!((&info["name"], &info["train"]["images_per_class"][6]), (&"shapes".into(), &1.into()));
    assert!(lab.run("doctor --data shapes").expect(DONE).out.contains("shapes, 1000 images in 7 classes"));

    // --data names the import, or the folder around it.
    let plan = lab.sweep("--plan --data shapes").expect(DONE).out;
    assert_eq!(plan, lab.sweep("--plan --data .").expect(DONE).out);
    lab.sweep("--data shapes").expect(DONE);
    assert!(lab.sweep("--data shapes").expect(DONE).out.contains("4 done"));
    lab.run("report results/tiny --data shapes").expect(DONE);
    let classes = fs::read_to_string(lab.result("classes.csv")).unwrap();
    assert_eq!(classes.lines().count(), 1 + 4 * 7);
    assert!(NAMES.iter().all(|name| classes.contains(&format!(",{name},"))), "{classes}");
    let trials = fs::read_to_string(lab.result("trials.csv")).unwrap();
    assert!(trials.contains(",shapes,") && !trials.contains("airplane"), "{trials}");
    let report = fs::read_to_string(lab.result("report.md")).unwrap();
    let error = format!("on these {test} test images has a standard error of about ");
    assert!(
        report.contains("shapes") && report.contains(&error) && !report.to_lowercase().contains("cifar"),
        "{report}"
    );

    let id = lab.stored()[0].clone();
    let predicted = lab.run(&format!("predict results/tiny/trials/{id} pictures/plus")).expect(DONE).out;
    let first = predicted.lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned();
    assert!(NAMES.contains(&first.as_str()), "{predicted}");
    let shown = lab.run(&format!("evaluate results/tiny/trials/{id} --data shapes")).expect(DONE).out;
    assert!(shown.contains("triangle") && shown.contains(&format!("{test} images")), "{shown}");
    lab.run(&format!("export results/tiny/trials/{id} out")).expect(DONE);
    let module = fs::read_to_string(lab.path("out/lenet5.py")).unwrap();
    assert!(module.contains("nn.Linear(84, 7)") && module.contains("\"hourglass\""), "{module}");
    lab.run("show results/tiny").expect(DONE);
}

#[test]
fn images_are_those_that_predict_sees() {
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures"), 0);
    fs::write(lab.path("pictures/cats/0.png"), encoded(&transparent(45), ImageFormat::Png)).unwrap();
    lab.run("data import pictures shapes").expect(DONE);
    let mut seen: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
    for part in ["train.bin", "test.bin"] {
        let bytes = fs::read(lab.path("shapes").join(part)).unwrap();
        seen.extend(bytes.chunks_exact(3073).map(|record| (record[1..].to_vec(), record[0])));
    }
    assert_eq!(seen.len(), 12);
    for (label, class) in ["cats", "dogs"].iter().enumerate() {
        for number in 0..6 {
            let bytes = fs::read(lab.path(&format!("pictures/{class}/{number}.png"))).unwrap();
            let pixels = small_square(&bytes, 32).unwrap();
            let planes: Vec<u8> =
                (0..3).flat_map(|plane| pixels.iter().skip(plane).step_by(3).copied().collect::<Vec<_>>()).collect();
            assert_eq!(seen.get(&planes), Some(&(label as u8)), "{class}/{number}.png");
        }
    }
}

#[test]
fn a_split_is_stratified_and_stays_where_other_pictures_come() {
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures"), 0);
    lab.run("data import pictures one --seed 3 --test 0.34").expect(DONE);
    assert_eq!(manifest(&lab, "one")["images_per_class"], serde_json::json!([[4, 2], [4, 2]]));
    let of_dogs = |out: &str| -> Vec<Vec<u8>> {
        let bytes = fs::read(lab.path(out).join("test.bin")).unwrap();
        bytes.chunks_exact(3073).filter(|record| record[0] == 1).map(|record| record[1..].to_vec()).collect()
    };
    fs::remove_file(lab.path("pictures/cats/1.png")).unwrap();
    lab.run("data import pictures two --seed 3 --test 0.34").expect(DONE);
    assert_eq!(of_dogs("one"), of_dogs("two"), "what is in another class does not matter");
    lab.run("data import pictures three --seed 4 --test 0.34").expect(DONE);
    assert_ne!(of_dogs("one"), of_dogs("three"), "another seed draws others");
}

#[test]
fn parts_of_a_source_are_kept() {
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures/train"), 0);
    few(&lab.path("pictures/test"), 3);
    few(&lab.path("pictures/extra"), 3);
    fs::remove_file(lab.path("pictures/test/dogs/5.png")).unwrap();
    let ended = lab.run("data import pictures shapes").expect(DONE);
    ended.saying(&["passed over: extra: beside train/ and test/"]);
    assert_eq!(manifest(&lab, "shapes")["images_per_class"], serde_json::json!([[6, 6], [6, 5]]));
    let says = |arguments: &str, words: &[&str]| drop(lab.run(arguments).expect(BAD_INPUT).saying(words));
    says("data import pictures other --test 0.3", &["--test is for sources without test images of their own"]);
    says("data import pictures other --labels fine", &["--labels is for CIFAR-100"]);
    few(&lab.path("pictures/test/birds"), 0);
    says("data import pictures other", &["test/birds: there is no class of this name in train/"]);
    fs::remove_dir_all(lab.path("pictures/test")).unwrap();
    says("data import pictures other", &["train/ without test/", "name train/ itself"]);
    assert!(!lab.path("other").exists(), "nothing was written");
}

#[test]
fn what_is_no_source_or_no_place_is_refused_with_the_way_on() {
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures"), 0);
    let says = |arguments: &str, words: &[&str]| drop(lab.run(arguments).expect(BAD_INPUT).saying(words));
    says("data import nowhere out", &["nowhere: there is no such folder"]);
    says("data import tiny.yaml out", &["tiny.yaml: a file; unpack it"]);
    says("data import pictures/cats out", &["0 class folders, and 2 to 256 are wanted", "it holds 0.png, 1.png"]);
    says("data import pictures pictures/out", &["pictures/out: lies in pictures, whose folders are classes"]);
    says("data import pictures Bad", &["1 to 64 of a-z", "\"Bad\"; --name NAME gives another"]);
    says("data import pictures cifar10", &["cifar10 is a data set of this program; --name"]);
    fs::create_dir(lab.path("pictures/empty")).unwrap();
    says("data import pictures out", &["not one picture to train on of class empty"]);
    fs::remove_dir(lab.path("pictures/empty")).unwrap();
    assert!(!lab.path("out").exists());

    fs::create_dir(lab.path("mine")).unwrap();
    fs::write(lab.path("mine/thesis.txt"), b"kept").unwrap();
    says(
        "data import pictures mine",
        &["mine: holds thesis.txt; an import takes a folder of its own; name another OUT"],
    );
    lab.run("data import pictures out").expect(DONE);
    let before = files(&lab.path("out"));
    few(&lab.path("pictures"), 7);
    says("data import pictures out", &["out: holds another import"]);
    assert!(files(&lab.path("out")) == before && fs::read(lab.path("mine/thesis.txt")).unwrap() == b"kept");
}

#[test]
fn an_experiment_without_its_import_says_where_it_looked() {
    let lab = Lab::new(EXPERIMENT);
    let plan = |options: &str| lab.sweep(&format!("--plan {options}")).expect(BAD_INPUT);
    plan("").saying(&[
        "tiny.yaml:4:17: data.dataset: there is no `shapes`; valid: cifar10, synthetic",
        "data (--data) holds no",
    ]);
    few(&lab.path("pictures"), 0);
    lab.run("data import pictures kept/shapes").expect(DONE);
    lab.run("data import pictures kept/forms").expect(DONE);
    plan("--data kept/forms").saying(&["valid: cifar10, synthetic, forms"]);
    plan("--data kept --dataset form")
        .saying(&["--dataset form: data.dataset: there is no `form`", "did you mean `forms`?"]);
    plan("--data kept").saying(&["batch_size: 64 is more than the 9 images there are to train on"]);
    let plan = lab.sweep("--plan --data kept --set batch_size=4").expect(DONE).out;
    let other = lab.sweep("--plan --data kept --dataset forms --set batch_size=4").expect(DONE).out;
    assert_ne!(plan.lines().next(), other.lines().next(), "the name is a part of the trial");
    lab.run("data import pictures again --name shapes").expect(DONE);
    fs::rename(lab.path("again"), lab.path("kept/again")).unwrap();
    lab.sweep("--plan --data kept").expect(BAD_INPUT).saying(&["are both called `shapes`; --data names the one"]);
    fs::write(lab.path("kept/forms/import.json"), b"{}").unwrap();
    lab.sweep("--plan --data kept").expect(BAD_INPUT).saying(&["kept/forms/import.json: "]);
    lab.sweep("--plan --data kept --dataset cifar10").expect(DONE);
}

#[test]
fn trials_of_different_images_never_meet() {
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures"), 0);
    lab.run("data import pictures shapes").expect(DONE);
    let options = "--set batch_size=4 --set epochs=1";
    lab.sweep(&format!("--data shapes {options}")).expect(DONE);
    let first = lab.stored();
    few(&lab.path("pictures"), 7);
    fs::rename(lab.path("shapes"), lab.path("kept")).unwrap();
    lab.run("data import pictures shapes").expect(DONE);
    lab.sweep(&format!("--data shapes {options}")).expect(BAD_INPUT).saying(&["made from other shapes images"]);
    lab.sweep(&format!("--data shapes {options} --out results/other")).expect(DONE);
    let mut second: Vec<String> = fs::read_dir(lab.path("results/other/trials"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    second.retain(|id| first.contains(id));
    assert_eq!(second, Vec::<String>::new());
    lab.run(&format!("evaluate results/tiny/trials/{} --data shapes", first[0]))
        .expect(BAD_INPUT)
        .saying(&["other images called shapes"]);

    // Damage is named, not trained on.
    let path = lab.path("kept/train.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = ["train.bin: changed since it was imported, or damaged"];
    lab.run("data verify --data kept").expect(BAD_INPUT).saying(&damaged);
    lab.sweep(&format!("--data kept {options} --rerun all")).expect(BAD_INPUT).saying(&damaged);
}

/// Names end in tables, plots and Python.
#[test]
fn classes_of_any_name_go_through() {
    const ODD: [&str; 2] = ["{scale}, \"cafe\u{301}\" = 1 + 1", "| ../\u{200b}日本"];
    let lab = Lab::new(EXPERIMENT);
    few(&lab.path("pictures"), 0);
    // A folder's name has no slash.
    let odd = ODD.map(|name| name.replace('/', "_"));
    for (old, new) in ["cats", "dogs"].iter().zip(&odd) {
        fs::rename(lab.path("pictures").join(old), lab.path("pictures").join(new)).unwrap();
    }
    lab.run("data import pictures shapes").expect(DONE);
    lab.sweep("--data shapes --set batch_size=4 --set epochs=1 --set seeds=[0]").expect(DONE);
    let table = fs::read_to_string(lab.result("classes.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let found: Vec<String> = rows.records().map(|row| row.unwrap()[1].to_owned()).collect();
    assert_eq!(found[..2], odd);
    let id = lab.stored()[0].clone();
    lab.run(&format!("export results/tiny/trials/{id} out")).expect(DONE);
    let module = fs::read_to_string(lab.path("out/lenet5.py")).unwrap();
    let list = format!("[{}, {}]", Value::from(odd[0].as_str()), Value::from(odd[1].as_str()));
    assert!(module.contains(&list), "{module}");
    fs::rename(lab.path("pictures").join(&odd[0]), lab.path("asked")).unwrap();
    let predicted = lab.run(&format!("predict results/tiny/trials/{id} asked")).expect(DONE).out;
    let mut rows = csv::Reader::from_reader(predicted.as_bytes());
    let row = rows.records().next().unwrap().unwrap();
    assert!(odd.contains(&row[1].to_owned()) && row[5].is_empty(), "of two classes there is no third: {predicted}");
}
