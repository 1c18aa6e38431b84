//! Which plots a study gets, and what all of them share: a title, a caption with n, data set and mode, and a palette.

mod canvas;
pub mod classes;
pub mod confusion;
mod curves;
mod difference;
mod filters;
mod frame;
mod heatmap;
mod legend;
mod mistakes;
mod overview;
mod size;
mod theme;
mod tuning;

use super::summary::{BlockSummary, Measure, Row, best};
use super::{StoredTrial, Study};
use crate::record::Showcase;
use anyhow::Result;
use canvas::{Canvas, Ink};
use std::collections::HashSet;

/// Settings of one block that are plotted; a larger block shows its best, and says so.
const MAX_SETTINGS: usize = 36;

/// Where in the report a plot belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place<'a> {
    Overview,
    /// In the section of the block with this id.
    Block(&'a str),
    /// Among the pictures of single trials.
    CloserLook,
}

/// A plot that can be drawn, and its place below the results folder.
pub struct Figure<'a> {
    pub path: String,
    pub place: Place<'a>,
    /// What a reader sees who cannot see it.
    pub description: String,
    content: Content<'a>,
}

enum Content<'a> {
    Overview(overview::Group<'a>),
    Curves(curves::Page<'a>),
    Difference(&'a BlockSummary<'a>),
    Heatmap(heatmap::Grid<'a>),
    Size(&'a BlockSummary<'a>),
    Tuning(&'a BlockSummary<'a>),
    Classes(&'a BlockSummary<'a>),
    Confusion(&'a BlockSummary<'a>, &'a Row<'a>),
    Mistakes(TrialView<'a>),
    Filters(TrialView<'a>),
}

/// One trial that stands for its configuration.
struct TrialView<'a> {
    label: String,
    trial: &'a StoredTrial,
    showcase: &'a Showcase,
}

impl Figure<'_> {
    /// PNG bytes; none where it shows test images and these are not at hand.
    pub fn render(&self, study: &Study) -> Result<Option<Vec<u8>>> {
        let bytes = match &self.content {
            Content::Overview(group) => overview::render(study, group),
            Content::Curves(page) => curves::render(study, page),
            Content::Difference(block) => difference::render(study, block),
            Content::Heatmap(grid) => heatmap::render(study, grid),
            Content::Size(block) => size::render(study, block),
            Content::Tuning(block) => tuning::render(study, block),
            Content::Classes(block) => classes::render(study, block),
            Content::Confusion(block, row) => confusion::render(study, block, row),
            Content::Mistakes(view) => match &study.test_images {
                Some(images) => mistakes::render(study, view, images),
                None => return Ok(None),
            },
            Content::Filters(view) => filters::render(study, view),
        };
        bytes.map(Some)
    }
}

/// The plots of every block that has a finished or diverged trial, in the order of the report.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let mut drawn = HashSet::new();
    let mut figures: Vec<Figure> = overview::groups(blocks).into_iter().map(overview_figure).collect();
    for block in blocks.iter().filter(|block| block.rows.iter().any(curves::shown)) {
        let (id, title) = (&block.block.id, study.title(block.block));
        let figure = |name: String, description: String, content| Figure {
            path: format!("plots/{id}_{name}.png"),
            place: Place::Block(id),
            description,
            content,
        };
        if block.rows.iter().any(|row| row.shift.is_some()) {
            let description = format!("{title}: difference in test accuracy to the base, with intervals");
            figures.push(figure("difference".into(), description, Content::Difference(block)));
        }
        if block.compares_networks() && block.finished() {
            let description = format!("{title}: test accuracy against multiply-adds");
            figures.push(figure("size".into(), description, Content::Size(block)));
        }
        if tuning::shown(block) {
            let description = format!("{title}: the values that each setting tried");
            figures.push(figure("tuning".into(), description, Content::Tuning(block)));
        }
        if let Some(grid) = heatmap::grid(block) {
            let description = format!("{title}: test accuracy by its two settings");
            figures.push(figure("heatmap".into(), description, Content::Heatmap(grid)));
        }
        for (name, page) in curves::pages(block) {
            let description = format!("{title}: {} over the epochs", page.quantity.noun());
            figures.push(figure(name, description, Content::Curves(page)));
        }
        if block.finished() {
            let description = format!("{title}: precision, recall, specificity and F1 by class");
            figures.push(figure("classes".into(), description, Content::Classes(block)));
        }
        for (name, row) in [("base", block.base()), ("best", block.best())] {
            // Blocks often share their base: its matrix is drawn once.
            let Some(row) = row.filter(|row| row.n() > 0 && drawn.insert(&row.variant.trial_ids)) else { continue };
            let description = format!("{title}: confusion matrix of {}", row.variant.label);
            figures.push(figure(format!("confusion_{name}"), description, Content::Confusion(block, row)));
        }
    }
    figures.extend(closer_look(study, blocks));
    figures
}

fn overview_figure((suffix, group): (String, overview::Group)) -> Figure {
    Figure {
        path: format!("plots/overview{suffix}.png"),
        place: Place::Overview,
        description: "Every setting's difference in test accuracy to the base, with intervals".to_owned(),
        content: Content::Overview(group),
    }
}

/// Pictures of one trial of the study's base and of its best configuration.
fn closer_look<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let holder = |row: &Row| blocks.iter().find(|block| block.rows.iter().any(|other| std::ptr::eq(other, row)));
    let best = best(blocks.iter().flat_map(|block| &block.rows)).and_then(|row| Some((holder(row)?, row)));
    let base = blocks.first().and_then(|block| Some((block, block.base()?)));
    let mut drawn = HashSet::new();
    let mut figures = vec![];
    for (name, chosen) in [("base", base), ("best", best)] {
        let Some((block, row)) = chosen.filter(|(_, row)| drawn.insert(&row.variant.trial_ids)) else { continue };
        let Some((trial, showcase)) = row.done().find_map(|trial| Some((trial, trial.showcase.as_ref()?))) else {
            continue;
        };
        let is_base = block.base().is_some_and(|base| std::ptr::eq(base, row));
        let label = if is_base {
            "the base".to_owned()
        } else {
            format!("{}: {}", study.title(block.block), row.variant.label)
        };
        let view = || TrialView { label: label.clone(), trial, showcase };
        let mut show = |kind: &str, description: String, content| {
            figures.push(Figure {
                path: format!("plots/{kind}_{name}.png"),
                place: Place::CloserLook,
                description,
                content,
            });
        };
        show("mistakes", format!("Test images that {label} is surest about and wrong"), Content::Mistakes(view()));
        show("filters", format!("Kernels of the first convolution of {label}"), Content::Filters(view()));
    }
    figures
}

/// The `limit` rows with the highest mean test accuracy, in the block's order; rows without one come last in the choice.
fn leading<'a>(rows: Vec<&'a Row<'a>>, limit: usize) -> Vec<&'a Row<'a>> {
    let mean = |row: &Row| row.spread(Measure::TestAccuracy).map_or(f64::NEG_INFINITY, |spread| spread.mean);
    let mut order: Vec<(usize, f64)> = rows.iter().map(|row| mean(row)).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.truncate(limit);
    order.sort_by_key(|(index, _)| *index);
    order.into_iter().map(|(index, _)| rows[index]).collect()
}

/// `Optimizer: loss`, where the name gives way if the page is too narrow for both.
fn headline(name: &str, what: &str) -> String {
    let ink = Ink::new(theme::INK, theme::TITLE).bold();
    let room = theme::WIDTH - 2.0 * theme::MARGIN - ink.width(&format!(": {what}"));
    format!("{}: {what}", ink.wrap(name, room, 1).concat())
}

/// Title on top, caption at the bottom.
fn page(canvas: &Canvas, height: f64, title: &str, caption: &str) -> Result<()> {
    let width = theme::WIDTH - 2.0 * theme::MARGIN;
    let ink = Ink::new(theme::INK, theme::TITLE).bold();
    let title = ink.wrap(title, width, 1);
    canvas.paragraph(&title, (theme::MARGIN, theme::MARGIN + theme::TITLE / 2.0), ink)?;
    let ink = Ink::new(theme::QUIET, theme::SMALL);
    let lines = ink.wrap(caption, width, 2);
    let last = height - theme::MARGIN;
    let first = last - theme::SMALL * (theme::LEADING * (lines.len() - 1) as f64 + 0.5);
    canvas.paragraph(&lines, (theme::MARGIN, first), ink)?;
    Ok(())
}

/// `n = 3 seeds`, or `n = 1 to 3 seeds` where rows differ.
fn seeds_label<'a>(rows: impl Iterator<Item = &'a Row<'a>>) -> String {
    let counts: Vec<usize> = rows.map(Row::n).filter(|n| *n > 0).collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(1), Some(1)) => "n = 1 seed".to_owned(),
        (Some(least), Some(most)) if least == most => format!("n = {least} seeds"),
        (Some(least), Some(most)) => format!("n = {least} to {most} seeds"),
        _ => "n = 0".to_owned(),
    }
}
