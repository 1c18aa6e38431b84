//! A plot that can be drawn, and its place in the report.

use crate::record::Showcase;
use crate::report::study::{StoredTrial, Study};
use crate::report::summary::{BlockSummary, Row, best};
use anyhow::Result;
use std::collections::HashSet;

/// Where in the report a plot belongs, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Overview,
    /// In the section of the block at this place.
    Block(usize),
    /// Among the pictures of single trials, with the others of the same trial.
    CloserLook(usize),
}

/// PNG bytes; none where they need what is not at hand, such as the test images.
type Draw<'a> = Box<dyn Fn() -> Result<Option<Vec<u8>>> + 'a>;

pub struct Figure<'a> {
    /// Below the results folder.
    pub path: String,
    pub place: Place,
    /// What a reader sees who cannot see it.
    pub description: String,
    draw: Draw<'a>,
}

impl<'a> Figure<'a> {
    pub fn new(
        name: &str,
        place: Place,
        description: String,
        draw: impl Fn() -> Result<Option<Vec<u8>>> + 'a,
    ) -> Figure<'a> {
        Figure { path: format!("plots/{name}.png"), place, description, draw: Box::new(draw) }
    }

    pub fn render(&self) -> Result<Option<Vec<u8>>> {
        (self.draw)()
    }
}

/// A block of which something can be shown, and its place in the report.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    study: &'a Study,
    pub block: &'a BlockSummary<'a>,
    place: usize,
}

pub fn sections<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> impl Iterator<Item = Section<'a>> {
    let all = blocks.iter().enumerate().map(move |(place, block)| Section { study, block, place });
    all.filter(|section| section.block.has_begun())
}

impl<'a> Section<'a> {
    /// `what` follows the block's title.
    pub fn figure(&self, name: &str, what: &str, draw: impl Fn() -> Result<Vec<u8>> + 'a) -> Figure<'a> {
        let name = format!("{}_{name}", self.block.block.id);
        let description = format!("{}: {what}", self.study.title(self.block.block));
        Figure::new(&name, Place::Block(self.place), description, move || draw().map(Some))
    }
}

/// One trial that stands for its configuration.
pub struct Closeup<'a> {
    pub label: String,
    pub trial: &'a StoredTrial,
    pub showcase: &'a Showcase,
    /// `base` or `best`
    name: &'static str,
    place: usize,
}

impl<'a> Closeup<'a> {
    pub fn figure(
        self,
        kind: &str,
        description: String,
        draw: impl Fn(&Closeup) -> Result<Option<Vec<u8>>> + 'a,
    ) -> Figure<'a> {
        let (name, place) = (format!("{kind}_{}", self.name), Place::CloserLook(self.place));
        Figure::new(&name, place, description, move || draw(&self))
    }
}

/// One trial of the study's base and one of its best configuration.
pub fn closeups<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Closeup<'a>> {
    let holder = |row: &Row| blocks.iter().find(|block| block.rows.iter().any(|other| std::ptr::eq(other, row)));
    let best = best(blocks.iter().flat_map(|block| &block.rows)).and_then(|row| Some((holder(row)?, row)));
    let base = blocks.first().and_then(|block| Some((block, block.base()?)));
    let mut seen = HashSet::new();
    let chosen = [("base", base), ("best", best)].into_iter().enumerate();
    let chosen = chosen.filter_map(|(place, (name, chosen))| {
        let (block, row) = chosen.filter(|(_, row)| seen.insert(&row.variant.trial_ids))?;
        let (trial, showcase) = row.done().find_map(|trial| Some((trial, trial.showcase.as_ref()?)))?;
        let is_base = block.base().is_some_and(|base| std::ptr::eq(base, row));
        let title = study.title(block.block);
        let label = if is_base { "the base".to_owned() } else { format!("{title}: {}", row.variant.label) };
        Some(Closeup { label, trial, showcase, name, place })
    });
    chosen.collect()
}
