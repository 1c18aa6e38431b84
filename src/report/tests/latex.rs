//! `summary.tex` and `report.tex`: what LaTeX makes of them, and where there is no LaTeX, that names are nothing but text in them.

use super::hostile::{HOSTILE, PLAIN, study, texts};
use super::*;
use std::fs;
use std::process::Command;

/// One that would be the options of a row's end.
const OPTIONS: &str = "[1cm] a";

/// The tables' rows as LaTeX reads them: without comments, each with its cells.
fn rows(tex: &str) -> Vec<Vec<&str>> {
    let is_row = |line: &&str| line.ends_with(" \\\\");
    // An escaped & is part of a cell.
    tex.lines().filter(is_row).map(|line| line.split(" & ").collect()).collect()
}

/// The characters of `text` that LaTeX takes for something else than text, braces apart.
fn unescaped(text: &str) -> String {
    let without_letters = text.split("\\runnerletter{").collect::<Vec<_>>().join("");
    let mut found = String::new();
    let mut before = ' ';
    let mut in_math = false;
    for character in without_letters.chars() {
        match character {
            '$' if before != '\\' => in_math = !in_math,
            '%' | '#' | '&' | '_' | '^' if before != '\\' && !in_math => found.push(character),
            _ => {}
        }
        before = if before == '\\' && character == '\\' { ' ' } else { character };
    }
    if in_math { found + "$" } else { found }
}

#[test]
fn latex_finds_nothing_but_text_in_names() {
    let plain = texts(&study(PLAIN));
    for names in [[HOSTILE; 4], [OPTIONS; 4], ["* a"; 4]] {
        let found = texts(&study(names));
        let (expected, rows_found) = (rows(&plain["summary.tex"]), rows(&found["summary.tex"]));
        let cells = |rows: &[Vec<&str>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(cells(&rows_found), cells(&expected));
        for row in rows_found {
            assert!(!row[0].starts_with(['[', '*']), "an option of the row before: {row:?}");
            row.iter().for_each(|cell| assert_eq!(unescaped(cell), "", "{cell}"));
        }
        for file in ["summary.tex", "report.tex"] {
            let text = found[file].replace("\\{", "").replace("\\}", "");
            let count = |brace: char| text.matches(brace).count();
            assert_eq!(count('{'), count('}'), "{file}");
        }
        let labels: Vec<&str> =
            found["summary.tex"].split("\\label{").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        let mut different = labels.clone();
        different.sort_unstable();
        different.dedup();
        assert!(labels.len() == different.len() && labels.len() > 5, "{labels:?}");
    }
}

/// Sets `report.tex`, and a document that has only what `summary.tex` asks for. Skipped where there is no LaTeX for it.
fn set(study: &Study) {
    let finds_booktabs =
        Command::new("kpsewhich").arg("booktabs.sty").output().is_ok_and(|found| found.status.success());
    if !finds_booktabs {
        return crate::skip::skip("there is no pdflatex with booktabs (apt-get install texlive-latex-recommended)");
    }
    let (folder, found) = (tempfile::tempdir().unwrap(), texts(study));
    for file in ["summary.tex", "report.tex"] {
        fs::write(folder.path().join(file), &found[file]).unwrap();
    }
    let own = "\\documentclass{article}\n\\usepackage{booktabs,longtable,array}\n\\begin{document}\n\\listoftables\n\\input{summary}\n\\end{document}\n";
    fs::write(folder.path().join("own.tex"), own).unwrap();
    for document in ["report", "own"] {
        let mut command = Command::new("pdflatex");
        command.args(["-interaction=nonstopmode", "-halt-on-error", document]).current_dir(folder.path());
        // The second run knows the labels and captions of the first.
        command.output().unwrap();
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !log.contains("multiply defined"), "{document}: {log}");
        // A4 and landscape has room for all columns.
        assert!(document == "own" || !log.contains("Overfull"), "{log}");
        assert!(folder.path().join(format!("{document}.pdf")).exists());
    }
}

#[test]
fn latex_sets_accidents_and_many_targets() {
    let mut study = example::accidents();
    let variants = &mut study.blocks[0].variants;
    *variants = variants.iter().cycle().take(80).cloned().collect();
    study.targets = (1..20).map(|target| f64::from(target) / 20.0).collect();
    set(&study);
}

#[test]
fn latex_sets_names_that_are_full_of_markup() {
    set(&study([HOSTILE, HOSTILE, OPTIONS, HOSTILE]));
    set(&study([OPTIONS, OPTIONS, HOSTILE, HOSTILE]));
}

#[test]
fn the_tables_are_no_document_and_the_document_has_them() {
    let found = texts(&example::accidents());
    let words = ["\\toprule", "\\midrule", "\\bottomrule"];
    assert!(words.iter().all(|word| found["summary.tex"].contains(word)));
    assert!(!found["summary.tex"].lines().any(|line| !line.starts_with('%') && line.contains("document")));
    assert!(found["report.tex"].contains("\n\\input{summary}\n"));
}
