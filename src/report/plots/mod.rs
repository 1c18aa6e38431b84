//! The plots of a study. Each is a file that says when it applies and draws it; a new one is a file here and a line below.

mod axes;
mod canvas;
pub mod classes;
mod closeups;
pub mod confusion;
mod curves;
mod difference;
mod figure;
mod frame;
mod heatmap;
mod legend;
mod lines;
mod quantity;
mod size;
mod theme;
mod tuning;

pub use figure::{Figure, Place};
pub use theme::{NO_LETTER, has_letter};

use super::study::Study;
use super::summary::BlockSummary;
use figure::{Section, sections};

/// Of one block.
type BlockPlot = for<'a> fn(Section<'a>) -> Vec<Figure<'a>>;

const BLOCK_PLOTS: &[BlockPlot] = &[
    // In the order in which a block has them.
    difference::figures,
    size::figures,
    tuning::figures,
    heatmap::figures,
    curves::figures,
    classes::figures,
];

/// What applies to the study, in the order of the report.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let of_blocks = sections(study, blocks).flat_map(|own| BLOCK_PLOTS.iter().flat_map(move |plot| plot(own)));
    let mut figures = difference::overviews(study, blocks);
    figures.extend(of_blocks);
    figures.extend(confusion::figures(study, blocks));
    figures.extend(closeups::figures(study, blocks));
    figures.sort_by_key(|figure| figure.place);
    figures
}
