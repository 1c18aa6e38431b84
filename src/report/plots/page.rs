//! What all plots share: a title, a caption with n, data set and mode, and a limit to what is legible.

use super::canvas::{Canvas, Ink};
use super::theme;
use crate::report::measure::Measure;
use crate::report::summary::Row;
use anyhow::Result;

/// Settings of one block that are plotted; a larger block shows its best, and says so.
pub const MAX_SETTINGS: usize = 36;

/// The `limit` rows with the highest mean test accuracy, in the block's order; rows without one come last in the choice.
pub fn leading<'a>(rows: Vec<&'a Row<'a>>, limit: usize) -> Vec<&'a Row<'a>> {
    let mean = |row: &Row| row.spread(Measure::TestAccuracy).map_or(f64::NEG_INFINITY, |spread| spread.mean);
    let mut order: Vec<(usize, f64)> = rows.iter().map(|row| mean(row)).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.truncate(limit);
    order.sort_by_key(|(index, _)| *index);
    order.into_iter().map(|(index, _)| rows[index]).collect()
}

/// `Optimizer: loss`, where the name gives way if the page is too narrow for both.
pub fn headline(name: &str, what: &str) -> String {
    let ink = Ink::new(theme::INK, theme::TITLE).bold();
    let room = theme::WIDTH - 2.0 * theme::MARGIN - ink.width(&format!(": {what}"));
    format!("{}: {what}", ink.wrap(name, room, 1).concat())
}

/// Title on top, caption at the bottom.
pub fn page(canvas: &Canvas, height: f64, title: &str, caption: &str) -> Result<()> {
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
pub fn seeds_label<'a>(rows: impl Iterator<Item = &'a Row<'a>>) -> String {
    let counts: Vec<usize> = rows.map(Row::n).filter(|n| *n > 0).collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(1), Some(1)) => "n = 1 seed".to_owned(),
        (Some(least), Some(most)) if least == most => format!("n = {least} seeds"),
        (Some(least), Some(most)) => format!("n = {least} to {most} seeds"),
        _ => "n = 0".to_owned(),
    }
}
