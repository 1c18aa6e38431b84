//! Data sets and weights as people have them: packed again, pickled again, saved by PyTorch in its several ways.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::common::skip::skip;
use crate::common::{BAD_INPUT, DONE, Ended, Lab, one};
use runner::parity::python;

/// A finished trial, and the scores of its weights.
static TRAINED: LazyLock<(Lab, PathBuf, String)> = LazyLock::new(|| {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let best = lab.result("trials").join(&lab.stored()[0]).join("best.safetensors");
    let scores = evaluate(&lab, best.to_str().unwrap()).expect(DONE).out;
    (lab, best, scores)
});

fn evaluate(lab: &Lab, checkpoint: &str) -> Ended {
    lab.run(&format!("evaluate {checkpoint} --experiment tiny.yaml --json"))
}

/// None, after saying why, where there is no Python.
fn find_python(test: &str) -> Option<PathBuf> {
    python::find().map_err(|error| skip(&format!("{test}: {error:#}"))).ok()
}

/// Runs a Python program in the lab.
#[track_caller]
fn run_python(lab: &Lab, python: &PathBuf, arguments: &[&str]) -> Ended {
    let mut command = lab.settle(Command::new(python));
    command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    lab.start_command(command).end()
}

/// Six batches pickled in six ways, and the same images in the binary layout. Labels as in tests/program/faults.
const PICKLES: &str = r#"
import os, pickle
import numpy as np
os.makedirs("deeper/python/cifar-10-batches-py")
os.makedirs("binary/cifar-10-batches-bin")
labels = [number % 10 for number in range(10_000)]
names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
ways = [(3, str, "C"), (4, str, "C"), (5, str, "C"), (4, str.encode, "F"), (5, str.encode, "F"), (4, str, "F")]
for batch, (name, (protocol, text, order)) in enumerate(zip(names, ways)):
    pixels = np.random.default_rng(batch).integers(0, 256, (10_000, 3072), dtype=np.uint8)
    entries = {text("batch_label"): text(f"batch {batch}"), text("labels"): labels,
               text("filenames"): [text(f"{number}.png") for number in range(10_000)], text("data"): pixels.copy(order)}
    with open(f"deeper/python/cifar-10-batches-py/{name}", "wb") as file:
        pickle.dump(entries, file, protocol)
    records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
    records.tofile(f"binary/cifar-10-batches-bin/{name}.bin")
"#;

#[test]
fn batches_that_python_3_pickled_are_read_one_folder_deeper() {
    let Some(python) = find_python("batches_that_python_3_pickled_are_read_one_folder_deeper") else { return };
    let lab = Lab::new("");
    run_python(&lab, &python, &["-c", PICKLES]).expect(DONE);
    let hash = |folder: &str| {
        let out = lab.run(&format!("data info --data {folder} --json")).expect(DONE).out;
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["sha256"].clone()
    };
    assert_eq!(hash("deeper"), hash("binary"));
}

#[test]
fn a_folder_may_begin_with_a_dash() {
    let (lab, best, _) = &*TRAINED;
    let best = best.to_str().unwrap();
    let folder = lab.path("-d/cifar-10-batches-bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("test_batch.bin"), "").unwrap();
    fs::write(lab.path("cifar.yaml"), one("epochs: 1").replace("synthetic", "cifar10")).unwrap();
    fs::write(lab.path("standardized.yaml"), one("epochs: 1").replace("synthetic", "cifar10, scale: standardize"))
        .unwrap();
    fs::write(lab.path("picture.png"), "").unwrap();
    for command in [
        "data fetch".to_owned(),
        "data verify".to_owned(),
        "data info".to_owned(),
        format!("evaluate {best} --experiment cifar.yaml"),
        format!("predict {best} picture.png --experiment standardized.yaml"),
    ] {
        let found = "-d/cifar-10-batches-bin/data_batch_1.bin: the file is missing";
        lab.run(&format!("{command} --data=-d")).expect(BAD_INPUT).saying(&[found]);
        let mut by_variable = lab.command(&command);
        by_variable.env("RUNNER_DATA", "-d");
        lab.start_command(by_variable).end().expect(BAD_INPUT).saying(&[found]);
    }
}

/// Saves the weights in argv[1] in every way that convert.py takes, and in some that it does not.
const SAVE: &str = r#"
import sys
import torch
from safetensors.torch import load_file, save_file
state = load_file(sys.argv[1])
torch.save(state, "plain.pt")
torch.save(state, "old.pt", _use_new_zipfile_serialization=False)
for place in "state_dict", "model_state_dict", "net", "model":
    torch.save({place: state, "epoch": 3, "optimizer": {"lr": 0.1}}, f"in_{place}.pt")
for prefix in "module.", "_orig_mod.", "model.", "module._orig_mod.":
    renamed = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({"state_dict": renamed}, f"{prefix}pt")
    save_file(renamed, f"{prefix}safetensors")
save_file({name: tensor.half() for name, tensor in state.items()}, "half.safetensors")
save_file({name: tensor.half().float() for name, tensor in state.items()}, "half_as_float.safetensors")
save_file({name: tensor.bfloat16() for name, tensor in state.items()}, "bfloat16.safetensors")
save_file({name: tensor.bfloat16().float() for name, tensor in state.items()}, "bfloat16_as_float.safetensors")
torch.save({"net": state, "model": state}, "two.pt")
torch.save(torch.nn.Linear(1, 1), "whole_module.pt")
torch.save([1, 2], "list.pt")
open("cut.pt", "wb").write(open("plain.pt", "rb").read()[:1000])
open("text.pt", "w").write("<html>not found</html>")
open("empty.pt", "w")
"#;

/// Converts each of argv's files to one with `.out` behind its name, and says how that ended.
const CONVERT: &str = r#"
import sys
import convert
for source in sys.argv[1:]:
    sys.argv = ["convert.py", source, f"{source}.out"]
    print(f"{source}: exit code {convert.main()}", flush=True)
"#;

#[test]
fn weights_as_pytorchs_users_save_them_are_taken_or_refused_with_the_way_on() {
    let test = "weights_as_pytorchs_users_save_them_are_taken_or_refused_with_the_way_on";
    let Some(python) = find_python(test) else { return };
    let (lab, best, scores) = &*TRAINED;
    run_python(lab, &python, &["-c", SAVE, best.to_str().unwrap()]).expect(DONE);
    let scores_of = |name: &str| {
        let scores: serde_json::Value = serde_json::from_str(&evaluate(lab, name).expect(DONE).out).unwrap();
        [scores[0]["loss"].clone(), scores[0]["confusion"].clone()]
    };
    let stored: serde_json::Value = serde_json::from_str(scores).unwrap();
    let convert = |sources: &[String]| {
        let mut command = lab.settle(Command::new(&python));
        command.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/scripts")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["-c", CONVERT]).args(sources);
        lab.start_command(command).end().expect(DONE)
    };
    let prefixed = ["module.", "_orig_mod.", "model.", "module._orig_mod."];
    let plain = ["plain.pt", "old.pt", "in_state_dict.pt", "in_model_state_dict.pt", "in_net.pt", "in_model.pt"]
        .map(String::from);
    let both = prefixed.iter().flat_map(|prefix| ["pt", "safetensors"].map(|kind| format!("{prefix}{kind}")));
    let sources: Vec<String> = plain.into_iter().chain(both).collect();
    let said = convert(&sources).out;
    for source in &sources {
        assert!(said.contains(&format!("{source}: exit code 0\n")), "{source}: {said}");
        let scores = scores_of(&format!("{source}.out"));
        assert_eq!(scores, [stored[0]["loss"].clone(), stored[0]["confusion"].clone()], "{source}");
    }
    assert_eq!(said.matches("` stripped").count(), 2 * prefixed.len(), "{said}");
    for prefix in prefixed {
        let words = [&*format!("every name begins with `{prefix}`"), "scripts/convert.py"];
        evaluate(lab, &format!("{prefix}safetensors")).expect(BAD_INPUT).saying(&words);
    }
    for kind in ["half", "bfloat16"] {
        assert_eq!(scores_of(&format!("{kind}.safetensors")), scores_of(&format!("{kind}_as_float.safetensors")));
    }
    fs::copy(best, lab.path("best.safetensors")).unwrap();
    let refused = [
        ("best.safetensors", "is a safetensors file already"),
        ("two.pt", "holds a dictionary under each of model, net"),
        ("whole_module.pt", "not a plain state dict: it holds more than tensors, which could run code"),
        ("list.pt", "holds an object of type list, not a state dict"),
        ("cut.pt", "not a file that torch.save wrote, or a damaged one"),
        ("text.pt", "neither a file that torch.save wrote nor a safetensors file"),
        ("empty.pt", "neither a file that torch.save wrote nor a safetensors file"),
        ("missing.pt", "No such file or directory"),
    ];
    let ended = convert(&refused.map(|(source, _)| source.to_owned()));
    for (source, words) in refused {
        assert!(ended.out.contains(&format!("{source}: exit code 2\n")), "{}", ended.out);
        assert!(ended.err.contains(&format!("{source}: {words}")), "{words}: {}", ended.err);
        assert!(!lab.path(&format!("{source}.out")).exists() && !lab.path(&format!("{source}.out.tmp")).exists());
    }
    assert_eq!(ended.err.matches("could run code").count(), 1, "{}", ended.err);
}
