//! A trial as TensorBoard's event file: scalars by epoch, the test scores, and the settings for the HParams tab.
//!
//! Such a file is TFRecord records, each one `Event` message (tensorflow/core/util/event.proto) in protobuf's wire format.
//! The bytes follow from what is stored alone, and those of more epochs begin with those of fewer, so that a file can grow
//! while TensorBoard reads it. Wall times are those at which the epochs ended, as they are stored. Of a trial without stored
//! times of day, which an older version made, they count the trial's own seconds from 1970, as much as is known of it.

use super::study::StoredTrial;
use crate::record::{Epoch, Outcome, Status};
use crate::spec::Cell;
use crate::words::trial_name;
use crc::{CRC_32_ISCSI, Crc};

/// Below the results folder.
pub const FOLDER: &str = "tensorboard";
/// TensorBoard knows an event file by `tfevents` in its name.
pub const FILE: &str = "events.out.tfevents";
/// Of a label in a folder's name, which may have 255 bytes.
const MAX_LABEL_CHARS: usize = 100;

/// `optimizer adam, lr 0.001, seed 0 (6f1c2a90b3de)`: the trial's folder in [`FOLDER`], and so its name in TensorBoard.
pub fn run_name(trial: &StoredTrial) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " .,=-_+()[]·".contains(c) { c } else { '_' };
    let label: String = trial.label.replacen(": ", " ", 1).chars().take(MAX_LABEL_CHARS).map(plain).collect();
    trial_name(&label, trial.seed, &trial.id)
}

/// Below the results folder.
pub fn path(trial: &StoredTrial) -> String {
    format!("{FOLDER}/{}/{FILE}", run_name(trial))
}

pub fn event_file(trial: &StoredTrial) -> Vec<u8> {
    let mut now = start(&trial.history);
    let mut file = event(now, 0, 3, "brain.Event:2");
    file.extend(summary(now, 0, [hparams("session_start_info", start_info(trial))]));
    for epoch in &trial.history {
        now = epoch.ended.unwrap_or(now + epoch.seconds);
        file.extend(summary(now, epoch.epoch, epoch_scalars(trial, epoch)));
    }
    if let Some(scores) = trial.scores() {
        let values = [("test/accuracy", scores.test.accuracy), ("test/loss", scores.test.loss)];
        file.extend(summary(now, scores.best_epoch, values.map(scalar)));
    }
    if let Some(outcome) = &trial.outcome {
        file.extend(summary(now, outcome.epochs, [hparams("session_end_info", end_info(outcome, now))]));
    }
    file
}

/// When the first epoch began, as far as is known.
fn start(history: &[Epoch]) -> f64 {
    history.first().and_then(|epoch| Some(epoch.ended? - epoch.seconds)).unwrap_or_default()
}

fn epoch_scalars(trial: &StoredTrial, epoch: &Epoch) -> impl Iterator<Item = Message> {
    let penalties = &trial.config.regularization;
    let penalty = (penalties.l1 > 0.0 || penalties.l2 > 0.0).then_some(("penalty", epoch.penalty));
    [
        ("loss/train", epoch.train_loss),
        ("loss/val", epoch.val_loss),
        ("accuracy/train", epoch.train_accuracy),
        ("accuracy/val", epoch.val_accuracy),
        ("learning_rate", epoch.lr),
        ("seconds", epoch.seconds),
    ]
    .into_iter()
    .chain(penalty)
    .map(scalar)
}

/// `Summary.Value` of one number.
fn scalar((tag, value): (&str, f64)) -> Message {
    Message::default().bytes(1, tag).float(2, value as f32)
}

/// `Summary.Value` for the HParams plugin, which finds its `HParamsPluginData` in the metadata (plugin_data.proto). The
/// value itself is an empty tensor of floats.
fn hparams(kind: &str, (field, info): (u32, Message)) -> Message {
    let plugin = Message::default().bytes(1, "hparams").bytes(2, Message::default().bytes(field, info));
    let no_numbers = Message::default().varint(1, 1).bytes(2, Message::default().bytes(2, ""));
    Message::default()
        .bytes(1, format!("_hparams_/{kind}"))
        .bytes(8, no_numbers)
        .bytes(9, Message::default().bytes(1, plugin))
}

/// The settings. Trials that differ in nothing but their seed are one group, whose mean the HParams tab shows.
fn start_info(trial: &StoredTrial) -> (u32, Message) {
    let entry = |(key, value): &(String, Cell)| Message::default().bytes(1, key).bytes(2, setting(&value.text));
    let info = trial.keys.iter().fold(Message::default(), |info, key| info.bytes(1, entry(key)));
    (3, info.bytes(4, &trial.label))
}

/// `google.protobuf.Value`. A list of one is a number here: files that have been written must stay what they are.
fn setting(text: &str) -> Message {
    match (text.parse::<f64>(), text.parse::<bool>()) {
        (Ok(number), _) => Message::default().double(2, number),
        (_, Ok(flag)) => Message::default().varint(4, flag.into()),
        _ => Message::default().bytes(3, text),
    }
}

fn end_info(outcome: &Outcome, now: f64) -> (u32, Message) {
    let status = match outcome.status {
        Status::Done => 1,
        Status::Failed | Status::Diverged => 2,
    };
    (4, Message::default().varint(1, status).double(2, now))
}

/// A record of the `Event` message whose `field` is `content`; `seconds` and `step` say when.
fn event(seconds: f64, step: usize, field: u32, content: impl AsRef<[u8]>) -> Vec<u8> {
    record(Message::default().double(1, seconds).varint(2, step as u64).bytes(field, content).as_ref())
}

fn summary(seconds: f64, step: usize, values: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let summary = values.into_iter().fold(Message::default(), |summary, value| summary.bytes(1, value));
    event(seconds, step, 5, summary)
}

/// A TFRecord record: length, its checksum, the bytes, their checksum; little-endian.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), bytes, &masked_crc(bytes)].concat()
}

/// CRC-32C, rotated and shifted by a constant as TFRecord wants it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A protobuf message that grows by fields: https://protobuf.dev/programming-guides/encoding
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u32, value: u64) -> Message {
        self.key(field, 0);
        self.number(value);
        self
    }

    fn double(mut self, field: u32, value: f64) -> Message {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A text, bytes or another message.
    fn bytes(mut self, field: u32, bytes: impl AsRef<[u8]>) -> Message {
        self.key(field, 2);
        self.number(bytes.as_ref().len() as u64);
        self.0.extend(bytes.as_ref());
        self
    }

    fn float(mut self, field: u32, value: f32) -> Message {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn key(&mut self, field: u32, wire_type: u8) {
        self.number(u64::from(field) << 3 | u64::from(wire_type));
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn the_file_of_more_epochs_begins_with_that_of_fewer() {
        let mut trials = example::accidents().trials;
        let mut timed = trials[0].clone();
        (1..)
            .zip(&mut timed.history)
            .for_each(|(hour, epoch)| epoch.ended = Some(1764136817.5 + 3600.0 * f64::from(hour)));
        trials.push(timed);
        for trial in trials {
            let whole = event_file(&trial);
            for epochs in 1..=trial.history.len() {
                let history = trial.history[..epochs].to_vec();
                let earlier = event_file(&StoredTrial { history, outcome: None, ..trial.clone() });
                assert!(whole.starts_with(&earlier), "{} after {epochs} epochs", trial.id);
            }
        }
    }

    #[test]
    fn run_names_are_fit_for_folders() {
        let label = format!("schedule: staged, stages [{{lr: 1/2}}] ·{}", "λ".repeat(300));
        let trial = StoredTrial { label, ..example::trial("schedule", "base", 7, 0.5, 1) };
        let name = run_name(&trial);
        assert!(name.starts_with("schedule staged, stages [_lr_ 1_2_] ·___"), "{name}");
        assert!(name.ends_with(&format!("_, seed 7 ({})", trial.id)), "{name}");
        assert!(name.len() < 255);
    }
}
