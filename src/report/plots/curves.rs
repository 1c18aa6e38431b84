//! Accuracy, loss or learning rate over the epochs: the mean over a configuration's seeds, with a band of one standard deviation,
//! or with the seeds where the mean is of learning rates, which move in steps.
//!
//! A mean whose members change would jump for no reason of training. So it ends with the shortest of its trials, and what early
//! stopping let the others go on for is drawn seed by seed. Diverged trials are in no mean; each is a dotted line that ends in ×.

use super::canvas::{Canvas, Colors, Ink, Point};
use super::figure::{Figure, MAX_SETTINGS, Section, headline, leading, page, seeds_label};
use super::frame::{Frame, log_ticks, ticks, whole_ticks};
use super::legend::{self, Entry, LEGEND_GAP, MARKER_RADIUS, color, draw_marker};
use super::theme::{INK, LEADING, MARGIN, PAPER, QUIET, SERIES, TICK, TITLE, WIDTH, mix};
use crate::record::Epoch;
use crate::report::statistics::spread;
use crate::report::study::{StoredTrial, Study};
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use plotters::style::RGBColor;
use std::collections::HashSet;

const SAMPLE_WIDTH: f64 = 70.0;
const MIN_HEIGHT: f64 = 1000.0;
/// Of what solid and dashed mean.
const KEY_HEIGHT: f64 = 2.0 * TICK * LEADING + 2.0 * LEGEND_GAP;
const THICK: f64 = 4.0;
const THIN: f64 = 2.5;
const DASH: (f64, f64) = (13.0, 9.0);
const DOT: (f64, f64) = (4.0, 7.0);
const BAND_OPACITY: f64 = 0.13;
/// The range around a single epoch.
const ALONE: (f64, f64) = (0.0, 2.0);
/// Markers along one curve; they move on by one epoch from series to series so that they do not hide each other.
const MARKERS: usize = 6;
/// How far beyond the central 96 % of the values the y-range may reach, in widths of those 96 %.
const REACH: f64 = 0.5;

struct Quantity {
    noun: &'static str,
    axis: &'static str,
    validation: fn(&Epoch) -> f64,
    /// None where training and validation have no curve of their own.
    training: Option<fn(&Epoch) -> f64>,
    /// What no value can be beyond.
    bounds: (f64, f64),
}

static ACCURACY: Quantity = Quantity {
    noun: "accuracy",
    axis: "accuracy (%)",
    validation: |epoch| 100.0 * epoch.val_accuracy,
    training: Some(|epoch| 100.0 * epoch.train_accuracy),
    bounds: (0.0, 100.0),
};

static LOSS: Quantity = Quantity {
    noun: "loss",
    axis: "cross-entropy loss",
    validation: |epoch| epoch.val_loss,
    training: Some(|epoch| epoch.train_loss),
    bounds: (0.0, f64::INFINITY),
};

/// In powers of ten.
static LEARNING_RATE: Quantity = Quantity {
    noun: "learning rate",
    axis: "learning rate (log scale)",
    validation: |epoch| epoch.lr.log10(),
    training: None,
    bounds: (f64::NEG_INFINITY, f64::INFINITY),
};

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
    let frame = Frame {
        left: 170.0,
        right: WIDTH - MARGIN - SAMPLE_WIDTH - LEGEND_GAP - legend::width(&legend) - 40.0,
        top,
        bottom: height - 190.0,
        x: epoch_range(own.block),
        y: value_range(own.block, quantity),
    };
    let epochs = if frame.x == ALONE { vec![(1.0, "1".to_owned())] } else { whole_ticks(frame.x, 10) };
    let y_ticks = if quantity.training.is_some() { ticks(frame.y, 7) } else { log_ticks(frame.y) };
    let title = headline(own.study.title(own.block.block), &format!("{}{}", quantity.noun, content.part));
    page(height, &title, &caption(own.study, content), Colors::Few, |canvas| {
        frame.x_axis(canvas, "epoch", &epochs)?;
        frame.y_axis(canvas, quantity.axis, &y_ticks)?;
        for (number, row) in content.rows.iter().rev() {
            draw_row(canvas, &frame, quantity, *number, row)?;
        }
        frame.edges(canvas)?;
        draw_legend(canvas, (frame.right + 40.0, top), quantity, &legend)
    })
}

fn caption(study: &Study, page: &Page) -> String {
    let rows = || page.rows.iter().map(|(_, row)| *row);
    let seeds = seeds_label(rows());
    let mean =
        if page.quantity.training.is_some() { "mean ± std" } else { "thin lines: seeds · thick: geometric mean" };
    let what = if rows().any(|row| row.n() > 1) { format!("{mean} over {seeds}") } else { seeds };
    let lengths = |row: &Row| row.done().map(|trial| trial.history.len()).collect::<HashSet<_>>().len();
    let mut text = format!("{what} · {}", study.source());
    if rows().any(|row| lengths(row) > 1) {
        text += " · thin lines: seeds still running when one had stopped early";
    }
    if rows().any(|row| row.diverged().next().is_some()) {
        text += " · dotted line to ×: diverged trial, in no mean";
    }
    text
}

/// Of the whole block, so that its pages can be compared.
fn epoch_range(block: &BlockSummary) -> (f64, f64) {
    let trials = block.rows.iter().flat_map(|row| row.done().chain(row.diverged()));
    let last = trials.map(|trial| trial.history.len()).max().unwrap_or(1).max(1) as f64;
    if last == 1.0 { ALONE } else { (1.0, last) }
}

/// Of the means and bands, or the seeds, of the whole block; single wild values do not stretch it.
fn value_range(block: &BlockSummary, quantity: &Quantity) -> (f64, f64) {
    let mut values: Vec<f64> = Vec::new();
    for row in &block.rows {
        let Some(training) = quantity.training else {
            values.extend(row.done().flat_map(|trial| &trial.history).map(quantity.validation));
            continue;
        };
        for value in [quantity.validation, training] {
            let mean = Mean::new(&row.done().collect::<Vec<_>>(), value);
            values.extend(mean.edge(1.0).chain(mean.edge(-1.0)).map(|(_, y)| y));
        }
    }
    let (least_possible, most_possible) = quantity.bounds;
    // Accuracies are bounded, so diverged trials can be shown whole; losses are not.
    if values.is_empty() || most_possible.is_finite() {
        let diverged = block.rows.iter().flat_map(|row| row.diverged()).flat_map(|trial| &trial.history);
        values.extend(diverged.map(quantity.validation));
    }
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let Some((&least, &most)) = values.first().zip(values.last()) else { return (0.0, 1.0) };
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (quantile(0.02), quantile(0.98));
    let reach = (high - low) * REACH;
    let (low, high) = (least.max(low - reach), most.min(high + reach));
    let pad = ((high - low) * 0.04).max(1e-3 * high.abs()).max(1e-6);
    ((low - pad).max(least_possible), (high + pad).min(most_possible))
}

/// Mean and standard deviation over trials, epoch by epoch, for as long as all of them run.
struct Mean {
    points: Vec<(f64, f64, Option<f64>)>,
}

impl Mean {
    fn new(trials: &[&StoredTrial], value: impl Fn(&Epoch) -> f64) -> Mean {
        let shortest = trials.iter().map(|trial| trial.history.len()).min().unwrap_or(0);
        let at = |index: usize| {
            let values: Vec<f64> = trials.iter().map(|trial| value(&trial.history[index])).collect();
            let spread = spread(&values)?;
            Some((trials[0].history[index].epoch as f64, spread.mean, spread.std))
        };
        Mean { points: (0..shortest).filter_map(at).collect() }
    }

    fn line(&self) -> Vec<Point> {
        self.points.iter().map(|(x, mean, _)| (*x, *mean)).collect()
    }

    /// The band's upper or lower edge: `side` is 1 or −1.
    fn edge(&self, side: f64) -> impl DoubleEndedIterator<Item = Point> {
        self.points.iter().map(move |(x, mean, std)| (*x, mean + side * std.unwrap_or(0.0)))
    }
}

fn draw_row(canvas: &Canvas, frame: &Frame, quantity: &Quantity, number: usize, row: &Row) -> Result<()> {
    let color = color(number);
    let pale = mix(color, PAPER, 0.75);
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
        frame.clip(&tail).iter().try_for_each(|piece| canvas.line(piece, pale, THIN))?;
    }
    frame.clip(&validation.line()).iter().try_for_each(|piece| canvas.line(piece, color, THICK))?;
    draw_markers(canvas, frame, &validation.line(), number)?;
    row.diverged().try_for_each(|trial| draw_diverged(canvas, frame, quantity, trial, color))
}

fn draw_band(canvas: &Canvas, frame: &Frame, mean: &Mean, color: RGBColor) -> Result<()> {
    let (low, high) = frame.y;
    let outline = mean.edge(1.0).chain(mean.edge(-1.0).rev());
    let outline: Vec<Point> = outline.map(|(x, y)| frame.at((x, y.clamp(low, high)))).collect();
    if outline.len() < 4 { Ok(()) } else { canvas.polygon(&outline, color, BAND_OPACITY) }
}

fn draw_markers(canvas: &Canvas, frame: &Frame, line: &[Point], number: usize) -> Result<()> {
    let step = line.len().div_ceil(MARKERS).max(1);
    let inside = |point: &&Point| (frame.y.0..=frame.y.1).contains(&point.1);
    let points = line.iter().skip(number % step).step_by(step).filter(inside);
    points.into_iter().try_for_each(|point| draw_marker(canvas, frame.at(*point), number))
}

/// Up to its last finite value; where that lies outside the range, the × is at the edge.
fn draw_diverged(
    canvas: &Canvas,
    frame: &Frame,
    quantity: &Quantity,
    trial: &StoredTrial,
    color: RGBColor,
) -> Result<()> {
    let points = trial.history.iter().map(|epoch| (epoch.epoch as f64, (quantity.validation)(epoch)));
    let points: Vec<Point> = points.take_while(|(_, y)| y.is_finite()).collect();
    frame.clip(&points).iter().try_for_each(|piece| canvas.dashed(piece, color, THIN, DOT))?;
    let Some(&(x, y)) = points.last() else { return Ok(()) };
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
