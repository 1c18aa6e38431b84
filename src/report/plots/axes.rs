//! The axes of curves over epochs: one frame, or two with a break between them where some settings are far from all others.

use super::canvas::Canvas;
use super::frame::{Frame, log_ticks, ticks, whole_ticks};
use super::quantity::{Apart, Quantity, Ranges};
use super::theme::{PAPER, QUIET};
use crate::words::list;
use anyhow::Result;

/// The range around a single epoch.
pub const ALONE: (f64, f64) = (0.0, 2.0);
/// Of the strip, and of the break between it and the other frame.
const STRIP: f64 = 70.0;
const BREAK: f64 = 26.0;

pub struct Axes<'a> {
    /// All of it, without a y-range of its own.
    whole: Frame,
    main: Frame,
    strip: Option<(Apart<'a>, Frame)>,
}

impl<'a> Axes<'a> {
    /// Within `whole`, whose y-range is that of most settings.
    pub fn new(whole: Frame, ranges: Ranges<'a>) -> Axes<'a> {
        let Ranges { main: y, apart } = ranges;
        let main = Frame { y, ..whole };
        let Some(apart) = apart else { return Axes { whole, main, strip: None } };
        let (main, strip) = if apart.is_below {
            let strip = Frame { top: whole.bottom - STRIP, ..whole };
            (Frame { bottom: strip.top - BREAK, ..main }, strip)
        } else {
            let strip = Frame { bottom: whole.top + STRIP, ..whole };
            (Frame { top: strip.bottom + BREAK, ..main }, strip)
        };
        // As large as beyond the break, unless that is too small for what lies there.
        let middle = (apart.range.0 + apart.range.1) / 2.0;
        let half = (STRIP * main.value_of_a_pixel()).max(apart.range.1 - apart.range.0) / 2.0;
        let strip = Frame { y: (middle - half, middle + half), ..strip };
        Axes { whole, main, strip: Some((apart, strip)) }
    }

    /// The parts on both sides of a break; every curve is drawn in both.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.main).chain(self.strip.iter().map(|(_, strip)| strip))
    }

    /// Where a point is drawn: in the part that has its value, or in the larger one.
    pub fn frame_of(&self, value: f64) -> &Frame {
        self.frames().find(|frame| (frame.y.0..=frame.y.1).contains(&value)).unwrap_or(&self.main)
    }

    /// What a caption has to say about the break: `broken axis, below it sigmoid`.
    pub fn words(&self) -> Option<String> {
        let (apart, _) = self.strip.as_ref()?;
        let side = if apart.is_below { "below" } else { "above" };
        let labels = list(apart.rows.iter().map(|row| row.variant.label.clone()));
        Some(format!("broken axis, {side} it {labels}"))
    }

    pub fn draw(&self, canvas: &Canvas, quantity: &Quantity) -> Result<()> {
        let frame = &self.whole;
        let epochs = if frame.x == ALONE { vec![(1.0, "1".to_owned())] } else { whole_ticks(frame.x, 10) };
        frame.x_axis(canvas, "epoch", &epochs)?;
        let main = if quantity.training.is_some() { ticks(self.main.y, 7) } else { log_ticks(self.main.y) };
        self.main.y_axis(canvas, quantity.axis, &main)?;
        if let Some((apart, strip)) = &self.strip {
            let (top, bottom) =
                if apart.is_below { (self.main.bottom, strip.top) } else { (strip.bottom, self.main.top) };
            canvas.rectangle((frame.left - 2.0, top), (frame.right + 2.0, bottom), PAPER)?;
            strip.y_axis(canvas, "", &ticks(strip.y, 2))?;
        }
        Ok(())
    }

    /// The left and bottom edges, with two strokes at each side of a break.
    pub fn edges(&self, canvas: &Canvas) -> Result<()> {
        let frame = &self.whole;
        canvas.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], QUIET, 2.0)?;
        for piece in self.frames() {
            canvas.line(&[(frame.left, piece.top), (frame.left, piece.bottom)], QUIET, 2.0)?;
        }
        let Some((apart, strip)) = &self.strip else { return Ok(()) };
        let ends = if apart.is_below { [self.main.bottom, strip.top] } else { [strip.bottom, self.main.top] };
        ends.into_iter()
            .try_for_each(|y| canvas.line(&[(frame.left - 12.0, y + 6.0), (frame.left + 12.0, y - 6.0)], QUIET, 2.0))
    }
}
