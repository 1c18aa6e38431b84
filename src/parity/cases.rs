//! What is compared: built-in cases, written as the experiment files under `cases/`, or a user's experiment.

use anyhow::Result;
use serde::Serialize;

use crate::spec::config::Config;
use crate::spec::{Configuration, Experiment, Overrides};

/// Short cases are about arithmetic, not scores: so many test images tell whether both sides score alike.
const SHORT_TEST_IMAGES: usize = 1_000;

/// One trial that both sides run.
#[derive(Clone, Debug)]
pub struct Case {
    /// `adam: adam, lr 0.01`: the block, then what differs from its base.
    pub name: String,
    pub config: Config,
    pub seed: u64,
    /// Stop after so many steps.
    pub max_steps: Option<usize>,
    /// Score the first so many images of the test set; `None` is all of it.
    pub test_images: Option<usize>,
    /// What Python does otherwise than this program. Only cases without it are promised to be identical.
    pub otherwise: Option<Otherwise>,
}

/// A way of computing the same trial that may change bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Python uses so many threads, this program as many as for every case.
    Threads(usize),
    /// Python lays images and kernels out as NHWC.
    ChannelsLast,
}

/// Every option of every part, some steps each: what the tests run.
pub fn short(dataset: &str) -> Result<Vec<Case>> {
    let files = [
        include_str!("cases/options.yaml"),
        include_str!("cases/ends.yaml"),
        include_str!("cases/seeds.yaml"),
        include_str!("cases/own.yaml"),
    ];
    let mut cases = files.map(|text| built_in(text, dataset)).into_iter().collect::<Result<Vec<_>>>()?.concat();
    cases.iter_mut().for_each(|case| case.test_images = Some(SHORT_TEST_IMAGES));
    Ok(cases)
}

/// Whole epochs on all images, scored on the whole test set.
pub fn long(dataset: &str) -> Result<Vec<Case>> {
    built_in(include_str!("cases/long.yaml"), dataset)
}

/// LeNet-5 for an epoch, as Python computes it with two threads and on another memory layout. The outcome is shown,
/// whatever it is.
pub fn otherwise(dataset: &str) -> Result<Vec<Case>> {
    let mut plain = short(dataset)?;
    plain.truncate(1);
    let ways = [("two threads in Python", Otherwise::Threads(2)), ("channels_last in Python", Otherwise::ChannelsLast)];
    let case = |(name, way): (&str, Otherwise)| Case {
        name: format!("otherwise: {name}"),
        otherwise: Some(way),
        ..plain[0].clone()
    };
    Ok(ways.into_iter().map(case).collect())
}

/// Each configuration of `experiment` once with each of its seeds, named by the first block that has it.
pub fn of_experiment(experiment: &Experiment) -> Vec<Case> {
    let with_seeds = |Configuration { config, .. }: &Configuration| {
        let variant = experiment.variants().find(|(_, variant)| variant.config == **config);
        let (block, label) = variant.map_or(("base", "base"), |(block, variant)| (&block.id, &variant.label));
        let case = |&seed: &u64| {
            let seed_name = if experiment.seeds.len() > 1 { format!(", seed {seed}") } else { String::new() };
            let (name, config) = (format!("{block}: {label}{seed_name}"), Config::clone(config));
            Case { name, config, seed, max_steps: None, test_images: None, otherwise: None }
        };
        experiment.seeds.iter().map(case).collect::<Vec<_>>()
    };
    experiment.configurations().iter().flat_map(with_seeds).collect()
}

fn built_in(text: &str, dataset: &str) -> Result<Vec<Case>> {
    let overrides = Overrides { dataset: Some(dataset.to_owned()), ..Overrides::default() };
    Ok(of_experiment(&Experiment::parse("built-in cases", text, &overrides)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::check_stored;
    use crate::spec::config::SYNTHETIC;
    use serde_json::Value as Json;
    use std::collections::BTreeMap;

    /// The parts of a configuration whose numbers are options.
    const PARTS: [&str; 9] = [
        "activation",
        "optimizer",
        "schedule",
        "warmup",
        "regularization",
        "augment",
        "label_smoothing",
        "clip",
        "early_stopping",
    ];

    /// Every number under `json`: what it is (`optimizer adam betas 0`) and where.
    fn numbers(option: &str, place: &str, json: &Json, found: &mut Vec<(String, String)>) {
        match json {
            Json::Number(_) => found.push((option.to_owned(), place.to_owned())),
            Json::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
                // All stages of a schedule are alike; the two betas are not.
                let option = if item.is_object() { option.to_owned() } else { format!("{option} {index}") };
                numbers(&option, &format!("{place}/{index}"), item, found);
            }),
            Json::Object(fields) => {
                let name = fields.get("name").and_then(Json::as_str).map(|name| format!(" {name}")).unwrap_or_default();
                for (field, json) in fields {
                    numbers(&format!("{option}{name} {field}"), &format!("{place}/{field}"), json, found);
                }
            }
            _ => {}
        }
    }

    /// The next number below or above.
    fn beyond(number: &Json, up: bool) -> Json {
        match (number.as_i64(), number.as_f64().unwrap()) {
            (Some(whole), _) => (whole + if up { 1 } else { -1 }).into(),
            (None, float) => Json::from(if up { float.next_up() } else { float.next_down() }),
        }
    }

    /// Whether `case` with another number at `place` is refused. Infinity, which JSON does not have, always is.
    fn is_refused(case: &Case, place: &str, number: Json) -> bool {
        let mut json = serde_json::to_value(&case.config).unwrap();
        *json.pointer_mut(place).unwrap() = number;
        serde_json::from_value(json).map_or(true, |config: Config| check_stored(&config).is_err())
    }

    #[test]
    fn every_option_is_tried_at_both_ends_of_what_is_accepted() {
        let cases = short(SYNTHETIC).unwrap();
        let mut options: BTreeMap<String, Vec<(f64, Json, String, &Case)>> = BTreeMap::new();
        for case in &cases {
            let json = serde_json::to_value(&case.config).unwrap();
            let mut found = vec![];
            PARTS.iter().for_each(|part| numbers(part, &format!("/{part}"), &json[part], &mut found));
            for (option, place) in found {
                let number = json.pointer(&place).unwrap().clone();
                options.entry(option).or_default().push((number.as_f64().unwrap(), number, place, case));
            }
        }
        assert!(options.len() > 50, "{:?}", options.keys());
        for (option, tried) in &options {
            let ends = [(false, f64::min as fn(f64, f64) -> f64), (true, f64::max)];
            for (up, further) in ends {
                let end = tried.iter().map(|tried| tried.0).reduce(further).unwrap();
                let mut at_end = tried.iter().filter(|tried| tried.0 == end);
                let is_end = at_end.any(|(_, number, place, case)| is_refused(case, place, beyond(number, up)));
                assert!(
                    is_end,
                    "{option}: {} is not tried",
                    if up { format!("more than {end:e}") } else { format!("less than {end:e}") }
                );
            }
        }
    }
}
