//! `summary.md` and `summary.tex`: every block's tables and what they need said about them, nothing else.

use super::block_tables::{class_means, convergence, costs, results};
use super::markdown::{markdown, markdown_table};
use super::measure::Measure;
use super::numbers::percent;
use super::study::Study;
use super::summary::BlockSummary;
use super::tex::{END, START, tex, tex_table};
use crate::words::points_of_margin;

/// What every table needs said about it, without markup.
fn note(study: &Study) -> String {
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
        let mut tables = vec![results(study, block), class_means(block), convergence(block, &study.targets)];
        tables.extend(block.compares_networks().then(|| costs(block)));
        let tables: Vec<String> = tables.iter().map(markdown_table).collect();
        text += &format!("\n## {}\n\n{}\n", markdown(study.title(block.block)), tables.join("\n\n"));
    }
    text
}

pub fn summary_tex(study: &Study, blocks: &[BlockSummary]) -> String {
    let mut text = START.to_owned();
    text += &format!("\\section*{{{}}}\n{}\n", tex(&study.name), tex(&note(study)));
    for block in blocks {
        let base = block.base().and_then(|row| row.spread(Measure::TestAccuracy));
        let id = block.block.id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let mut add = |kind: &str, what: &str, table| {
            let title = study.title(block.block);
            let caption = format!("{title}: {what}. Base: {}, {}.", percent(base), study.data_label());
            text += &tex_table(&format!("{id}-{kind}"), &tex(&caption), &table);
        };
        add("results", "test results", results(study, block));
        add("classes", "means over the classes", class_means(block));
        for (part, targets) in target_groups(&study.targets).into_iter().enumerate() {
            let kind = format!("convergence-{}", part + 1);
            add(&kind, "convergence and generalization", convergence(block, targets));
        }
        if block.compares_networks() {
            add("costs", "size and cost", costs(block));
        }
    }
    text + END
}

/// More targets do not fit beside each other on a page.
const TARGETS_ACROSS: usize = 3;

fn target_groups(targets: &[f64]) -> Vec<&[f64]> {
    if targets.is_empty() { vec![targets] } else { targets.chunks(TARGETS_ACROSS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latex_sets_the_summary_of_accidents_and_many_targets() {
        let mut study = crate::report::tests::example::accidents();
        let variants = &mut study.blocks[0].variants;
        *variants = variants.iter().cycle().take(80).cloned().collect();
        study.name = "100 % of_{\\tables}".into();
        study.targets = (1..20).map(|target| f64::from(target) / 20.0).collect();
        let folder = tempfile::tempdir().unwrap();
        let blocks = crate::report::summary::summarize(&study);
        std::fs::write(folder.path().join("summary.tex"), summary_tex(&study, &blocks)).unwrap();
        let mut command = std::process::Command::new("pdflatex");
        command.args(["-interaction=nonstopmode", "-halt-on-error", "summary.tex"]).current_dir(folder.path());
        if command.output().is_err() {
            return crate::skip::skip("there is no pdflatex (apt-get install texlive-latex-base)");
        }
        // The second run knows the labels of the first.
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        let complaint = ["Overfull", "multiply defined"].iter().find(|word| log.contains(**word));
        assert!(output.status.success() && complaint.is_none(), "{log}");
        assert!(folder.path().join("summary.pdf").exists());
    }
}
