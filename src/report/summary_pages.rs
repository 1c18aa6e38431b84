//! `summary.md` and `summary.tex`: every block's tables and what they need said about them, nothing else.

use super::block_tables::{class_means, convergence, costs, results};
use super::measure::Measure;
use super::statistics::percent;
use super::study::Study;
use super::summary::BlockSummary;
use super::table::{Table, markdown, markdown_table};
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
        let groups = study.targets.chunks(TARGETS_ACROSS).chain(study.targets.is_empty().then_some(&[][..]));
        for (part, targets) in groups.enumerate() {
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

/// Of a document that compiles with any LaTeX; the tables can be copied out of it.
const START: &str = "\\documentclass[10pt,a4paper]{article}
\\usepackage[margin=12mm,landscape]{geometry}
\\usepackage{longtable,array}
\\setlength{\\LTcapwidth}{\\linewidth}
\\setlength{\\tabcolsep}{4pt}
\\setlength{\\extrarowheight}{1.5pt}
\\begin{document}
\\footnotesize
";

const END: &str = "\\end{document}\n";

/// Of a table's width, for the settings' names.
const NAME_SHARE: f64 = 0.18;

/// Setting on the left and cut into lines; numbers share the rest of the line.
/// `caption` is LaTeX already.
fn tex_table(label: &str, caption: &str, table: &Table) -> String {
    let column = |align: &str, share: f64| {
        format!(">{{\\{align}\\arraybackslash}}p{{\\dimexpr {share:.4}\\linewidth-2\\tabcolsep}}")
    };
    let others = table.header.len() - 1;
    let other = |place| if table.is_numeric(place) { "raggedleft" } else { "raggedright" };
    let columns = (1..=others).map(|place| column(other(place), (1.0 - NAME_SHARE) / others as f64));
    let columns = column("raggedright", NAME_SHARE) + &columns.collect::<String>();
    // A count such as `2 of 3` stays on one line.
    let cell = |text: &String| tex(text).replace(" of ", "~of~");
    let line = |cells: Vec<String>| cells.join(" & ") + " \\\\\n";
    let mut text = format!("\n\\begin{{longtable}}{{{columns}}}\n");
    text += &format!("\\caption{{{caption}}}\\label{{tab:{label}}}\\\\\n\\hline\n");
    // On the next page without the caption, whose label would be there twice.
    let header = line(table.header.iter().map(cell).collect()) + "\\hline";
    text += &format!("{header}\\endfirsthead\n\\hline\n{header}\\endhead\n");
    text.extend(table.rows.iter().map(|row| line(row.iter().map(|own| cell(&own.text)).collect())));
    text + "\\hline\n\\end{longtable}\n"
}

/// Text that LaTeX prints as it is, with nothing but ASCII left for its input encoding to stumble over.
fn tex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Never first on a line.
            '%' if escaped.ends_with(' ') => escaped.replace_range(escaped.len() - 1.., "~\\%"),
            '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', character]),
            // A line may break after these, which long setting names need.
            '_' => escaped += "\\_\\allowbreak{}",
            '=' | '/' => escaped += &format!("{character}\\allowbreak{{}}"),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' | '>' | '|' => escaped += &format!("${character}$"),
            '±' => escaped += "$\\pm$",
            '−' => escaped += "$-$",
            '×' => escaped += "$\\times$",
            '·' => escaped += "$\\cdot$",
            '≤' => escaped += "$\\le$",
            '≥' => escaped += "$\\ge$",
            '–' => escaped += "--",
            '—' => escaped += "---",
            '…' => escaped += "\\dots{}",
            'α' => escaped += "$\\alpha$",
            'β' => escaped += "$\\beta$",
            'γ' => escaped += "$\\gamma$",
            'δ' => escaped += "$\\delta$",
            'ε' => escaped += "$\\epsilon$",
            'η' => escaped += "$\\eta$",
            'λ' => escaped += "$\\lambda$",
            'μ' => escaped += "$\\mu$",
            'σ' => escaped += "$\\sigma$",
            'τ' => escaped += "$\\tau$",
            _ if character.is_control() => escaped.push(' '),
            _ if character.is_ascii() => escaped.push(character),
            _ => escaped += &format!("[U+{:04X}]", character as u32),
        }
    }
    escaped
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

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(tex("50 % & λ_1 ≥ {x}"), "50~\\% \\& $\\lambda$\\_\\allowbreak{}1 $\\ge$ \\{x\\}");
        assert_eq!(tex("é"), "[U+00E9]");
    }
}
