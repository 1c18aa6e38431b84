//! `summary.md`: every block's tables and what they need said about them, nothing else.

use super::block_tables::{class_means, convergence, costs, results, unreached_words};
use super::networks::networks;
use super::study::Study;
use super::summary::BlockSummary;
use super::table::{markdown, markdown_table};
use crate::words::points_of_margin;

/// What every table needs said about it, without markup.
pub fn note(study: &Study) -> String {
    format!(
        "{}, {}. Mean ± standard deviation over n seeds, of the weights of the selected epoch; failed and diverged trials are \
         in no mean. The intervals of a block's differences hold together with 95 % confidence{}; p is adjusted for the same. \
         Better and worse: the interval lies above or below 0; equivalent: within ±{} of it. Macro: the mean over the classes, \
         on the test images.",
        study.dataset_note,
        study.mode_label(),
        if study.settles() { ", over its settings and looks" } else { ", over its settings" },
        points_of_margin(study.margin),
    )
}

pub fn summary_md(study: &Study, blocks: &[BlockSummary]) -> String {
    let mut text = format!("# {}\n\n{}\n", markdown(&study.name), markdown(&note(study)));
    for block in blocks {
        let mut parts = vec![markdown_table(&results(study, block)), markdown_table(&class_means(block))];
        parts.extend(unreached_words(block, &study.targets));
        parts.push(markdown_table(&convergence(block, &study.targets)));
        parts.extend(networks(block));
        parts.extend(block.compares_networks().then(|| markdown_table(&costs(block))));
        text += &format!("\n## {}\n\n{}\n", markdown(study.title(block.block)), parts.join("\n\n"));
    }
    text
}
