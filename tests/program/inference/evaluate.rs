//! `runner evaluate`: the scores that a sweep stored, side by side, drawn, or why there are none.

use std::fs;

use serde_json::Value as Json;

use super::shared::{TINY, Trials, evaluated, folder, json, lab, on_a_terminal, trials};
use crate::common::{BAD_INPUT, DONE, Lab, names};

#[test]
fn evaluate_finds_the_scores_that_the_sweep_stored() {
    let id = trials().base;
    let stored =
        json(&fs::read_to_string(lab().result(&format!("trials/{id}/result.json"))).unwrap())["scores"].clone();
    for split in ["test", "val", "train"] {
        let found = evaluated(&format!("{} --split {split}", folder(&id)))[0].clone();
        // Sums may be taken in another order with another number of threads.
        let close = |a: &Json, b: &Json| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6;
        assert!(
            close(&found["loss"], &stored[split]["loss"]),
            "{split}: {} or {}",
            found["loss"],
            stored[split]["loss"]
        );
        assert_eq!(found["accuracy"], stored[split]["accuracy"], "{split}");
        assert_eq!((&found["trial"], &found["seed"], &found["split"]), (&id.clone().into(), &7.into(), &split.into()));
        if split == "test" {
            assert_eq!(found["confusion"], stored["confusion"]);
        }
    }
}

#[test]
fn evaluate_sets_networks_side_by_side() {
    let Trials { base, relu, .. } = trials();
    let ended = lab().run(&format!("evaluate {} {}", folder(&base), folder(&relu))).expect(DONE);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0], "test split · lenet5 · SYNTHETIC data · 1,000 images");
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!([words(2), words(3), words(4)].concat(), ["checkpoint", "activation", &base, "tanh", &relu, "relu"]);
    assert_eq!(words(6), ["checkpoint", "loss", "accuracy", "precision", "recall", "specificity", "F1"]);
    assert_eq!((words(7)[0], words(8)[0]), (base.as_str(), relu.as_str()));
    assert_eq!(words(11), ["class", "checkpoint", "images", "precision", "recall", "specificity", "F1"]);
    assert_eq!((&words(12)[..3], &words(13)[..2]), (&["disc", &base, "100"][..], &[relu.as_str(), "100"][..]));
    // The same trial twice: numbers, for the ids do not tell them apart.
    let twice = format!("evaluate {0} {0}/best.safetensors", folder(&base));
    let text = on_a_terminal(lab().command(&twice));
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
    assert!(text.contains("…") && text.contains(".safetensors"), "{text}");
}

#[test]
fn evaluate_draws_each_network() {
    let Trials { base, relu, .. } = trials();
    let ended =
        lab().run(&format!("evaluate {} {} --split val --plots figures/val --json", folder(&base), folder(&relu)));
    json(&ended.expect(DONE).out);
    let mut made = names(&lab().path("figures/val"));
    made.sort();
    let mut expected: Vec<String> = [&base, &relu]
        .iter()
        .flat_map(|id| ["classes", "confusion"].map(|kind| format!("{id}_val_{kind}.png")))
        .collect();
    expected.sort();
    assert_eq!(made, expected);
    for name in made {
        let picture = image::open(lab().path("figures/val").join(name)).unwrap();
        assert!(picture.width() == 1800 && picture.height() > 400);
    }
}

#[test]
fn evaluate_says_where_missing_weights_come_from() {
    let Trials { base, diverged, .. } = trials();
    lab()
        .run(&format!("evaluate {}", folder(&diverged)))
        .expect(BAD_INPUT)
        .saying(&["the trial diverged (epoch 1", "no weights"]);
    lab().run("evaluate results/tiny").expect(BAD_INPUT).saying(&["a results folder", "runner show results/tiny"]);
    lab().run("evaluate results/tiny/plots").expect(BAD_INPUT).saying(&["not the folder of a finished trial"]);
    let copy = lab().path("without-weights");
    let bare = copy.join(&base);
    fs::create_dir_all(&bare).unwrap();
    fs::copy(lab().result(&format!("trials/{base}/result.json")), bare.join("result.json")).unwrap();
    let again = format!("--only {base} --rerun all");
    lab()
        .run(&format!("evaluate without-weights/{base}"))
        .expect(BAD_INPUT)
        .saying(&["its weights are not here", &again]);
}

#[test]
fn weights_that_were_lost_are_trained_again_as_told() {
    let lab = Lab::new(&TINY.replace("epochs: 3", "epochs: 1").replace("1e30", "0.001"));
    lab.sweep("").expect(DONE);
    let id = lab.stored()[0].clone();
    let weights = lab.result(&format!("trials/{id}/best.safetensors"));
    let before = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap();
    lab.sweep(&format!("--only {id} --rerun all")).expect(DONE);
    assert!(fs::read(&weights).unwrap() == before && lab.starts().iter().sum::<usize>() == 3);
}
