//! The program as a whole: real sweeps of tiny experiments. What can go wrong with them is in `tests/program/faults`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::common::clock::{Steady, change_clocks};
use crate::common::skip::skip;
use crate::common::{
    BAD_INPUT, DONE, INTERRUPTED, Lab, TINY, TINY_TRIALS, assert_same, files, head, kill, long, names, one,
};
use libc::{SIGINT, SIGKILL};
use runner::parity::python;

#[test]
fn a_sweep_leaves_every_table_plot_and_trial() {
    let lab = Lab::new(TINY);
    let ended = lab.sweep("").expect(DONE);
    assert!(ended.out.contains("6 done, 0 diverged, 0 failed; results in results/tiny"), "{}", ended.out);
    for name in ["plan.csv", "history.csv", "classes.csv", "confusion.csv", "summary.csv", "manifest.json", "report.md"]
    {
        assert!(!head(&lab.result(name), 1).is_empty(), "{name}");
    }
    let trials = lab.table("trials.csv");
    assert_eq!(
        (trials.len(), lab.table("plan.csv").len(), lab.stored().len()),
        (TINY_TRIALS, TINY_TRIALS, TINY_TRIALS)
    );
    assert!(trials.iter().all(|row| row["parameters"] == "62006" && row["status"] == "done" && row["attempts"] == "1"));
    for id in lab.stored() {
        let mut left = names(&lab.result("trials").join(&id));
        left.sort();
        let expected = [
            "best.safetensors",
            "config.json",
            "history.csv",
            "last.safetensors",
            "log.txt",
            "predictions.npy",
            "result.json",
            "showcase.json",
        ];
        assert_eq!(left, expected);
    }
    let plots = files(&lab.result("plots"));
    assert!(plots.len() >= 6);
    for plot in plots {
        let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&plot).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap_or_else(|error| panic!("{}: {error}", plot.display()));
    }
    assert_eq!(names(&lab.result("work")), ["publish.lock"]);
}

#[test]
fn the_same_command_again_runs_nothing_and_changes_no_byte() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.bytes();
    lab.sweep("").expect(DONE).saying(&["6 of 6 trials are stored already"]);
    assert!(lab.bytes() == before);
    lab.run("report results/tiny").expect(DONE);
    assert!(lab.bytes() == before);
    for name in ["trials.csv", "plots", "work", "report.md"] {
        let path = lab.result(name);
        if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
    lab.run("report results/tiny").expect(DONE);
    assert!(lab.bytes() == before);
}

#[test]
fn a_second_run_of_all_trials_gives_the_same_bits() {
    let lab = Lab::new(TINY);
    lab.sweep("--jobs 1").expect(DONE);
    let before = lab.essence();
    lab.sweep("--rerun all --jobs 3").expect(DONE);
    assert_same(&lab.essence(), &before);
}

#[test]
fn a_sweep_with_nothing_to_run_leaves_who_computed_the_trials() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let manifest = lab.result("manifest.json");
    let edit = |key: &str, value: &str| {
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        json[key] = value.into();
        fs::write(&manifest, serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    };
    edit("git", "another build");
    edit("processor", "another machine");
    lab.sweep("").expect(DONE);
    let told = || fs::read_to_string(&manifest).unwrap();
    assert!(told().contains("another build") && told().contains("another machine"));
    lab.sweep("--rerun all").expect(DONE);
    assert!(!told().contains("another build") && !told().contains("another machine"));
    assert!(lab.column("git").values().all(|git| !git.is_empty() && git != "another build"));
}

#[test]
fn pictures_of_ones_own_stay_among_the_plots() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let (own, block) = (lab.result("plots/my_own.png"), lab.result("plots/init_loss.png"));
    fs::write(&own, b"a picture").unwrap();
    assert!(block.exists());
    fs::write(lab.path("tiny.yaml"), TINY.replace("id: init", "id: start")).unwrap();
    lab.sweep("").expect(DONE);
    assert!(own.exists() && !block.exists() && lab.result("plots/start_loss.png").exists());
}

#[test]
fn a_plan_runs_nothing_and_counts_what_is_new() {
    let lab = Lab::new(TINY);
    let plan = lab.sweep("--plan").expect(DONE).out;
    assert!(plan.contains("6 trials, 6 to run; results in results/tiny"), "{plan}");
    assert!(!lab.path("results").exists());
    lab.sweep("--only init").expect(DONE);
    assert_eq!((lab.table("trials.csv").len(), lab.table("plan.csv").len()), (4, TINY_TRIALS));
    assert!(lab.sweep("--plan").expect(DONE).out.contains("6 trials, 2 to run"));
    let last =
        lab.sweep("--plan").expect(DONE).out.lines().find(|line| line.contains(" new ")).unwrap()[..12].to_owned();
    lab.sweep(&format!("--only {last}")).expect(DONE);
    assert_eq!(lab.table("trials.csv").len(), 5);
}

#[test]
fn set_changes_one_key_of_every_trial() {
    let lab = Lab::new(TINY);
    lab.sweep("--set epochs=1 --set optimizer.lr=0.5").expect(DONE);
    assert!(lab.column("epochs").values().all(|epochs| epochs == "1"));
    assert!(lab.column("optimizer.lr").values().all(|rate| rate == "0.5"));
}

#[test]
fn train_runs_the_base_alone_in_its_own_folder() {
    let lab = Lab::new(TINY);
    let ended = lab.run("train tiny.yaml --seed 7 --trace").expect(DONE);
    assert!(ended.out.contains("1 done, 0 diverged, 0 failed; results in results/tiny-train"), "{}", ended.out);
    let trials = names(&lab.path("results/tiny-train/trials"));
    assert_eq!(trials.len(), 1);
    let trial = lab.path("results/tiny-train/trials").join(&trials[0]);
    assert!(fs::read_to_string(trial.join("config.json")).unwrap().contains("\"seed\": 7"));
    let steps = fs::read_to_string(trial.join("steps.csv")).unwrap();
    assert_eq!(steps.lines().next(), Some("step,lr,loss,loss_hex"));
    for (place, row) in steps.lines().skip(1).enumerate() {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[0], (place + 1).to_string());
        assert_eq!(cells[2].parse::<f32>().unwrap().to_bits(), u32::from_str_radix(cells[3], 16).unwrap());
    }
    assert_eq!(steps.lines().count(), 1 + 2 * 4);
    assert!(!lab.path("results/tiny").exists());
}

#[test]
fn a_trace_holds_every_step_whenever_it_is_asked_for() {
    let undisturbed = long();
    undisturbed.sweep("--trace").expect(DONE);
    for (first, second, words) in [
        ("", "--trace", ["steps.csv has no step 1 of", "the trial starts afresh"]),
        ("--trace", "", ["goes on after epoch", "test accuracy"]),
    ] {
        let lab = long();
        let sweep = lab.start_sweep(first);
        lab.wait_for_checkpoint();
        sweep.signal(SIGINT);
        sweep.end().expect(INTERRUPTED);
        lab.sweep(second).expect(DONE).saying(&words);
        assert_same(&lab.essence(), &undisturbed.essence());
    }
}

/// Eight trials that fit together.
const TOGETHER: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 400, val: 100}
seeds: [0]
base: {model: lenet5, epochs: 2, batch_size: 4, optimizer: {name: sgd, lr: 0.01, momentum: 0.9}}
blocks:
  - {id: rate, axes: {optimizer.lr: [0.002, 0.005, 0.02]}}
  - {id: init, axes: {init: [xavier_uniform, orthogonal]}}
  - {id: regularization, axes: {regularization: [{l2: 0.001}, {l1: 0.0001}]}}
";

/// The logs of all trials.
fn logs(lab: &Lab) -> Vec<String> {
    lab.stored().iter().map(|id| fs::read_to_string(lab.result(&format!("trials/{id}/log.txt"))).unwrap()).collect()
}

#[test]
fn fast_trials_are_computed_together_and_come_out_as_alone() {
    let (together, exact) = (Lab::new(TOGETHER), Lab::new(TOGETHER));
    let mut command = together.command("sweep tiny.yaml --mode fast --jobs 2");
    if !change_clocks(&together, &mut command, Steady::EvenInWorkers) {
        return;
    }
    together.start_command(command).end().expect(DONE);
    exact.sweep("--jobs 2").expect(DONE);
    let logs = logs(&together);
    assert!(logs.iter().all(|log| log.contains("computed together")), "{logs:?}");
    let (fast, exact) = (losses(&together), losses(&exact));
    assert_eq!(fast.len(), 8);
    // Other starting weights draw other numbers, so exact mode shows those networks the images in another order.
    for (setting, fast) in fast.iter().filter(|(setting, _)| setting[1] == "pytorch") {
        // 200 steps from the same start on the same images: rounding has not grown further.
        assert!((fast - exact[setting]).abs() < 0.02, "{setting:?}: {fast} and {}", exact[setting]);
    }
}

/// The validation loss of each trial by what it was set to.
fn losses(lab: &Lab) -> BTreeMap<Vec<String>, f64> {
    let keys = ["optimizer.lr", "init", "regularization.l1", "regularization.l2"];
    let setting = |row: &BTreeMap<String, String>| keys.map(|key| row[key].clone()).to_vec();
    lab.table("trials.csv").iter().map(|row| (setting(row), row["val_loss"].parse().unwrap())).collect()
}

#[test]
fn a_stopped_sweep_of_fast_trials_goes_on_where_each_was() {
    let lab = Lab::new(&TOGETHER.replace("epochs: 2", "epochs: 8"));
    let sweep = lab.start_sweep("--mode fast --jobs 1");
    lab.wait_for_checkpoint();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    lab.sweep("--mode fast --jobs 2").expect(DONE).saying(&["goes on after epoch"]);
    assert_eq!(lab.stored().len(), 8);
    assert!(lab.column("epochs_run").values().all(|epochs| epochs == "8"));
}

#[test]
fn trials_whose_worker_dies_are_tried_again_alone() {
    let lab = Lab::new(&TOGETHER.replace("epochs: 2", "epochs: 8"));
    let mut command = lab.command("sweep tiny.yaml --mode fast --jobs 1");
    if !change_clocks(&lab, &mut command, Steady::EvenInWorkers) {
        return;
    }
    let sweep = lab.start_command(command);
    lab.wait_for_checkpoint();
    kill(lab.workers()[0], SIGKILL);
    sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: its worker died: signal: 9"]);
    let logs = logs(&lab);
    assert_eq!(logs.len(), 8);
    for log in logs {
        let (first, again) = log.split_once("attempt 2,").expect("every trial of the pack is tried again");
        assert!(first.contains("computed together") && !again.contains("computed together"), "{log}");
    }
}

/// Each trial's confusion matrix from what NumPy reads of its predictions and the labels, and whether what `numpy.save` makes of
/// them has the same bytes.
const CONFUSED: &str = r#"
import io, json, pathlib, sys
import numpy as np

root = pathlib.Path(sys.argv[1])
labels = np.load(root / "test_labels.npy")
for folder in sorted((root / "trials").iterdir()):
    predicted = np.load(folder / "predictions.npy")
    assert predicted.dtype == labels.dtype == np.uint8 and predicted.shape == labels.shape == (1000,)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    assert confusion.tolist() == json.loads((folder / "result.json").read_text())["scores"]["confusion"], folder
    again = io.BytesIO()
    np.save(again, predicted)
    assert again.getvalue() == (folder / "predictions.npy").read_bytes()
    print(folder.name)
"#;

#[test]
fn numpy_reads_the_predicted_class_of_every_test_image() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("the predicted classes: {error:#}")),
    };
    for mode in ["exact", "fast"] {
        let lab = Lab::new(TINY);
        lab.sweep(&format!("--mode {mode}")).expect(DONE);
        let output = Command::new(&python).args(["-c", CONFUSED]).arg(lab.result("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), lab.stored());
        for column in ["last_test_loss", "last_test_accuracy", "test_top3_accuracy", "test_ece", "test_brier"] {
            assert!(lab.column(column).values().all(|cell| cell.parse::<f64>().is_ok()), "{column}");
        }
    }
}

/// The tensors of the only trial in `lab`.
fn weights(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(lab.result("trials").join(&lab.stored()[0]).join("best.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = file.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    all.sort();
    all
}

#[test]
fn a_trial_starts_from_the_weights_of_another_and_says_what_it_took() {
    let first = Lab::new(&one("epochs: 1"));
    first.sweep("").expect(DONE);
    let stored = first.result("trials").join(&first.stored()[0]).join("best.safetensors");
    for mode in ["exact", "fast"] {
        let lab = Lab::new(&one(
            "epochs: 2, start: {weights: nets/first.safetensors, except: [fc3]}, freeze: [conv1, conv2]",
        ));
        fs::create_dir(lab.path("nets")).unwrap();
        let file = lab.path("nets/first.safetensors");
        fs::copy(&stored, &file).unwrap();
        let said = "lenet5 starts from nets/first.safetensors: takes 8 tensors; drawn anew: fc3";
        let plan = lab.sweep(&format!("--mode {mode} --plan")).expect(DONE).saying(&[said]).out;
        lab.sweep(&format!("--mode {mode}")).expect(DONE).saying(&[said]);
        let log = fs::read_to_string(lab.result("trials").join(&lab.stored()[0]).join("log.txt")).unwrap();
        let lines = ["8 of 10 tensors start from nets/first.safetensors", "drawn anew: fc3.weight"];
        assert!(lines.iter().all(|line| log.contains(line)), "{log}");
        for ((name, before), (_, after)) in weights(&first).iter().zip(&weights(&lab)) {
            assert_eq!(before == after, name.starts_with("conv"), "{mode}: {name}");
        }
        // Elsewhere the same file means the same trial; another file another.
        fs::rename(lab.path("nets"), lab.path("moved")).unwrap();
        lab.sweep("").expect(BAD_INPUT).saying(&["start.weights: nets/first.safetensors: No such file"]);
        let text = fs::read_to_string(lab.path("tiny.yaml")).unwrap().replace("nets/", "moved/");
        fs::write(lab.path("tiny.yaml"), text).unwrap();
        let again = lab.sweep(&format!("--mode {mode} --plan")).expect(DONE).out;
        assert_eq!(again.lines().next().unwrap(), plan.lines().next().unwrap().replace("new   ", "stored"));
    }
}
