//! A plot that can be drawn, its place in the report, and what all share: a title, a caption with n, data set and mode, and a
//! limit to what is legible.

use super::canvas::{Canvas, Colors, Ink, paint};
use super::theme::{INK, LEADING, MARGIN, QUIET, SMALL, TITLE, WIDTH};
use crate::report::measure::Measure;
use crate::report::study::Study;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;

/// Settings of one block that are plotted; a larger block shows its best, and says so.
pub const MAX_SETTINGS: usize = 36;

/// Titles are set smaller, down to this, before they are cut.
const SMALLEST_TITLE: f64 = SMALL;

/// Where in the report a plot belongs, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Overview,
    /// In the section of the block at this place.
    Block(usize),
    /// Among the pictures of single trials, with the others of the same trial.
    CloserLook(usize),
}

pub struct Figure<'a> {
    /// Below the results folder.
    pub path: String,
    pub place: Place,
    /// What a reader sees who cannot see it.
    pub description: String,
    /// PNG bytes; none where they need what is not at hand, such as the test images.
    draw: Box<dyn Fn() -> Result<Option<Vec<u8>>> + 'a>,
}

impl<'a> Figure<'a> {
    pub fn new(
        name: &str,
        place: Place,
        description: String,
        draw: impl Fn() -> Result<Option<Vec<u8>>> + 'a,
    ) -> Figure<'a> {
        Figure { path: format!("plots/{name}.png"), place, description, draw: Box::new(draw) }
    }

    pub fn render(&self) -> Result<Option<Vec<u8>>> {
        (self.draw)()
    }
}

/// A block of which something can be shown, and its place in the report.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    pub study: &'a Study,
    pub block: &'a BlockSummary<'a>,
    place: usize,
}

pub fn sections<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> impl Iterator<Item = Section<'a>> {
    let all = blocks.iter().enumerate().map(move |(place, block)| Section { study, block, place });
    all.filter(|section| section.block.has_begun())
}

impl<'a> Section<'a> {
    /// `what` follows the block's title.
    pub fn figure(&self, name: &str, what: &str, draw: impl Fn() -> Result<Vec<u8>> + 'a) -> Figure<'a> {
        let name = format!("{}_{name}", self.block.block.id);
        let description = format!("{}: {what}", self.study.title(self.block.block));
        Figure::new(&name, Place::Block(self.place), description, move || draw().map(Some))
    }

    /// `Optimizer: loss` above what is drawn, and a caption that ends in data set and mode.
    pub fn page(
        &self,
        height: f64,
        what: &str,
        caption: &str,
        draw: impl FnOnce(&Canvas) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let title = headline(self.study.title(self.block.block), what);
        page(height, &title, &format!("{caption} · {}", self.study.source()), Colors::Few, draw)
    }
}

/// The `limit` rows with the highest mean test accuracy, in the block's order; rows without one come last in the choice.
pub fn leading<'a>(rows: Vec<&'a Row<'a>>, limit: usize) -> Vec<&'a Row<'a>> {
    let mean = |row: &Row| row.spread(Measure::TestAccuracy).map_or(f64::NEG_INFINITY, |spread| spread.mean);
    let mut order: Vec<(usize, f64)> = rows.iter().map(|row| mean(row)).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.truncate(limit);
    order.sort_by_key(|(index, _)| *index);
    order.into_iter().map(|(index, _)| rows[index]).collect()
}

/// `Optimizer: loss`, where the name gives way if the page is too narrow for both even in small letters.
pub fn headline(name: &str, what: &str) -> String {
    let ink = Ink::new(INK, SMALLEST_TITLE).bold();
    let room = WIDTH - 2.0 * MARGIN - ink.width(&format!(": {what}"));
    format!("{}: {what}", ink.wrap(name, room, 1).concat())
}

/// As large as fits, within limits.
fn title_ink(title: &str, width: f64) -> Ink {
    let ink = Ink::new(INK, TITLE).bold();
    let share = (width / ink.width(title)).min(1.0);
    Ink { size: (TITLE * share).floor().max(SMALLEST_TITLE), ..ink }
}

/// The PNG of a page with a title on top, a caption at the bottom, and what is drawn between.
pub fn page(
    height: f64,
    title: &str,
    caption: &str,
    colors: Colors,
    draw: impl FnOnce(&Canvas) -> Result<()>,
) -> Result<Vec<u8>> {
    page_of((WIDTH, height), title, caption, colors, draw)
}

/// The same, of another width.
pub fn page_of(
    (width, height): (f64, f64),
    title: &str,
    caption: &str,
    colors: Colors,
    draw: impl FnOnce(&Canvas) -> Result<()>,
) -> Result<Vec<u8>> {
    paint(width, height, colors, |canvas| {
        let width = width - 2.0 * MARGIN;
        let ink = title_ink(title, width);
        canvas.paragraph(&ink.wrap(title, width, 1), (MARGIN, MARGIN + TITLE / 2.0), ink)?;
        let ink = Ink::new(QUIET, SMALL);
        let lines = ink.wrap(caption, width, 2);
        let first = height - MARGIN - SMALL * (LEADING * (lines.len() - 1) as f64 + 0.5);
        canvas.paragraph(&lines, (MARGIN, first), ink)?;
        draw(canvas)
    })
}

/// `mean ± std over n = 3 seeds`, where `mean` says what is made of several; of one each, `n = 1 seed` alone.
pub fn averaged<'a>(mean: &str, rows: impl IntoIterator<Item = &'a Row<'a>>) -> String {
    let rows: Vec<&Row> = rows.into_iter().collect();
    let seeds = seeds_label(rows.iter().copied());
    if rows.iter().any(|row| row.n() > 1) { format!("{mean} over {seeds}") } else { seeds }
}

/// `n = 3 seeds`, or `n = 1 to 3 seeds` where rows differ.
pub fn seeds_label<'a>(rows: impl IntoIterator<Item = &'a Row<'a>>) -> String {
    let counts: Vec<usize> = rows.into_iter().map(Row::n).filter(|n| *n > 0).collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(1), Some(1)) => "n = 1 seed".to_owned(),
        (Some(least), Some(most)) if least == most => format!("n = {least} seeds"),
        (Some(least), Some(most)) => format!("n = {least} to {most} seeds"),
        _ => "n = 0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::summarize;
    use crate::report::tests::example;

    #[test]
    fn one_seed_has_no_deviation() {
        let words = |seeds| {
            let study = example::study(&[("init", &[("base", 0.5), ("other", 0.6)])], seeds, 2);
            averaged("mean ± std", &summarize(&study)[0].rows)
        };
        assert_eq!([words(1), words(3)], ["n = 1 seed", "mean ± std over n = 3 seeds"]);
    }

    #[test]
    fn a_title_becomes_smaller_before_it_is_cut() {
        let title = |words: usize| "word ".repeat(words);
        let shown = |title: &str| title_ink(title, WIDTH).wrap(title, WIDTH, 1).concat();
        assert_eq!(title_ink(&title(3), WIDTH).size, TITLE);
        let long = title(24);
        assert!(Ink::new(INK, TITLE).bold().width(&long) > WIDTH && shown(&long) == long.trim_end());
        assert!(shown(&title(99)).ends_with('…') && headline(&title(99), "loss").ends_with("…: loss"));
    }
}
