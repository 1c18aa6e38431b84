//! Accuracy, loss or learning rate over the epochs: the mean over a configuration's seeds, with a band of one standard deviation,
//! or with the seeds where the mean is of learning rates, which move in steps.
//!
//! A mean whose members change would jump for no reason of training. So it ends with the shortest of its trials, and what early
//! stopping let the others go on for is drawn seed by seed. Diverged trials are in no mean; each is a dotted line that ends in ×.

use super::axes::{ALONE, Axes};
use super::canvas::{Canvas, Colors, Ink, Point};
use super::figure::{Figure, MAX_SETTINGS, Section, averaged, headline, leading, page};
use super::frame::Frame;
use super::legend::{self, Entry, LEGEND_GAP, MARKER_RADIUS, color, draw_marker};
use super::lines::{self, Line, THICK};
use super::quantity::{ACCURACY, LEARNING_RATE, LOSS, Mean, Quantity, Ranges};
use super::theme::{INK, LEADING, MARGIN, PAPER, QUIET, SERIES, TICK, TITLE, WIDTH, mix};
use crate::report::study::{StoredTrial, Study};
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use plotters::style::RGBColor;
use std::collections::HashSet;

const SAMPLE_WIDTH: f64 = 70.0;
const MIN_HEIGHT: f64 = 1000.0;
/// Of what solid and dashed mean.
const KEY_HEIGHT: f64 = 2.0 * TICK * LEADING + 2.0 * LEGEND_GAP;
const THIN: f64 = 2.5;
const DASH: (f64, f64) = (13.0, 9.0);
const DOT: (f64, f64) = (4.0, 7.0);
const BAND_OPACITY: f64 = 0.13;

/// One image: the base and as many others as there are colours.
struct Page<'a> {
    quantity: &'static Quantity,
    /// Series number and row; 0 is the base.
    rows: Vec<(usize, &'a Row<'a>)>,
    /// ` (1 of 2)`, or nothing.
    part: String,
}

/// Accuracy, loss and what learning rates move.
pub fn figures<'a>(own: Section<'a>) -> Vec<Figure<'a>> {
    let figure = |(name, page): (String, Page<'a>)| {
        let what = format!("{} over the epochs", page.quantity.noun);
        own.figure(&name, &what, move || render(&own, &page))
    };
    pages(own.block).into_iter().map(figure).collect()
}

/// Accuracy and loss, over several pages of equal size where one would not be legible; the base is on each.
fn pages<'a>(block: &'a BlockSummary<'a>) -> Vec<(String, Page<'a>)> {
    let all: Vec<&Row> = block.rows.iter().skip(1).filter(|row| row.has_begun()).collect();
    let cut = if all.len() > MAX_SETTINGS { format!(", best {MAX_SETTINGS} of {}", all.len()) } else { String::new() };
    let others = leading(all, MAX_SETTINGS);
    let count = others.len().div_ceil(SERIES.len()).max(1);
    let chunks: Vec<&[&Row]> = others.chunks(others.len().div_ceil(count).max(1)).collect();
    let mut pages = Vec::new();
    let mut trials = block.rows.iter().flat_map(|row| row.done());
    let is_scheduled = trials.any(|trial| trial.history.windows(2).any(|pair| pair[0].lr != pair[1].lr));
    let rates = is_scheduled.then_some(&LEARNING_RATE);
    for quantity in [&ACCURACY, &LOSS].into_iter().chain(rates) {
        for index in 0..count {
            let base = block.rows.iter().take(1).filter(|row| row.has_begun()).map(|row| (0, row));
            let chunk = chunks.get(index).copied().unwrap_or_default();
            let others = chunk.iter().enumerate().map(|(number, row)| (number + 1, *row));
            let suffix = if index == 0 { String::new() } else { format!("_{}", index + 1) };
            let part = if count == 1 { String::new() } else { format!(" ({} of {count}{cut})", index + 1) };
            let page = Page { quantity, rows: base.chain(others).collect(), part };
            pages.push((format!("{}{suffix}", quantity.noun.replace(' ', "_")), page));
        }
    }
    pages
}

fn render(own: &Section, content: &Page) -> Result<Vec<u8>> {
    let quantity = content.quantity;
    let legend: Vec<Entry> = content.rows.iter().map(|(number, row)| Entry::new(*number, row)).collect();
    let top = MARGIN + TITLE * 2.0;
    let height = (top + KEY_HEIGHT + legend::height(&legend) + MARGIN * 3.0).max(MIN_HEIGHT);
    let ranges = Ranges::new(own.block, quantity);
    let frame = Frame {
        left: 170.0,
        right: WIDTH - MARGIN - SAMPLE_WIDTH - LEGEND_GAP - legend::width(&legend) - 40.0,
        top,
        bottom: height - 190.0,
        x: epoch_range(own.block),
        y: ranges.main,
    };
    let axes = Axes::new(frame, ranges);
    let lines: Vec<Line> = content.rows.iter().map(|(number, row)| line(quantity, *number, row)).collect();
    let caption = caption(own.study, content, &axes, &lines);
    let title = headline(own.study.title(own.block.block), &format!("{}{}", quantity.noun, content.part));
    page(height, &title, &caption, Colors::Few, |canvas| {
        axes.draw(canvas, quantity)?;
        axes.frames().try_for_each(|frame| draw_curves(canvas, frame, content, &lines))?;
        for (number, row) in content.rows.iter().rev() {
            row.diverged().try_for_each(|trial| draw_end(canvas, &axes, quantity, trial, color(*number)))?;
        }
        axes.edges(canvas)?;
        draw_legend(canvas, (frame.right + 40.0, top), quantity, &legend)
    })
}

fn draw_curves(canvas: &Canvas, frame: &Frame, Page { quantity, rows, .. }: &Page, lines: &[Line]) -> Result<()> {
    rows.iter().rev().try_for_each(|(number, row)| draw_ground(canvas, frame, quantity, *number, row))?;
    lines::draw(canvas, frame, lines)?;
    for (number, row) in rows.iter().rev() {
        for trial in row.diverged() {
            let pieces = frame.clip(&until_it_diverged(quantity, trial));
            pieces.iter().try_for_each(|piece| canvas.dashed(piece, color(*number), THIN, DOT))?;
        }
    }
    Ok(())
}

/// The mean over a setting's seeds.
fn line(quantity: &Quantity, number: usize, row: &Row) -> Line {
    Line { number, points: Mean::new(&row.done().collect::<Vec<_>>(), quantity.validation).line() }
}

fn caption(study: &Study, page: &Page, axes: &Axes, lines: &[Line]) -> String {
    let rows = || page.rows.iter().map(|(_, row)| *row);
    let mean =
        if page.quantity.training.is_some() { "mean ± std" } else { "thin lines: seeds · thick: geometric mean" };
    let lengths = |row: &Row| row.done().map(|trial| trial.history.len()).collect::<HashSet<_>>().len();
    let mut parts = vec![averaged(mean, rows()), study.source()];
    parts.extend(axes.words());
    if lines::are_shared(lines) {
        parts.push("striped lines: equal ones".to_owned());
    }
    if page.quantity.training.is_some() && rows().any(|row| lengths(row) > 1) {
        parts.push("means end where the first seed stops; thin lines: the others from there".to_owned());
    }
    if rows().any(|row| row.diverged().next().is_some()) {
        parts.push("dotted line to ×: diverged trial, in no mean".to_owned());
    }
    parts.join(" · ")
}

/// Of the whole block, so that its pages can be compared.
fn epoch_range(block: &BlockSummary) -> (f64, f64) {
    let trials = block.rows.iter().flat_map(|row| row.done().chain(row.diverged()));
    let last = trials.map(|trial| trial.history.len()).max().unwrap_or(1).max(1) as f64;
    if last == 1.0 { ALONE } else { (1.0, last) }
}

/// What lies under the means: bands, training, seeds.
fn draw_ground(canvas: &Canvas, frame: &Frame, quantity: &Quantity, number: usize, row: &Row) -> Result<()> {
    let color = color(number);
    let pale = mix(color, PAPER, 0.75);
    // Many seeds lie over one another.
    let faint = mix(color, PAPER, 0.4);
    let done: Vec<&StoredTrial> = row.done().collect();
    let training = Mean::new(&done, quantity.training.unwrap_or(quantity.validation));
    let validation = Mean::new(&done, quantity.validation);
    if quantity.training.is_some() {
        if done.len() > 1 {
            draw_band(canvas, frame, &validation, color)?;
        }
        frame.clip(&training.line()).iter().try_for_each(|piece| canvas.dashed(piece, pale, THIN, DASH))?;
    }
    if let [only] = training.line()[..] {
        canvas.circle(frame.at(only), MARKER_RADIUS * 0.6, pale, 1.0)?;
    }
    for trial in &done {
        // From the last epoch of the mean on, or the whole trial where there is no band.
        let start = if quantity.training.is_some() { validation.points.len().saturating_sub(1) } else { 0 };
        let rest = trial.history.iter().skip(start);
        let tail: Vec<Point> = rest.map(|epoch| (epoch.epoch as f64, (quantity.validation)(epoch))).collect();
        frame.clip(&tail).iter().try_for_each(|piece| canvas.line(piece, faint, THIN))?;
    }
    Ok(())
}

fn draw_band(canvas: &Canvas, frame: &Frame, mean: &Mean, color: RGBColor) -> Result<()> {
    let outline: Vec<Point> = mean.edge(1.0).chain(mean.edge(-1.0).rev()).collect();
    let outline = frame.clip_outline(&outline);
    if outline.len() < 3 { Ok(()) } else { canvas.polygon(&outline, color, BAND_OPACITY) }
}

/// Up to its last finite value.
fn until_it_diverged(quantity: &Quantity, trial: &StoredTrial) -> Vec<Point> {
    let points = trial.history.iter().map(|epoch| (epoch.epoch as f64, (quantity.validation)(epoch)));
    points.take_while(|(_, y)| y.is_finite()).collect()
}

/// The × at a diverged trial's end; where that lies outside the range, at the edge.
fn draw_end(canvas: &Canvas, axes: &Axes, quantity: &Quantity, trial: &StoredTrial, color: RGBColor) -> Result<()> {
    let Some(&(x, y)) = until_it_diverged(quantity, trial).last() else { return Ok(()) };
    let frame = axes.frame_of(y);
    draw_cross(canvas, frame.at((x, y.clamp(frame.y.0, frame.y.1))), color)
}

fn draw_cross(canvas: &Canvas, (x, y): Point, color: RGBColor) -> Result<()> {
    let arm = MARKER_RADIUS * 1.1;
    canvas.line(&[(x - arm, y - arm), (x + arm, y + arm)], color, THICK)?;
    canvas.line(&[(x - arm, y + arm), (x + arm, y - arm)], color, THICK)
}

/// First what solid and dashed mean, then the series.
fn draw_legend(canvas: &Canvas, (x, top): Point, quantity: &Quantity, entries: &[Entry]) -> Result<()> {
    let text = x + SAMPLE_WIDTH + LEGEND_GAP;
    let sample = |y: f64| [(x, y), (x + SAMPLE_WIDTH, y)];
    let mut y = top + TICK / 2.0;
    if quantity.training.is_some() {
        canvas.line(&sample(y), QUIET, THICK)?;
        canvas.text("validation", (text, y), Ink::new(INK, TICK))?;
        let below = y + TICK * LEADING;
        canvas.dashed(&sample(below), QUIET, THIN, DASH)?;
        canvas.text("training", (text, below), Ink::new(INK, TICK))?;
        y += KEY_HEIGHT;
    }
    for entry in entries {
        if entry.row.n() > 0 {
            canvas.line(&sample(y), color(entry.number), THICK)?;
            draw_marker(canvas, (x + SAMPLE_WIDTH / 2.0, y), entry.number)?;
        } else if entry.row.diverged().next().is_some() {
            canvas.dashed(&sample(y), color(entry.number), THIN, DOT)?;
            draw_cross(canvas, (x + SAMPLE_WIDTH - MARKER_RADIUS, y), color(entry.number))?;
        }
        entry.draw(canvas, (text, y))?;
        y += entry.height();
    }
    Ok(())
}
