//! Precision, recall, specificity and F1 of each class on the test set: the base beside the block's best setting.

use super::canvas::{Align, Canvas, Ink, Point, paint};
use super::frame::{Frame, ticks};
use super::theme::{BASE, BLUE, INK, LABEL, LEADING, MARGIN, PAPER, QUIET, SMALL, TICK, TITLE, WIDTH, mix};
use super::{page, seeds_label};
use crate::data::CLASSES;
use crate::report::Study;
use crate::report::metrics::{ClassScores, per_class};
use crate::report::statistics::spread;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use plotters::style::RGBColor;

type Score = (&'static str, fn(&ClassScores) -> f64);

const SCORES: [Score; 4] = [
    ("precision", |class| class.precision),
    ("recall", |class| class.recall),
    ("specificity", |class| class.specificity),
    ("F1", |class| class.f1),
];
const NAMES: f64 = 190.0;
const GAP: f64 = 70.0;
const LINE: f64 = 74.0;
const BAR: f64 = 26.0;
const SWATCH: f64 = 26.0;

/// The rows to compare, base first.
fn compared<'a>(block: &'a BlockSummary<'a>) -> Vec<(&'a Row<'a>, RGBColor)> {
    let base = block.base().filter(|row| row.n() > 0);
    let best = block.best().filter(|row| !base.is_some_and(|base| std::ptr::eq(base, *row)));
    let base = base.map(|row| (row, mix(BASE, PAPER, 0.65)));
    base.into_iter().chain(best.map(|row| (row, BLUE))).collect()
}

pub fn render(study: &Study, block: &BlockSummary) -> Result<Vec<u8>> {
    let rows = compared(block);
    let top = MARGIN + TITLE * 2.0 + TICK * LEADING * rows.len() as f64 + LABEL * 2.0;
    let height = top + LINE * CLASSES as f64 + 150.0;
    let seeds = seeds_label(rows.iter().map(|(row, _)| *row));
    let caption = format!("test set, mean ± std over {seeds} · {} · {}", study.data_label(), study.mode_label());
    let panel = (WIDTH - NAMES - MARGIN * 2.0 + GAP) / SCORES.len() as f64;
    paint(WIDTH, height, |canvas| {
        page(canvas, height, &format!("{}: scores by class (%)", study.title(block.block)), &caption)?;
        draw_legend(canvas, &rows)?;
        let frame = |index: usize| {
            let left = MARGIN + NAMES + panel * index as f64;
            let (right, bottom) = (left + panel - GAP, top + LINE * CLASSES as f64);
            Frame { left, right, top, bottom, x: (0.0, 100.0), y: (CLASSES as f64, 0.0) }
        };
        for (class, name) in study.class_names.iter().take(CLASSES).enumerate() {
            let ink = Ink::new(INK, TICK).align(Align::Right);
            let at = (MARGIN + NAMES - 16.0, frame(0).down(class as f64 + 0.5));
            canvas.paragraph(&ink.wrap(name, NAMES - 16.0, 1), at, ink)?;
        }
        SCORES.iter().enumerate().try_for_each(|(index, score)| draw_panel(canvas, &frame(index), *score, &rows))
    })
}

fn draw_legend(canvas: &Canvas, rows: &[(&Row, RGBColor)]) -> Result<()> {
    let mut y = MARGIN + TITLE * 1.9;
    for (row, color) in rows {
        canvas.rectangle((MARGIN, y - SWATCH / 2.0), (MARGIN + SWATCH, y + SWATCH / 2.0), *color)?;
        let ink = Ink::new(INK, TICK);
        let label = format!("{} ({})", row.variant.label, row.count_label());
        let left = MARGIN + SWATCH + 14.0;
        y = canvas.paragraph(&ink.wrap(&label, WIDTH - MARGIN - left, 1), (left, y), ink)?;
    }
    Ok(())
}

fn draw_panel(canvas: &Canvas, frame: &Frame, (name, score): Score, rows: &[(&Row, RGBColor)]) -> Result<()> {
    let middle = (frame.left + frame.right) / 2.0;
    canvas.text(name, (middle, frame.top - LABEL), Ink::new(INK, LABEL).bold().align(Align::Center))?;
    frame.x_axis(canvas, "", &ticks(frame.x, 4))?;
    for class in 0..CLASSES {
        let first = frame.down(class as f64 + 0.5) - BAR * rows.len() as f64 / 2.0;
        for (index, (row, color)) in rows.iter().enumerate() {
            let scores = row.done().filter_map(|trial| trial.scores());
            let values: Vec<f64> = scores.map(|scores| score(&per_class(&scores.confusion)[class])).collect();
            draw_bar(canvas, frame, first + BAR * index as f64, &values, *color)?;
        }
    }
    canvas.line(&[(frame.left, frame.top), (frame.left, frame.bottom)], QUIET, 2.0)
}

/// The number stands in the bar, or beside it where the bar is short.
fn draw_bar(canvas: &Canvas, frame: &Frame, top: f64, values: &[f64], color: RGBColor) -> Result<()> {
    let Some(spread) = spread(values) else { return Ok(()) };
    let mean = 100.0 * spread.mean;
    let (end, y): Point = (frame.across(mean), top + BAR / 2.0);
    canvas.rectangle((frame.left, top + 1.0), (end, top + BAR - 1.0), color)?;
    if let Some(std) = spread.std {
        let (low, high) = (frame.across(mean - 100.0 * std), frame.across((mean + 100.0 * std).min(100.0)));
        canvas.line(&[(low.max(frame.left), y), (high, y)], INK, 3.0)?;
    }
    let number = format!("{mean:.1}");
    let (x, ink) = if mean > 25.0 { (frame.left + 8.0, PAPER) } else { (end + 28.0, INK) };
    canvas.text(&number, (x, y), Ink::new(ink, SMALL * 0.92))
}
