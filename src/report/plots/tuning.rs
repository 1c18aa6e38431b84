//! The values that each setting of a block tried: the mean selection metric on the validation images of each, and which was taken.

use super::canvas::{Canvas, Point};
use super::figure::{Figure, Section};
use super::frame::{Frame, bounds, ticks};
use super::legend::{self, Entry, MARKER_RADIUS, color, draw_list, draw_marker, frame_beside};
use super::theme::PAPER;
use crate::report::study::StudyTuning;
use crate::report::summary::Row;
use crate::spec::config::Select;
use crate::verdict::asked::Taken;
use crate::words::count;
use anyhow::{Context, Result};
use plotters::style::RGBColor;

const MIN_HEIGHT: f64 = 800.0;
/// So many marks lie beside each other at one value.
const SIDE_BY_SIDE: usize = 7;
/// Losses so many times the lowest one are beyond the frame.
const WORST_LOSS: f64 = 3.0;

/// Of blocks of which a setting has tried values whose trials are done.
pub fn figures(own: Section) -> Vec<Figure> {
    let has_tried = own.block.rows.iter().any(is_tried);
    let what = "the values that each setting tried";
    Vec::from_iter(has_tried.then(|| own.figure("tuning", what, move || render(&own))))
}

fn tuning<'a>(row: &Row<'a>) -> Option<&'a StudyTuning> {
    row.variant.tuning.as_ref()
}

/// The mean of each value; NaN where its trials are not all done.
fn means<'a>(row: &'a Row) -> impl Iterator<Item = f64> + 'a {
    let tried = tuning(row).into_iter().flat_map(|tuning| &tuning.tried);
    tried.map(|tried| tried.mean.unwrap_or(f64::NAN))
}

fn is_tried(row: &Row) -> bool {
    means(row).any(f64::is_finite)
}

fn render(own: &Section) -> Result<Vec<u8>> {
    let entries: Vec<Entry> = legend::entries(own.block, is_tried).into_iter().map(Entry::without_count).collect();
    let tunings = || entries.iter().filter_map(|entry| tuning(entry.row));
    let longest = tunings().max_by_key(|tuning| tuning.tried.len()).context("a block without tried values")?;
    let labels = longest.tried.iter().enumerate().map(|(x, tried)| (x as f64, tried.label.clone()));
    let labels: Vec<(f64, String)> = labels.collect();
    let mut trials = entries.iter().flat_map(|entry| &entry.row.trials);
    let is_loss = trials.any(|trial| trial.config.select == Select::ValLoss);
    let (scale, what) = if is_loss { (1.0, "validation loss") } else { (100.0, "validation accuracy (%)") };
    let x = (-0.5, labels.len() as f64 - 0.5);
    let (height, frame) = frame_beside(&entries, MIN_HEIGHT, 190.0, x, up(&entries, is_loss, scale));
    let seeds = tunings().filter_map(|tuning| tuning.tried.first().map(|tried| tried.trial_ids.len())).max();
    let caption = format!(
        "marks: means over {} of their own; ringed: the value taken, at which the setting is compared{} · no mark: failed, \
         diverged or still to come",
        count(seeds.unwrap_or_default(), "seed"),
        if is_cut(&entries, &frame, scale) { " · arrows: at least three times the lowest loss" } else { "" }
    );
    own.page(height, "values tried before the comparison", &caption, |canvas| {
        frame.x_axis(canvas, "values", &labels)?;
        frame.y_axis(canvas, what, &ticks(frame.y, 7))?;
        frame.edges(canvas)?;
        entries.iter().try_for_each(|entry| draw(canvas, &frame, entry, entries.len().min(SIDE_BY_SIDE), scale))?;
        draw_list(canvas, &frame, &entries)
    })
}

fn up(entries: &[Entry], is_loss: bool, scale: f64) -> (f64, f64) {
    let means = entries.iter().flat_map(|entry| means(entry.row)).map(|mean| scale * mean);
    let (low, high) = bounds(means);
    let high = if is_loss { high.min(WORST_LOSS * low) } else { high };
    let pad = ((high - low) * 0.08).max(1e-3);
    (low - pad, high + pad)
}

/// Whether a mean lies above the frame.
fn is_cut(entries: &[Entry], frame: &Frame, scale: f64) -> bool {
    entries.iter().flat_map(|entry| means(entry.row)).any(|mean| scale * mean > frame.y.1)
}

/// What lies above the frame is an arrow at its edge; the line to it ends there.
fn draw(canvas: &Canvas, frame: &Frame, entry: &Entry, count: usize, scale: f64) -> Result<()> {
    // Beside each other, for settings may have the same mean.
    let aside = ((entry.number % count) as f64 - (count - 1) as f64 / 2.0) * 0.05;
    let means = means(entry.row).enumerate().map(|(place, mean)| (place as f64 + aside, scale * mean));
    let curve: Vec<Point> = means.collect();
    frame.clip(&curve).iter().try_for_each(|piece| canvas.line(piece, color(entry.number), 3.0))?;
    for (place, point) in curve.into_iter().enumerate() {
        let at = frame.at(point);
        if point.1 > frame.y.1 {
            draw_arrow(canvas, (at.0, frame.top), color(entry.number))?;
        } else if point.1.is_finite() {
            if tuning(entry.row).is_some_and(|tuning| tuning.taken == Taken::Candidate(place)) {
                canvas.circle(at, MARKER_RADIUS * 2.1, color(entry.number), 1.0)?;
                canvas.circle(at, MARKER_RADIUS * 1.75, PAPER, 1.0)?;
            }
            draw_marker(canvas, at, entry.number)?;
        }
    }
    Ok(())
}

fn draw_arrow(canvas: &Canvas, (x, top): Point, color: RGBColor) -> Result<()> {
    canvas.line(&[(x, top + 40.0), (x, top)], color, 3.0)?;
    canvas.arrow_head((x, top), (0.0, 1.0), (16.0, 9.0), color)
}
