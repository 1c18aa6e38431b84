//! The values that each setting of a block tried: the mean selection metric on the validation images of each, and which was taken.

use super::canvas::{Canvas, Point, paint};
use super::figure::{Figure, sections};
use super::frame::{Frame, ticks};
use super::legend::{self, Entry, LEGEND_GAP, MARKER_RADIUS, color, draw_list, draw_marker};
use super::page::{MAX_SETTINGS, headline, leading, page};
use super::theme::{MARGIN, PAPER, TITLE, WIDTH};
use crate::report::study::{Study, StudyTuning};
use crate::report::summary::{BlockSummary, Row};
use crate::spec::config::Select;
use crate::verdict::asked::Taken;
use anyhow::Result;

const MIN_HEIGHT: f64 = 800.0;
/// So many marks lie beside each other at one value.
const SIDE_BY_SIDE: usize = 7;
/// Losses so many times the lowest one are beyond the frame.
const WORST_LOSS: f64 = 3.0;

/// Of blocks of which a setting has tried values whose trials are done.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let tried = sections(study, blocks).filter(|own| own.block.rows.iter().any(|row| points(row).next().is_some()));
    tried
        .map(|own| own.figure("tuning", "the values that each setting tried", move || render(study, own.block)))
        .collect()
}

fn tuning<'a>(row: &Row<'a>) -> Option<&'a StudyTuning> {
    row.variant.tuning.as_ref()
}

/// Each value's place in the list and its mean.
fn points<'a>(row: &'a Row) -> impl Iterator<Item = (usize, f64)> + 'a {
    let tried = tuning(row).into_iter().flat_map(|tuning| tuning.tried.iter().enumerate());
    tried.filter_map(|(place, tried)| Some((place, tried.mean?)))
}

fn render(study: &Study, block: &BlockSummary) -> Result<Vec<u8>> {
    let rows = leading(block.rows.iter().filter(|row| points(row).next().is_some()).collect(), MAX_SETTINGS);
    let number = |row: &Row| block.rows.iter().position(|other| std::ptr::eq(other, row)).unwrap_or_default();
    let entries: Vec<Entry> = rows.iter().map(|row| Entry::new(number(row), row)).collect();
    let labels: Vec<(f64, String)> =
        rows.iter().filter_map(|row| tuning(row)).max_by_key(|tuning| tuning.tried.len()).map_or(vec![], |tuning| {
            tuning.tried.iter().enumerate().map(|(x, tried)| (x as f64, tried.label.clone())).collect()
        });
    let top = MARGIN + TITLE * 2.0;
    let height = (top + entries.iter().map(Entry::height).sum::<f64>() + MARGIN * 3.0).max(MIN_HEIGHT);
    let right = WIDTH - MARGIN - legend::width(&entries) - LEGEND_GAP * 2.0 - 60.0;
    let is_loss = rows.iter().flat_map(|row| &row.trials).any(|trial| trial.config.select == Select::ValLoss);
    let scale = if is_loss { 1.0 } else { 100.0 };
    let x = (-0.5, labels.len() as f64 - 0.5);
    let frame = Frame { left: 190.0, right, top, bottom: height - 190.0, x, y: up(&rows, is_loss, scale) };
    let seeds = rows.iter().filter_map(|row| tuning(row)?.tried.first().map(|tried| tried.trial_ids.len())).max();
    let caption = format!(
        "marks: means over {} seeds of their own; ringed: the value taken, at which the setting is compared · beyond the frame: \
         three times the lowest loss or more, failed or diverged · {}",
        seeds.unwrap_or_default(),
        study.source()
    );
    let what = if is_loss { "validation loss" } else { "validation accuracy (%)" };
    paint(WIDTH, height, |canvas| {
        page(canvas, height, &headline(study.title(block.block), "values tried before the comparison"), &caption)?;
        frame.x_axis(canvas, "values", &labels)?;
        frame.y_axis(canvas, what, &ticks(frame.y, 7))?;
        frame.edges(canvas)?;
        entries.iter().try_for_each(|entry| draw(canvas, &frame, entry, entries.len().min(SIDE_BY_SIDE), scale))?;
        draw_list(canvas, (right + 40.0, top), &entries)
    })
}

fn up(rows: &[&Row], is_loss: bool, scale: f64) -> (f64, f64) {
    let means = rows.iter().flat_map(|row| points(row)).map(|(_, mean)| scale * mean);
    let (low, high) = means.fold((f64::MAX, f64::MIN), |(low, high), mean| (low.min(mean), high.max(mean)));
    let high = if is_loss { high.min(WORST_LOSS * low) } else { high };
    let pad = ((high - low) * 0.08).max(1e-3);
    (low - pad, high + pad)
}

fn draw(canvas: &Canvas, frame: &Frame, entry: &Entry, count: usize, scale: f64) -> Result<()> {
    // Beside each other, for settings may have the same mean.
    let aside = ((entry.number % count) as f64 - (count - 1) as f64 / 2.0) * 0.05;
    let inside = |mean: &f64| (frame.y.0..=frame.y.1).contains(mean);
    let marks: Vec<(usize, Point)> = points(entry.row)
        .map(|(place, mean)| (place, scale * mean))
        .filter(|(_, mean)| inside(mean))
        .map(|(place, mean)| (place, frame.at((place as f64 + aside, mean))))
        .collect();
    canvas.line(&marks.iter().map(|(_, at)| *at).collect::<Vec<_>>(), color(entry.number), 3.0)?;
    for (place, at) in marks {
        if tuning(entry.row).is_some_and(|tuning| tuning.taken == Taken::Candidate(place)) {
            canvas.circle(at, MARKER_RADIUS * 2.1, color(entry.number), 1.0)?;
            canvas.circle(at, MARKER_RADIUS * 1.75, PAPER, 1.0)?;
        }
        draw_marker(canvas, at, entry.number)?;
    }
    Ok(())
}
