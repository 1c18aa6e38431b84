//! What `runner evaluate` shows of several networks: tables for a terminal, and plots.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::evaluate::Evaluation;
use crate::report::data_label;
use crate::report::measure::SHARES;
use crate::report::plots::classes::{self, Bars};
use crate::report::plots::confusion::{self, MOST_IN_NUMBERS};
use crate::report::table::{differ, short_names};
use crate::report::terminal::{Column, Lines, lay_out};
use crate::spec::{Cell, flatten};
use crate::words::{grouped, minus};

/// So many of a matrix that is not shown as a whole.
const SHOWN_CONFUSIONS: usize = 20;

/// What sets the networks apart, one row of scores each, then their classes; the confusion matrix of a single one. Lines of
/// at most `width`.
pub fn describe(evaluations: &[Evaluation], width: Option<usize>) -> String {
    let labels = labels(evaluations);
    let mut text = heading(evaluations) + "\n\n";
    let settings = settings(evaluations, &labels);
    if !settings.is_empty() {
        let named = [vec![Column::new("checkpoint", labels.iter().map(Cell::text), 0)], settings].concat();
        let lines = lay_out(&named, width);
        let left_out = lines.left_out.join(", ");
        text += &(block(lines) + "\n");
        if !left_out.is_empty() {
            text += &format!("no room for {left_out}; `| less -S` shows all\n\n");
        }
    }
    text += &block(lay_out(&overall(evaluations, &labels), width));
    text += "precision, recall, specificity and F1 are means over the classes\n\n";
    text += &block(lay_out(&by_class(evaluations, &labels), width));
    text += &match evaluations {
        [only] if only.classes.len() <= MOST_IN_NUMBERS => {
            format!("\nrows: true class, columns: predicted class\n{}", block(lay_out(&matrix(only, width), None)))
        }
        [only] => {
            let rows = block(lay_out(&most_frequent(only), width));
            format!("\nmost frequent confusions; --json and --plots give the whole matrix\n{rows}")
        }
        _ => "\n--json and --plots give the confusion matrices\n".to_owned(),
    };
    text.trim_end().to_owned()
}

fn block(lines: Lines) -> String {
    lines.header.into_iter().chain(lines.rows).map(|line| line + "\n").collect()
}

/// What all have in common: `test split · lenet5 · cifar10 · 10,000 images`.
fn heading(evaluations: &[Evaluation]) -> String {
    let common = |part: fn(&Evaluation) -> String| {
        let first = part(&evaluations[0]);
        evaluations.iter().all(|evaluation| part(evaluation) == first).then_some(first)
    };
    let parts = [
        common(|evaluation| format!("{} split", evaluation.split)),
        common(|evaluation| evaluation.model.to_owned()),
        common(|evaluation| data_label(&evaluation.config.data.dataset).to_owned()),
        common(|evaluation| format!("{} images", grouped(evaluation.images as i64))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Ids of trials where they say which is which, else numbers.
fn labels(evaluations: &[Evaluation]) -> Vec<String> {
    let ids: BTreeSet<&String> = evaluations.iter().filter_map(|evaluation| evaluation.trial.as_ref()).collect();
    match (evaluations, ids.len() == evaluations.len()) {
        (_, true) => evaluations.iter().filter_map(|evaluation| evaluation.trial.clone()).collect(),
        ([only], false) => vec![only.checkpoint.clone()],
        _ => (1..=evaluations.len()).map(|number| number.to_string()).collect(),
    }
}

fn overall(evaluations: &[Evaluation], labels: &[String]) -> Vec<Column> {
    let column = |name: &str, cell: &dyn Fn(&Evaluation) -> String| {
        Column::new(name, evaluations.iter().map(cell).map(Cell::number), 0)
    };
    let mut columns = vec![Column::new("checkpoint", labels.iter().map(Cell::text), 0)];
    columns.push(column("loss", &|evaluation| minus(evaluation.loss, 4)));
    columns.push(column("accuracy", &|evaluation| percent(evaluation.accuracy)));
    columns.extend(SHARES.map(|(name, score)| column(name, &|evaluation| percent(score(&evaluation.macro_average)))));
    columns
}

/// The path where the label is only a number, the seed, the number of images and the configuration keys: those that are not
/// the same for all.
fn settings(evaluations: &[Evaluation], labels: &[String]) -> Vec<Column> {
    let row = |(evaluation, label): (&Evaluation, &String)| {
        let has_id = evaluation.trial.as_ref() == Some(label);
        let path = if has_id { String::new() } else { evaluation.checkpoint.clone() };
        let seed = evaluation.seed.map(Cell::number).unwrap_or_default();
        let first = [("path", Cell::text(path)), ("seed", seed), ("images", Cell::number(evaluation.images))];
        first.map(|(key, value)| (key.to_owned(), value)).into_iter().chain(flatten(&evaluation.config)).collect()
    };
    let rows: Vec<Vec<(String, Cell)>> = evaluations.iter().zip(labels).map(row).collect();
    let mut seen = BTreeSet::new();
    let keys = rows.iter().flatten().map(|(key, _)| key);
    let names: Vec<String> = keys.filter(|key| seen.insert(*key)).cloned().collect();
    let value = |row: &[(String, Cell)], name: &String| {
        row.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut columns = vec![];
    for (name, short) in names.iter().zip(short_names(&names, &[])) {
        let cells: Vec<Cell> = rows.iter().map(|row| value(row, name)).collect();
        if differ(name, &names, cells.iter().map(|cell| cell.text.as_str())) {
            columns.push(Column::new(&short, cells, columns.len() + 1));
        }
    }
    columns
}

/// The checkpoints of one class under one another.
fn by_class(evaluations: &[Evaluation], labels: &[String]) -> Vec<Column> {
    // Networks of different data sets have one another's classes no more than their names.
    let classes = evaluations.iter().map(|evaluation| evaluation.classes.len()).max().unwrap_or(0);
    let of_class = |class: usize| {
        let with = evaluations.iter().zip(labels).filter(move |(evaluation, _)| class < evaluation.classes.len());
        with.map(move |(evaluation, label)| (class, evaluation, label))
    };
    let rows = || (0..classes).flat_map(of_class);
    let mut last = "";
    let names = rows().map(|(class, evaluation, _)| {
        let name = evaluation.class_names[class].as_str();
        // A name once, above the rows that share it.
        let repeated = std::mem::replace(&mut last, name) == name;
        Cell::text(if repeated { "" } else { name })
    });
    // Left blank, which is not missing.
    let mut columns = vec![Column { header: "class".to_owned(), cells: names.collect(), rank: 0 }];
    if evaluations.len() > 1 {
        columns.push(Column::new("checkpoint", rows().map(|(_, _, label)| Cell::text(label)), 0));
    }
    let support = rows().map(|(class, evaluation, _)| Cell::number(evaluation.classes[class].support));
    columns.push(Column::new("images", support, 0));
    for (name, score) in SHARES {
        let cells = rows().map(|(class, evaluation, _)| Cell::number(percent(score(&evaluation.classes[class]))));
        columns.push(Column::new(name, cells, 0));
    }
    columns
}

/// The counts; names above the columns are cut to what `width` leaves them.
fn matrix(evaluation: &Evaluation, width: Option<usize>) -> Vec<Column> {
    let names = &evaluation.class_names;
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let room = width.map_or(longest, |width| (width.saturating_sub(longest) / names.len()).saturating_sub(2).max(3));
    let mut columns = vec![Column::new("", names.iter().map(Cell::text), 0)];
    for (predicted, name) in names.iter().enumerate() {
        let cells = evaluation.confusion.iter().map(|row| Cell::number(row[predicted]));
        columns.push(Column::new(&name.chars().take(room).collect::<String>(), cells, 0));
    }
    columns
}

/// Of a matrix that no terminal shows, the largest numbers beside its diagonal.
fn most_frequent(evaluation: &Evaluation) -> Vec<Column> {
    let of_row = |(truth, row): (usize, &Vec<u64>)| {
        row.iter().enumerate().map(move |(predicted, &count)| (count, truth, predicted)).collect::<Vec<_>>()
    };
    let cells = evaluation.confusion.iter().enumerate().flat_map(of_row);
    let mut cells: Vec<_> = cells.filter(|(count, truth, predicted)| *count > 0 && truth != predicted).collect();
    cells.sort_by_key(|&(count, truth, predicted)| (Reverse(count), truth, predicted));
    cells.truncate(SHOWN_CONFUSIONS);
    let name = |class: usize| Cell::text(&evaluation.class_names[class]);
    let share = |count: u64, truth: usize| percent(count as f64 / evaluation.classes[truth].support as f64);
    vec![
        Column::new("true class", cells.iter().map(|&(_, truth, _)| name(truth)), 0),
        Column::new("predicted class", cells.iter().map(|&(.., predicted)| name(predicted)), 0),
        Column::new("images", cells.iter().map(|(count, ..)| Cell::number(count)), 0),
        Column::new("of the true class", cells.iter().map(|&(count, truth, _)| Cell::number(share(count, truth))), 0),
    ]
}

fn percent(share: f64) -> String {
    format!("{}%", minus(100.0 * share, 2))
}

/// For each network the PNGs of its confusion matrix and of its scores by class, with names for their files.
pub fn plots(evaluations: &[Evaluation]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![];
    for (evaluation, name) in evaluations.iter().zip(file_names(evaluations)) {
        let Evaluation { model, split, class_names, confusion, classes, .. } = evaluation;
        let (images, data) = (grouped(evaluation.images as i64), data_label(&evaluation.config.data.dataset));
        let mode = evaluation.config.mode.as_str();
        let common = format!("{split} split, {images} images · {data} · {mode} mode · n = 1 network");
        let who = match (&evaluation.trial, evaluation.seed) {
            (Some(id), Some(seed)) => format!("{model}, trial {id}, seed {seed}"),
            _ => format!("{model}, {name}"),
        };
        let accuracy = format!("{split} accuracy {} %", minus(100.0 * evaluation.accuracy, 2));
        let caption = format!("{} · {common}", confusion::what_cells_say(classes.len()));
        let matrix = confusion::draw(&format!("{who}: {accuracy}"), &caption, class_names, confusion)?;
        files.push((format!("{name}_{split}_confusion.png"), matrix));
        let bars = [Bars::of_network(accuracy, classes.clone())];
        let bars = classes::draw(&format!("{who}: scores by class (%)"), &common, class_names, &bars)?;
        files.push((format!("{name}_{split}_classes.png"), bars));
    }
    Ok(files)
}

/// The trial's id or the file's name, with a number where two would be called alike.
fn file_names(evaluations: &[Evaluation]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for evaluation in evaluations {
        let stem = Path::new(&evaluation.checkpoint).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = evaluation.trial.clone().or(stem).unwrap_or("checkpoint".to_owned());
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}
