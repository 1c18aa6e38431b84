//! The study at a glance: what each setting of all blocks that share a base adds to its test accuracy.

use super::canvas::{Align, Canvas, Colors, Ink};
use super::difference::{difference_words, draw_difference, draw_ground, key, range, sorted, verdict_color};
use super::figure::{Figure, Place, headline, page, seeds_label};
use super::frame::Frame;
use super::theme::{GRID, INK, MARGIN, PAPER, QUIET, SMALL, TICK, TITLE, VERMILION, WIDTH};
use crate::report::study::Study;
use crate::report::summary::{BlockSummary, Row};
use anyhow::Result;

const LINE: f64 = 46.0;
const MARK_SIZE: f64 = 0.72;
const NAME_WIDTH: f64 = 480.0;
const INDENT: f64 = 28.0;
const GAP: f64 = 24.0;
/// Of `+2.77 (−0.40 to 5.94)`, and of what is missing where something is.
const RESULT_WIDTH: f64 = 330.0;
const MISSING_WIDTH: f64 = 260.0;

/// Blocks that share their base, and the lines of the picture.
struct Group<'a> {
    base: &'a Row<'a>,
    blocks: Vec<&'a BlockSummary<'a>>,
}

enum Line<'a> {
    Block(&'a str),
    Setting(&'a Row<'a>),
}

/// One for each base that several blocks share.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let figure = |(place, group): (usize, Group<'a>)| {
        let suffix = if place == 0 { String::new() } else { format!("_{}", place + 1) };
        let description = "Every setting's difference in test accuracy to the base, with intervals".to_owned();
        let draw = move || render(study, &group).map(Some);
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

fn render(study: &Study, group: &Group) -> Result<Vec<u8>> {
    let sections: Vec<(&BlockSummary, Vec<&Row>)> = group.blocks.iter().map(|block| (*block, sorted(block))).collect();
    let rows: Vec<&Row> = sections.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    let lines: Vec<Line> = sections
        .iter()
        .flat_map(|(block, rows)| {
            std::iter::once(Line::Block(study.title(block.block))).chain(rows.iter().map(|row| Line::Setting(row)))
        })
        .collect();
    let any_missing = rows.iter().any(|row| row.missing_label().is_some());
    let results = RESULT_WIDTH + if any_missing { MISSING_WIDTH } else { 0.0 };
    let names = rows.iter().map(|row| NAME.width(&name(row))).fold(0.0, f64::max);
    let top = MARGIN + TITLE * 2.9;
    let bottom = top + LINE * lines.len() as f64;
    let (left, right) = (MARGIN + INDENT + names + GAP, WIDTH - MARGIN - results);
    let frame = Frame { left, right, top, bottom, x: range(&rows, study.margin), y: (lines.len() as f64, 0.0) };
    let caption =
        format!("{} · {} · {}", key(study), seeds_label(rows.iter().copied().chain([group.base])), study.source());
    let title = headline(&study.name, "every setting against the base");
    page(bottom + 200.0, &title, &caption, Colors::Few, |canvas| {
        draw_ground(canvas, &frame, group.base, study.margin, 8)?;
        lines.iter().enumerate().try_for_each(|(index, line)| draw_line(canvas, &frame, index as f64, line))
    })
}

const NAME: Ink = Ink { color: INK, size: TICK, bold: false, align: Align::Left };

fn name(row: &Row) -> String {
    NAME.wrap(&row.variant.label, NAME_WIDTH, 1).concat()
}

fn draw_line(canvas: &Canvas, frame: &Frame, index: f64, line: &Line) -> Result<()> {
    let y = frame.down(index + 0.5);
    match line {
        Line::Block(title) => {
            if index > 0.0 {
                canvas.line(&[(MARGIN, frame.down(index)), (WIDTH - MARGIN, frame.down(index))], GRID, 1.5)?;
            }
            // Up to the zero line, on paper that hides the grid.
            let ink = NAME.bold();
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
    canvas.text(&name(row), (MARGIN + INDENT, y), NAME)?;
    let x = frame.right + GAP;
    draw_difference(canvas, frame, y, row, MARK_SIZE)?;
    canvas.text(&difference_words(row), (x, y), Ink::new(verdict_color(row.verdict()), TICK))?;
    let Some(missing) = row.missing_label() else { return Ok(()) };
    let ink = Ink::new(if row.troubled() { VERMILION } else { QUIET }, SMALL);
    canvas.text(&ink.wrap(&missing, MISSING_WIDTH - GAP, 1).concat(), (frame.right + RESULT_WIDTH, y), ink)
}
