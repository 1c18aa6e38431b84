//! Rows 21, 24 and 25: trials that diverge, that are no longer asked for, and numbers that are none.

use std::fs;

use crate::common::{DONE, Lab, TINY, TINY_TRIALS, one};

#[test]
fn row_21_a_diverging_trial_keeps_its_history_and_the_sweep_goes_on() {
    let stages = "schedule: [{name: staged, stages: [{epochs: 1, lr: 0.01}, {epochs: 1, lr: 1e30}]}]";
    let experiment = TINY.replace("lenet5", "lenet5\n  activation: relu").replace("[relu]", "[tanh]");
    let lab = Lab::new(&experiment.replace("init: [xavier_uniform]", stages));
    let ended = lab.sweep("--trace").expect(DONE).saying(&["diverged: epoch 2, step"]);
    assert!(ended.out.contains("4 done, 2 diverged, 0 failed"), "{}", ended.out);
    let diverged: Vec<_> = lab.table("trials.csv").into_iter().filter(|row| row["status"] == "diverged").collect();
    assert_eq!(diverged.len(), 2);
    for row in diverged {
        let trial = lab.result("trials").join(&row["id"]);
        assert_eq!(fs::read_to_string(trial.join("history.csv")).unwrap().lines().count(), 2, "one epoch is finished");
        let steps = fs::read_to_string(trial.join("steps.csv")).unwrap();
        assert!(steps.lines().last().unwrap().contains("NaN"), "the step that diverged is traced:\n{steps}");
    }
    let summary = lab.table("summary.csv");
    assert!(summary.iter().any(|row| row["block"] == "init" && row["diverged"] == "2" && row["n"] == "0"));
    assert!(fs::read_to_string(lab.result("report.md")).unwrap().contains("4 done, 0 failed, 2 diverged"));
    // It is an outcome, not an accident: nothing runs again unless asked.
    lab.sweep("").expect(DONE).saying(&["6 of 6 trials are stored already"]);
}

#[test]
fn row_24_an_edited_experiment_keeps_what_applies_and_says_what_it_drops() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.bytes();
    fs::write(lab.path("tiny.yaml"), TINY.replace("[relu]", "[silu]").replace("{id: init", "{id: start")).unwrap();
    lab.sweep("")
        .expect(DONE)
        .saying(&["4 of 6 trials are stored already", "2 stored trials are not in this experiment"]);
    assert_eq!((lab.table("trials.csv").len(), lab.stored().len()), (TINY_TRIALS, TINY_TRIALS + 2));
    assert!(lab.column("activation.name").values().all(|activation| activation != "relu"));
    let kept = before.iter().filter(|(path, _)| path.starts_with(lab.result("trials")));
    kept.for_each(|(path, bytes)| assert!(fs::read(path).unwrap() == *bytes, "{}", path.display()));
    // Dropped is not gone: the old experiment finds all of its trials.
    fs::write(lab.path("tiny.yaml"), TINY).unwrap();
    lab.sweep("").expect(DONE).saying(&["6 of 6 trials are stored already"]);
}

#[test]
fn row_25_scores_that_are_not_finite_are_stored_read_and_shown() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let path = lab.result("trials").join(&lab.stored()[0]).join("result.json");
    let result: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let loss = result["scores"]["test"]["loss"].as_f64().unwrap();
    let shown = lab.column("test_loss").into_values().next().unwrap();
    assert_eq!(shown.parse::<f64>().unwrap().to_bits(), loss.to_bits(), "a table shows every bit");
    for (stored, in_table) in [("inf", "inf"), ("-inf", "-inf"), ("NaN", "NaN")] {
        let mut result = result.clone();
        result["scores"]["test"]["loss"] = stored.into();
        let text = serde_json::to_string_pretty(&result).unwrap();
        fs::write(&path, &text).unwrap();
        lab.sweep("").expect(DONE).saying(&["1 of 1 trials are stored already"]);
        assert_eq!(lab.column("test_loss").into_values().next().unwrap(), in_table);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
