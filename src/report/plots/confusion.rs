//! One configuration's confusion matrix on the test set, summed over its seeds.

use super::canvas::{Align, Canvas, Colors, Ink, Point};
use super::figure::{Figure, headline, page, sections, seeds_label};
use super::theme::{INK, LABEL, MARGIN, SMALL, TICK, TITLE, inks, shade};
use crate::record::{CLASSES, Confusion};
use crate::report::measure::Measure;
use crate::report::statistics;
use crate::report::study::Study;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use std::collections::HashSet;

const CELL: (f64, f64) = (146.0, 92.0);
const LEFT: f64 = 250.0;
const TOP: f64 = MARGIN + TITLE * 2.0 + TICK * 3.2;

/// Of each block's base and best setting. Blocks often share their base: its matrix is drawn once.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let mut seen = HashSet::new();
    let chosen =
        sections(study, blocks).flat_map(|own| [(own, "base", own.block.base()), (own, "best", own.block.best())]);
    let new = chosen.filter_map(|(own, name, row)| {
        let row = row.filter(|row| row.n() > 0 && seen.insert(&row.variant.trial_ids))?;
        let what = format!("confusion matrix of {}", row.variant.label);
        Some(own.figure(&format!("confusion_{name}"), &what, move || render(study, own.block, row)))
    });
    new.collect()
}

fn render(study: &Study, block: &BlockSummary, row: &Row) -> Result<Vec<u8>> {
    let accuracy =
        row.spread(Measure::TestAccuracy).map_or(String::new(), |spread| statistics::mean_std(&spread, 100.0, 1));
    let name = format!("{} · {}", study.title(block.block), row.variant.label);
    let title = headline(&name, &format!("test accuracy {accuracy} % ({})", row.count_label()));
    let caption = format!(
        "test images in % of the true class, number of images below · sum over {} · {}",
        seeds_label([row]),
        study.source()
    );
    draw(&title, &caption, &study.class_names, &sum(row))
}

/// The PNG of any confusion matrix.
pub fn draw(title: &str, caption: &str, class_names: &[impl AsRef<str>], confusion: &Confusion) -> Result<Vec<u8>> {
    let height = TOP + CELL.1 * CLASSES as f64 + MARGIN * 2.0 + SMALL * 2.0;
    page(height, title, caption, Colors::Few, |canvas| {
        draw_names(canvas, class_names)?;
        for (truth, counts) in confusion.iter().enumerate() {
            let support: u64 = counts.iter().sum();
            for (predicted, count) in counts.iter().enumerate() {
                draw_cell(canvas, corner(truth, predicted), *count, support)?;
            }
        }
        Ok(())
    })
}

fn sum(row: &Row) -> Confusion {
    let mut sum = Confusion::default();
    for scores in row.done().filter_map(|trial| trial.scores()) {
        let cells = sum.iter_mut().flatten().zip(scores.confusion.iter().flatten());
        cells.for_each(|(sum, count)| *sum += count);
    }
    sum
}

fn corner(truth: usize, predicted: usize) -> Point {
    (LEFT + CELL.0 * predicted as f64, TOP + CELL.1 * truth as f64)
}

fn draw_names(canvas: &Canvas, names: &[impl AsRef<str>]) -> Result<()> {
    let axis = Ink::new(INK, LABEL);
    let middle = (LEFT + CELL.0 * CLASSES as f64 / 2.0, TOP + CELL.1 * CLASSES as f64 / 2.0);
    canvas.text("predicted class", (middle.0, TOP - TICK * 2.3), axis.align(Align::Center))?;
    canvas.vertical_text("true class", (MARGIN + LABEL / 2.0, middle.1), axis)?;
    for (class, name) in names.iter().take(CLASSES).enumerate() {
        let (left, top) = corner(class, class);
        let (name, ink) = (name.as_ref(), Ink::new(INK, TICK));
        let short = ink.wrap(name, CELL.0, 1).concat();
        canvas.text(&short, (left + CELL.0 / 2.0, TOP - TICK * 0.8), ink.align(Align::Center))?;
        let short = ink.wrap(name, LEFT - MARGIN - LABEL - 30.0, 1).concat();
        canvas.text(&short, (LEFT - 16.0, top + CELL.1 / 2.0), ink.align(Align::Right))?;
    }
    Ok(())
}

fn draw_cell(canvas: &Canvas, (left, top): Point, count: u64, support: u64) -> Result<()> {
    let share = if support == 0 { 0.0 } else { count as f64 / support as f64 };
    // One pixel of paper between the cells.
    canvas.rectangle((left, top), (left + CELL.0 - 2.0, top + CELL.1 - 2.0), shade(share))?;
    let (ink, quiet) = inks(share);
    let (x, y) = (left + CELL.0 / 2.0, top + CELL.1 / 2.0);
    canvas.text(&format!("{:.1}", 100.0 * share), (x, y - 15.0), Ink::new(ink, LABEL).align(Align::Center))?;
    canvas.text(&count.to_string(), (x, y + 19.0), Ink::new(quiet, SMALL).align(Align::Center))
}
