//! Rows 10 to 13: files that are not, or not wholly, the checkpoint that was stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libc::SIGINT;
use runner::engine::State;
use runner::train::checkpoint;
use serde_json::{Value, json};
use tch::{IndexOp, Tensor};

use crate::common::{BAD_INPUT, DONE, INTERRUPTED, Lab, assert_same, limit, long, one};

fn truncate(checkpoint: &Path) {
    let bytes = fs::read(checkpoint).unwrap();
    fs::write(checkpoint, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip_a_bit_of_a_weight(checkpoint: &Path) {
    let mut bytes = fs::read(checkpoint).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(checkpoint, bytes).unwrap();
}

/// A lab whose only trial has stopped at a checkpoint, and that checkpoint.
fn stopped() -> (Lab, PathBuf) {
    let lab = long();
    let sweep = lab.start_sweep("");
    lab.wait_for_checkpoint();
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    let checkpoint = lab.wait_for_checkpoint();
    (lab, checkpoint)
}

#[test]
fn row_10_a_damaged_checkpoint_is_noticed_and_the_trial_starts_afresh() {
    let undisturbed = long();
    undisturbed.sweep("").expect(DONE);
    let empty = |checkpoint: &Path| fs::write(checkpoint, "").unwrap();
    for damage in [truncate, flip_a_bit_of_a_weight, empty] {
        let (lab, checkpoint) = stopped();
        damage(&checkpoint);
        lab.sweep("").expect(DONE).saying(&["the checkpoint is damaged", "the trial starts afresh"]);
        assert_same(&lab.essence(), &undisturbed.essence());
    }
}

/// A finished trial; its `best.safetensors`.
static TRAINED: LazyLock<(Lab, PathBuf)> = LazyLock::new(|| {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let best = lab.result("trials").join(&lab.stored()[0]).join("best.safetensors");
    (lab, best)
});

/// Stores `bytes` under `name` and has both commands that read checkpoints refuse them with all of `words`.
fn refused(name: &str, bytes: &[u8], options: &str, words: &[&str]) {
    let (lab, _) = &*TRAINED;
    fs::write(lab.path(name), bytes).unwrap();
    fs::write(lab.path("picture.png"), "never looked at").unwrap();
    for command in [format!("evaluate {name} {options}"), format!("predict {name} picture.png {options}")] {
        let mut command = lab.command(&command);
        limit(&mut command, libc::RLIMIT_AS, 8 << 30);
        let ended = lab.start_command(command).end().expect(BAD_INPUT).saying(&[name]).saying(words);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
    }
}

#[test]
fn row_10_damaged_weights_are_not_evaluated() {
    let (_, best) = &*TRAINED;
    for (name, damage) in [("cut", truncate as fn(&Path)), ("flipped", flip_a_bit_of_a_weight)] {
        let copy = best.with_file_name(name);
        fs::copy(best, &copy).unwrap();
        damage(&copy);
        let bytes = fs::read(&copy).unwrap();
        fs::remove_file(copy).unwrap();
        refused(name, &bytes, "", &[if name == "cut" { "safetensors" } else { "checksum" }]);
    }
}

/// The weights of the finished trial with one of them changed, without a word about what they are.
fn altered(name: &str, alter: impl Fn(&Tensor) -> Tensor) -> Vec<u8> {
    let mut state: State = checkpoint::decode(&fs::read(&TRAINED.1).unwrap()).unwrap().state().unwrap();
    let (_, tensor) = state.iter_mut().find(|(known, _)| known == name).expect("a weight of lenet5");
    *tensor = alter(tensor);
    let state: Vec<_> = state.into_iter().collect();
    checkpoint::encode(&state, &Value::Null).unwrap()
}

#[test]
fn row_11_weights_of_another_model_or_shape_or_that_are_no_numbers() {
    let (lab, best) = &*TRAINED;
    let own = "--experiment tiny.yaml";
    let broadcastable = altered("conv1.bias", |bias| bias.i(..1));
    refused("broadcastable", &broadcastable, own, &["conv1.bias: shape [1], but this model needs [6]"]);
    let infinite = altered("fc1.weight", |weight| weight / 0.0);
    refused("infinite", &infinite, own, &["fc1.weight: holds a NaN or an infinity"]);
    let doubles = altered("fc1.weight", |weight| weight.to_kind(tch::Kind::Int64));
    refused("kind", &doubles, own, &["fc1.weight: Int64, but this model needs Float"]);
    fs::write(lab.path("other.yaml"), one("epochs: 1").replace("lenet5", "keras_cnn")).unwrap();
    refused("other", &fs::read(best).unwrap(), "--experiment other.yaml", &["this model"]);
    refused("unnamed", &infinite, "", &["not the weights of a selected epoch"]);
}

/// Rewrites a checkpoint as a program would that stores `key` differently.
fn restate(path: &Path, key: &str, value: Value) {
    let bytes = fs::read(path).unwrap();
    let stored = checkpoint::decode(&bytes).unwrap();
    let mut description: Value = stored.description().unwrap().unwrap();
    description[key] = value;
    let restated = checkpoint::encode(&stored.state().unwrap(), &description).unwrap();
    fs::write(path, restated).unwrap();
}

#[test]
fn row_11_a_checkpoint_of_a_newer_format_or_another_trial_is_not_gone_on_from() {
    let (lab, checkpoint) = stopped();
    restate(&checkpoint, "format", json!(99));
    lab.sweep("").expect(DONE).saying(&["checkpoint format 99 is not this program's 2; the trial starts afresh"]);
    let (lab, checkpoint) = stopped();
    restate(&checkpoint, "seed", json!(7));
    lab.sweep("").expect(DONE).saying(&["belongs to another configuration or seed; the trial starts afresh"]);
}

#[test]
fn row_12_a_pickle_is_refused_unread_with_how_to_convert_it() {
    for pickle in
        [&b"PK\x03\x04\x14\0 a zip archive, as torch.save writes it"[..], b"\x80\x02}q\x00.", b"\x80\x05cos\nsystem\n."]
    {
        refused("network.pt", pickle, "", &["a Python pickle, which could run code", "scripts/convert.py"]);
    }
}

#[test]
fn row_13_a_hostile_header_is_refused_without_a_large_allocation() {
    let file = |length: u64, header: &str| [&length.to_le_bytes()[..], header.as_bytes()].concat();
    let whole = |header: &str| file(header.len() as u64, header);
    let tensor = |shape: &str, offsets: &str| {
        whole(&format!(r#"{{"conv1.bias":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#))
    };
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    for hostile in [
        file(u64::MAX, "{}"),
        file(1 << 40, "{}"),
        file(99_999_999, "{}"),
        file(2, "{"),
        whole("[]"),
        whole(&"[".repeat(100_000)),
        tensor("[4294967296,4294967296]", "[0,0]"),
        tensor("[9223372036854775807,9]", "[0,4]"),
        tensor("[1000000000000]", "[0,4000000000000]"),
        tensor("[1]", "[4,0]"),
        tensor("[-1]", "[0,4]"),
        [whole(overlap), vec![0; 12]].concat(),
    ] {
        refused("hostile.safetensors", &hostile, "--experiment tiny.yaml", &["not a whole safetensors file"]);
    }
}
