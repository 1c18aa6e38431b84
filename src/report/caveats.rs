//! What is not alike between the settings of a study and should be.

use super::summary::{BlockSummary, Row};
use crate::spec::config::{Config, Select};
use crate::words::grouped;

/// A property that should be alike wherever accuracies are compared: what it is, its value, and what follows where values differ.
type Property = (&'static str, fn(&Config) -> String, &'static str);

const ALIKE: [Property; 3] = [
    ("split the images differently", split, "Part of a difference may be due to that."),
    ("select the epoch differently", select, "Part of a difference may be due to that."),
    ("compute in different modes", |config| config.mode.as_str().to_owned(), "They differ in how they round."),
];

/// One sentence for each property that is not alike. The study's first block tells: it has every experiment of a
/// comparison, and one experiment's blocks are alike.
pub fn caveats(blocks: &[BlockSummary]) -> Vec<String> {
    let Some(block) = blocks.first() else { return vec![] };
    let mut found = vec![];
    for (what, value, consequence) in ALIKE {
        let of_row = |row: &Row| row.trials.first().map_or(String::new(), |trial| value(&trial.config));
        found.extend(different(block, of_row).map(|groups| format!("Some settings {what}: {groups}. {consequence}")));
    }
    found
}

/// `value (labels); value (labels)`; None where all rows have the same.
fn different(block: &BlockSummary, value: impl Fn(&Row) -> String) -> Option<String> {
    let mut groups: Vec<(String, Vec<&str>)> = vec![];
    for row in &block.rows {
        let (value, label) = (value(row), row.variant.label.as_str());
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((value, vec![label])),
        }
    }
    let words = groups.iter().map(|(value, labels)| format!("{value} ({})", labels.join(", ")));
    (groups.len() > 1).then(|| words.collect::<Vec<_>>().join("; "))
}

fn split(config: &Config) -> String {
    let data = &config.data;
    let [train, val] = [data.training_images(), data.val].map(|images| grouped(images as i64));
    format!("{train} to train on and {val} to validate, split seed {}", data.split_seed)
}

fn select(config: &Config) -> String {
    select_words(config.select).to_owned()
}

pub fn select_words(select: Select) -> &'static str {
    match select {
        Select::ValLoss => "lowest validation loss",
        Select::ValAccuracy => "highest validation accuracy",
    }
}
