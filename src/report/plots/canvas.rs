//! A white page to draw on, in pixels of the finished image, and how it becomes a PNG.

use super::theme::{LEADING, drawable, font};
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::HashMap;

pub type Point = (f64, f64);

/// Drawn this many times larger and averaged down, which smooths the thick lines that plotters leaves jagged.
const OVERSAMPLING: usize = 2;
/// A PNG palette's size.
const PALETTE: usize = 256;
/// From a text's middle line to its baseline, in text sizes: half the height of Roboto's capitals.
const MIDDLE_TO_BASELINE: f64 = 0.3;

#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Center,
    Right,
}

#[derive(Clone, Copy)]
pub struct Ink {
    pub color: RGBColor,
    pub size: f64,
    pub bold: bool,
    pub align: Align,
}

impl Ink {
    pub fn new(color: RGBColor, size: f64) -> Ink {
        Ink { color, size, bold: false, align: Align::Left }
    }

    pub fn bold(self) -> Ink {
        Ink { bold: true, ..self }
    }

    pub fn align(self, align: Align) -> Ink {
        Ink { align, ..self }
    }

    fn font(&self) -> FontDesc<'static> {
        font(self.size * OVERSAMPLING as f64, self.bold)
    }

    pub fn width(&self, text: &str) -> f64 {
        self.font().box_size(&drawable(text)).map_or(0.0, |(width, _)| f64::from(width) / OVERSAMPLING as f64)
    }

    /// Cut into at most `lines` lines of at most `width`, at spaces where there are any; what does not fit ends in `…`.
    pub fn wrap(&self, text: &str, width: f64, lines: usize) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        let mut row = String::new();
        for word in text.split_inclusive([' ', ',', '_', '/']) {
            let full = self.width(format!("{row}{word}").trim_end()) > width;
            if full && !row.is_empty() && rows.len() + 1 < lines {
                rows.push(std::mem::take(&mut row));
            }
            row += word;
        }
        rows.push(row);
        rows.iter().map(|row| self.cut(row.trim_end(), width)).collect()
    }

    fn cut(&self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut kept = text.to_owned();
        while kept.pop().is_some() && self.width(&format!("{kept}…")) > width {}
        kept + "…"
    }
}

pub struct Canvas<'a> {
    area: DrawingArea<BitMapBackend<'a>, Shift>,
}

/// The colours of a PNG.
pub enum Colors {
    /// The most frequent ones; the rarer, blends at the edges of letters and lines, go to the nearest.
    Few,
    /// Each as it is, for photographs.
    All,
}

/// The PNG of what `draw` draws on a white page.
pub fn paint(width: f64, height: f64, colors: Colors, draw: impl FnOnce(&Canvas) -> Result<()>) -> Result<Vec<u8>> {
    let (width, height) = (width.round() as u32, height.round() as u32);
    let (wide, high) = (width * OVERSAMPLING as u32, height * OVERSAMPLING as u32);
    let mut pixels = vec![u8::MAX; (wide * high * 3) as usize];
    let canvas = Canvas { area: BitMapBackend::with_buffer(&mut pixels, (wide, high)).into_drawing_area() };
    draw(&canvas)?;
    drop(canvas);
    encode(shrink(&pixels, wide as usize), width, height, colors)
}

impl Canvas<'_> {
    pub fn line(&self, points: &[Point], color: RGBColor, width: f64) -> Result<()> {
        let stroke = (width * OVERSAMPLING as f64).round() as u32;
        let points: Vec<(i32, i32)> = points.iter().map(pixel).collect();
        self.area.draw(&PathElement::new(points, color.stroke_width(stroke))).map_err(failed)
    }

    pub fn dashed(&self, points: &[Point], color: RGBColor, width: f64, dash_and_gap: (f64, f64)) -> Result<()> {
        self.dashed_from(0.0, points, color, width, dash_and_gap)
    }

    /// The first dash begins `start` after the line's start, with a gap before it.
    pub fn dashed_from(
        &self,
        start: f64,
        points: &[Point],
        color: RGBColor,
        width: f64,
        (dash, gap): (f64, f64),
    ) -> Result<()> {
        dashes(points, start, dash, gap).iter().try_for_each(|piece| self.line(piece, color, width))
    }

    pub fn polygon(&self, points: &[Point], color: RGBColor, opacity: f64) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(pixel).collect();
        self.area.draw(&Polygon::new(points, color.mix(opacity))).map_err(failed)
    }

    /// The head of an arrow whose tip is at `(x, y)`; `(right, down)` is one step back from it, along the arrow.
    pub fn arrow_head(
        &self,
        (x, y): Point,
        (right, down): Point,
        (length, half_width): (f64, f64),
        color: RGBColor,
    ) -> Result<()> {
        let corner =
            |side: f64| (x + right * length - side * down * half_width, y + down * length + side * right * half_width);
        self.polygon(&[(x, y), corner(1.0), corner(-1.0)], color, 1.0)
    }

    pub fn rectangle(&self, (left, top): Point, (right, bottom): Point, color: RGBColor) -> Result<()> {
        self.area.draw(&Rectangle::new([pixel(&(left, top)), pixel(&(right, bottom))], color.filled())).map_err(failed)
    }

    pub fn circle(&self, center: Point, radius: f64, color: RGBColor, opacity: f64) -> Result<()> {
        let radius = (radius * OVERSAMPLING as f64).round() as i32;
        self.area.draw(&Circle::new(pixel(&center), radius, color.mix(opacity).filled())).map_err(failed)
    }

    /// The middle of the text's height is at `y`.
    pub fn text(&self, text: &str, (x, y): Point, ink: Ink) -> Result<()> {
        let start = match ink.align {
            Align::Left => x,
            Align::Center => x - ink.width(text) / 2.0,
            Align::Right => x - ink.width(text),
        };
        // plotters' font code puts the baseline half a text size below the position it is given.
        let top = y + (MIDDLE_TO_BASELINE - 0.5) * ink.size;
        let style = ink.font().color(&ink.color).pos(Pos::new(HPos::Left, VPos::Top));
        self.area.draw_text(&drawable(text), &style, pixel(&(start, top))).map_err(failed)
    }

    /// Read from below; `(x, y)` is the middle of the text.
    pub fn vertical_text(&self, text: &str, (x, y): Point, ink: Ink) -> Result<()> {
        let left = x + (MIDDLE_TO_BASELINE - 0.5) * ink.size;
        let style =
            ink.font().transform(FontTransform::Rotate270).color(&ink.color).pos(Pos::new(HPos::Left, VPos::Top));
        self.area.draw_text(&drawable(text), &style, pixel(&(left, y + ink.width(text) / 2.0))).map_err(failed)
    }

    /// Lines of text, the first one's middle at `y`; the next free `y`.
    pub fn paragraph(&self, lines: &[String], (x, y): Point, ink: Ink) -> Result<f64> {
        let step = ink.size * LEADING;
        (0..).zip(lines).try_for_each(|(index, line)| self.text(line, (x, y + step * f64::from(index)), ink))?;
        Ok(y + step * lines.len() as f64)
    }
}

fn pixel(&(x, y): &Point) -> (i32, i32) {
    ((x * OVERSAMPLING as f64).round() as i32, (y * OVERSAMPLING as f64).round() as i32)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// The drawn pieces of a dashed line, which bend where it bends.
fn dashes(points: &[Point], start: f64, dash: f64, gap: f64) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let (mut drawing, mut left) = if start > 0.0 { (false, start) } else { (true, dash) };
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        if drawing {
            pieces.push(vec![from]);
        }
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length < left {
                left -= length;
                break;
            }
            let share = left / length;
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if let Some(piece) = pieces.last_mut().filter(|_| drawing) {
                piece.push(from);
            }
            drawing = !drawing;
            left = if drawing { dash } else { gap };
            if drawing {
                pieces.push(vec![from]);
            }
        }
        if let Some(piece) = pieces.last_mut().filter(|_| drawing) {
            piece.push(to);
        }
    }
    pieces
}

/// Each pixel the mean of its four parts.
fn shrink(pixels: &[u8], wide: usize) -> Vec<[u8; 3]> {
    const { assert!(OVERSAMPLING == 2) };
    let mut small = Vec::with_capacity(pixels.len() / 3 / OVERSAMPLING.pow(2));
    for rows in pixels.chunks_exact(OVERSAMPLING * wide * 3) {
        let (upper, lower) = rows.split_at(wide * 3);
        let mean = |a: &[u8], b: &[u8], color: usize| {
            ([a[color], a[color + 3], b[color], b[color + 3]].map(u16::from).iter().sum::<u16>() / 4) as u8
        };
        let pairs = upper.chunks_exact(6).zip(lower.chunks_exact(6));
        small.extend(pairs.map(|(a, b)| [mean(a, b, 0), mean(a, b, 1), mean(a, b, 2)]));
    }
    small
}

fn encode(pixels: Vec<[u8; 3]>, width: u32, height: u32, colors: Colors) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    let data = match colors {
        Colors::Few => {
            let (palette, indices) = indexed(&pixels);
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette.concat());
            encoder.set_filter(png::Filter::NoFilter);
            indices
        }
        Colors::All => {
            encoder.set_color(png::ColorType::Rgb);
            pixels.into_flattened()
        }
    };
    encoder.set_compression(png::Compression::Balanced);
    encoder.write_header()?.write_image_data(&data)?;
    Ok(bytes)
}

/// A palette of the most frequent colours, and each pixel's place in it.
fn indexed(pixels: &[[u8; 3]]) -> (Vec<[u8; 3]>, Vec<u8>) {
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    // By runs of one colour, because most of a plot is paper.
    let runs = || pixels.chunk_by(|a, b| a == b);
    runs().for_each(|run| *counts.entry(run[0]).or_default() += run.len());
    let mut colors: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    colors.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let palette: Vec<[u8; 3]> = colors.iter().take(PALETTE).map(|(color, _)| *color).collect();
    let index: HashMap<[u8; 3], u8> = colors.iter().map(|(color, _)| (*color, nearest(&palette, *color))).collect();
    let mut indices = Vec::with_capacity(pixels.len());
    runs().for_each(|run| indices.resize(indices.len() + run.len(), index[&run[0]]));
    (palette, indices)
}

fn nearest(palette: &[[u8; 3]], color: [u8; 3]) -> u8 {
    let distance =
        |other: &[u8; 3]| -> u32 { other.iter().zip(color).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let closest = (0..palette.len()).min_by_key(|&i| distance(&palette[i]));
    closest.unwrap_or_default() as u8
}
