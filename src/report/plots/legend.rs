//! The series of a plot: their colours and markers, and their names beside it.

use super::canvas::{Canvas, Ink, Point};
use super::figure::{MAX_SETTINGS, leading};
use super::frame::Frame;
use super::theme::{BASE, INK, LEADING, MARGIN, QUIET, SERIES, SMALL, TICK, TITLE, VERMILION, WIDTH};
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use plotters::style::RGBColor;

/// Of the names, at most.
const NAME_WIDTH: f64 = 420.0;
const MIN_NAME_WIDTH: f64 = 160.0;
/// Of a name; a longer one is cut.
const NAME_LINES: usize = 5;
pub const LEGEND_GAP: f64 = 14.0;
pub const MARKER_RADIUS: f64 = 9.0;

/// Of series `number`; 0 is the base.
pub fn color(number: usize) -> RGBColor {
    if number == 0 { BASE } else { SERIES[(number - 1) % SERIES.len()] }
}

/// A circle for the base, then square, triangle, diamond and triangle on its tip in turn.
pub fn draw_marker(canvas: &Canvas, (x, y): Point, number: usize) -> Result<()> {
    let r = MARKER_RADIUS;
    let outline = match number {
        0 => return canvas.circle((x, y), r, color(number), 1.0),
        _ if number % 4 == 1 => vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        _ if number % 4 == 2 => vec![(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)],
        _ if number % 4 == 3 => vec![(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)],
        _ => vec![(x, y + 1.3 * r), (x + 1.2 * r, y - r), (x - 1.2 * r, y - r)],
    };
    canvas.polygon(&outline, color(number), 1.0)
}

/// A series: its label and, below it, n and what is missing.
pub struct Entry<'a> {
    pub number: usize,
    pub row: &'a Row<'a>,
    label: Vec<String>,
    count: Vec<String>,
}

impl<'a> Entry<'a> {
    pub fn new(number: usize, row: &'a Row<'a>) -> Entry<'a> {
        Entry {
            number,
            row,
            label: Ink::new(INK, TICK).wrap(&row.variant.label, NAME_WIDTH, NAME_LINES),
            count: Ink::new(QUIET, SMALL).wrap(&row.count_label(), NAME_WIDTH, 2),
        }
    }

    /// Where n is not that of what is drawn.
    pub fn without_count(self) -> Entry<'a> {
        Entry { count: vec![], ..self }
    }

    fn width(&self) -> f64 {
        let label = self.label.iter().map(|line| Ink::new(INK, TICK).width(line));
        label.chain(self.count.iter().map(|line| Ink::new(QUIET, SMALL).width(line))).fold(0.0, f64::max)
    }

    pub fn height(&self) -> f64 {
        (self.label.len() as f64 * TICK + self.count.len() as f64 * SMALL) * LEADING + LEGEND_GAP
    }

    /// The middle of the first line is at `y`.
    pub fn draw(&self, canvas: &Canvas, (x, y): Point) -> Result<()> {
        let below = canvas.paragraph(&self.label, (x, y), Ink::new(INK, TICK))?;
        let color = if self.row.troubled() { VERMILION } else { QUIET };
        canvas.paragraph(&self.count, (x, below), Ink::new(color, SMALL))?;
        Ok(())
    }
}

/// The leading rows of those that are `shown`, numbered by their places in the block.
pub fn entries<'a>(block: &'a BlockSummary<'a>, shown: impl Fn(&Row) -> bool) -> Vec<Entry<'a>> {
    let rows = leading(block.rows.iter().filter(|row| shown(row)).collect(), MAX_SETTINGS);
    let number = |row: &Row| block.rows.iter().position(|other| std::ptr::eq(other, row)).unwrap_or_default();
    rows.into_iter().map(|row| Entry::new(number(row), row)).collect()
}

/// Of the widest entry.
pub fn width(entries: &[Entry]) -> f64 {
    entries.iter().map(Entry::width).fold(MIN_NAME_WIDTH, f64::max)
}

pub fn height(entries: &[Entry]) -> f64 {
    entries.iter().map(Entry::height).sum()
}

/// A page's height, at least `least`, and the frame on it that leaves room for [`draw_list`] on its right.
pub fn frame_beside(entries: &[Entry], least: f64, left: f64, x: (f64, f64), y: (f64, f64)) -> (f64, Frame) {
    let top = MARGIN + TITLE * 2.0;
    let height = (top + height(entries) + MARGIN * 3.0).max(least);
    let right = WIDTH - MARGIN - width(entries) - LEGEND_GAP * 2.0 - 60.0;
    (height, Frame { left, right, top, bottom: height - 190.0, x, y })
}

/// Every entry with its marker, one below the other, on the right of the frame.
pub fn draw_list(canvas: &Canvas, frame: &Frame, entries: &[Entry]) -> Result<()> {
    let (x, mut y) = (frame.right + 40.0, frame.top + LEGEND_GAP);
    for entry in entries {
        draw_marker(canvas, (x + MARKER_RADIUS, y), entry.number)?;
        entry.draw(canvas, (x + MARKER_RADIUS * 2.0 + LEGEND_GAP, y))?;
        y += entry.height();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::summarize;
    use crate::report::tests::example;

    #[test]
    fn a_long_name_is_there_to_its_end() {
        let label = "channels=[32, 64, 128] · convs_per_block=2 · leaky_relu 0.01 · dropout 0.3 · l2 0.0001 · cosine";
        let study = example::study(&[("best", &[("base", 0.5), (label, 0.6)])], 1, 2);
        let blocks = summarize(&study);
        let entry = Entry::new(1, &blocks[0].rows[1]);
        assert_eq!(entry.label.join(" ").replace("_ ", "_"), label);
        assert!(entry.height() > Entry::new(0, &blocks[0].rows[0]).height());
    }
}
