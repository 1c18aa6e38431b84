//! The study that a sweep leaves behind: stored trials in, bytes of tables, plots and text out.
//!
//! Everything here is a pure function; the caller writes the files. The order of work is
//! trials → [`summary`] (one row a configuration, over its seeds) → [`tables`], [`summary_pages`], [`tex`], [`plots`] and [`text`].

pub mod baseline;
mod block_tables;
pub mod events;
pub mod evidence;
pub mod html;
pub mod join;
pub mod measure;
mod networks;
pub mod plots;
pub mod setup;
pub mod show;
pub mod statistics;
mod study;
pub mod summary;
mod summary_pages;
pub mod table;
mod tables;
pub mod terminal;
mod tex;
mod text;
mod verdicts;

#[cfg(test)]
mod tests;

pub use study::{
    StoredTrial, Study, StudyBlock, StudyTuning, StudyVariant, TriedValue, data_label, pixels_label, status_word,
};

use anyhow::Result;

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
        ("summary.md", summary_pages::summary_md(study, &blocks).into_bytes()),
        ("summary.tex", tex::summary_tex(study, &blocks).into_bytes()),
        ("report.tex", tex::report_tex(study).into_bytes()),
        ("report.md", text::report_md(study, &blocks, &figures).into_bytes()),
    ];
    let mut files: Vec<Rendered> =
        files.into_iter().map(|(path, bytes)| Rendered { path: path.to_owned(), bytes: Some(bytes) }).collect();
    for figure in &figures {
        files.push(Rendered { path: figure.path.clone(), bytes: figure.render()? });
    }
    Ok(files)
}
