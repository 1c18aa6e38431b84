//! A plot's rectangle: its ranges, ticks and grid, and where a value lies on the page.

use super::canvas::{Align, Canvas, Ink, Point};
use super::theme::{GRID, INK, LABEL, QUIET, TICK};
use anyhow::Result;

const TICK_GAP: f64 = 14.0;
/// From the frame's edge to the middle of the axis labels.
const X_LABEL_GAP: f64 = 78.0;
const Y_LABEL_GAP: f64 = 108.0;

#[derive(Clone, Copy)]
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x: (f64, f64),
    pub y: (f64, f64),
}

impl Frame {
    pub fn at(&self, (x, y): Point) -> Point {
        (self.across(x), self.down(y))
    }

    pub fn across(&self, x: f64) -> f64 {
        self.left + (x - self.x.0) / (self.x.1 - self.x.0) * (self.right - self.left)
    }

    pub fn down(&self, y: f64) -> f64 {
        self.bottom - (y - self.y.0) / (self.y.1 - self.y.0) * (self.bottom - self.top)
    }

    /// How much of `y` a pixel is.
    pub fn value_of_a_pixel(&self) -> f64 {
        (self.y.1 - self.y.0) / (self.bottom - self.top)
    }

    /// Vertical grid lines with their numbers below and a label under them.
    pub fn x_axis(&self, canvas: &Canvas, label: &str, ticks: &[(f64, String)]) -> Result<()> {
        for (value, text) in ticks {
            let x = self.across(*value);
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 1.5)?;
            let ink = Ink::new(QUIET, TICK).align(Align::Center);
            canvas.text(text, (x, self.bottom + TICK_GAP + TICK / 2.0), ink)?;
        }
        let middle = (self.left + self.right) / 2.0;
        canvas.text(label, (middle, self.bottom + X_LABEL_GAP), Ink::new(INK, LABEL).align(Align::Center))
    }

    /// Horizontal grid lines with their numbers on the left and a label beside them.
    pub fn y_axis(&self, canvas: &Canvas, label: &str, ticks: &[(f64, String)]) -> Result<()> {
        for (value, text) in ticks {
            let y = self.down(*value);
            canvas.line(&[(self.left, y), (self.right, y)], GRID, 1.5)?;
            canvas.text(text, (self.left - TICK_GAP, y), Ink::new(QUIET, TICK).align(Align::Right))?;
        }
        let middle = (self.top + self.bottom) / 2.0;
        canvas.vertical_text(label, (self.left - Y_LABEL_GAP, middle), Ink::new(INK, LABEL))
    }

    /// The left and bottom edges.
    pub fn edges(&self, canvas: &Canvas) -> Result<()> {
        let corner = (self.left, self.bottom);
        canvas.line(&[(self.left, self.top), corner, (self.right, self.bottom)], QUIET, 2.0)
    }

    /// The pieces of a curve inside the y-range, in page coordinates: a curve that leaves ends at the edge.
    pub fn clip(&self, curve: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        let mut joined = false;
        for pair in curve.windows(2) {
            let Some((from, to)) = self.inside(pair[0], pair[1]) else {
                joined = false;
                continue;
            };
            match pieces.last_mut().filter(|_| joined) {
                Some(piece) => piece.push(self.at(to)),
                None => pieces.push(vec![self.at(from), self.at(to)]),
            }
            joined = to == pair[1];
        }
        pieces
    }

    /// The part of a closed outline inside the y-range, in page coordinates.
    pub fn clip_outline(&self, outline: &[Point]) -> Vec<Point> {
        let within = |outline: Vec<Point>, edge: f64, sign: f64| {
            let inside = |point: Point| sign * (point.1 - edge) >= 0.0;
            let mut kept = vec![];
            for (index, &to) in outline.iter().enumerate() {
                let from = outline[(index + outline.len() - 1) % outline.len()];
                if inside(from) != inside(to) {
                    kept.push((from.0 + (to.0 - from.0) * (edge - from.1) / (to.1 - from.1), edge));
                }
                kept.extend(Some(to).filter(|to| inside(*to)));
            }
            kept
        };
        let above_low = within(outline.to_vec(), self.y.0, 1.0);
        within(above_low, self.y.1, -1.0).into_iter().map(|point| self.at(point)).collect()
    }

    /// The part of a segment inside the y-range; none where an end is no number.
    fn inside(&self, from: Point, to: Point) -> Option<(Point, Point)> {
        let cut = |y: f64| (from.0 + (to.0 - from.0) * (y - from.1) / (to.1 - from.1), y);
        let (low, high) = self.y;
        if !(from.1 + to.1).is_finite() || (from.1 < low && to.1 < low) || (from.1 > high && to.1 > high) {
            return None;
        }
        let bounded = |point: Point| match point.1 {
            y if y < low => cut(low),
            y if y > high => cut(high),
            _ => point,
        };
        Some((bounded(from), bounded(to)))
    }
}

/// The least and the most of `values`.
pub fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
}

/// About `count` round numbers in the range, with as many decimals as tell them apart; none in a range without bounds.
pub fn ticks((low, high): (f64, f64), count: usize) -> Vec<(f64, String)> {
    if !low.is_finite() || !high.is_finite() {
        return vec![];
    }
    let rough = (high - low).max(f64::MIN_POSITIVE) / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step).replace('-', "−"))).collect()
}

/// Whole numbers only, for epochs.
pub fn whole_ticks((low, high): (f64, f64), count: usize) -> Vec<(f64, String)> {
    let whole = |tick: &(f64, String)| (tick.0 - tick.0.round()).abs() < 1e-9;
    ticks((low, high), count).into_iter().filter(whole).map(|(value, _)| (value, format!("{value:.0}"))).collect()
}

/// One, two and five times the powers of ten, for a range in powers of ten; only the powers where those are many. All are
/// written alike: `0.01`, or `1e-2` where one is below a thousandth.
pub fn log_ticks((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let factors: &[i32] = if high - low > 3.0 { &[1] } else { &[1, 2, 5] };
    let powers = (low.floor() as i32)..=(high.floor() as i32);
    // Through text, because 5 · 10⁻⁴ computed is not quite 0.0005.
    let values =
        powers.flat_map(|power| factors.iter().filter_map(move |f| format!("{f}e{power}").parse::<f64>().ok()));
    let inside = |value: &f64| (low..=high).contains(&value.log10());
    let values: Vec<f64> = values.filter(inside).collect();
    let are_tiny = values.iter().any(|value| *value < 1e-3);
    let text = |value: f64| if are_tiny { format!("{value:e}") } else { value.to_string() };
    values.into_iter().map(|value| (value.log10(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(texts(&ticks((-0.013, 0.021), 4)), ["−0.01", "0.00", "0.01", "0.02"]);
        assert_eq!(texts(&ticks((12.0, 63.0), 5)), ["20", "40", "60"]);
        assert_eq!(texts(&whole_ticks((1.0, 3.0), 8)), ["1", "2", "3"]);
        assert_eq!(texts(&log_ticks((-2.8, -1.9))), ["0.002", "0.005", "0.01"]);
    }

    #[test]
    fn ticks_of_an_axis_are_written_alike() {
        assert_eq!(texts(&log_ticks((-3.4, -1.9))), ["5e-4", "1e-3", "2e-3", "5e-3", "1e-2"]);
    }

    #[test]
    fn a_range_without_bounds_has_no_ticks() {
        for range in [(f64::NAN, 1.0), (0.0, f64::NAN), (f64::NEG_INFINITY, f64::INFINITY), (0.0, f64::INFINITY)] {
            assert_eq!(ticks(range, 5), []);
        }
        assert!(ticks((0.3, 0.3), 5).len() <= 1);
    }

    #[test]
    fn a_curve_that_leaves_ends_at_the_edge() {
        let frame = Frame { left: 0.0, right: 4.0, top: 0.0, bottom: 1.0, x: (0.0, 4.0), y: (0.0, 1.0) };
        let pieces = frame.clip(&[(0.0, 0.5), (1.0, 1.5), (2.0, 1.5), (3.0, 0.5), (4.0, 0.5)]);
        assert_eq!(pieces, [vec![(0.0, 0.5), (0.5, 0.0)], vec![(2.5, 0.0), (3.0, 0.5), (4.0, 0.5)]]);
    }

    #[test]
    fn a_band_that_leaves_ends_at_the_edge() {
        let frame = Frame { left: 0.0, right: 4.0, top: 0.0, bottom: 1.0, x: (0.0, 4.0), y: (0.0, 1.0) };
        let band = [(0.0, -0.5), (1.0, 0.5), (1.0, 0.4), (0.0, -0.6)];
        let clipped = frame.clip_outline(&band);
        assert_eq!(clipped, [(0.5, 1.0), (1.0, 0.5), (1.0, 0.6), (0.6, 1.0)]);
        assert_eq!(frame.clip_outline(&[(0.0, 2.0), (1.0, 3.0), (1.0, 2.5)]), []);
    }

    #[test]
    fn a_curve_has_a_gap_where_it_is_no_number() {
        let frame = Frame { left: 0.0, right: 5.0, top: 0.0, bottom: 1.0, x: (0.0, 5.0), y: (0.0, 1.0) };
        let curve = [0.5, 0.5, f64::INFINITY, 0.5, f64::NAN, 0.5];
        let curve: Vec<Point> = (0..).zip(curve).map(|(x, y)| (f64::from(x), y)).collect();
        assert_eq!(frame.clip(&curve), [vec![(0.0, 0.5), (1.0, 0.5)]]);
    }
}
