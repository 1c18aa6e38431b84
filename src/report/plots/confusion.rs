//! One configuration's confusion matrix on the test set, summed over its seeds.

use super::canvas::{Align, Canvas, Colors, Ink, Point};
use super::figure::{Figure, headline, page_of, sections, seeds_label};
use super::theme::{INK, LABEL, MARGIN, SMALL, TICK, TITLE, WIDTH, inks, shade};
use crate::record::Confusion;
use crate::report::measure::Measure;
use crate::report::statistics;
use crate::report::study::Study;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;
use plotters::style::RGBColor;
use std::collections::HashSet;

/// More classes have no room for numbers.
pub const MOST_IN_NUMBERS: usize = 20;
/// Of a cell without an image, beside which the faintest shade is seen.
const EMPTY: RGBColor = RGBColor(242, 242, 242);
const LEFT: f64 = 250.0;
const TOP: f64 = MARGIN + TITLE * 2.0 + TICK * 3.2;
/// Under so many classes the names above the columns stand upright.
const UPRIGHT: f64 = 170.0;

/// How large the cells are of a matrix of so many classes, and what is in them.
#[derive(Clone, Copy)]
struct Grid {
    classes: usize,
    cell: (f64, f64),
    top: f64,
    /// Of the names and numbers, beside those of ten classes.
    scale: f64,
    /// Without numbers the cells have shades alone.
    has_numbers: bool,
}

impl Grid {
    fn of(classes: usize) -> Grid {
        match classes {
            0..=10 => Grid { classes, cell: (146.0, 92.0), top: TOP, scale: 1.0, has_numbers: true },
            11..=MOST_IN_NUMBERS => {
                let width = 1460.0 / classes as f64;
                Grid { classes, cell: (width, 60.0), top: TOP + UPRIGHT, scale: width / 120.0, has_numbers: true }
            }
            _ => {
                let side = (2400.0 / classes as f64).clamp(14.0, 60.0);
                let scale = (side * 0.8 / TICK).min(1.0);
                Grid { classes, cell: (side, side), top: TOP + UPRIGHT, scale, has_numbers: false }
            }
        }
    }

    fn corner(&self, truth: usize, predicted: usize) -> Point {
        (LEFT + self.cell.0 * predicted as f64, self.top + self.cell.1 * truth as f64)
    }

    fn size(&self) -> (f64, f64) {
        let (right, bottom) = self.corner(self.classes, self.classes);
        (WIDTH.max(right + MARGIN), bottom + MARGIN * 2.0 + SMALL * 2.0)
    }
}

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
    let (confusion, source) = (sum(row), study.source());
    let what = what_cells_say(confusion.classes());
    let caption = format!("test {what} · sum over {} · {source}", seeds_label([row]));
    draw(&title, &caption, &study.class_names, &confusion)
}

/// For captions.
pub fn what_cells_say(classes: usize) -> &'static str {
    match Grid::of(classes).has_numbers {
        true => "images in % of the true class, number of images below",
        false => {
            "images as shares of the true class: the darker the more, by the square root of the share; grey is none"
        }
    }
}

/// The PNG of any confusion matrix.
pub fn draw(title: &str, caption: &str, class_names: &[impl AsRef<str>], confusion: &Confusion) -> Result<Vec<u8>> {
    let grid = Grid::of(confusion.classes());
    page_of(grid.size(), title, caption, Colors::Few, |canvas| {
        draw_names(canvas, &grid, class_names)?;
        for (truth, counts) in confusion.iter().enumerate() {
            let support: u64 = counts.iter().sum();
            for (predicted, count) in counts.iter().enumerate() {
                draw_cell(canvas, &grid, grid.corner(truth, predicted), (*count, support))?;
            }
        }
        Ok(())
    })
}

fn sum(row: &Row) -> Confusion {
    let mut all = row.done().filter_map(|trial| trial.scores()).map(|scores| scores.confusion.clone());
    let first = all.next().unwrap_or_else(|| Confusion::new(0));
    all.fold(first, |mut sum, confusion| {
        sum.iter_mut().flatten().zip(confusion.iter().flatten()).for_each(|(sum, count)| *sum += count);
        sum
    })
}

fn draw_names(canvas: &Canvas, grid: &Grid, names: &[impl AsRef<str>]) -> Result<()> {
    let axis = Ink::new(INK, LABEL);
    let (right, bottom) = grid.corner(grid.classes, grid.classes);
    canvas.text("predicted class", ((LEFT + right) / 2.0, TOP - TICK * 2.3), axis.align(Align::Center))?;
    canvas.vertical_text("true class", (MARGIN + LABEL / 2.0, (grid.top + bottom) / 2.0), axis)?;
    let ink = Ink::new(INK, TICK * grid.scale.min(1.0));
    for (class, name) in names.iter().take(grid.classes).enumerate() {
        let ((left, top), name) = (grid.corner(class, class), name.as_ref());
        let middle = left + grid.cell.0 / 2.0;
        if grid.top > TOP {
            let short = ink.wrap(name, UPRIGHT, 1).concat();
            canvas.vertical_text(&short, (middle, grid.top - 10.0 - ink.width(&short) / 2.0), ink)?;
        } else {
            let short = ink.wrap(name, grid.cell.0, 1).concat();
            canvas.text(&short, (middle, TOP - TICK * 0.8), ink.align(Align::Center))?;
        }
        let short = ink.wrap(name, LEFT - MARGIN - LABEL - 30.0, 1).concat();
        canvas.text(&short, (LEFT - 16.0, top + grid.cell.1 / 2.0), ink.align(Align::Right))?;
    }
    Ok(())
}

fn draw_cell(canvas: &Canvas, grid: &Grid, (left, top): Point, (count, support): (u64, u64)) -> Result<()> {
    let share = if support == 0 { 0.0 } else { count as f64 / support as f64 };
    let (width, height) = grid.cell;
    // One pixel of paper between the cells.
    let square = ((left, top), (left + width - 2.0, top + height - 2.0));
    if !grid.has_numbers {
        return canvas.rectangle(square.0, square.1, if count == 0 { EMPTY } else { shade(share.sqrt()) });
    }
    canvas.rectangle(square.0, square.1, shade(share))?;
    let (ink, quiet) = inks(share);
    let ((x, y), scale) = ((left + width / 2.0, top + height / 2.0), grid.scale);
    let above = Ink::new(ink, LABEL * scale).align(Align::Center);
    canvas.text(&format!("{:.1}", 100.0 * share), (x, y - 15.0 * scale), above)?;
    let below = Ink::new(quiet, SMALL * scale).align(Align::Center);
    canvas.text(&count.to_string(), (x, y + 19.0 * scale), below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_cells_have_room_at_every_number_of_classes() {
        assert_eq!(Grid::of(10).size().0, WIDTH);
        for classes in [2, 7, 10, 11, 20, 21, 100, 256] {
            let grid = Grid::of(classes);
            let (width, height) = grid.size();
            assert!((WIDTH..4_000.0).contains(&width) && height < 4_200.0, "{classes}: {width}×{height}");
            let letters = TICK * grid.scale.min(1.0);
            assert!(letters <= grid.cell.1, "{classes}: names overlap");
            assert!(grid.top == TOP || letters <= grid.cell.0, "{classes}: upright names overlap");
            let number = Ink::new(INK, LABEL * grid.scale).width("100.0");
            assert!(!grid.has_numbers || number < grid.cell.0, "{classes}: numbers overlap");
        }
    }
}
