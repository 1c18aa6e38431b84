//! `runner evaluate`: a stored network's scores on one split.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tch::Device;

use super::load::Loaded;
use crate::data::CLASSES;
use crate::data::batches::{Resident, Scaling, Split};
use crate::report::metrics::{ClassScores, macro_average, per_class};
use crate::train::evaluate::evaluate;
use crate::train::record::Confusion;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SplitName {
    Test,
    Val,
    Train,
}

/// Plain cross-entropy and shares in 0..=1, in evaluation mode.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    pub checkpoint: String,
    pub trial: Option<String>,
    pub model: &'static str,
    pub dataset: &'static str,
    pub split: SplitName,
    pub images: u64,
    pub loss: f64,
    pub accuracy: f64,
    pub macro_average: ClassScores,
    pub class_names: Vec<&'static str>,
    pub classes: [ClassScores; CLASSES],
    /// `confusion[true class][predicted class]`
    pub confusion: Confusion,
}

pub fn run(loaded: &Loaded, split: SplitName, folder: &Path, device: Device) -> Result<Evaluation> {
    let dataset = loaded.dataset(folder)?;
    let train = Resident::new(&dataset.train, device);
    let parts = Split::new(&loaded.config.data, dataset.train.len());
    let scaling = Scaling::new(loaded.config.data.scale, &train, &parts.train);
    let (score, confusion) = match split {
        SplitName::Train => evaluate(&loaded.network, &train, &scaling, &parts.train),
        SplitName::Val => evaluate(&loaded.network, &train, &scaling, &parts.val),
        SplitName::Test => {
            let test = Resident::new(&dataset.test, device);
            evaluate(&loaded.network, &test, &scaling, &test.all())
        }
    };
    let classes = per_class(&confusion);
    Ok(Evaluation {
        checkpoint: loaded.path.display().to_string(),
        trial: loaded.id.clone(),
        model: loaded.config.model.as_str(),
        dataset: loaded.config.data.dataset.as_str(),
        split,
        images: confusion.iter().flatten().sum(),
        loss: score.loss,
        accuracy: score.accuracy,
        macro_average: macro_average(&classes),
        class_names: dataset.class_names.to_vec(),
        classes,
        confusion,
    })
}

/// One line a checkpoint, and for a single one also its classes and confusion matrix.
pub fn describe(evaluations: &[Evaluation]) -> String {
    let mut text = format!(
        "{:<10}{:>8}{:>9}{:>10}{:>11}{:>9}{:>13}{:>8}  checkpoint\n",
        "split", "images", "loss", "accuracy", "precision", "recall", "specificity", "F1"
    );
    for row in evaluations {
        let mean = row.macro_average;
        let split = format!("{:?}", row.split).to_lowercase();
        let _ = writeln!(
            text,
            "{split:<10}{:>8}{:>9.4}{:>9.2}%{:>10.2}%{:>8.2}%{:>12.2}%{:>7.2}%  {} ({}, {})",
            row.images,
            row.loss,
            100.0 * row.accuracy,
            100.0 * mean.precision,
            100.0 * mean.recall,
            100.0 * mean.specificity,
            100.0 * mean.f1,
            row.checkpoint,
            row.model,
            row.dataset
        );
    }
    text.push_str("precision, recall, specificity and F1 are means over the classes");
    if let [only] = evaluations {
        text.push_str(&classes(only));
        text.push_str(&confusion(only));
    }
    text
}

fn classes(evaluation: &Evaluation) -> String {
    let mut text =
        format!("\n\n{:<12}{:>8}{:>11}{:>9}{:>13}{:>8}", "class", "images", "precision", "recall", "specificity", "F1");
    for (name, class) in evaluation.class_names.iter().zip(&evaluation.classes) {
        let _ = write!(
            text,
            "\n{name:<12}{:>8}{:>10.2}%{:>8.2}%{:>12.2}%{:>7.2}%",
            class.support,
            100.0 * class.precision,
            100.0 * class.recall,
            100.0 * class.specificity,
            100.0 * class.f1
        );
    }
    text
}

fn confusion(evaluation: &Evaluation) -> String {
    let mut text = format!("\n\n{:<12}", "true \\ pred.");
    for name in &evaluation.class_names {
        let _ = write!(text, "{name:>11}");
    }
    for (name, row) in evaluation.class_names.iter().zip(&evaluation.confusion) {
        let _ = write!(text, "\n{name:<12}");
        for count in row {
            let _ = write!(text, "{count:>11}");
        }
    }
    text
}
