//! The networks that a block compares, layer by layer, where some of them are of the user's own.

use super::summary::BlockSummary;
use super::table::markdown;
use crate::networks::{Layer, Names};
use crate::spec::config::{Config, Model};
use crate::spec::layer_text;
use crate::words::grouped;

const NETWORKS: &str = "The networks, layer by layer, as an experiment file writes them; what is the default is left out. Layers without a name \
     of their own go by their kinds, numbered: conv1, act1, pool1.";

/// A line for each, as lines are broken and cells of tables are not. None where the block compares no networks, or none but
/// built-in ones.
pub fn networks(block: &BlockSummary) -> Option<String> {
    let mut found: Vec<&Config> = vec![];
    for config in block.rows.iter().filter_map(|row| Some(&row.trials.first()?.config)) {
        if !found.iter().any(|known| known.model == config.model) {
            found.push(config);
        }
    }
    let first = *found.iter().find(|config| matches!(config.model, Model::Own(_)))?;
    let line = |config: &&Config| {
        let (name, parameters) = (config.model.as_str(), grouped(config.table().parameters()));
        format!("- {}", markdown(&format!("{name}, {parameters} parameters: {}", layers(config, first))))
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    (found.len() > 1).then(|| format!("{NETWORKS}\n\n{}", lines.join("\n")))
}

/// All of them, or how they differ from those of the `first` network.
fn layers(config: &Config, first: &Config) -> String {
    if let Model::BuiltIn(_) = config.model {
        return "built in".to_owned();
    }
    let (own, others) = (config.layers(), first.layers());
    let shared = shared(&own, &others);
    if config.model == first.model || 2 * shared.len() < others.len() {
        return texts(&own);
    }
    let differences = differences(&own, &others, shared);
    let differences = if differences.is_empty() { "under other names".to_owned() } else { differences.join("; ") };
    format!("those of {}, but {differences}", first.model.as_str())
}

fn texts(layers: &[Layer]) -> String {
    layers.iter().map(layer_text).collect::<Vec<_>>().join(", ")
}

/// What is between the layers that both have, in words. Those of the `others` go by their names.
fn differences(own: &[Layer], others: &[Layer], shared: Vec<(usize, usize)>) -> Vec<String> {
    let names = Names::default().through(others);
    let (mut differences, mut start) = (vec![], (0, 0));
    for (end, other_end) in shared.into_iter().chain([(own.len(), others.len())]) {
        let (added, removed) = (texts(&own[start.0..end]), names[start.1..other_end].join(", "));
        differences.extend(match (added.is_empty(), removed.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("without {removed}")),
            (false, false) => Some(format!("{added} in place of {removed}")),
            (false, true) if start.1 == 0 => Some(format!("{added} before {}", names[0])),
            (false, true) => Some(format!("{added} after {}", names[start.1 - 1])),
        });
        start = (end + 1, other_end + 1);
    }
    differences
}

/// The places of the most layers that two networks have in the same order, whatever these are called.
fn shared(own: &[Layer], others: &[Layer]) -> Vec<(usize, usize)> {
    let [own, others] = [own, others].map(|layers| layers.iter().map(Layer::nameless).collect::<Vec<_>>());
    // How many there are from one layer of each on.
    let mut most = vec![vec![0; others.len() + 1]; own.len() + 1];
    for place in (0..own.len()).rev() {
        for other in (0..others.len()).rev() {
            most[place][other] = match own[place] == others[other] {
                true => most[place + 1][other + 1] + 1,
                false => most[place + 1][other].max(most[place][other + 1]),
            };
        }
    }
    let (mut shared, mut place, mut other) = (vec![], 0, 0);
    while place < own.len() && other < others.len() {
        if own[place] == others[other] {
            shared.push((place, other));
            (place, other) = (place + 1, other + 1);
        } else if most[place + 1][other] >= most[place][other + 1] {
            place += 1;
        } else {
            other += 1;
        }
    }
    shared
}
