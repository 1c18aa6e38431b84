//! The kernels of one trial's first convolution, as small colour images.

use super::canvas::{Align, Canvas, Ink, Point, paint_photographs};
use super::figure::{Closeup, Figure, closeups};
use super::page::page;
use super::theme::{MARGIN, QUIET, SMALL, TITLE, WIDTH};
use crate::record::Filters;
use crate::report::study::Study;
use crate::report::summary::BlockSummary;
use anyhow::{Result, ensure};
use plotters::style::RGBColor;

const TOP: f64 = MARGIN + TITLE * 1.6;
const GAP: f64 = 20.0;
const LARGEST_TILE: f64 = 230.0;
/// So many of the largest tiles fill the page.
const FULL_ROW: usize = 7;

/// Of trials that kept them.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let figure = |trial: Closeup<'a>| {
        let description = format!("Kernels of the first convolution of {}", trial.label);
        trial.figure("filters", description, |trial| render(study, trial).map(Some))
    };
    closeups(study, blocks).into_iter().map(figure).collect()
}

fn render(study: &Study, view: &Closeup) -> Result<Vec<u8>> {
    let filters = &view.showcase.filters;
    let &[count, 3, rows, columns] = filters.shape.as_slice() else {
        anyhow::bail!("first kernels of shape {:?}: not [filters, 3, height, width]", filters.shape)
    };
    ensure!(filters.values.len() == count * 3 * rows * columns, "first kernels are incomplete");
    let strongest = filters.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    // About twice as many a row as rows suits the page.
    let in_row = count.min(FULL_ROW.max((2.0 * count as f64).sqrt().ceil() as usize));
    let tile = ((WIDTH - 2.0 * MARGIN + GAP) / in_row as f64 - GAP).min(LARGEST_TILE);
    let line = tile + SMALL + GAP;
    let height = TOP + line * count.div_ceil(in_row) as f64 + MARGIN + SMALL * 2.0;
    let title = format!("{count} kernels of the first convolution of {}", view.label);
    let caption = format!(
        "weights for red, green and blue as one colour; grey is 0, full colour ±{strongest:.3}; {rows}×{columns} pixels \
         · n = 1 trial, seed {} · {}",
        view.trial.seed,
        study.source()
    );
    paint_photographs(WIDTH, height, |canvas| {
        page(canvas, height, &title, &caption)?;
        for filter in 0..count {
            let corner = (MARGIN + (tile + GAP) * (filter % in_row) as f64, TOP + line * (filter / in_row) as f64);
            draw(canvas, filters, filter, strongest, corner, tile)?;
            let below = (corner.0 + tile / 2.0, corner.1 + tile + SMALL * 0.7);
            canvas.text(&(filter + 1).to_string(), below, Ink::new(QUIET, SMALL).align(Align::Center))?;
        }
        Ok(())
    })
}

fn draw(
    canvas: &Canvas,
    filters: &Filters,
    filter: usize,
    strongest: f32,
    (left, top): Point,
    tile: f64,
) -> Result<()> {
    let (rows, columns) = (filters.shape[2], filters.shape[3]);
    let (wide, high) = (tile / columns as f64, tile / rows as f64);
    for place in 0..rows * columns {
        let shade = |plane: usize| {
            let weight = filters.values[(filter * 3 + plane) * rows * columns + place];
            let share = if strongest > 0.0 { weight / strongest } else { 0.0 };
            (127.5 + 127.5 * share).round() as u8
        };
        let (x, y) = (left + wide * (place % columns) as f64, top + high * (place / columns) as f64);
        canvas.rectangle((x, y), (x + wide, y + high), RGBColor(shade(0), shade(1), shade(2)))?;
    }
    Ok(())
}
