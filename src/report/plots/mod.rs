//! The plots of a study. Each is a file that says when it applies and draws it; a new one is a file here and a line in the list.

mod canvas;
pub mod classes;
pub mod confusion;
mod curves;
mod difference;
mod figure;
mod filters;
mod frame;
mod heatmap;
mod legend;
mod mistakes;
mod overview;
mod page;
mod size;
mod theme;
mod tuning;

pub use figure::{Figure, Place};

use super::study::Study;
use super::summary::BlockSummary;

type Plot = for<'a> fn(&'a Study, &'a [BlockSummary<'a>]) -> Vec<Figure<'a>>;

/// In the order in which a block has them.
const PLOTS: [Plot; 10] = [
    overview::figures,
    difference::figures,
    size::figures,
    tuning::figures,
    heatmap::figures,
    curves::figures,
    classes::figures,
    confusion::figures,
    mistakes::figures,
    filters::figures,
];

/// What applies to the study, in the order of the report.
pub fn figures<'a>(study: &'a Study, blocks: &'a [BlockSummary<'a>]) -> Vec<Figure<'a>> {
    let mut figures: Vec<Figure> = PLOTS.iter().flat_map(|plot| plot(study, blocks)).collect();
    figures.sort_by_key(|figure| figure.place);
    figures
}
