//! The thick lines of a plot and their markers. Lines that are equal for a while would hide each other: there they share one
//! line in stripes, in turn.

use super::canvas::{Canvas, Point};
use super::frame::Frame;
use super::legend::{color, draw_marker};
use anyhow::Result;

pub const THICK: f64 = 4.0;
const STRIPE: f64 = 24.0;
/// Markers along one line; they move on by one point from line to line so that they do not hide each other.
const MARKERS: usize = 6;

/// Of one series; all lines of a plot have their points at the same places.
pub struct Line {
    pub number: usize,
    pub points: Vec<Point>,
}

/// The first line is drawn last.
pub fn draw(canvas: &Canvas, frame: &Frame, lines: &[Line]) -> Result<()> {
    for own in (0..lines.len()).rev() {
        for (run, sharing) in runs(lines, own) {
            let line = &lines[own];
            let turn = sharing.iter().position(|other| *other == own).unwrap_or_default() as f64;
            for piece in frame.clip(&line.points[run]) {
                match sharing.len() {
                    1 => canvas.line(&piece, color(line.number), THICK)?,
                    turns => {
                        let gap = STRIPE * (turns - 1) as f64;
                        canvas.dashed_from(STRIPE * turn, &piece, color(line.number), THICK, (STRIPE, gap))?;
                    }
                }
            }
        }
    }
    lines.iter().rev().try_for_each(|line| draw_markers(canvas, frame, line, lines.len()))
}

/// Whether lines are equal somewhere.
pub fn are_shared(lines: &[Line]) -> bool {
    (0..lines.len()).any(|own| runs(lines, own).iter().any(|(_, sharing)| sharing.len() > 1))
}

/// The pieces of a line by which others, itself included, are equal to it there: ranges of its points.
fn runs(lines: &[Line], own: usize) -> Vec<(std::ops::RangeInclusive<usize>, Vec<usize>)> {
    let points = &lines[own].points;
    let mut runs: Vec<(std::ops::RangeInclusive<usize>, Vec<usize>)> = vec![];
    for (index, segment) in points.windows(2).enumerate() {
        let is_equal = |other: &usize| lines[*other].points.get(index..index + 2) == Some(segment) || *other == own;
        let sharing: Vec<usize> = (0..lines.len()).filter(is_equal).collect();
        match runs.last_mut().filter(|(_, before)| *before == sharing) {
            Some((run, _)) => *run = *run.start()..=index + 1,
            None => runs.push((index..=index + 1, sharing)),
        }
    }
    runs
}

fn draw_markers(canvas: &Canvas, frame: &Frame, line: &Line, lines: usize) -> Result<()> {
    let Line { number, points } = line;
    // Not two of different lines at one point, where there are points enough.
    let step = points.len().div_ceil(MARKERS).max(lines).min(points.len()).max(1);
    let inside = |point: &&Point| (frame.y.0..=frame.y.1).contains(&point.1);
    let mut marked = points.iter().skip(number % step).step_by(step).filter(inside);
    marked.try_for_each(|point| draw_marker(canvas, frame.at(*point), *number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_share_a_piece_where_they_are_equal_and_only_there() {
        let line = |number, values: &[f64]| Line {
            number,
            points: (0..).map(f64::from).zip(values.iter().copied()).collect(),
        };
        let lines = [line(0, &[1.0, 1.0, 1.0, 1.0]), line(1, &[1.0, 1.0, 2.0, 1.0]), line(2, &[1.0, f64::NAN, 3.0])];
        assert_eq!(runs(&lines, 0), [(0..=1, vec![0, 1]), (1..=3, vec![0])]);
        assert_eq!(runs(&lines, 1), [(0..=1, vec![0, 1]), (1..=3, vec![1])]);
        assert_eq!(runs(&lines, 2), [(0..=2, vec![2])]);
        assert!(are_shared(&lines) && !are_shared(&lines[1..]));
    }
}
