//! The study that a sweep leaves behind: stored trials in, bytes of tables, plots and text out.
//!
//! Everything here is a pure function; the caller writes the files. The order of work is
//! trials → [`summary`] (one row a configuration, over its seeds) → [`tables`], [`overview`], [`plots`] and [`text`].

pub mod baseline;
pub mod compare;
pub mod events;
pub mod evidence;
pub mod html;
pub mod keys;
pub mod metrics;
pub mod numbers;
pub mod overview;
pub mod per_image;
pub mod plots;
pub mod setup;
pub mod show;
pub mod statistics;
pub mod summary;
pub mod tables;
pub mod terminal;
pub mod text;
pub mod verdicts;

#[cfg(test)]
mod example;

use crate::data::Images;
use crate::record::{Epoch, Outcome, Scores, Showcase, Status};
use crate::spec::Cell;
use crate::spec::config::{Config, DatasetName};
use crate::verdict::asked::Taken;
use crate::verdict::looks::Replicates;
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An experiment with whatever trials are stored so far.
#[derive(Clone, Debug)]
pub struct Study {
    pub name: String,
    pub description: Option<String>,
    /// Validation accuracies in 0..=1 whose epochs and seconds tell the speed of convergence.
    pub targets: Vec<f64>,
    pub class_names: Vec<String>,
    pub dataset: DatasetName,
    /// Whether the images are the published ones, to the last bit.
    pub official: bool,
    /// Names the data as tables should: `cifar10 (sha256 ab12…)`.
    pub dataset_note: String,
    /// The test set where it is at hand, for the pictures that show some of it.
    pub test_images: Option<Arc<Images>>,
    /// Points of test accuracy that matter.
    pub margin: f64,
    pub replicates: Replicates,
    /// What was planned otherwise when earlier looks were taken, in words.
    pub changed_plans: Vec<String>,
    /// The true class of each test image; none in results of older versions.
    pub test_labels: Option<Vec<u8>>,
    pub blocks: Vec<StudyBlock>,
    pub trials: Vec<StoredTrial>,
}

/// One comparison. `variants[0]` is the base that the others are measured against.
#[derive(Clone, Debug)]
pub struct StudyBlock {
    pub id: String,
    pub title: Option<String>,
    /// The keys that it varies, with the base's values.
    pub terms: Vec<(String, String)>,
    pub variants: Vec<StudyVariant>,
}

/// One configuration of a block, with one trial a seed.
#[derive(Clone, Debug)]
pub struct StudyVariant {
    pub label: String,
    /// What sets it apart from the base; in a grid every axis, also for the base where it lies in the grid.
    pub settings: Vec<(String, String)>,
    /// Equal for variants that are the same configuration, in whatever block.
    pub configuration: usize,
    /// Of the comparison, in the order of the seeds; with seeds that are added, those that are needed by now.
    pub trial_ids: Vec<String>,
    /// What it was tuned to, where the study tunes.
    pub tuning: Option<StudyTuning>,
}

/// The values that a configuration has tried on the validation images.
#[derive(Clone, Debug)]
pub struct StudyTuning {
    /// Label, trials, and mean of the selection metric where all trials are done.
    pub tried: Vec<TriedValue>,
    pub taken: Taken,
    /// Whether the value taken is the first or last of one of the tuned keys' lists.
    pub at_edge: bool,
    /// How many seeds its comparison would have.
    pub comparison_seeds: usize,
}

#[derive(Clone, Debug)]
pub struct TriedValue {
    /// `lr=0.01`
    pub label: String,
    pub trial_ids: Vec<String>,
    pub mean: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct StoredTrial {
    pub id: String,
    pub seed: u64,
    /// Its configuration in a few words: `base`, `optimizer: adam, lr 0.001`.
    pub label: String,
    /// Ids of the blocks that name it.
    pub blocks: Vec<String>,
    /// Whether it only helped to choose its setting's values.
    pub is_tuning: bool,
    pub config: Config,
    /// The resolved configuration as dotted keys, in order.
    pub keys: Vec<(String, Cell)>,
    pub history: Vec<Epoch>,
    /// None until the trial has ended.
    pub outcome: Option<Outcome>,
    pub showcase: Option<Showcase>,
    /// The class of each test image by the selected epoch's weights; none in results of older versions.
    pub predictions: Option<Vec<u8>>,
}

impl StoredTrial {
    /// Why it cannot be read, if it is stored and cannot.
    pub fn unreadable(&self) -> Option<&str> {
        let outcome = self.outcome.as_ref().filter(|outcome| outcome.attempts == 0);
        outcome.and_then(|outcome| outcome.error.as_deref())
    }

    pub fn status(&self) -> Option<Status> {
        self.outcome.as_ref().map(|outcome| outcome.status)
    }

    /// The selected epoch's scores; only a trial that is done has them.
    pub fn scores(&self) -> Option<&Scores> {
        self.outcome.as_ref().filter(|outcome| outcome.status == Status::Done)?.scores.as_ref()
    }
}

impl Study {
    /// Of each trial that is stored and cannot be read, why.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.trials.iter().filter_map(StoredTrial::unreadable)
    }

    pub fn title<'a>(&self, block: &'a StudyBlock) -> &'a str {
        block.title.as_deref().unwrap_or(&block.id)
    }

    /// Whether seeds are added until the verdicts are settled.
    pub fn settles(&self) -> bool {
        self.replicates != Replicates::Fixed
    }

    /// As every caption names the data.
    pub fn data_label(&self) -> &'static str {
        pixels_label(self.dataset, self.official)
    }

    /// `exact mode`, `fast mode`, or several where trials of different ones meet.
    pub fn mode_label(&self) -> String {
        let modes: BTreeSet<&str> = self.trials.iter().map(|trial| trial.config.mode.as_str()).collect();
        match modes.is_empty() {
            true => "exact mode".to_owned(),
            false => format!("{} mode", Vec::from_iter(modes).join(" and ")),
        }
    }
}

/// The data set by name; invented images are called so whatever any note says.
pub fn data_label(dataset: DatasetName) -> &'static str {
    match dataset {
        DatasetName::Synthetic => "SYNTHETIC data",
        DatasetName::Cifar10 => "cifar10",
    }
}

/// The same, where it is known whether the images are the published ones.
pub fn pixels_label(dataset: DatasetName, official: bool) -> &'static str {
    match dataset {
        DatasetName::Cifar10 if !official => "cifar10, but not the official pixels",
        dataset => data_label(dataset),
    }
}

/// A file of the report.
pub struct Rendered {
    /// Below the results folder.
    pub path: String,
    /// None: it cannot be made here, and stays as it is.
    pub bytes: Option<Vec<u8>>,
}

/// Every table, plot and text.
pub fn render_all(study: &Study) -> Result<Vec<Rendered>> {
    let blocks = summary::summarize(study);
    let figures = plots::figures(study, &blocks);
    let files = vec![
        ("plan.csv", tables::plan_csv(&study.trials)?),
        ("trials.csv", tables::trials_csv(&study.trials, &study.targets)?),
        ("history.csv", tables::history_csv(&study.trials)?),
        ("classes.csv", tables::classes_csv(study)?),
        ("confusion.csv", tables::confusion_csv(study)?),
        ("summary.csv", tables::summary_csv(&blocks, &study.targets)?),
        ("summary.md", overview::summary_md(study, &blocks).into_bytes()),
        ("summary.tex", overview::summary_tex(study, &blocks).into_bytes()),
        ("report.md", text::report_md(study, &blocks, &figures).into_bytes()),
    ];
    let mut files: Vec<Rendered> =
        files.into_iter().map(|(path, bytes)| Rendered { path: path.to_owned(), bytes: Some(bytes) }).collect();
    for figure in &figures {
        files.push(Rendered { path: figure.path.clone(), bytes: figure.render(study)? });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::rule::Verdict;
    use std::collections::HashMap;

    fn rendered(study: &Study) -> HashMap<String, Vec<u8>> {
        render_all(study).unwrap().into_iter().filter_map(|file| Some((file.path, file.bytes?))).collect()
    }

    fn table(files: &HashMap<String, Vec<u8>>, name: &str) -> Vec<HashMap<String, String>> {
        let mut reader = csv::Reader::from_reader(files[name].as_slice());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    #[test]
    fn accidents_are_counted_in_tables_and_named_in_the_text() {
        let files = rendered(&example::accidents());
        let summary = table(&files, "summary.csv");
        let counts = ["n", "failed", "diverged", "pending"].map(|column| summary[1][column].as_str());
        assert_eq!(counts, ["2", "0", "1", "0"]);
        let status: Vec<String> = table(&files, "trials.csv").iter().map(|row| row["status"].clone()).collect();
        assert_eq!(status.iter().filter(|status| *status == "done").count(), 9);
        assert!(status.contains(&"failed".to_owned()) && status.contains(&"diverged".to_owned()));
        assert_eq!((status.len(), table(&files, "plan.csv").len()), (11, 12));
        let text = String::from_utf8(files["report.md"].clone()).unwrap();
        for words in ["1 of 3 diverged", "1 of 3 failed", "1 of 3 to come", "signal 9", "epoch 6: training loss is NaN"]
        {
            assert!(text.contains(words), "report.md does not say {words:?}");
        }
    }

    #[test]
    fn every_picture_in_the_report_exists_and_no_other() {
        let files = rendered(&example::accidents());
        let text = String::from_utf8(files["report.md"].clone()).unwrap();
        let named: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert_eq!(named.len(), files.keys().filter(|path| path.ends_with(".png")).count());
        for path in named {
            let decoder = png::Decoder::new(std::io::Cursor::new(&files[path]));
            let (width, height) = decoder.read_info().unwrap().info().size();
            assert!(width == 1800 && height > 400, "{path}: {width}×{height}");
        }
    }

    #[test]
    fn without_the_test_images_their_pictures_stay_as_they_are() {
        let mut study = example::accidents();
        study.test_images = None;
        let left: Vec<String> = render_all(&study)
            .unwrap()
            .into_iter()
            .filter_map(|file| file.bytes.is_none().then_some(file.path))
            .collect();
        assert_eq!(left, ["plots/mistakes_base.png", "plots/mistakes_best.png"]);
        let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
        assert!(left.iter().all(|path| text.contains(path)));
    }

    #[test]
    fn history_keeps_every_bit_and_names_what_is_not_a_number() {
        let study = example::accidents();
        let rows = table(&rendered(&study), "history.csv");
        let trial = &study.trials[0];
        let row = rows.iter().find(|row| row["split"] == "val" && row["metric"] == "loss").unwrap();
        assert_eq!(row["value"].parse::<f64>().unwrap().to_bits(), trial.history[0].val_loss.to_bits());
        let odd: Vec<&str> =
            rows.iter().map(|row| row["value"].as_str()).filter(|value| !value.contains('.')).collect();
        assert_eq!(odd, ["NaN", "inf"]);
    }

    #[test]
    fn nothing_finished_still_makes_a_report() {
        let mut study = example::accidents();
        study.trials.iter_mut().for_each(|trial| trial.outcome = None);
        let files = rendered(&study);
        assert!(files.keys().all(|path| !path.ends_with(".png")));
        assert!(String::from_utf8_lossy(&files["report.md"]).contains("No trial has finished yet."));
    }

    #[test]
    fn one_seed_makes_no_claim() {
        let study = example::study(&[("activation", &[("base", 0.5), ("relu", 0.7)])], 1, 3);
        let files = rendered(&study);
        assert_eq!(table(&files, "summary.csv")[1]["verdict"], "inconclusive");
        assert_eq!(table(&files, "summary.csv")[1]["p"], "");
        assert!(String::from_utf8_lossy(&files["report.md"]).contains("cannot tell a difference from chance"));
    }

    #[test]
    fn divergence_never_counts_for_a_setting() {
        let settings = [("base", 0.5), ("wild", 0.7)];
        let mut study = example::study(&[("rate", &settings)], 5, 3);
        let verdict = |study: &Study| summary::summarize(study)[0].rows[1].verdict();
        assert_eq!(verdict(&study), Verdict::Better);
        example::diverge(&mut study.trials[9], 2);
        assert_eq!(verdict(&study), Verdict::Unstable);
    }

    #[test]
    fn an_unstable_base_is_said_first_and_ends_its_comparisons() {
        let mut study = example::study(&[("rate", &[("base", 0.5), ("wild", 0.7)])], 5, 3);
        example::diverge(&mut study.trials[0], 2);
        let blocks = summary::summarize(&study);
        assert_eq!((blocks[0].rows[1].verdict(), blocks[0].rows[1].shift), (Verdict::Inconclusive, None));
        let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is missing:\n{text}"));
        assert!(place("The base of rate is unstable") < place("Better than the base"));
    }

    #[test]
    fn settings_within_the_margin_are_equivalent_and_shown_so() {
        let mut study = example::study(&[("init", &[("base", 0.5), ("same", 0.5), ("far", 0.6)])], 9, 3);
        study.margin = 5.0;
        let files = rendered(&study);
        let verdicts: Vec<String> = table(&files, "summary.csv").iter().map(|row| row["verdict"].clone()).collect();
        assert_eq!(verdicts, ["", "equivalent", "better"]);
        let text = String::from_utf8(files["report.md"].clone()).unwrap();
        assert!(text.contains("Equivalent (within ±5 points)**: 1 of 2: same"), "{text}");
    }

    #[test]
    fn divergence_gets_no_prize_for_speed_and_no_interval() {
        let mut study = example::study(&[("rate", &[("base", 0.5), ("wild", 0.7)])], 3, 5);
        example::diverge(&mut study.trials[4], 2);
        let blocks = summary::summarize(&study);
        assert!(blocks[0].rows[1].difference().is_none());
        let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
        assert!(!text.contains("%: wild,"), "{text}");
    }

    #[test]
    fn images_that_are_not_the_published_ones_are_called_so_everywhere() {
        let mut study = example::accidents();
        let warned = |study: &Study| {
            let text = text::report_md(study, &summary::summarize(study), &[]);
            (text.contains("Not the official pixels"), study.data_label().contains("not the official pixels"))
        };
        assert_eq!(warned(&study), (false, false));
        study.official = false;
        assert_eq!(warned(&study), (true, true));
    }

    #[test]
    fn a_base_keeps_its_name_whatever_it_begins_with() {
        let mut study = example::study(&[("experiments", &[("base", 0.5), ("other", 0.6)])], 3, 3);
        study.blocks[0].variants[0].label = "baseline_lenet".into();
        let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
        assert!(text.contains("Base, baseline\\_lenet:"), "{text}");
    }

    #[test]
    fn synthetic_data_is_called_so_everywhere() {
        let mut study = example::accidents();
        study.dataset = DatasetName::Synthetic;
        study.dataset_note = "SYNTHETIC data".into();
        let files = rendered(&study);
        for name in ["report.md", "summary.md", "summary.tex"] {
            assert!(String::from_utf8_lossy(&files[name]).contains("SYNTHETIC"), "{name}");
        }
    }

    #[test]
    fn blocks_with_one_base_share_an_overview() {
        let blocks: [(&str, &[(&str, f64)]); 2] =
            [("init", &[("base", 0.5), ("a", 0.6)]), ("rate", &[("own", 0.5), ("b", 0.4)])];
        let mut study = example::study(&blocks, 3, 3);
        assert!(!rendered(&study).contains_key("plots/overview.png"));
        study.blocks[1].variants[0] = study.blocks[0].variants[0].clone();
        let files = rendered(&study);
        assert!(files.contains_key("plots/overview.png"));
        let text = String::from_utf8_lossy(&files["report.md"]).into_owned();
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is missing"));
        assert!(place("## In short") < place("plots/overview.png") && place("plots/overview.png") < place("## init"));
    }

    #[test]
    fn what_is_recommended_was_chosen_without_the_test_set() {
        let mut study = example::study(&[("init", &[("base", 0.5), ("good", 0.6), ("lucky", 0.55)])], 3, 3);
        for trial in &mut study.trials[6..9] {
            trial.outcome.as_mut().unwrap().scores.as_mut().unwrap().test.accuracy = 0.9;
        }
        assert_eq!(summary::summarize(&study)[0].best().unwrap().variant.label, "good");
    }
}
