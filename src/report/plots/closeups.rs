//! Pictures of single trials: a sheet of test images that one is surest about and wrong, and the kernels of its first convolution
//! as small colour images.

use super::canvas::{Align, Canvas, Colors, Ink, Point};
use super::figure::{Figure, Place, page};
use super::theme::{INK, MARGIN, QUIET, SMALL, TICK, TITLE, WIDTH};
use crate::data::{IMAGE_BYTES, Images};
use crate::record::{Filters, Mistake, Showcase};
use crate::report::study::{StoredTrial, Study};
use crate::report::summary::{BlockSummary, Row, best};
use anyhow::{Context, Result, bail, ensure};
use plotters::style::RGBColor;
use std::collections::HashSet;

const TOP: f64 = MARGIN + TITLE * 1.6;
/// Mistakes a row.
const COLUMNS: usize = 5;
const SIDE: usize = 32;
/// Each pixel of an image is drawn this large.
const ZOOM: f64 = 7.0;
const ROW: f64 = SIDE as f64 * ZOOM + TICK * 2.5 + 28.0;
/// Between kernels.
const GAP: f64 = 20.0;
const LARGEST_KERNEL: f64 = 230.0;
/// So many of the largest kernels fill the page.
const FULL_ROW: usize = 7;

/// Of trials that kept them; without the test images mistakes cannot be drawn.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let pictures = |view: Closeup<'a>| {
        let label = &view.label;
        let figure = |kind: &str, description: String, draw: fn(&Study, &Closeup) -> Result<Option<Vec<u8>>>| {
            let (name, place, own) = (format!("{kind}_{}", view.name), Place::CloserLook(view.place), view.clone());
            Figure::new(&name, place, description, move || draw(study, &own))
        };
        [
            figure("mistakes", format!("Test images that {label} is surest about and wrong"), mistakes),
            figure("filters", format!("Kernels of the first convolution of {label}"), filters),
        ]
    };
    closeups(study, blocks).into_iter().flat_map(pictures).collect()
}

/// One trial that stands for its configuration.
#[derive(Clone)]
struct Closeup<'a> {
    label: String,
    trial: &'a StoredTrial,
    showcase: &'a Showcase,
    /// `base` or `best`
    name: &'static str,
    place: usize,
}

/// One trial of the study's base and one of its best configuration.
fn closeups<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Closeup<'a>> {
    let holder = |row: &Row| blocks.iter().find(|block| block.rows.iter().any(|other| std::ptr::eq(other, row)));
    let best = best(blocks.iter().flat_map(|block| &block.rows)).and_then(|row| Some((holder(row)?, row)));
    let base = blocks.first().and_then(|block| Some((block, block.base()?)));
    let mut seen = HashSet::new();
    let chosen = [("base", base), ("best", best)].into_iter().enumerate();
    let chosen = chosen.filter_map(|(place, (name, chosen))| {
        let (block, row) = chosen.filter(|(_, row)| seen.insert(&row.variant.trial_ids))?;
        let (trial, showcase) = row.done().find_map(|trial| Some((trial, trial.showcase.as_ref()?)))?;
        let is_base = block.base().is_some_and(|base| std::ptr::eq(base, row));
        let title = study.title(block.block);
        let label = if is_base { "the base".to_owned() } else { format!("{title}: {}", row.variant.label) };
        Some(Closeup { label, trial, showcase, name, place })
    });
    chosen.collect()
}

fn mistakes(study: &Study, view: &Closeup) -> Result<Option<Vec<u8>>> {
    let Some(test) = &study.test_images else { return Ok(None) };
    let mistakes = &view.showcase.mistakes;
    let height = TOP + ROW * mistakes.len().div_ceil(COLUMNS) as f64 + MARGIN + SMALL * 2.0;
    let title = format!("Surest mistakes of {}", view.label);
    let caption = format!(
        "test images with their class, the class predicted and its probability; the {} mistakes of highest probability \
         · n = 1 trial, seed {} · {}",
        mistakes.len(),
        view.trial.seed,
        study.source()
    );
    page(height, &title, &caption, Colors::All, |canvas| {
        let column = (WIDTH - 2.0 * MARGIN) / COLUMNS as f64;
        for (index, mistake) in mistakes.iter().enumerate() {
            let corner = (MARGIN + column * (index % COLUMNS) as f64, TOP + ROW * (index / COLUMNS) as f64);
            draw_mistake(canvas, study, test, mistake, corner, column)?;
        }
        Ok(())
    })
    .map(Some)
}

fn draw_mistake(
    canvas: &Canvas,
    study: &Study,
    test: &Images,
    mistake: &Mistake,
    (left, top): Point,
    column: f64,
) -> Result<()> {
    let pixels = test.pixels.chunks_exact(IMAGE_BYTES).nth(mistake.image).context("a mistake outside the test set")?;
    let (middle, side) = (left + column / 2.0, SIDE as f64 * ZOOM);
    let first = middle - side / 2.0;
    for pixel in 0..SIDE * SIDE {
        let [red, green, blue] = [0, 1, 2].map(|plane| pixels[plane * SIDE * SIDE + pixel]);
        let (x, y) = (first + ZOOM * (pixel % SIDE) as f64, top + ZOOM * (pixel / SIDE) as f64);
        canvas.rectangle((x, y), (x + ZOOM, y + ZOOM), RGBColor(red, green, blue))?;
    }
    let name = |class: u8| study.class_names.get(usize::from(class)).map_or("?", String::as_str);
    let ink = Ink::new(INK, TICK).align(Align::Center);
    let below = top + side + TICK * 0.9;
    canvas.text(&ink.wrap(name(mistake.truth), column - 8.0, 1).concat(), (middle, below), ink)?;
    let words = format!("taken for {}, {:.1} %", name(mistake.predicted), 100.0 * mistake.probability);
    let ink = Ink::new(QUIET, SMALL).align(Align::Center);
    canvas.text(&ink.wrap(&words, column - 8.0, 1).concat(), (middle, below + TICK * 1.2), ink)
}

fn filters(study: &Study, view: &Closeup) -> Result<Option<Vec<u8>>> {
    let filters = &view.showcase.filters;
    if filters.shape.is_empty() {
        return Ok(None);
    }
    let &[count, 3, rows, columns] = filters.shape.as_slice() else {
        bail!("first kernels of shape {:?}: not [filters, 3, height, width]", filters.shape)
    };
    ensure!(filters.values.len() == count * 3 * rows * columns, "first kernels are incomplete");
    let strongest = filters.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    // About twice as many a row as rows suits the page.
    let in_row = count.min(FULL_ROW.max((2.0 * count as f64).sqrt().ceil() as usize));
    let tile = ((WIDTH - 2.0 * MARGIN + GAP) / in_row as f64 - GAP).min(LARGEST_KERNEL);
    let line = tile + SMALL + GAP;
    let height = TOP + line * count.div_ceil(in_row) as f64 + MARGIN + SMALL * 2.0;
    let title = format!("{count} kernels of the first convolution of {}", view.label);
    let caption = format!(
        "weights for red, green and blue as one colour; grey is 0, full colour ±{strongest:.3}; {rows}×{columns} pixels \
         · n = 1 trial, seed {} · {}",
        view.trial.seed,
        study.source()
    );
    page(height, &title, &caption, Colors::All, |canvas| {
        for filter in 0..count {
            let corner = (MARGIN + (tile + GAP) * (filter % in_row) as f64, TOP + line * (filter / in_row) as f64);
            draw_filter(canvas, filters, filter, strongest, corner, tile)?;
            let below = (corner.0 + tile / 2.0, corner.1 + tile + SMALL * 0.7);
            canvas.text(&(filter + 1).to_string(), below, Ink::new(QUIET, SMALL).align(Align::Center))?;
        }
        Ok(())
    })
    .map(Some)
}

fn draw_filter(
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
