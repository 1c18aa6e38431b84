//! Test accuracy over two axes of a block, with the mean and n of each combination in its cell.

use super::canvas::{Align, Canvas, Ink, Point};
use super::figure::{Figure, MAX_SETTINGS, Section, averaged};
use super::frame::bounds;
use super::theme::{GRID, INK, LABEL, LEADING, MARGIN, QUIET, SMALL, TICK, TITLE, VERMILION, WIDTH, inks, shade};
use crate::report::measure::Measure;
use crate::report::statistics;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use std::collections::HashMap;

const LEFT: f64 = 420.0;
/// Lines of text that a value above a column may take.
const VALUE_LINES: usize = 2;
const CELL_HEIGHT: f64 = 130.0;
const MAX_CELL_WIDTH: f64 = 300.0;
/// Cells narrower than this cannot hold `63.1 ± 0.4`.
const MIN_CELL_WIDTH: f64 = 140.0;

/// Of blocks that are a grid.
pub fn figures(own: Section) -> Vec<Figure> {
    let figure = |grid| own.figure("heatmap", "test accuracy by its two settings", move || render(&own, &grid));
    Vec::from_iter(grid(own.block).map(figure))
}

/// A block's two axes, each a key and its values, and the row of each combination that was planned.
struct Grid<'a> {
    across: Axis<'a>,
    down: Axis<'a>,
    cells: HashMap<(&'a str, &'a str), &'a Row<'a>>,
}

struct Axis<'a> {
    key: &'a str,
    values: Vec<&'a str>,
}

/// None unless exactly two settings vary, each combination belongs to one row, and there are more than a cross of them. A base
/// with a value that no other row has stands outside.
fn grid<'a>(block: &'a BlockSummary<'a>) -> Option<Grid<'a>> {
    let (base, others) = block.rows.split_first()?;
    let mut axes: Vec<Axis> = Vec::new();
    for (key, value) in others.iter().flat_map(|row| &row.variant.settings) {
        match axes.iter_mut().find(|axis| axis.key == key) {
            Some(axis) if axis.values.contains(&value.as_str()) => {}
            Some(axis) => axis.values.push(value),
            None => axes.push(Axis { key, values: vec![value] }),
        }
    }
    // Numbers ascend; other values stay in the order of the experiment.
    let number = |value: &str| value.parse::<f64>().ok();
    for axis in axes.iter_mut().filter(|axis| axis.values.iter().all(|value| number(value).is_some())) {
        axis.values.sort_by(|a, b| number(a).partial_cmp(&number(b)).expect("no NaN in an experiment"));
    }
    let [mut down, mut across] = <[Axis; 2]>::try_from(axes).ok()?;
    if down.values.len() < across.values.len() {
        std::mem::swap(&mut down, &mut across);
    }
    let known = |(key, value): &(String, String)| {
        [&across, &down].iter().any(|axis| axis.key == key && axis.values.contains(&value.as_str()))
    };
    let base = Some(base).filter(|base| !base.variant.settings.is_empty() && base.variant.settings.iter().all(known));
    let mut cells = HashMap::new();
    for row in base.into_iter().chain(others) {
        let value =
            |key: &str| row.variant.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        if cells.insert((value(across.key)?, value(down.key)?), row).is_some() {
            return None;
        }
    }
    let fits = across.values.len() >= 2 && across.values.len() as f64 <= (WIDTH - LEFT - MARGIN) / MIN_CELL_WIDTH;
    let crowded = cells.len() > across.values.len() + down.values.len() - 1;
    let fits = fits && down.values.len() <= MAX_SETTINGS;
    (fits && crowded).then_some(Grid { across, down, cells })
}

fn render(own: &Section, grid: &Grid) -> Result<Vec<u8>> {
    let width = ((WIDTH - LEFT - MARGIN) / grid.across.values.len() as f64).min(MAX_CELL_WIDTH);
    let top = top(grid, width);
    let height = top + CELL_HEIGHT * grid.down.values.len() as f64 + MARGIN * 2.0 + SMALL * 2.0;
    let averaged = averaged("mean ± std", grid.cells.values().copied());
    let caption = format!("{averaged} · darker is better, grey has no result");
    own.page(height, "test accuracy (%)", &caption, |canvas| {
        draw_names(canvas, grid, width, top)?;
        for (line, down) in grid.down.values.iter().enumerate() {
            for (column, across) in grid.across.values.iter().enumerate() {
                let corner = (LEFT + width * column as f64, top + CELL_HEIGHT * line as f64);
                draw_cell(canvas, corner, width, grid.cells.get(&(*across, *down)).copied(), range(grid))?;
            }
        }
        Ok(())
    })
}

/// Where the cells begin: below the title, the axis and the longest of its values.
fn top(grid: &Grid, width: f64) -> f64 {
    let ink = Ink::new(INK, TICK);
    let lines = grid.across.values.iter().map(|value| ink.wrap(value, width - 12.0, VALUE_LINES).len()).max();
    MARGIN + TITLE * 2.4 + LABEL * 1.2 + TICK * LEADING * lines.unwrap_or(1) as f64
}

/// Lowest and highest mean.
fn range(grid: &Grid) -> (f64, f64) {
    bounds(grid.cells.values().filter_map(|row| Some(row.spread(Measure::TestAccuracy)?.mean)))
}

fn draw_names(canvas: &Canvas, grid: &Grid, width: f64, top: f64) -> Result<()> {
    let axis = Ink::new(INK, LABEL).bold();
    let (columns, lines) = (grid.across.values.len() as f64, grid.down.values.len() as f64);
    canvas.text(grid.across.key, (LEFT + width * columns / 2.0, MARGIN + TITLE * 2.4), axis.align(Align::Center))?;
    canvas.vertical_text(grid.down.key, (MARGIN + LABEL / 2.0, top + CELL_HEIGHT * lines / 2.0), axis)?;
    let ink = Ink::new(INK, TICK);
    for (column, value) in grid.across.values.iter().enumerate() {
        let names = ink.wrap(value, width - 12.0, VALUE_LINES);
        let first = top - TICK * (0.8 + LEADING * (names.len() - 1) as f64);
        canvas.paragraph(&names, (LEFT + width * (column as f64 + 0.5), first), ink.align(Align::Center))?;
    }
    for (line, value) in grid.down.values.iter().enumerate() {
        let names = ink.wrap(value, LEFT - MARGIN - LABEL * 2.0 - 20.0, 3);
        let middle = top + CELL_HEIGHT * (line as f64 + 0.5);
        let first = middle - TICK * LEADING * (names.len() - 1) as f64 / 2.0;
        canvas.paragraph(&names, (LEFT - 20.0, first), ink.align(Align::Right))?;
    }
    Ok(())
}

/// A combination that was not planned stays grey.
fn draw_cell(canvas: &Canvas, (left, top): Point, width: f64, row: Option<&Row>, range: (f64, f64)) -> Result<()> {
    let (low, high) = range;
    let spread = row.and_then(|row| row.spread(Measure::TestAccuracy));
    let share = spread.map(|spread| if high > low { 0.1 + 0.75 * (spread.mean - low) / (high - low) } else { 0.1 });
    let color = share.map_or(GRID, shade);
    canvas.rectangle((left, top), (left + width - 2.0, top + CELL_HEIGHT - 2.0), color)?;
    let Some(row) = row else { return Ok(()) };
    let (ink, quiet) = inks(share.unwrap_or(0.0));
    let numbers = spread.map_or("no result".to_owned(), |spread| statistics::mean_std(&spread, 100.0, 1));
    let missing = row.missing_label();
    let lines = if missing.is_some() { 3.0 } else { 2.0 };
    let center = left + width / 2.0;
    let mut y = top + CELL_HEIGHT / 2.0 - TICK * LEADING * (lines - 1.0) / 2.0;
    y = canvas.paragraph(&[numbers], (center, y), Ink::new(ink, TICK).bold().align(Align::Center))?;
    let below = format!("n = {}", row.n());
    y = canvas.paragraph(&[below], (center, y), Ink::new(quiet, SMALL).align(Align::Center))?;
    let color = if row.troubled() && quiet == QUIET { VERMILION } else { quiet };
    let ink = Ink::new(color, SMALL).align(Align::Center);
    let missing = missing.map_or(Vec::new(), |missing| ink.wrap(&missing, width - 8.0, 1));
    canvas.paragraph(&missing, (center, y), ink)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::summarize;
    use crate::report::tests::example;

    /// The values of both axes and the number of cells, for a base at (1, 4) and the rows of a grid.
    fn axes(base: [&str; 2], cells: &[[&str; 2]]) -> Option<(Vec<String>, Vec<String>, usize)> {
        let labels: Vec<String> = cells.iter().map(|cell| cell.join(" ")).collect();
        let settings: Vec<(&str, f64)> = labels.iter().map(|label| (label.as_str(), 0.5)).collect();
        let mut study = example::study(&[("grid", &[&[("base", 0.5)], settings.as_slice()].concat())], 1, 2);
        for (variant, cell) in study.blocks[0].variants.iter_mut().zip([base].iter().chain(cells)) {
            variant.settings = ["lr", "batch_size"].map(String::from).into_iter().zip(cell.map(String::from)).collect();
        }
        let blocks = summarize(&study);
        let grid = grid(&blocks[0])?;
        let texts = |axis: &Axis| axis.values.iter().map(|value| value.to_string()).collect();
        Some((texts(&grid.down), texts(&grid.across), grid.cells.len()))
    }

    #[test]
    fn a_base_beside_the_grid_is_no_cell_of_it() {
        let cells = [["2", "8"], ["2", "16"], ["3", "8"], ["3", "16"]];
        let both = |low: &str, high: &str| vec![low.to_owned(), high.to_owned()];
        assert_eq!(axes(["1", "4"], &cells), Some((both("2", "3"), both("8", "16"), 4)));
        assert_eq!(axes(["2", "4"], &cells).unwrap().2, 4);
        assert_eq!(axes(["2", "8"], &cells[1..]), Some((both("2", "3"), both("8", "16"), 4)));
    }
}
