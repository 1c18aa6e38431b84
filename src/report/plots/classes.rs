//! Precision, recall, specificity and F1 of each class on the test set: the base beside the best of the block's other settings.

use super::canvas::{Align, Canvas, Colors, Ink, Point};
use super::figure::{Figure, Section, averaged, headline, page};
use super::frame::{Frame, ticks};
use super::theme::{BASE, BLUE, INK, LABEL, LEADING, MARGIN, PAPER, QUIET, SMALL, TICK, TITLE, WIDTH, mix};
use crate::report::measure::{ClassScores, SHARES, Share, per_class};
use crate::report::statistics::spread;
use crate::report::summary::{Row, best};
use anyhow::Result;
use plotters::style::RGBColor;

const NAMES: f64 = 190.0;
/// Between panels; the numbers stand there.
const GAP: f64 = 104.0;
/// From a panel's edge to the end of its numbers.
const NUMBER: f64 = 70.0;
const LINE: f64 = 74.0;
const BAR: f64 = 26.0;
const SWATCH: f64 = 26.0;

/// Of lines and bars, so that a page of many classes does not become endless.
fn scale(classes: usize) -> f64 {
    match classes {
        0..=10 => 1.0,
        11..=20 => 0.75,
        _ => 0.55,
    }
}

/// One bar a class and score: a setting with its seeds, or one network.
pub struct Bars {
    pub label: String,
    pub color: RGBColor,
    /// One a seed; a bar is their mean.
    pub runs: Vec<Vec<ClassScores>>,
}

impl Bars {
    pub fn of_network(label: String, scores: Vec<ClassScores>) -> Bars {
        Bars { label, color: BLUE, runs: vec![scores] }
    }

    fn of_row(row: &Row, color: RGBColor) -> Bars {
        let runs = row.done().filter_map(|trial| Some(per_class(&trial.scores()?.confusion))).collect();
        Bars { label: format!("{} ({})", row.variant.label, row.count_label()), color, runs }
    }
}

/// Of blocks with a trial that is done.
pub fn figures(own: Section) -> Vec<Figure> {
    let what = "precision, recall, specificity and F1 by class";
    Vec::from_iter(own.block.finished().then(|| own.figure("classes", what, move || render(&own))))
}

fn render(Section { study, block, .. }: &Section) -> Result<Vec<u8>> {
    let base = block.base().filter(|row| row.n() > 0);
    let best = best(block.rows.iter().skip(1));
    let averaged = averaged("mean ± std", base.into_iter().chain(best));
    let base = base.map(|row| Bars::of_row(row, mix(BASE, PAPER, 0.65)));
    let bars: Vec<Bars> = base.into_iter().chain(best.map(|row| Bars::of_row(row, BLUE))).collect();
    let title = headline(study.title(block.block), "scores by class (%)");
    let caption = format!("test set, {averaged} · {}", study.source());
    draw(&title, &caption, &study.class_names, &bars)
}

/// The PNG of any bars, the first on top.
pub fn draw(title: &str, caption: &str, class_names: &[impl AsRef<str>], bars: &[Bars]) -> Result<Vec<u8>> {
    let classes = bars.iter().flat_map(|bars| &bars.runs).map(Vec::len).max().unwrap_or(0);
    let line = LINE * scale(classes);
    let top = MARGIN + TITLE * 2.0 + TICK * LEADING * bars.len() as f64 + LABEL * 2.0;
    let height = top + line * classes as f64 + 150.0;
    let panel = (WIDTH - NAMES - MARGIN * 2.0) / SHARES.len() as f64;
    page(height, title, caption, Colors::Few, |canvas| {
        draw_legend(canvas, bars)?;
        let frame = |index: usize| {
            let left = MARGIN + NAMES + panel * index as f64;
            let (right, bottom) = (left + panel - GAP, top + line * classes as f64);
            Frame { left, right, top, bottom, x: (0.0, 100.0), y: (classes as f64, 0.0) }
        };
        for (class, name) in class_names.iter().take(classes).enumerate() {
            let ink = Ink::new(INK, TICK).align(Align::Right);
            let at = (MARGIN + NAMES - 16.0, frame(0).down(class as f64 + 0.5));
            canvas.paragraph(&ink.wrap(name.as_ref(), NAMES - 16.0, 1), at, ink)?;
        }
        SHARES.iter().enumerate().try_for_each(|(index, score)| draw_panel(canvas, &frame(index), *score, bars))
    })
}

fn draw_legend(canvas: &Canvas, bars: &[Bars]) -> Result<()> {
    let mut y = MARGIN + TITLE * 1.9;
    for Bars { label, color, .. } in bars {
        canvas.rectangle((MARGIN, y - SWATCH / 2.0), (MARGIN + SWATCH, y + SWATCH / 2.0), *color)?;
        let ink = Ink::new(INK, TICK);
        let left = MARGIN + SWATCH + 14.0;
        y = canvas.paragraph(&ink.wrap(label, WIDTH - MARGIN - left, 1), (left, y), ink)?;
    }
    Ok(())
}

fn draw_panel(canvas: &Canvas, frame: &Frame, (name, score): Share, bars: &[Bars]) -> Result<()> {
    let middle = (frame.left + frame.right) / 2.0;
    canvas.text(name, (middle, frame.top - LABEL), Ink::new(INK, LABEL).bold().align(Align::Center))?;
    frame.x_axis(canvas, "", &ticks(frame.x, 4))?;
    let classes = frame.y.0 as usize;
    let bar = BAR * scale(classes);
    for class in 0..classes {
        let first = frame.down(class as f64 + 0.5) - bar * bars.len() as f64 / 2.0;
        for (index, Bars { color, runs, .. }) in bars.iter().enumerate() {
            let values: Vec<f64> = runs.iter().map(|classes| score(&classes[class])).collect();
            draw_bar(canvas, frame, (first + bar * index as f64, bar), &values, *color)?;
        }
    }
    canvas.line(&[(frame.left, frame.top), (frame.left, frame.bottom)], QUIET, 2.0)
}

/// The number stands beside the panel, where no bar and no error bar can reach it.
fn draw_bar(canvas: &Canvas, frame: &Frame, (top, height): (f64, f64), values: &[f64], color: RGBColor) -> Result<()> {
    let Some(spread) = spread(values) else { return Ok(()) };
    let mean = 100.0 * spread.mean;
    let (end, y): Point = (frame.across(mean), top + height / 2.0);
    canvas.rectangle((frame.left, top + 1.0), (end, top + height - 1.0), color)?;
    if let Some(std) = spread.std {
        let (low, high) = (frame.across(mean - 100.0 * std), frame.across((mean + 100.0 * std).min(100.0)));
        canvas.line(&[(low.max(frame.left), y), (high, y)], INK, 3.0)?;
    }
    let ink = Ink::new(INK, SMALL * 0.92 * height / BAR).align(Align::Right);
    canvas.text(&format!("{mean:.1}"), (frame.right + NUMBER, y), ink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_between_the_ends_of_its_panel_and_the_next() {
        let widest = Ink::new(INK, SMALL * 0.92).width("100.0");
        // No bar and no error bar goes beyond its panel.
        assert!(NUMBER - widest > 4.0 && NUMBER < GAP);
    }
}
