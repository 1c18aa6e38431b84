//! Random and stored studies, judged by the program and by `tests/common/check_verdicts.py`.

use std::path::Path;
use std::process::Command;

use runner::parity::python;
use runner::verdict::End;
use runner::verdict::looks::{Comparison, Judgement, Plan, Progress, Replicates, judge};
use serde_json::{Value, json};

use crate::random::Random;
use crate::skip::skip;
use crate::stored::{self, Stored};

const STUDIES: usize = 400;

fn study(name: &str, plan: &Plan, ends: &[Vec<End>], judgement: &Judgement) -> Value {
    let max_seeds = match plan.replicates {
        Replicates::Fixed => None,
        Replicates::Settle { max_seeds } => Some(max_seeds),
    };
    let blocks: Vec<Value> =
        plan.blocks.iter().map(|block| json!({"base": block[0], "settings": block[1..]})).collect();
    let ends: Vec<Vec<Value>> = ends.iter().map(|ends| ends.iter().map(end).collect()).collect();
    json!({
        "name": name,
        "plan": {"margin": plan.margin, "max_seeds": max_seeds, "blocks": blocks},
        "ends": ends,
        "answers": answers(plan, judgement),
    })
}

fn end(end: &End) -> Value {
    match end {
        End::Pending => Value::Null,
        End::Done { accuracy, at_chance } => json!([accuracy, at_chance]),
        End::Diverged => json!("diverged"),
        End::Failed => json!("failed"),
    }
}

fn answers(plan: &Plan, judgement: &Judgement) -> Value {
    let comparisons: Vec<Vec<Value>> =
        judgement.comparisons.iter().map(|block| block.iter().map(comparison).collect()).collect();
    let settles = plan.replicates != Replicates::Fixed;
    let groups: Vec<Value> = judgement.groups.iter().filter(|_| settles).map(group).collect();
    json!({"comparisons": comparisons, "asked": judgement.asked, "groups": groups})
}

fn comparison(comparison: &Comparison) -> Value {
    let found = comparison.difference.as_ref();
    json!({
        "verdict": comparison.verdict.word(),
        "difference": found.map(|found| found.value),
        "standard_error": found.map(|found| found.standard_error),
        "freedom": found.map(|found| found.freedom),
        "critical": found.map(|found| found.critical),
        "low": found.map(|found| found.low),
        "high": found.map(|found| found.high),
        "p": found.map(|found| found.p),
        "seeds": comparison.seeds,
        "base_seeds": comparison.base_seeds,
        "reason": comparison.reason.map(|reason| format!("{reason:?}")),
    })
}

fn group(group: &Progress) -> Value {
    let stage = format!("{:?}", group.stage);
    json!({"base": group.base, "settings": group.settings, "look": group.look, "stage": stage})
}

/// One or two bases, settings that several blocks share, and a base that another base's block compares.
fn plan(random: &mut Random) -> (Plan, usize) {
    let configurations = 2 + random.below(9);
    let bases = if random.happens(0.3) { 2 } else { 1 };
    let blocks = (0..1 + random.below(4)).map(|_| {
        let base = random.below(bases.min(configurations));
        let mut settings: Vec<usize> = (0..configurations).filter(|setting| *setting != base).collect();
        random.shuffle(&mut settings);
        settings.truncate(1 + random.below(settings.len()));
        [vec![base], settings].concat()
    });
    let blocks = blocks.collect();
    let replicates = match random.happens(0.4) {
        true => Replicates::Fixed,
        false => Replicates::Settle { max_seeds: random.choose(&[3, 4, 5, 7, 13, 20, 25, 40]) },
    };
    (Plan { margin: random.choose(&[0.1, 0.5, 1.0, 1.0, 2.0, 7.5]), replicates, blocks }, configurations)
}

/// What may go wrong in a study, as chances of a trial or a configuration.
struct Accidents {
    pending: f64,
    diverged: f64,
    failed: f64,
    at_chance: f64,
    all_equal: f64,
}

impl Accidents {
    fn any(random: &mut Random) -> Accidents {
        let mut chance = |most: f64| if random.happens(0.4) { most * random.share() } else { 0.0 };
        Accidents {
            pending: chance(0.03),
            diverged: chance(0.03),
            failed: chance(0.03),
            at_chance: chance(0.3),
            all_equal: chance(1.2),
        }
    }
}

fn ends(random: &mut Random, plan: &Plan, configurations: usize) -> Vec<Vec<End>> {
    let accidents = Accidents::any(random);
    let seeds = match plan.replicates {
        Replicates::Fixed => 1 + random.below(6),
        // Often fewer than the looks need.
        Replicates::Settle { max_seeds } if random.happens(0.3) => 1 + random.below(2 * max_seeds),
        Replicates::Settle { max_seeds } => 2 * max_seeds,
    };
    (0..configurations).map(|_| configuration(random, &accidents, seeds)).collect()
}

fn configuration(random: &mut Random, accidents: &Accidents, seeds: usize) -> Vec<End> {
    let mean = 50.0 + random.choose(&[0.0, 0.0, 0.3, -0.3, 1.0, -2.0, 5.0]);
    let deviation = if random.happens(accidents.all_equal) { 0.0 } else { 1.5 * random.share() };
    // Of all its trials, or of some.
    let guessing = if random.happens(accidents.at_chance) { random.choose(&[1.0, 0.2]) } else { 0.0 };
    let one = |random: &mut Random| match () {
        () if random.happens(accidents.pending) => End::Pending,
        () if random.happens(accidents.diverged) => End::Diverged,
        () if random.happens(accidents.failed) => End::Failed,
        () if random.happens(guessing) => End::Done { accuracy: 10.0 + 0.3 * random.share(), at_chance: true },
        // Counts of 10,000 images.
        () => End::Done { accuracy: (100.0 * (mean + deviation * random.normal())).round() / 100.0, at_chance: false },
    };
    (0..seeds).map(|_| one(random)).collect()
}

fn random_study(number: usize) -> Value {
    let mut random = Random(number as u64);
    let (plan, configurations) = plan(&mut random);
    let ends = ends(&mut random, &plan, configurations);
    study(&format!("random study {number}"), &plan, &ends, &judge(&plan, &ends))
}

fn stored_study(stored: &Stored) -> Value {
    study(&stored.name, &stored.asked.plan, &stored.ends, &stored.asked.judgement)
}

/// Whether the script agrees, and what it says; None, after saying why, where there is no Python.
fn check(test: &str, studies: &[Value]) -> Option<(bool, String)> {
    let python = python::find().map_err(|error| skip(&format!("{test}: {error:#}"))).ok()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("studies.json");
    std::fs::write(&file, serde_json::to_vec(studies).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/check_verdicts.py");
    let output = Command::new(python).arg(script).arg(file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some((output.status.success(), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn random_and_stored_studies_are_judged_alike_by_scipy() {
    let mut studies: Vec<Value> = (0..STUDIES).map(random_study).collect();
    studies.extend(stored::all().iter().map(stored_study));
    assert!(studies.len() >= STUDIES + 5, "stored studies are missing");
    let Some((agrees, said)) = check("random_and_stored_studies_are_judged_alike_by_scipy", &studies) else { return };
    assert!(agrees, "{said}");
    println!("{said}");
    // Each kind of answer is there often enough to mean something.
    let verdicts = ["better", "worse", "equivalent", "inconclusive", "unstable"];
    let stages = ["Settled", "Exhausted", "Held", "Ended", "Waiting(3)"];
    for kind in verdicts.into_iter().chain(stages) {
        let count =
            said.split(", ").find_map(|part| part.split(": ").last()?.trim().strip_suffix(kind)?.trim().parse().ok());
        assert!(count.is_some_and(|count: usize| count >= 10), "too few {kind}: {said}");
    }
}

/// A study that settles, with a comparison that has an interval.
fn one_to_falsify() -> Value {
    let is_told = |study: &Value| {
        !study["answers"]["groups"].as_array().unwrap().is_empty()
            && study["answers"]["comparisons"][0][0]["p"].is_f64()
    };
    (0..STUDIES).map(random_study).find(is_told).unwrap()
}

#[test]
fn a_wrong_answer_is_found_whatever_it_is() {
    const COMPARED: [&str; 11] = [
        "verdict",
        "difference",
        "standard_error",
        "freedom",
        "critical",
        "low",
        "high",
        "p",
        "seeds",
        "base_seeds",
        "reason",
    ];
    let mut studies = vec![];
    let mut falsified = |name: &str, falsify: &dyn Fn(&mut Value)| {
        let mut study = one_to_falsify();
        study["name"] = json!(name);
        falsify(&mut study["answers"]);
        studies.push(study);
    };
    for name in COMPARED {
        falsified(name, &|answers| wrong(&mut answers["comparisons"][0][0][name]));
    }
    for name in ["look", "stage"] {
        falsified(name, &|answers| wrong(&mut answers["groups"][0][name]));
    }
    falsified("asked", &|answers| wrong(&mut answers["asked"][0]));
    let Some((agrees, said)) = check("a_wrong_answer_is_found_whatever_it_is", &studies) else { return };
    assert!(!agrees);
    for name in COMPARED.into_iter().chain(["look", "stage", "asked"]) {
        assert!(
            said.lines().any(|line| line.starts_with(&format!("{name}, ")) && line.contains(name)),
            "{name} was missed:\n{said}"
        );
    }
    assert_eq!(said.lines().count(), studies.len(), "{said}");
}

/// A number that is off by little, or another text.
fn wrong(answer: &mut Value) {
    *answer = match (answer.as_u64(), answer.as_f64()) {
        (Some(count), _) => json!(count + 1),
        (_, Some(number)) => json!(number + 1e-7),
        _ => json!("other"),
    };
}
