//! What a larger network buys: test accuracy against the multiply-adds of one image.

use super::canvas::Canvas;
use super::figure::{Figure, Section, averaged};
use super::frame::{Frame, bounds, log_ticks, ticks};
use super::legend::{self, Entry, MARKER_RADIUS, color, draw_list, draw_marker, frame_beside};
use super::theme::{PAPER, mix};
use crate::report::measure::Measure;
use crate::report::summary::Row;
use anyhow::Result;

const MIN_HEIGHT: f64 = 900.0;
const CAP: f64 = 11.0;
/// Intervals may reach so many times as far as the dots before they are cut.
const REACH: f64 = 1.0;

/// Of blocks whose networks are of different sizes.
pub fn figures(own: Section) -> Vec<Figure> {
    let is_sized = own.block.compares_networks() && own.block.finished();
    let what = "test accuracy against multiply-adds";
    Vec::from_iter(is_sized.then(|| own.figure("size", what, move || render(&own))))
}

fn render(own: &Section) -> Result<Vec<u8>> {
    let entries = legend::entries(own.block, |row| row.n() > 0 && size(row).is_some());
    let (height, frame) = frame_beside(&entries, MIN_HEIGHT, 170.0, across(&entries), up(&entries));
    let mean = "small dots: seeds · marks and bars: mean and 95 % interval, which goes on where a bar has no cap,";
    let caption = averaged(mean, entries.iter().map(|entry| entry.row));
    own.page(height, "test accuracy and multiply-adds", &caption, |canvas| {
        frame.x_axis(canvas, "multiply-adds of one image (log scale)", &magnitudes(frame.x))?;
        frame.y_axis(canvas, "test accuracy (%)", &ticks(frame.y, 7))?;
        frame.edges(canvas)?;
        entries.iter().try_for_each(|entry| draw(canvas, &frame, entry))?;
        draw_list(canvas, &frame, &entries)
    })
}

/// Logarithm of the network's multiply-adds.
fn size(row: &Row) -> Option<f64> {
    Some((row.network()?.multiply_adds() as f64).log10())
}

/// With a margin of a tenth of the width.
fn across(entries: &[Entry]) -> (f64, f64) {
    let (low, high) = bounds(entries.iter().filter_map(|entry| size(entry.row)));
    let pad = ((high - low) * 0.1).max(0.005);
    (low - pad, high + pad)
}

/// All seeds, and the intervals as far as they do not dwarf those.
fn up(entries: &[Entry]) -> (f64, f64) {
    let (low, high) = bounds(entries.iter().flat_map(|entry| accuracies(entry.row)));
    let slack = (high - low).max(1.0) * REACH;
    let intervals = entries.iter().filter_map(|entry| entry.row.spread(Measure::TestAccuracy)?.interval);
    let ends = intervals.flat_map(|(from, to)| [100.0 * from, 100.0 * to]);
    let (least, most) = bounds(ends.chain([low, high]));
    let (low, high) = (least.max(low - slack), most.min(high + slack));
    let pad = (high - low).max(1.0) * 0.05;
    ((low - pad).max(0.0), (high + pad).min(100.0))
}

fn accuracies(row: &Row) -> impl Iterator<Item = f64> {
    row.done().filter_map(|trial| Measure::TestAccuracy.value(trial)).map(|accuracy| 100.0 * accuracy)
}

/// `1 M`, `200 k`; where networks are of almost one size, as many decimals as tell those apart.
fn magnitudes((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let powers = log_ticks((low, high));
    if powers.len() < 2 {
        let unit = unit(10_f64.powf(high));
        let range = (10_f64.powf(low) / unit.0, 10_f64.powf(high) / unit.0);
        return ticks(range, 4).into_iter().map(|(v, text)| ((v * unit.0).log10(), text + unit.1)).collect();
    }
    let text = |value: f64| format!("{}{}", value / unit(value).0, unit(value).1);
    powers.into_iter().map(|(power, _)| (power, text(10_f64.powf(power).round()))).collect()
}

fn unit(value: f64) -> (f64, &'static str) {
    match value {
        v if v >= 1e9 => (1e9, " G"),
        v if v >= 1e6 => (1e6, " M"),
        v if v >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    }
}

fn draw(canvas: &Canvas, frame: &Frame, entry: &Entry) -> Result<()> {
    let Some((x, spread)) = size(entry.row).zip(entry.row.spread(Measure::TestAccuracy)) else { return Ok(()) };
    let color = color(entry.number);
    let inside = |value: f64| value.clamp(frame.y.0, frame.y.1);
    if let Some((low, high)) = spread.interval {
        let [bottom, top] = [low, high].map(|end| frame.at((x, inside(100.0 * end))));
        canvas.line(&[bottom, top], color, 3.0)?;
        for (end, (x, y)) in [(low, bottom), (high, top)] {
            // No cap where it goes on outside.
            if inside(100.0 * end) == 100.0 * end {
                canvas.line(&[(x - CAP, y), (x + CAP, y)], color, 3.0)?;
            }
        }
    }
    for accuracy in accuracies(entry.row) {
        let (x, y) = frame.at((x, accuracy));
        canvas.circle((x + 2.0 * CAP, y), MARKER_RADIUS * 0.6, mix(color, PAPER, 0.6), 0.8)?;
    }
    draw_marker(canvas, frame.at((x, 100.0 * spread.mean)), entry.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_almost_one_size_have_ticks() {
        let texts = |low: f64, high: f64| {
            let ticks = magnitudes((low.log10(), high.log10()));
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(texts(6.1e6, 6.2e6), ["6.10 M", "6.15 M", "6.20 M"]);
        assert_eq!(texts(0.9e6, 6.2e6), ["1 M", "2 M", "5 M"]);
    }
}
