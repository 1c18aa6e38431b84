//! A made-up study for tests: learning curves with noise, a failed trial, diverged ones and one that has not run yet.

use crate::data::Images;
use crate::optimizers::Sgd;
use crate::record::*;
use crate::report::{StoredTrial, Study, StudyBlock, StudyVariant};
use crate::spec::Cell;
use crate::spec::config::*;
use crate::verdict::looks::Replicates;
use std::sync::Arc;

const CLASSES: usize = 10;

pub fn config() -> Config {
    Config {
        mode: Mode::Exact,
        data: Data { dataset: DatasetName::Cifar10, train: None, val: 5000, split_seed: 0, scale: Scale::Unit },
        select: Select::ValLoss,
        model: crate::spec::defaults("lenet5").unwrap().model,
        activation: Activation::Tanh,
        pool: None,
        init: Init::Pytorch,
        start: None,
        freeze: vec![],
        epochs: 20,
        batch_size: 64,
        optimizer: Optimizer::Sgd(Sgd { lr: 0.01, momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 }),
        schedule: Schedule::Constant,
        warmup: None,
        regularization: Regularization { l1: 0.0, l2: 0.0, on: Kernels::All, dropout: 0.0 },
        augment: Augment::default(),
        label_smoothing: 0.0,
        clip: Clip::None,
        early_stopping: None,
    }
}

/// Repeatable noise in -1..1 from any numbers.
fn noise(parts: &[u64]) -> f64 {
    let mixed = parts.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
        let state = (state ^ part.wrapping_add(0x7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^ (state >> 29)
    });
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn accuracy(confusion: &Confusion) -> f64 {
    let right = confusion.right();
    right as f64 / confusion.iter().flatten().sum::<u64>() as f64
}

/// A trial that ends at about `skill` test accuracy after `epochs`.
pub fn trial(block: &str, label: &str, seed: u64, skill: f64, epochs: usize) -> StoredTrial {
    let kind = label.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let history: Vec<Epoch> = (1..=epochs).map(|epoch| finished_epoch(kind, seed, skill, epoch)).collect();
    let best = history.iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)).unwrap();
    let confusion = confusion(skill + 0.004 * noise(&[kind, seed, 5]));
    let test = SplitScore { loss: best.val_loss + 0.01, accuracy: accuracy(&confusion) };
    let outcome = Outcome {
        status: Status::Done,
        attempts: 1,
        error: None,
        epochs,
        seconds: history.iter().map(|epoch| epoch.seconds).sum(),
        images_per_second: 5210.5,
        peak_bytes: 412_000_000,
        parameters: 62_006,
        libtorch: "2.11.0".into(),
        device: "cpu".into(),
        threads: 1,
        processor: "Example".into(),
        git: "0123456".into(),
        scores: Some(Scores {
            best_epoch: best.epoch,
            train: SplitScore { loss: best.train_loss, accuracy: best.train_accuracy },
            val: SplitScore { loss: best.val_loss, accuracy: best.val_accuracy },
            test,
            confusion: confusion.clone(),
            last_test: Some(SplitScore { loss: test.loss + 0.02, accuracy: test.accuracy - 0.01 }),
            evidence: Some(Evidence { top3_accuracy: 0.8, ece: 0.05, brier: 0.6 }),
        }),
    };
    StoredTrial {
        id: format!("{:08x}", kind.wrapping_mul(1009).wrapping_add(seed) as u32),
        seed,
        label: format!("{block}: {label}"),
        blocks: vec![block.into()],
        is_tuning: false,
        config: config(),
        keys: vec![
            ("model.name".into(), Cell::text("lenet5")),
            ("init".into(), Cell::text(label)),
            ("epochs".into(), Cell::number(20)),
        ],
        history,
        outcome: Some(outcome),
        showcase: Some(showcase(kind)),
        predictions: Some(predictions(&confusion)),
    }
}

fn finished_epoch(kind: u64, seed: u64, skill: f64, epoch: usize) -> Epoch {
    let progress = 1.0 - (-(epoch as f64) / 4.0).exp();
    let wobble = |which: u64| noise(&[kind, seed, epoch as u64, which]);
    let seed_effect = 0.008 * noise(&[kind, seed]);
    let overfit = 0.008 * (epoch as f64 - 9.0).max(0.0);
    let val_accuracy = 0.1 + (skill - 0.1) * progress + seed_effect + 0.008 * wobble(1);
    let train_accuracy = 0.1 + (skill - 0.1) * progress + 0.9 * overfit + 0.003 * wobble(2);
    Epoch {
        epoch,
        lr: 0.01,
        train_loss: 2.3 - 2.0 * (train_accuracy - 0.1),
        train_accuracy,
        penalty: 0.0,
        val_loss: 2.3 - 2.0 * (val_accuracy - 0.1) + 2.0 * overfit,
        val_accuracy,
        train_seconds: 8.0 + 0.3 * wobble(3),
        seconds: 9.0 + 0.3 * wobble(4),
        ended: None,
    }
}

/// The first 25 images taken for the class after theirs, and six kernels of 5×5.
fn showcase(kind: u64) -> Showcase {
    let mistake = |image: usize| {
        let truth = (image % CLASSES) as u8;
        Mistake { image, truth, predicted: (truth + 1) % CLASSES as u8, probability: 0.99 - 0.01 * image as f32 }
    };
    let values = (0..6 * 3 * 5 * 5).map(|place| 0.2 * noise(&[kind, place]) as f32).collect();
    Showcase { mistakes: (0..25).map(mistake).collect(), filters: Filters { shape: vec![6, 3, 5, 5], values } }
}

/// 25 images of noise.
fn test_images() -> Images {
    let mut images = Images::zeroed(25);
    (0..).zip(&mut images.pixels).for_each(|(place, pixel)| *pixel = (128.0 + 100.0 * noise(&[place])) as u8);
    images
}

/// 1,000 images a class; the wrong ones spread unevenly.
fn confusion(accuracy: f64) -> Confusion {
    let mut counts = Confusion::new(CLASSES);
    for (truth, row) in counts.iter_mut().enumerate() {
        let right = (1000.0 * (accuracy + 0.12 * (truth as f64 - 4.5) / 4.5).min(1.0)).round() as u64;
        let mut left = 1000 - right;
        for step in 1..CLASSES {
            let share = if step == CLASSES - 1 { left } else { left * 3 / 10 };
            row[(truth + step * 3) % CLASSES] = share;
            left -= share;
        }
        row[truth] = right;
    }
    counts
}

/// Of images in the order of their classes.
fn predictions(confusion: &Confusion) -> Vec<u8> {
    let cells = confusion.iter().flat_map(|row| (0..).zip(row));
    cells.flat_map(|(class, count)| std::iter::repeat_n(class, *count as usize)).collect()
}

/// Its loss explodes and is NaN after `epochs`.
pub fn diverge(trial: &mut StoredTrial, epochs: usize) {
    trial.history.truncate(epochs);
    for (index, epoch) in trial.history.iter_mut().enumerate() {
        epoch.val_loss = 2.3 * 4_f64.powi(index as i32);
        epoch.train_loss = epoch.val_loss;
        epoch.val_accuracy = 0.1;
        epoch.train_accuracy = 0.1;
    }
    if let Some(last) = trial.history.last_mut() {
        (last.train_loss, last.val_loss) = (f64::NAN, f64::INFINITY);
    }
    let outcome = trial.outcome.as_mut().unwrap();
    (outcome.status, outcome.scores, outcome.epochs) = (Status::Diverged, None, epochs);
    outcome.error = Some(format!("epoch {epochs}: training loss is NaN"));
}

pub fn fail(trial: &mut StoredTrial) {
    trial.history.clear();
    let outcome = trial.outcome.as_mut().unwrap();
    (outcome.status, outcome.scores, outcome.epochs, outcome.attempts) = (Status::Failed, None, 0, 3);
    outcome.error = Some("the worker was killed (signal 9), three times | out of memory?".into());
}

pub fn study(blocks: &[(&str, &[(&str, f64)])], seeds: u64, epochs: usize) -> Study {
    let mut study = Study {
        name: "lenet_ablation".into(),
        description: Some("What modern techniques do to LeNet-5.".into()),
        targets: vec![0.4, 0.5, 0.6],
        class_names: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
            .map(String::from)
            .to_vec(),
        dataset: DatasetName::Cifar10,
        official: true,
        dataset_note: "cifar10 (sha256 6d958be0…)".into(),
        test_images: Some(Arc::new(test_images())),
        margin: 1.0,
        replicates: Replicates::Fixed,
        changed_plans: Vec::new(),
        test_labels: Some((0..10_000).map(|image| (image / 1000) as u8).collect()),
        blocks: Vec::new(),
        trials: Vec::new(),
    };
    let mut configurations = 0..;
    for (id, settings) in blocks {
        let mut variants = Vec::new();
        for (label, skill) in *settings {
            let trials: Vec<StoredTrial> = (0..seeds).map(|seed| trial(id, label, seed, *skill, epochs)).collect();
            variants.push(StudyVariant {
                label: (*label).into(),
                settings: vec![("init".into(), (*label).into())],
                configuration: configurations.next().expect("numbers do not end"),
                trial_ids: trials.iter().map(|trial| trial.id.clone()).collect(),
                tuning: None,
            });
            study.trials.extend(trials);
        }
        study.blocks.push(StudyBlock { id: (*id).into(), title: None, terms: vec![], variants });
    }
    study
}

/// Three seeds; of the second setting one diverged, of the third one failed, of the fourth one has not run.
pub fn accidents() -> Study {
    let settings = [("base", 0.553), ("kaiming_normal", 0.56), ("orthogonal", 0.575), ("xavier_uniform", 0.552)];
    let mut study = study(&[("initialization", &settings)], 3, 20);
    diverge(&mut study.trials[4], 6);
    fail(&mut study.trials[7]);
    study.trials[11].outcome = None;
    study
}
