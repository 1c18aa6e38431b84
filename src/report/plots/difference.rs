//! What each setting of a block adds to the base's test accuracy: seeds as dots, their mean, and its interval. And the study at a
//! glance: the same, smaller, of all blocks that share a base.

use super::canvas::{Align, Canvas, Colors, Ink, Point};
use super::figure::{Figure, MAX_SETTINGS, Place, Section, headline, leading, page, seeds_label};
use super::frame::{Frame, bounds, ticks};
use super::theme::{
    BASE, BLUE, GREEN, GRID, INK, LABEL, LEADING, MARGIN, PAPER, QUIET, SMALL, TICK, TITLE, VERMILION, WIDTH, mix,
};
use crate::report::measure::Measure;
use crate::report::statistics;
use crate::report::study::{Study, StudyTuning};
use crate::report::summary::{BlockSummary, Row};
use crate::verdict::rule::Verdict;
use crate::words;
use anyhow::{Context, Result};
use plotters::style::RGBColor;

/// Around the lines of text of a row, which are two or more.
const ROW_GAP: f64 = 18.0;
/// Of the settings' names, at most.
const NAME_WIDTH: f64 = 480.0;
const NAME_LINES: usize = 4;
const GAP: f64 = 24.0;
const RESULT_WIDTH: f64 = 390.0;
/// Whiskers may reach this many times as far as the dots before they are cut.
const REACH: f64 = 1.6;
/// What a single row may not squeeze the others by, and how many others it takes to matter.
const SQUEEZE: f64 = 2.5;
const FEWEST_KEPT: usize = 3;

/// Of the overview.
const LINE: f64 = 46.0;
const MARK_SIZE: f64 = 0.72;
const INDENT: f64 = 28.0;
/// Of `+2.77 (−0.40 to 5.94)`, and of what is missing where something is.
const NUMBERS_WIDTH: f64 = 330.0;
const MISSING_WIDTH: f64 = 260.0;

/// Of blocks that have a difference.
pub fn figures(own: Section) -> Vec<Figure> {
    let is_compared = own.block.rows.iter().any(|row| row.shift.is_some());
    let what = "difference in test accuracy to the base, with intervals";
    Vec::from_iter(is_compared.then(|| own.figure("difference", what, move || render(&own))))
}

fn render(own: &Section) -> Result<Vec<u8>> {
    let Section { study, block, .. } = own;
    let rows = sorted(block);
    let top = MARGIN + TITLE * 3.4;
    let lines = rows.iter().map(|row| name(row).len().max(if third_line(row).is_some() { 3 } else { 2 })).max();
    let row_height = TICK * LEADING * lines.unwrap_or_default() as f64 + ROW_GAP;
    let bottom = top + row_height * rows.len() as f64;
    let names = rows.iter().flat_map(|row| name(row)).map(|line| NAME.width(&line)).fold(0.0, f64::max);
    let (left, right) = (MARGIN + names + GAP, WIDTH - MARGIN - RESULT_WIDTH);
    let frame = Frame { left, right, top, bottom, x: range(&rows, study.margin), y: (rows.len() as f64, 0.0) };
    let caption = format!("{} · {}", key(study, &rows, frame.x), seeds_label(&block.rows));
    let all = block.rows.iter().skip(1).filter(|row| row.has_begun()).count();
    let cut = if all > rows.len() { format!(" (best {} of {all})", rows.len()) } else { String::new() };
    own.page(bottom + 200.0, &format!("test accuracy against the base{cut}"), &caption, |canvas| {
        draw_ground(canvas, &frame, block.base().context("a block without a base")?, study.margin, 6)?;
        rows.iter().enumerate().try_for_each(|(index, row)| draw_row(canvas, &frame, index as f64 + 0.5, row))
    })
}

/// What the marks mean.
fn key(study: &Study, rows: &[&Row], range: (f64, f64)) -> String {
    if rows.iter().all(|row| row.difference().is_none()) {
        return "dots: seeds, less the base's mean · diamonds: means, none of them with an interval".to_owned();
    }
    let when = if study.settles() { ", all at the last look at each" } else { "" };
    let cut = if rows.iter().any(|row| is_cut(row, range)) { " · arrows: further than shown" } else { "" };
    format!(
        "dots: seeds, less the base's mean · diamonds and bars: mean and interval{when}; the intervals of a block hold together with \
         95 % confidence · blue: better, orange: worse, green: else all within the band of ±{}, so equivalent, grey: \
         inconclusive{cut}",
        words::points_of_margin(study.margin)
    )
}

/// The ends of its interval, or of its mean where it has none.
fn ends(row: &Row) -> Option<(f64, f64)> {
    let mean = row.shift?;
    Some(row.difference().map_or((mean, mean), |difference| (difference.low, difference.high)))
}

fn is_cut(row: &Row, range: (f64, f64)) -> bool {
    ends(row).is_some_and(|(low, high)| low < range.0 || high > range.1)
}

/// What the marks stand on: the base in words, the band where a difference does not matter, and an axis with its zero.
fn draw_ground(canvas: &Canvas, frame: &Frame, base: &Row, margin: f64, count: usize) -> Result<()> {
    draw_base(canvas, base)?;
    let [left, right] = [-margin, margin].map(|end| frame.across(end.clamp(frame.x.0, frame.x.1)));
    canvas.rectangle((left, frame.top), (right, frame.bottom), mix(GREEN, PAPER, 0.12))?;
    frame.x_axis(canvas, "difference in test accuracy (percentage points)", &ticks(frame.x, count))?;
    canvas.line(&[(frame.across(0.0), frame.top), (frame.across(0.0), frame.bottom)], BASE, 3.0)
}

/// A line below the title: the base, and in orange what it misses.
fn draw_base(canvas: &Canvas, base: &Row) -> Result<()> {
    let name = base.base_name();
    let separator = if name.is_empty() { "" } else { ", " };
    let line = format!("base: {name}{separator}{}", statistics::percent(base.spread(Measure::TestAccuracy)));
    let missing = base.missing_label().map_or(String::new(), |missing| format!(", {missing}"));
    let (ink, warning) = (Ink::new(INK, LABEL), Ink::new(if base.troubled() { VERMILION } else { QUIET }, LABEL));
    let y = MARGIN + TITLE * 1.9;
    let line = ink.wrap(&line, WIDTH - 2.0 * MARGIN - warning.width(&missing), 1).concat();
    canvas.text(&line, (MARGIN, y), ink)?;
    canvas.text(&missing, (MARGIN + ink.width(&line), y), warning)
}

/// Best first; rows without a difference last. What has not started yet is left out.
fn sorted<'a>(block: &'a BlockSummary<'a>) -> Vec<&'a Row<'a>> {
    let rows = block.rows.iter().skip(1).filter(|row| row.has_begun()).collect();
    let mut rows = leading(rows, MAX_SETTINGS);
    let mean = |row: &Row| row.shift.unwrap_or(f64::NEG_INFINITY);
    rows.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    rows
}

/// In percentage points, for all rows but those that alone would squeeze the others into less than two fifths of the width, and
/// at least the margin.
fn range(rows: &[&Row], margin: f64) -> (f64, f64) {
    let mut rows: Vec<(f64, &Row)> = rows.iter().filter_map(|row| Some((row.shift?, *row))).collect();
    rows.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let width = |rows: &[(f64, &Row)]| {
        let (low, high) = extent(rows);
        high - low
    };
    let mut kept = rows.as_slice();
    while kept.len() > FEWEST_KEPT && SQUEEZE * width(&kept[1..]) < width(kept) {
        kept = &kept[1..];
    }
    let (low, high) = extent(kept);
    let (low, high) = (low.min(-margin), high.max(margin));
    let pad = (high - low) * 0.04;
    (low - pad, high + pad)
}

/// All dots and zero, and the intervals as far as they do not dwarf those.
fn extent(rows: &[(f64, &Row)]) -> (f64, f64) {
    let dots = rows.iter().flat_map(|(shift, row)| row.dots.iter().chain([shift]));
    let (low, high) = bounds(dots.copied().chain([0.0]));
    let slack = (high - low).max(0.1) * (REACH - 1.0);
    let ends = rows.iter().filter_map(|(_, row)| row.difference()).flat_map(|own| [own.low, own.high]);
    let (least, most) = bounds(ends.chain([low, high]));
    (least.max(low - slack), most.min(high + slack))
}

const NAME: Ink = Ink { color: INK, size: TICK, bold: false, align: Align::Right };

fn name(row: &Row) -> Vec<String> {
    NAME.wrap(&row.variant.label, NAME_WIDTH, NAME_LINES)
}

fn draw_row(canvas: &Canvas, frame: &Frame, position: f64, row: &Row) -> Result<()> {
    let y = frame.down(position);
    let first_of = |lines: usize| y - TICK * LEADING * (lines - 1) as f64 / 2.0;
    let name = name(row);
    canvas.paragraph(&name, (frame.left - GAP, first_of(name.len())), NAME)?;
    draw_difference(canvas, frame, y, row, 1.0)?;
    let (color, numbers, verdict) = (verdict_color(row.verdict()), difference_words(row), verdict(row));
    let missing = third_line(row);
    let x = frame.right + GAP;
    let mut line = first_of(if missing.is_some() { 3 } else { 2 });
    line = canvas.paragraph(&[numbers], (x, line), Ink::new(color, TICK).bold())?;
    line = canvas.paragraph(&[verdict], (x, line), Ink::new(QUIET, SMALL))?;
    let ink = Ink::new(if row.troubled() { VERMILION } else { QUIET }, SMALL);
    let missing = missing.map_or(Vec::new(), |missing| ink.wrap(&missing, RESULT_WIDTH - GAP, 1));
    canvas.paragraph(&missing, (x, line), ink)?;
    Ok(())
}

/// `size` is 1 for rows as high as here. What lies outside the frame is an arrow at its edge.
fn draw_difference(canvas: &Canvas, frame: &Frame, y: f64, row: &Row, size: f64) -> Result<()> {
    let color = verdict_color(row.verdict());
    let Some((mean, (low, high))) = row.shift.zip(ends(row)) else { return Ok(()) };
    if high < frame.x.0 || low > frame.x.1 {
        return draw_beyond(canvas, frame, y, mean, color);
    }
    if row.difference().is_some() {
        draw_interval(canvas, frame, y, (low, high), color, size)?;
    }
    let is_inside = |value: f64| (frame.x.0..=frame.x.1).contains(&value);
    for dot in row.dots.iter().filter(|dot| is_inside(**dot)) {
        let at = (frame.across(*dot), y);
        canvas.circle(at, 11.0 * size, PAPER, 1.0)?;
        canvas.circle(at, 8.5 * size, mix(color, PAPER, 0.55), 1.0)?;
    }
    if !is_inside(mean) {
        return Ok(());
    }
    let (x, up, side) = (frame.across(mean), 17.0 * size, 13.0 * size);
    canvas.polygon(&[(x, y - up), (x + side, y), (x, y + up), (x - side, y)], color, 1.0)
}

/// An arrow, for a row that the range leaves out; its mean is among the numbers on the right.
fn draw_beyond(canvas: &Canvas, frame: &Frame, y: f64, mean: f64, color: RGBColor) -> Result<()> {
    let (edge, inward) = if mean < frame.x.0 { (frame.left, 1.0) } else { (frame.right, -1.0) };
    canvas.line(&[(edge, y), (edge + inward * 34.0, y)], color, 5.0)?;
    draw_head(canvas, (edge, y), inward, color)
}

fn draw_head(canvas: &Canvas, (x, y): Point, inward: f64, color: RGBColor) -> Result<()> {
    canvas.arrow_head((x, y), (inward, 0.0), (20.0, 13.0), color)
}

/// An end beyond the frame gets an arrow head instead of a cap.
fn draw_interval(canvas: &Canvas, frame: &Frame, y: f64, ends: (f64, f64), color: RGBColor, size: f64) -> Result<()> {
    let shown = (ends.0.clamp(frame.x.0, frame.x.1), ends.1.clamp(frame.x.0, frame.x.1));
    canvas.line(&[(frame.across(shown.0), y), (frame.across(shown.1), y)], color, 4.0 * size)?;
    for (end, shown, inward) in [(ends.0, shown.0, 1.0), (ends.1, shown.1, -1.0)] {
        let (x, cap) = (frame.across(shown), 13.0 * size);
        if end == shown {
            canvas.line(&[(x, y - cap), (x, y + cap)], color, 4.0 * size)?;
        } else {
            draw_head(canvas, (x, y), inward, color)?;
        }
    }
    Ok(())
}

fn verdict_color(verdict: Verdict) -> RGBColor {
    match verdict {
        Verdict::Better => BLUE,
        Verdict::Worse | Verdict::Unstable => VERMILION,
        Verdict::Equivalent => GREEN,
        Verdict::Inconclusive => QUIET,
    }
}

/// `+1.31 (0.45 to 2.17)`, the mean alone, or why there is none.
fn difference_words(row: &Row) -> String {
    match (row.difference(), row.shift) {
        (Some(difference), _) => statistics::points(difference),
        (None, Some(shift)) => words::signed(shift, 2),
        (None, None) if row.verdict() == Verdict::Unstable => "unstable".to_owned(),
        (None, None) => "no result".to_owned(),
    }
}

/// `lr=0.01 (at the edge), 1 of 3 diverged`: what it was tuned to, and what it misses.
fn third_line(row: &Row) -> Option<String> {
    let taken = row.variant.tuning.as_ref().map(StudyTuning::words);
    let parts: Vec<String> = taken.into_iter().chain(row.missing_label()).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `better, p = 0.012, n = 3 against 6`
fn verdict(row: &Row) -> String {
    let p = row.difference().map_or(String::new(), |difference| format!(", p {}", words::p_value(difference.p)));
    format!("{}{p}, {}", row.verdict().word(), row.compared_seeds())
}

/// Blocks that share their base, and the lines of the picture.
struct Group<'a> {
    base: &'a Row<'a>,
    blocks: Vec<&'a BlockSummary<'a>>,
}

enum Line<'a> {
    Block(&'a str),
    Setting(&'a Row<'a>),
}

impl Line<'_> {
    /// In [`LINE`]s.
    fn height(&self) -> f64 {
        match self {
            Line::Block(_) => 1.0,
            Line::Setting(row) => (short_name(row).len() as f64 * TICK * LEADING / LINE).max(1.0).ceil(),
        }
    }
}

/// One for each base that several blocks share.
pub fn overviews<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let figure = |(place, group): (usize, Group<'a>)| {
        let suffix = if place == 0 { String::new() } else { format!("_{}", place + 1) };
        let description = "Every setting's difference in test accuracy to the base, with intervals".to_owned();
        let draw = move || render_overview(study, &group).map(Some);
        Figure::new(&format!("overview{suffix}"), Place::Overview, description, draw)
    };
    groups(blocks).into_iter().enumerate().map(figure).collect()
}

fn groups<'a>(blocks: &'a [BlockSummary<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = vec![];
    for block in blocks.iter().filter(|block| block.rows.iter().any(|row| row.shift.is_some())) {
        let base = &block.rows[0];
        match groups.iter_mut().find(|group| group.base.variant.configuration == base.variant.configuration) {
            Some(group) => group.blocks.push(block),
            None => groups.push(Group { base, blocks: vec![block] }),
        }
    }
    groups.retain(|group| group.blocks.len() > 1);
    groups
}

fn render_overview(study: &Study, group: &Group) -> Result<Vec<u8>> {
    let sections: Vec<(&BlockSummary, Vec<&Row>)> = group.blocks.iter().map(|block| (*block, sorted(block))).collect();
    let rows: Vec<&Row> = sections.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    let lines: Vec<Line> = sections
        .iter()
        .flat_map(|(block, rows)| {
            std::iter::once(Line::Block(study.title(block.block))).chain(rows.iter().map(|row| Line::Setting(row)))
        })
        .collect();
    let any_missing = rows.iter().any(|row| row.missing_label().is_some());
    let results = NUMBERS_WIDTH + if any_missing { MISSING_WIDTH } else { 0.0 };
    let names = rows.iter().flat_map(|row| short_name(row)).map(|line| LINE_NAME.width(&line)).fold(0.0, f64::max);
    let top = MARGIN + TITLE * 2.9;
    let height = lines.iter().map(Line::height).sum::<f64>();
    let bottom = top + LINE * height;
    let (left, right) = (MARGIN + INDENT + names + GAP, WIDTH - MARGIN - results);
    let frame = Frame { left, right, top, bottom, x: range(&rows, study.margin), y: (height, 0.0) };
    let caption = format!(
        "{} · {} · {}",
        key(study, &rows, frame.x),
        seeds_label(rows.iter().copied().chain([group.base])),
        study.source()
    );
    let title = headline(&study.name, "every setting against the base");
    page(bottom + 200.0, &title, &caption, Colors::Few, |canvas| {
        draw_ground(canvas, &frame, group.base, study.margin, 8)?;
        let mut above = 0.0;
        for line in &lines {
            draw_line(canvas, &frame, above, line)?;
            above += line.height();
        }
        Ok(())
    })
}

const LINE_NAME: Ink = Ink { color: INK, size: TICK, bold: false, align: Align::Left };

fn short_name(row: &Row) -> Vec<String> {
    LINE_NAME.wrap(&row.variant.label, NAME_WIDTH, NAME_LINES)
}

/// `above` it are so many [`LINE`]s.
fn draw_line(canvas: &Canvas, frame: &Frame, above: f64, line: &Line) -> Result<()> {
    let y = frame.down(above + line.height() / 2.0);
    match line {
        Line::Block(title) => {
            if above > 0.0 {
                canvas.line(&[(MARGIN, frame.down(above)), (WIDTH - MARGIN, frame.down(above))], GRID, 1.5)?;
            }
            // Up to the zero line, on paper that hides the grid.
            let ink = LINE_NAME.bold();
            let title = ink.wrap(title, frame.across(0.0) - MARGIN - GAP, 1).concat();
            canvas.rectangle(
                (frame.left, y - TICK * 0.7),
                (MARGIN + ink.width(&title) + 8.0, y + TICK * 0.7),
                PAPER,
            )?;
            canvas.text(&title, (MARGIN, y), ink)
        }
        Line::Setting(row) => draw_setting(canvas, frame, y, row),
    }
}

fn draw_setting(canvas: &Canvas, frame: &Frame, y: f64, row: &Row) -> Result<()> {
    let name = short_name(row);
    let first = y - TICK * LEADING * (name.len() - 1) as f64 / 2.0;
    canvas.paragraph(&name, (MARGIN + INDENT, first), LINE_NAME)?;
    let x = frame.right + GAP;
    draw_difference(canvas, frame, y, row, MARK_SIZE)?;
    canvas.text(&difference_words(row), (x, y), Ink::new(verdict_color(row.verdict()), TICK))?;
    let Some(missing) = row.missing_label() else { return Ok(()) };
    let ink = Ink::new(if row.troubled() { VERMILION } else { QUIET }, SMALL);
    canvas.text(&ink.wrap(&missing, MISSING_WIDTH - GAP, 1).concat(), (frame.right + NUMBERS_WIDTH, y), ink)
}
