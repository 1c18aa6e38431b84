//! What a larger network buys: test accuracy against the multiply-adds of one image.

use super::canvas::{Canvas, paint};
use super::figure::{Figure, sections};
use super::frame::{Frame, log_ticks, ticks};
use super::legend::{self, Entry, LEGEND_GAP, MARKER_RADIUS, color, draw_list, draw_marker};
use super::page::{MAX_SETTINGS, headline, leading, page, seeds_label};
use super::theme::{MARGIN, PAPER, TITLE, WIDTH, mix};
use crate::report::measure::Measure;
use crate::report::study::Study;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;

const MIN_HEIGHT: f64 = 900.0;
const CAP: f64 = 11.0;
/// Intervals may reach so many times as far as the dots before they are cut.
const REACH: f64 = 1.0;

/// A network in the plot.
struct Mark<'a> {
    entry: Entry<'a>,
    /// Logarithm of the multiply-adds.
    x: f64,
}

/// Of blocks whose networks are of different sizes.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let sized = sections(study, blocks).filter(|own| own.block.compares_networks() && own.block.finished());
    sized
        .map(|own| own.figure("size", "test accuracy against multiply-adds", move || render(study, own.block)))
        .collect()
}

fn render(study: &Study, block: &BlockSummary) -> Result<Vec<u8>> {
    let rows = leading(block.rows.iter().filter(|row| row.n() > 0).collect(), MAX_SETTINGS);
    let number = |row: &Row| block.rows.iter().position(|other| std::ptr::eq(other, row)).unwrap_or_default();
    let mark = |row: &&'_ Row| -> Option<f64> { Some((row.network()?.multiply_adds() as f64).log10()) };
    let marks: Vec<Mark> =
        rows.iter().filter_map(|row| Some(Mark { entry: Entry::new(number(row), row), x: mark(row)? })).collect();
    let entries: Vec<&Entry> = marks.iter().map(|mark| &mark.entry).collect();
    let top = MARGIN + TITLE * 2.0;
    let legend_height = entries.iter().map(|entry| entry.height()).sum::<f64>();
    let height = (top + legend_height + MARGIN * 3.0).max(MIN_HEIGHT);
    let right = WIDTH - MARGIN - legend::width(entries.iter().copied()) - LEGEND_GAP * 2.0 - 60.0;
    let frame = Frame { left: 170.0, right, top, bottom: height - 190.0, x: across(&marks), y: up(&marks) };
    let title = headline(study.title(block.block), "test accuracy and multiply-adds");
    let caption = format!(
        "small dots: seeds · marks and bars: mean and 95 % interval, which goes on where a bar has no cap · {} · {}",
        seeds_label(rows.iter().copied()),
        study.source()
    );
    paint(WIDTH, height, |canvas| {
        page(canvas, height, &title, &caption)?;
        frame.x_axis(canvas, "multiply-adds of one image (log scale)", &magnitudes(frame.x))?;
        frame.y_axis(canvas, "test accuracy (%)", &ticks(frame.y, 7))?;
        frame.edges(canvas)?;
        marks.iter().try_for_each(|mark| draw(canvas, &frame, mark))?;
        draw_list(canvas, (right + 40.0, top), entries)
    })
}

/// With a margin of a tenth of the width.
fn across(marks: &[Mark]) -> (f64, f64) {
    let (low, high) = marks.iter().fold((f64::MAX, f64::MIN), |(low, high), mark| (low.min(mark.x), high.max(mark.x)));
    let pad = ((high - low) * 0.1).max(0.005);
    (low - pad, high + pad)
}

/// All seeds, and the intervals as far as they do not dwarf those.
fn up(marks: &[Mark]) -> (f64, f64) {
    let seeds = marks.iter().flat_map(|mark| accuracies(mark.entry.row));
    let (low, high) = seeds.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let slack = (high - low).max(1.0) * REACH;
    let intervals = marks.iter().filter_map(|mark| mark.entry.row.spread(Measure::TestAccuracy)?.interval);
    let (least, most) =
        intervals.fold((low, high), |(least, most), (from, to)| (least.min(100.0 * from), most.max(100.0 * to)));
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

fn draw(canvas: &Canvas, frame: &Frame, Mark { entry, x }: &Mark) -> Result<()> {
    let Some(spread) = entry.row.spread(Measure::TestAccuracy) else { return Ok(()) };
    let color = color(entry.number);
    let inside = |value: f64| value.clamp(frame.y.0, frame.y.1);
    if let Some((low, high)) = spread.interval {
        let [bottom, top] = [low, high].map(|end| frame.at((*x, inside(100.0 * end))));
        canvas.line(&[bottom, top], color, 3.0)?;
        for (end, (x, y)) in [(low, bottom), (high, top)] {
            // No cap where it goes on outside.
            if inside(100.0 * end) == 100.0 * end {
                canvas.line(&[(x - CAP, y), (x + CAP, y)], color, 3.0)?;
            }
        }
    }
    for accuracy in accuracies(entry.row) {
        let (x, y) = frame.at((*x, accuracy));
        canvas.circle((x + 2.0 * CAP, y), MARKER_RADIUS * 0.6, mix(color, PAPER, 0.6), 0.8)?;
    }
    draw_marker(canvas, frame.at((*x, 100.0 * spread.mean)), entry.number)
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
