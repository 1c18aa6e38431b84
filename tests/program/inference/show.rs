//! `runner show`: what a table of trials has and leaves out.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value as Json;

use super::shared::{TINY, Trials, json, lab, on_a_terminal, trials};
use crate::common::{BAD_INPUT, DONE, INTERRUPTED, Lab, wait_until};

#[test]
fn show_lists_the_best_first_and_what_diverged_last() {
    let Trials { base, relu, diverged } = trials();
    let ended = lab().run("show results/tiny").expect(DONE).saying(&["3 trials: 2 done, 1 diverged"]);
    let rows: Vec<Vec<&str>> = ended
        .out
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    // One seed and one optimizer: only what differs has a column.
    let header = "label id status seed activation lr epochs_run best_epoch val_accuracy test_accuracy test_loss accuracy_gap seconds";
    assert_eq!(rows[0].join(" "), header);
    let accuracy = lab().column("test_accuracy");
    let best_first = if accuracy[&base].parse::<f64>().unwrap() >= accuracy[&relu].parse().unwrap() {
        [&base, &relu]
    } else {
        [&relu, &base]
    };
    assert_eq!([rows[1][1], rows[2][1], rows[3][1]], [best_first[0], best_first[1], &diverged]);
    assert_eq!((rows[3][2], rows[3][9]), ("diverged", "–"));
    let percent = format!("{:.2}%", 100.0 * accuracy[best_first[0]].parse::<f64>().unwrap());
    assert_eq!(rows[1][9], percent);
    assert_eq!(rows[3][0], "rate: relu · lr=1e30");
}

#[test]
fn a_trial_that_diverges_in_its_first_epoch_took_0_seconds() {
    let Trials { diverged, .. } = trials();
    let text = fs::read_to_string(lab().result(&format!("trials/{diverged}/result.json"))).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = ["seconds", "images_per_second"].map(|name| result[name].as_f64().unwrap().to_bits());
    assert_eq!(numbers, [0.0f64.to_bits(); 2], "{text}");
    assert_eq!(lab().column("seconds")[&diverged], "0.0");
}

#[test]
fn show_gives_scripts_the_numbers_of_the_tables() {
    let ended = lab().run("show results/tiny --json --filter status=done --filter lr<1").expect(DONE);
    let rows = json(&ended.out);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let table: BTreeMap<String, _> =
        lab().table("trials.csv").into_iter().map(|row| (row["id"].clone(), row)).collect();
    for row in rows.as_array().unwrap() {
        let stored = &table[row["id"].as_str().unwrap()];
        assert_eq!(row.as_object().unwrap().len(), stored.len());
        assert_eq!(row["test_loss"].as_f64().unwrap(), stored["test_loss"].parse::<f64>().unwrap());
        assert_eq!((&row["seed"], &row["error"], &row["model.name"]), (&7.into(), &Json::Null, &"lenet5".into()));
    }
    let none = lab().run("show results/tiny --json --filter status=failed").expect(DONE);
    assert_eq!(json(&none.out), Json::Array(vec![]));
    assert!(none.err.contains("no trial with status=failed; status is diverged, done"), "{}", none.err);
}

#[test]
fn show_tells_what_it_does_not_understand() {
    lab().run("show results/tiny --sort accuracy").expect(BAD_INPUT).saying(&[
        "`accuracy`",
        "valid: label, id, ",
        "val_accuracy",
    ]);
    lab().run("show results/tiny --columns id,statuss").expect(BAD_INPUT).saying(&["did you mean `status`?"]);
    lab().run("show results").expect(BAD_INPUT).saying(&["results: not a results folder"]);
}

#[test]
fn show_fits_a_terminal() {
    let text =
        on_a_terminal(lab().command("show results/tiny --columns id,status,error,test_accuracy,blocks,activation,lr"));
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end()).collect();
    assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80), "{text}");
    assert!(lines[1].starts_with("id ") && lines[0].trim() == "test_", "a header of two lines:\n{text}");
    assert!(text.lines().any(|line| line.contains("\u{1b}[31m") && line.contains("diverged")), "in red:\n{text}");
}

#[test]
fn show_sees_what_runs_and_what_waits() {
    let experiment = TINY.replace("epochs: 3", "epochs: 2000").replace("1e30", "0.001");
    let lab = Lab::new(&experiment);
    let sweep = lab.start_sweep("--jobs 1");
    let statuses = || -> Vec<String> {
        let ended = lab.run("show results/tiny --json --columns status,epochs_run --sort epochs_run --reverse");
        let rows = if ended.code() == DONE { json(&ended.out) } else { Json::Array(vec![]) };
        let text = |row: &Json| format!("{} {}", row["status"].as_str().unwrap(), row["epochs_run"]);
        rows.as_array().unwrap().iter().map(text).collect()
    };
    wait_until("a trial has finished an epoch", || {
        statuses().first().is_some_and(|first| first.starts_with("running") && first != "running 0")
    });
    assert_eq!(statuses()[1..], ["waiting 0", "waiting 0"]);
    sweep.signal(libc::SIGINT);
    sweep.end().expect(INTERRUPTED);
    assert!(statuses()[0].starts_with("waiting") && statuses()[0] != "waiting 0", "its epochs are stored");
}

#[test]
fn eighty_columns_tell_trials_apart_by_their_labels() {
    let text = on_a_terminal(lab().command("show results/tiny"));
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end()).collect();
    assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80), "{text}");
    for label in ["base ", "activation: relu ", "rate: "] {
        let line = lines.iter().find(|line| console::strip_ansi_codes(line).starts_with(label));
        assert!(line.is_some(), "{label}:\n{text}");
    }
    assert!(
        lab().run("show results/tiny --columns label,lr --filter label!=base").expect(DONE).out.starts_with("label")
    );
}
