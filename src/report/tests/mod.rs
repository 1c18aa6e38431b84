//! What the files of a made-up study say.

mod browser;
pub mod example;
mod hostile;
mod latex;

use super::*;
use crate::spec::config::DatasetName;
use crate::verdict::looks::Replicates;
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
    for words in ["1 of 3 diverged", "1 of 3 failed", "1 of 3 to come", "signal 9", "epoch 6: training loss is NaN"] {
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
    let left: Vec<String> =
        render_all(&study).unwrap().into_iter().filter_map(|file| file.bytes.is_none().then_some(file.path)).collect();
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
    let odd: Vec<&str> = rows.iter().map(|row| row["value"].as_str()).filter(|value| !value.contains('.')).collect();
    assert_eq!(odd, ["NaN", "inf"]);
}

#[test]
fn targets_that_nobody_reached_are_named_and_have_no_columns() {
    let mut study = example::accidents();
    study.targets = vec![0.4, 0.97, 0.99];
    let files = rendered(&study);
    for name in ["report.md", "summary.md", "summary.tex"] {
        let text = String::from_utf8_lossy(&files[name]).replace("~\\%", " %");
        assert!(
            text.contains("Epochs to 40 %") && !text.contains("to 97 %") && !text.contains("never"),
            "{name}: {text}"
        );
        assert!(
            text.contains("Left out, as no trial got there: a validation accuracy of 97 %, 99 %."),
            "{name}: {text}"
        );
    }
    study.targets = vec![0.4];
    assert!(!String::from_utf8_lossy(&rendered(&study)["report.md"]).contains("Left out"));
}

#[test]
fn the_base_converges_with_the_seeds_of_the_setting() {
    let mut study = example::study(&[("init", &[("base", 0.5), ("same", 0.5)])], 6, 20);
    study.targets = vec![0.4];
    let mut reaches = |label: &str, epoch: fn(u64) -> usize| {
        for trial in study.trials.iter_mut().filter(|trial| trial.label.ends_with(label)) {
            let reached = epoch(trial.seed);
            trial.history.iter_mut().for_each(|own| own.val_accuracy = if own.epoch < reached { 0.1 } else { 0.45 });
        }
    };
    // Of the same seeds they are the same; the base's others are slow.
    reaches("base", |seed| if seed < 3 { 4 } else { 9 });
    reaches("same", |_| 4);
    let words = |study: &Study| {
        let text = String::from_utf8_lossy(&rendered(study)["report.md"]).into_owned();
        let line = text.lines().find(|line| line.starts_with("**Convergence.**")).unwrap();
        line.split("accuracy: ").nth(1).unwrap().to_owned()
    };
    assert_eq!(words(&study), "40 %: same, 4.0 (n = 6), the base 6.5 (n = 6).");
    study.blocks[0].variants[1].trial_ids.truncate(3);
    assert_eq!(words(&study), "40 %: none before the base, 4.0 (n = 3).");
    study.blocks[0].variants.truncate(1);
    assert_eq!(words(&study), "40 %: the base, 6.5 (n = 6).");
    study.targets = vec![0.5];
    assert_eq!(words(&study), "50 %: none.");
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
fn an_interval_stands_beside_the_seeds_of_its_look() {
    let settings = [("base", 0.5), ("same", 0.5), ("other", 0.51)];
    let mut study = example::study(&[("init", &settings)], 6, 3);
    study.replicates = Replicates::Settle { max_seeds: 20 };
    study.margin = 0.1;
    // Five of the six that the look at six seeds wants: the interval is of an earlier one.
    study.trials.iter_mut().skip(6).filter(|trial| trial.seed == 5).for_each(|trial| trial.outcome = None);
    let row = &summary::summarize(&study)[0].rows[1];
    let comparison = row.comparison.as_ref().unwrap();
    assert!(comparison.difference.is_some() && comparison.seeds < row.n(), "{comparison:?}");
    assert_eq!(row.dots.len(), comparison.seeds);
    let mean = row.dots.iter().sum::<f64>() / row.dots.len() as f64;
    assert!((mean - row.shift.unwrap()).abs() < 1e-9, "the dots are not those of the difference: {:?}", row.dots);
    let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
    let line = text.lines().find(|line| line.contains("same (")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(&format!(", {},", row.compared_seeds())), "{line}");
    assert!(
        row.compared_seeds().starts_with(&format!("n = {}", comparison.seeds)) && !line.contains("n = 5"),
        "{line}"
    );
}

#[test]
fn a_setting_at_chance_is_called_so_and_a_base_that_goes_on_alone_too() {
    let mut study = example::study(&[("rate", &[("base", 0.5), ("lost", 0.1)])], 6, 3);
    study.replicates = Replicates::Settle { max_seeds: 20 };
    study.trials.iter_mut().find(|trial| trial.seed == 5).unwrap().outcome = None;
    let text = String::from_utf8(rendered(&study)["report.md"].clone()).unwrap();
    let line = text.lines().find(|line| line.contains("lost (")).unwrap();
    assert!(line.contains(", all trials at chance)"), "{line}");
    assert!(text.contains("*Its settings are done; 1 trial of the base to come for other blocks.*"), "{text}");
    assert!(!text.contains("Unfinished"), "{text}");
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

/// The example's study whose settings are networks: the base's and two others.
fn networks(base: &str, others: [&str; 2]) -> Study {
    let text = format!(
        "schema: 1\nname: t\nbase: {{optimizer: sgd, model: {base}}}\nblocks: [{{id: a, axes: {{model: [{}]}}}}]\n",
        others.join(", ")
    );
    let experiment = crate::spec::Experiment::parse("x.yaml", &text, &Default::default()).unwrap();
    let mut study = example::accidents();
    for (own, variant) in study.blocks[0].variants.iter().zip(&experiment.blocks[0].variants) {
        for trial in study.trials.iter_mut().filter(|trial| own.trial_ids.contains(&trial.id)) {
            trial.config.model = variant.config.model.clone();
        }
    }
    study
}

const SMALL: &str = "{name: small, layers: [{conv: {out: 8, kernel: 3, padding: same, bias: false}}, batch_norm, {act: gelu}, \
                     {residual: {main: [{conv: {out: 8, kernel: 1}}], shortcut: []}}, {max_pool: 4}, flatten, {dense: classes}]}";

#[test]
fn networks_that_are_compared_are_shown_layer_by_layer_and_where_they_differ() {
    let bare = "{name: bare, layers: [{conv: {out: 8, kernel: 5, padding: same, name: wide}}, {act: gelu}, {residual: {main: \
                [{conv: {out: 8, kernel: 1}}]}}, {avg_pool: 4}, flatten, dropout, {dense: classes}]}";
    let files = rendered(&networks(SMALL, ["{name: lenet5}", bare]));
    for name in ["report.md", "summary.md"] {
        let text = String::from_utf8(files[name].clone()).unwrap().replace('\\', "");
        for line in [
            "- small, 5,434 parameters: {conv: {out: 8, kernel: 3, padding: 1, bias: false}}, batch_norm, {act: gelu}, {residual: {main: \
             [{conv: {out: 8, kernel: 1}}]}}, {max_pool: 4}, flatten, {dense: 10}\n",
            "- lenet5, 62,006 parameters: built in\n",
            "- bare, 5,810 parameters: those of small, but {conv: {out: 8, kernel: 5, padding: 2, name: wide}} in place of conv1, bn1; \
             {avg_pool: 4} in place of pool1; dropout after flatten1\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}

#[test]
fn networks_without_much_in_common_are_written_out_and_others_are_not_shown() {
    let other = "{name: other, layers: [flatten, {dense: 20}, act, {dense: classes}]}";
    let no_norm = SMALL.replace("batch_norm, ", "").replace("small", "no_norm");
    let text = String::from_utf8(rendered(&networks(SMALL, [other, &no_norm]))["report.md"].clone()).unwrap();
    let text = text.replace('\\', "");
    assert!(text.contains(" parameters: flatten, {dense: 20}, act, {dense: 10}\n"), "{text}");
    assert!(text.contains(" parameters: those of small, but without bn1\n"), "{text}");
    let plain = rendered(&networks("lenet5", ["lenet5_dropout", "{name: lenet5, channels: [6]}"]));
    for study in [plain, rendered(&example::accidents())] {
        assert!(!String::from_utf8_lossy(&study["report.md"]).contains("The networks, layer by layer"));
    }
}
