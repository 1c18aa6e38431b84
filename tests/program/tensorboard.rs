//! What a sweep leaves for TensorBoard: its own reader finds every number of `history.csv`, to the last bit of an f32.
//! That test is skipped, with a line saying so, where no Python with tensorboard is found.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::skip::skip;
use crate::common::{DONE, INTERRUPTED, Lab, files, names, wait_until};
use libc::SIGINT;
use runner::parity::python;
use runner::record::Epoch;
use runner::report::{StoredTrial, events};
use runner::spec::{defaults, flatten};
use serde_json::Value as Json;

/// Six trials, two of them with a penalty and two that diverge.
const TINY: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
seeds: [0, 1]
base:
  model: lenet5
  activation: relu
  epochs: 3
  batch_size: 64
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9}
blocks:
  - {id: penalty, axes: {regularization: [{l2: 0.001}]}}
  - {id: rate, axes: {optimizer.lr: [1e6]}}
";

/// Prints what TensorBoard's reader finds in each event file below a folder: one JSON line a file.
const READER: &str = "
import json, os, struct, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
bits = lambda value: struct.unpack('<I', struct.pack('<f', value))[0]
for run in sorted(os.listdir(sys.argv[1])):
    events = EventAccumulator(os.path.join(sys.argv[1], run), size_guidance={'scalars': 0}).Reload()
    scalars = {tag: [[e.step, bits(e.value), e.wall_time] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}
    content = events.PluginTagToContent('hparams')
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    settings = {key: getattr(value, value.WhichOneof('kind')) for key, value in start.hparams.items()}
    end = content.get(metadata.SESSION_END_INFO_TAG)
    status = metadata.parse_session_end_info_plugin_data(end).status if end else None
    print(json.dumps({'run': run, 'scalars': scalars, 'group': start.group_name, 'settings': settings, 'status': status}))
";

/// What TensorBoard's reader finds in the runs of `lab`, by their folders' names.
fn read(lab: &Lab) -> Option<BTreeMap<String, Json>> {
    let python = |arguments: &[&str]| Command::new(python::find().ok()?).args(arguments).output().ok();
    if !python(&["-c", "import tensorboard"]).is_some_and(|output| output.status.success()) {
        skip("there is no Python with tensorboard (scripts/requirements.txt) in RUNNER_PYTHON or beside libtorch");
        return None;
    }
    let output = python(&["-c", READER, lab.result(events::FOLDER).to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let runs = lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    Some(runs.map(|run| (run["run"].as_str().unwrap().to_owned(), run)).collect())
}

/// Fails unless the scalars of `run` under `tag` are `expected`, by step, at the times at which the epochs ended.
#[track_caller]
fn assert_scalars(run: &Json, tag: &str, expected: &[(usize, f64, f64)]) {
    let found = run["scalars"].get(tag).map_or(&[][..], |found| found.as_array().unwrap());
    assert_eq!(found.len(), expected.len(), "{tag}: {found:?}");
    for (found, &(step, value, seconds)) in found.iter().zip(expected) {
        let bits = f32::from_bits(found[1].as_u64().unwrap() as u32);
        let same = bits.to_bits() == (value as f32).to_bits() || bits.is_nan() && value.is_nan();
        assert!(same, "{tag}, epoch {step}: {bits} instead of {value}");
        assert_eq!((found[0].as_u64(), found[2].as_f64()), (Some(step as u64), Some(seconds)), "{tag}");
    }
}

/// A tag and its number of an epoch.
type Column = (&'static str, fn(&Epoch) -> f64);

#[track_caller]
fn assert_history(run: &Json, history: &[Epoch], has_penalty: bool) {
    let mut now = 0.0;
    let ends = history.iter().map(|epoch| {
        // Of a trial without times of day, its own seconds.
        now = epoch.ended.unwrap_or(now + epoch.seconds);
        now
    });
    let ends: Vec<f64> = ends.collect();
    let columns: [Column; 6] = [
        ("loss/train", |epoch| epoch.train_loss),
        ("loss/val", |epoch| epoch.val_loss),
        ("accuracy/train", |epoch| epoch.train_accuracy),
        ("accuracy/val", |epoch| epoch.val_accuracy),
        ("learning_rate", |epoch| epoch.lr),
        ("seconds", |epoch| epoch.seconds),
    ];
    let penalty: Column = ("penalty", |epoch| epoch.penalty);
    for (tag, value) in columns.into_iter().chain(has_penalty.then_some(penalty)) {
        let expected: Vec<_> =
            history.iter().zip(&ends).map(|(epoch, &end)| (epoch.epoch, value(epoch), end)).collect();
        assert_scalars(run, tag, &expected);
    }
    assert_eq!(run["scalars"].get("penalty").is_some(), has_penalty && !history.is_empty());
}

/// A trial whose numbers are hard on a file format.
fn odd_trial() -> StoredTrial {
    let config = defaults("lenet5").unwrap();
    let epoch = |epoch, number: f64| Epoch {
        epoch,
        lr: number,
        train_loss: -number,
        train_accuracy: 1.0 / 3.0,
        penalty: 0.0,
        val_loss: number / 3.0,
        val_accuracy: 0.0,
        train_seconds: 1.0,
        seconds: 0.1,
        ended: None,
    };
    let numbers = [f64::NAN, f64::INFINITY, 1e300, 1e-40, 5e-324, 16_777_217.0];
    StoredTrial {
        id: "odd".into(),
        seed: u64::from(u32::MAX),
        label: "odd: λ = {name: \"x\"}".into(),
        blocks: vec![],
        is_tuning: false,
        keys: flatten(&config),
        config,
        history: (1..).zip(numbers).map(|(index, number)| epoch(100 * index, number)).collect(),
        outcome: None,
        showcase: None,
        predictions: None,
    }
}

#[test]
fn tensorboard_reads_every_number_of_the_histories() {
    let lab = Lab::new(TINY);
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let started = since_1970();
    lab.sweep("").expect(DONE);
    let swept = started.floor()..=since_1970();
    let odd = odd_trial();
    let odd_name = events::run_name(&odd);
    fs::create_dir(lab.result(events::FOLDER).join(&odd_name)).unwrap();
    fs::write(lab.result(&events::path(&odd)), events::event_file(&odd)).unwrap();
    let Some(mut runs) = read(&lab) else { return };

    let odd_run = runs.remove(&odd_name).unwrap();
    assert_history(&odd_run, &odd.history, false);
    assert_eq!((odd_run["group"].as_str(), &odd_run["status"]), (Some(odd.label.as_str()), &Json::Null));

    let trials = lab.table("trials.csv");
    assert_eq!((runs.len(), trials.len()), (6, 6));
    for trial in trials {
        let (name, run) = runs.iter().find(|(name, _)| name.contains(&trial["id"])).unwrap();
        let mut rows = csv::Reader::from_path(lab.result(&format!("trials/{}/history.csv", trial["id"]))).unwrap();
        let history: Vec<Epoch> = rows.deserialize().map(|row| row.unwrap()).collect();
        assert_history(run, &history, trial["blocks"] == "penalty");
        let times = history.iter().map(|epoch| epoch.ended.unwrap());
        assert!(times.clone().is_sorted() && times.clone().all(|time| swept.contains(&time)), "{history:?}");
        assert_eq!(run["settings"]["optimizer.lr"].as_f64(), trial["optimizer.lr"].parse().ok());
        assert_eq!(run["settings"]["init"], "pytorch");
        assert_eq!(run["settings"]["optimizer.nesterov"], false);
        let (group, status) = (run["group"].as_str().unwrap(), run["status"].as_u64());
        match trial["status"].as_str() {
            "diverged" => {
                assert_eq!((group, status), ("rate: lr=1000000", Some(2)));
                assert!(run["scalars"].get("test/accuracy").is_none());
            }
            _ => {
                assert_eq!((["base", "penalty: l2 0.001"].contains(&group), status), (true, Some(1)));
                let end = history.last().unwrap().ended.unwrap();
                let test = [(trial["best_epoch"].parse().unwrap(), trial["test_accuracy"].parse().unwrap(), end)];
                assert_scalars(run, "test/accuracy", &test);
            }
        }
        assert_eq!(*name, format!("{}, seed {} ({})", group.replacen(": ", " ", 1), trial["seed"], trial["id"]));
    }
}

/// The event files of the results and their bytes.
fn event_files(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = lab.result(events::FOLDER);
    if !folder.exists() {
        return BTreeMap::new();
    }
    files(&folder).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn an_event_file_grows_in_place_and_can_be_rebuilt() {
    let lab = Lab::new(&TINY.replace("epochs: 3", "epochs: 40"));
    let sweep = lab.start_sweep("--only penalty --jobs 1");
    // So that TensorBoard shows a trial under way: more than the start alone.
    wait_until("an event file has an epoch", || event_files(&lab).values().any(|bytes| find(bytes, b"accuracy/val")));
    let (path, early) = event_files(&lab).pop_first().unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    lab.sweep("").expect(DONE);
    let whole = event_files(&lab);
    assert!(whole[&path].starts_with(&early) && whole[&path].len() > early.len());
    // TensorBoard keeps the file open: one put in its place would not be seen.
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);

    fs::remove_dir_all(lab.result(events::FOLDER)).unwrap();
    lab.run("report results/tiny").expect(DONE);
    assert!(event_files(&lab) == whole);
    // Torn by a kill, and no event file at all.
    fs::write(&path, &whole[&path][..777]).unwrap();
    fs::write(whole.keys().next_back().unwrap(), "something else").unwrap();
    lab.run("report results/tiny").expect(DONE);
    assert!(event_files(&lab) == whole);
}

fn find(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn runs_that_an_edited_experiment_no_longer_has_are_removed() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    fs::write(lab.path("tiny.yaml"), TINY.replace("id: penalty", "id: renamed")).unwrap();
    lab.sweep("").expect(DONE);
    let runs = names(&lab.result(events::FOLDER));
    assert_eq!(runs.len(), 6);
    assert_eq!(runs.iter().filter(|run| run.starts_with("renamed l2 0.001, seed ")).count(), 2);
}
