//! A sheet of test images that one trial is surest about and wrong.

use super::canvas::{Align, Canvas, Ink, Point, paint_photographs};
use super::figure::{Closeup, Figure, closeups};
use super::page::page;
use super::theme::{INK, MARGIN, QUIET, SMALL, TICK, TITLE, WIDTH};
use crate::data::{IMAGE_BYTES, Images};
use crate::record::Mistake;
use crate::report::study::Study;
use crate::report::summary::BlockSummary;
use anyhow::{Context, Result};
use plotters::style::RGBColor;

const COLUMNS: usize = 5;
const SIDE: usize = 32;
/// Each pixel of an image is drawn this large.
const ZOOM: f64 = 7.0;
const ROW: f64 = SIDE as f64 * ZOOM + TICK * 2.5 + 28.0;
const TOP: f64 = MARGIN + TITLE * 1.6;

/// Of trials that kept them; without the test images they cannot be drawn.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let figure = |trial: Closeup<'a>| {
        let description = format!("Test images that {} is surest about and wrong", trial.label);
        trial.figure("mistakes", description, |trial| {
            study.test_images.as_ref().map(|images| render(study, trial, images)).transpose()
        })
    };
    closeups(study, blocks).into_iter().map(figure).collect()
}

fn render(study: &Study, view: &Closeup, test: &Images) -> Result<Vec<u8>> {
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
    paint_photographs(WIDTH, height, |canvas| {
        page(canvas, height, &title, &caption)?;
        let column = (WIDTH - 2.0 * MARGIN) / COLUMNS as f64;
        for (index, mistake) in mistakes.iter().enumerate() {
            let corner = (MARGIN + column * (index % COLUMNS) as f64, TOP + ROW * (index / COLUMNS) as f64);
            draw(canvas, study, test, mistake, corner, column)?;
        }
        Ok(())
    })
}

fn draw(
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
