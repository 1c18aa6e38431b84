//! `runner show`: trials sorted, filtered and cut to the columns that matter, as a table for people or as JSON.

use super::overview::MISSING;
use super::tables::{IDENTITY, key_columns, trials_grid};
use super::terminal::{Column, Lines, lay_out};
use super::{StoredTrial, keys};
use crate::spec::{Cell, Kind, choices};
use crate::words::minus;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value as Json};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

const RUNNING: &str = "running";
const WAITING: &str = "waiting";
/// Trials without the value that is sorted by come last, in this order.
const STATUSES: [&str; 5] = ["done", RUNNING, WAITING, "diverged", "failed"];

/// What is shown unless the user says otherwise, around the configuration keys that differ.
const BEFORE_KEYS: [&str; 3] = ["id", "status", "seed"];
const AFTER_KEYS: [&str; 7] =
    ["epochs_run", "best_epoch", "val_accuracy", "test_accuracy", "test_loss", "accuracy_gap", "seconds"];
/// So many values are named where a filter matches none of them.
const VALUES_NAMED: usize = 12;

/// Which trials and columns, and in which order.
#[derive(Debug)]
pub struct Request {
    pub sort: String,
    pub reverse: bool,
    /// Such as `optimizer=adam` or `lr>0.01`; a trial must meet all.
    pub filters: Vec<String>,
    pub columns: Choice,
}

#[derive(Debug)]
pub enum Choice {
    Usual,
    All,
    These(Vec<String>),
}

/// The trials of an experiment as text, with the columns of `trials.csv`.
pub struct Listing {
    names: Vec<String>,
    /// What people call the columns: `lr`, not `optimizer.lr`, where only one is meant.
    short: Vec<String>,
    /// How many of the columns, after `id`, `blocks` and `seed`, are configuration keys.
    keys: usize,
    rows: Vec<Vec<Cell>>,
}

const FIRST_KEY: usize = IDENTITY.len();

impl Listing {
    /// A trial that has not ended is running or waits its turn; its history is what it has stored so far.
    pub fn new(trials: &[StoredTrial], targets: &[f64], is_running: impl Fn(&str) -> bool) -> Listing {
        let grid = trials_grid(trials, targets);
        let count = key_columns(trials).len();
        let (before, rest) = grid.header.split_at(FIRST_KEY);
        let (keys, after) = rest.split_at(count);
        let short = keys::short_names(keys, &[before, after].concat());
        let short = [before, &short, after].concat();
        let mut listing = Listing { names: grid.header, short, keys: count, rows: grid.rows };
        let (status, epochs) = (listing.index("status"), listing.index("epochs_run"));
        for (trial, row) in trials.iter().zip(&mut listing.rows).filter(|(trial, _)| trial.outcome.is_none()) {
            row[status] = Cell::text(if is_running(&trial.id) { RUNNING } else { WAITING });
            row[epochs] = Cell::number(trial.history.len());
        }
        listing
    }

    /// The rows and columns that are asked for.
    pub fn view(&self, request: &Request) -> Result<View<'_>> {
        let sort = self.find(&request.sort).context("--sort")?;
        let filters = request.filters.iter().map(|text| Filter::parse(text, self)).collect::<Result<Vec<_>>>()?;
        let mut rows: Vec<&[Cell]> = self.rows.iter().map(Vec::as_slice).collect();
        let mut why_empty = None;
        for filter in &filters {
            let before = rows.clone();
            rows.retain(|row| filter.passes(self, row));
            if rows.is_empty() && why_empty.is_none() {
                why_empty = Some(filter.why_none_passes(self, before));
            }
        }
        let descending = is_better_high(&self.names[sort]) != request.reverse;
        rows.sort_by(|a, b| self.order(sort, descending, a, b));
        let limits = filters.iter().filter(|filter| filter.relation != Relation::Is).map(|filter| filter.column);
        let asked: Vec<usize> = std::iter::once(sort).chain(limits).collect();
        let important = self.by_importance(&rows, &asked);
        let (columns, ranking) = match &request.columns {
            Choice::Usual => (self.usual(&rows, &asked), important),
            Choice::All => ((0..self.names.len()).collect(), important),
            Choice::These(names) => {
                let found = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>>>();
                let columns = found.context("--columns")?;
                (columns.clone(), columns)
            }
        };
        Ok(View { listing: self, rows, why_empty, columns, ranking })
    }

    fn index(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).expect("a column of every table of trials")
    }

    /// The column that a user calls `name`.
    fn find(&self, name: &str) -> Result<usize> {
        let known = |names: &[String]| names.iter().position(|known| known == name);
        known(&self.names).or_else(|| known(&self.short)).with_context(|| {
            let valid: Vec<&str> = self.short.iter().map(String::as_str).collect();
            format!("there is no column `{name}`; {}", choices(name, &valid))
        })
    }

    /// The places of the configuration keys.
    fn keys(&self) -> std::ops::Range<usize> {
        FIRST_KEY..FIRST_KEY + self.keys
    }

    fn order(&self, column: usize, descending: bool, a: &[Cell], b: &[Cell]) -> Ordering {
        let status = |row: &[Cell]| STATUSES.iter().position(|status| *status == row[self.index("status")].text);
        match (Value::of(&a[column]), Value::of(&b[column])) {
            (Value::Missing, Value::Missing) => status(a).cmp(&status(b)),
            (Value::Missing, _) => Ordering::Greater,
            (_, Value::Missing) => Ordering::Less,
            (a, b) if descending => b.compare(a),
            (a, b) => a.compare(b),
        }
    }

    fn differs(&self, column: usize, rows: &[&[Cell]]) -> bool {
        keys::differ(&self.names[column], &self.names[self.keys()], rows.iter().map(|row| row[column].text.as_str()))
    }

    fn usual(&self, rows: &[&[Cell]], asked: &[usize]) -> Vec<usize> {
        let mut columns: Vec<usize> = BEFORE_KEYS.iter().map(|name| self.index(name)).collect();
        columns.extend(self.keys().filter(|&key| self.differs(key, rows)));
        columns.extend(AFTER_KEYS.iter().map(|name| self.index(name)));
        let more: Vec<usize> =
            asked.iter().copied().filter(|asked| !columns.contains(asked) && self.differs(*asked, rows)).collect();
        columns.extend(more);
        columns
    }

    /// All columns, those first that a narrow terminal must show: what was asked for, what tells trials apart, their
    /// accuracy.
    fn by_importance(&self, rows: &[&[Cell]], asked: &[usize]) -> Vec<usize> {
        let mut keys: Vec<usize> = self.keys().collect();
        keys.sort_by_key(|&key| std::cmp::Reverse(unusual(key, rows)));
        let index = |name: &&str| self.index(name);
        let telling = ["status", "seed"].iter().map(index).filter(|&column| self.differs(column, rows));
        let order = [self.index("id"), self.index("test_accuracy")].into_iter().chain(asked.iter().copied());
        let order = order.chain(telling).chain([self.index("val_accuracy")]);
        let order = order.chain(keys.into_iter().filter(|&key| self.differs(key, rows)));
        let order = order.chain(["test_loss", "best_epoch", "accuracy_gap", "epochs_run", "seconds"].iter().map(index));
        let (others, constant): (Vec<_>, Vec<_>) =
            (0..self.names.len()).partition(|&column| self.differs(column, rows));
        let mut seen = BTreeSet::new();
        order.chain(others).chain(constant).filter(|&column| seen.insert(column)).collect()
    }
}

/// How many rows have another value than most.
fn unusual(column: usize, rows: &[&[Cell]]) -> usize {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    rows.iter().for_each(|row| *counts.entry(row[column].text.as_str()).or_default() += 1);
    rows.len() - counts.values().max().copied().unwrap_or(0)
}

/// What a cell says.
#[derive(Clone, Copy, PartialEq)]
enum Value<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
}

impl Value<'_> {
    fn of(cell: &Cell) -> Value<'_> {
        match cell.kind {
            _ if cell.text.is_empty() => Value::Missing,
            Kind::Number => Value::Number(cell.text.parse().expect("a number as it was formatted")),
            Kind::Flag | Kind::Text => Value::Text(&cell.text),
        }
    }

    /// Numbers before words.
    fn compare(self, other: Value) -> Ordering {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.total_cmp(&b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Number(_), _) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

/// One condition, such as `lr>=0.01`.
struct Filter {
    text: String,
    column: usize,
    relation: Relation,
    wanted: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Relation {
    Is,
    IsNot,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Those of two characters first, because the others begin them.
const RELATIONS: [(&str, Relation); 6] = [
    ("!=", Relation::IsNot),
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("=", Relation::Is),
    (">", Relation::Above),
    ("<", Relation::Below),
];

impl Filter {
    fn parse(text: &str, listing: &Listing) -> Result<Filter> {
        let at = text.find(['=', '<', '>', '!']);
        let split = at.and_then(|at| {
            let (name, rest) = text.split_at(at);
            RELATIONS.iter().find_map(|(sign, relation)| Some((name, *relation, rest.strip_prefix(sign)?)))
        });
        let Some((name, relation, wanted)) = split else {
            bail!(
                "--filter {text}: write KEY=VALUE, or with !=, >, >=, < or <=, in quotes: a shell takes < and > for itself"
            )
        };
        let column = listing.find(name.trim()).with_context(|| format!("--filter {text}"))?;
        let filter = Filter { text: text.to_owned(), column, relation, wanted: wanted.trim().to_owned() };
        let compares = !matches!(relation, Relation::Is | Relation::IsNot);
        ensure!(!compares || filter.number().is_some(), "--filter {text}: `{}` is not a number", filter.wanted);
        Ok(filter)
    }

    /// The wanted number; `57%` is 0.57.
    fn number(&self) -> Option<f64> {
        match self.wanted.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
            None => self.wanted.parse().ok(),
        }
    }

    fn passes(&self, listing: &Listing, row: &[Cell]) -> bool {
        let value = Value::of(&row[self.column]);
        let is = match value {
            Value::Number(number) => self.number() == Some(number),
            Value::Text(text) => text == self.wanted,
            Value::Missing => self.wanted.is_empty(),
        };
        // A trial may belong to several blocks.
        let is = is
            || (listing.names[self.column] == "blocks" && row[self.column].text.split(' ').any(|b| b == self.wanted));
        let compared = match (value, self.number()) {
            (Value::Number(number), Some(wanted)) => number.partial_cmp(&wanted),
            _ => None,
        };
        match self.relation {
            Relation::Is => is,
            Relation::IsNot => !is,
            Relation::Above => compared.is_some_and(Ordering::is_gt),
            Relation::AtLeast => compared.is_some_and(Ordering::is_ge),
            Relation::Below => compared.is_some_and(Ordering::is_lt),
            Relation::AtMost => compared.is_some_and(Ordering::is_le),
        }
    }

    /// What there is instead in `rows`, none of which passes.
    fn why_none_passes(&self, listing: &Listing, mut rows: Vec<&[Cell]>) -> String {
        let name = &listing.short[self.column];
        rows.sort_by(|a, b| listing.order(self.column, false, a, b));
        let mut values: Vec<&str> = rows.iter().map(|row| row[self.column].text.as_str()).collect();
        values.retain(|text| !text.is_empty());
        values.dedup();
        let there = match values.as_slice() {
            [] => format!("none of them has a {name}"),
            [first, .., last] if values.len() > VALUES_NAMED => format!("{name} is {first} to {last}"),
            _ => format!("{name} is {}", values.join(", ")),
        };
        format!("no trial with {}; {there}", self.text)
    }
}

/// What one request shows of a listing.
pub struct View<'a> {
    listing: &'a Listing,
    rows: Vec<&'a [Cell]>,
    /// Which filter left no row, and what there is instead.
    pub why_empty: Option<String>,
    /// In the order in which they are shown.
    columns: Vec<usize>,
    /// The columns that stay longest first.
    ranking: Vec<usize>,
}

impl View<'_> {
    /// For a terminal of `width` columns; without one, every column in full.
    pub fn table(&self, width: Option<usize>) -> Lines {
        let column = |&index: &usize| {
            let name = &self.listing.names[index];
            let cells = self.rows.iter().map(|row| readable(name, &row[index])).collect();
            let rank = self.ranking.iter().position(|ranked| *ranked == index).unwrap_or(usize::MAX);
            let has_words = self.rows.iter().any(|row| matches!(Value::of(&row[index]), Value::Text(_)));
            Column::new(&self.listing.short[index], cells, rank).of_words(has_words)
        };
        lay_out(&self.columns.iter().map(column).collect::<Vec<_>>(), width)
    }

    /// Whether each row is a trial that failed or diverged.
    pub fn troubled(&self) -> impl Iterator<Item = bool> {
        let status = self.listing.index("status");
        self.rows.iter().map(move |row| ["failed", "diverged"].contains(&row[status].text.as_str()))
    }

    /// One object a trial with the names of `trials.csv`; what a trial does not have is null.
    pub fn json(&self) -> Json {
        let object = |row: &&[Cell]| {
            let entries = self.columns.iter().map(|&index| (self.listing.names[index].clone(), json(&row[index])));
            Json::Object(entries.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// `12 of 75 trials: 10 done, 2 failed`
    pub fn counts(&self) -> String {
        let status = self.listing.index("status");
        let count = |word: &str| self.rows.iter().filter(|row| row[status].text == *word).count();
        let counts = STATUSES.iter().map(|word| (word, count(word))).filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {word}")).collect();
        let (shown, all) = (self.rows.len(), self.listing.rows.len());
        let of = if shown == all { String::new() } else { format!("{shown} of ") };
        let trials = crate::words::count(all, "trial");
        if counts.is_empty() { format!("{of}{trials}") } else { format!("{of}{trials}: {}", counts.join(", ")) }
    }
}

fn json(cell: &Cell) -> Json {
    match cell.kind {
        _ if cell.text.is_empty() => Json::Null,
        // Not through f64, which would make a seed of 64 bits another one; NaN and infinity become null.
        Kind::Number => serde_json::from_str(&cell.text).unwrap_or(Json::Null),
        Kind::Flag => (cell.text == "true").into(),
        Kind::Text => cell.text.as_str().into(),
    }
}

fn is_share(name: &str) -> bool {
    name.ends_with("accuracy") || name.starts_with("macro_") || ["accuracy_gap", "val_curve_area"].contains(&name)
}

fn is_better_high(name: &str) -> bool {
    (is_share(name) && name != "accuracy_gap") || name == "images_per_second"
}

/// Configuration keys as they are stored, measurements with as many digits as people compare.
fn readable(name: &str, cell: &Cell) -> String {
    match Value::of(cell) {
        Value::Missing => MISSING.to_owned(),
        Value::Number(share) if is_share(name) => format!("{}%", minus(100.0 * share, 2)),
        Value::Number(loss)
            if name.ends_with("_loss") || ["loss_gap", "val_loss_rise", "test_ece", "test_brier"].contains(&name) =>
        {
            minus(loss, 4)
        }
        Value::Number(time) if name.starts_with("seconds") || name == "images_per_second" => minus(time, 1),
        // A count that tables keep as a float, such as the epochs to an accuracy.
        Value::Number(_) => cell.text.strip_suffix(".0").unwrap_or(&cell.text).to_owned(),
        Value::Text(text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::accidents;

    /// Twelve trials, of which one diverged, one failed and one runs.
    fn listing() -> Listing {
        let mut study = accidents();
        let history = study.trials[10].history[..3].to_vec();
        study.trials[11].history = history;
        let id = study.trials[11].id.clone();
        Listing::new(&study.trials, &study.targets, |running| running == id)
    }

    /// One trial a list of keys.
    fn with_keys(keys: &[&[(&str, &str)]]) -> Listing {
        let trials = keys.iter().enumerate().map(|(index, keys)| {
            let mut trial = accidents().trials.swap_remove(index);
            trial.keys = keys.iter().map(|(key, value)| (key.to_string(), Cell::text(*value))).collect();
            trial
        });
        Listing::new(&trials.collect::<Vec<_>>(), &[], |_| false)
    }

    fn request(sort: &str, filters: &[&str]) -> Request {
        let filters = filters.iter().map(|text| text.to_string()).collect();
        Request { sort: sort.into(), reverse: false, filters, columns: Choice::Usual }
    }

    fn header(listing: &Listing) -> String {
        let lines = listing.view(&request("id", &[])).unwrap().table(None);
        lines.header[0].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// One column of what is shown.
    fn cells(view: &View, name: &str) -> Vec<String> {
        view.rows.iter().map(|row| row[view.listing.find(name).unwrap()].text.clone()).collect()
    }

    #[test]
    fn the_best_comes_first_and_what_failed_comes_last() {
        let listing = listing();
        let view = listing.view(&request("test_accuracy", &[])).unwrap();
        let accuracies = cells(&view, "test_accuracy");
        assert!(accuracies[..9].is_sorted_by(|a, b| a.parse::<f64>().unwrap() >= b.parse::<f64>().unwrap()));
        assert_eq!(cells(&view, "status")[8..], ["done", "running", "diverged", "failed"]);
        assert_eq!(view.troubled().collect::<Vec<_>>()[8..], [false, false, true, true]);
        assert_eq!(view.counts(), "12 trials: 9 done, 1 running, 1 diverged, 1 failed");
        let turned = Request { reverse: true, ..request("test_accuracy", &[]) };
        let turned = cells(&listing.view(&turned).unwrap(), "test_accuracy");
        assert!(turned[0] == accuracies[8] && turned[11].is_empty());
    }

    #[test]
    fn losses_times_and_words_are_lowest_first() {
        let listing = listing();
        for column in ["test_loss", "seconds"] {
            let values = cells(&listing.view(&request(column, &["status=done"])).unwrap(), column);
            assert!(values.is_sorted_by(|a, b| a.parse::<f64>().unwrap() <= b.parse::<f64>().unwrap()), "{column}");
        }
        assert!(cells(&listing.view(&request("init", &[])).unwrap(), "init").is_sorted());
    }

    #[test]
    fn a_running_trial_shows_its_epochs() {
        let listing = listing();
        let view = listing.view(&request("id", &["status=running"])).unwrap();
        assert_eq!(cells(&view, "epochs_run"), ["3"]);
    }

    #[test]
    fn only_keys_that_differ_are_shown() {
        let sgd =
            [("model.name", "lenet5"), ("optimizer.name", "sgd"), ("optimizer.momentum", "0.9"), ("warmup", "none")];
        let adam =
            [("model.name", "lenet5"), ("optimizer.name", "adam"), ("optimizer.eps", "1e-8"), ("warmup", "none")];
        let warm = [("model.name", "lenet5"), ("optimizer.name", "adam"), ("warmup.epochs", "2")];
        let after = "epochs_run best_epoch val_accuracy test_accuracy test_loss accuracy_gap seconds";
        // Adam has no momentum; that says no more than `adam`.
        assert_eq!(header(&with_keys(&[&sgd, &adam])), format!("id status seed optimizer {after}"));
        assert_eq!(header(&with_keys(&[&adam, &warm])), format!("id status seed warmup epochs {after}"));
    }

    #[test]
    fn filters_compare_numbers_shares_and_words() {
        let listing = listing();
        let count = |filters: &[&str]| listing.view(&request("id", filters)).unwrap().rows.len();
        assert_eq!(count(&["init=orthogonal"]), 3);
        assert_eq!(count(&["init!=orthogonal"]), 9);
        assert_eq!(count(&["init=orthogonal", "seed<2", "seed>=1"]), 1);
        assert_eq!(count(&["seed=1.0"]), 4);
        assert_eq!(count(&["test_accuracy>56%"]), count(&["test_accuracy > 0.56"]));
        assert_eq!(count(&["test_accuracy>56%"]) + count(&["test_accuracy<=0.56"]), 9);
        assert_eq!(count(&["blocks=initialization"]), 12);
        let view = listing.view(&request("id", &["status=dnoe"])).unwrap();
        let reason = "no trial with status=dnoe; status is diverged, done, failed, running";
        assert_eq!((view.rows.len(), view.why_empty.as_deref()), (0, Some(reason)));
    }

    #[test]
    fn errors_name_the_columns() {
        let listing = listing();
        let error = |request: &Request| format!("{:#}", listing.view(request).err().unwrap());
        let text = error(&request("test_acuracy", &[]));
        assert!(
            text.starts_with("--sort: there is no column `test_acuracy`; valid: id, blocks, seed, role, model, init, ")
        );
        assert!(text.ends_with("did you mean `test_accuracy`?"), "{text}");
        assert!(error(&request("id", &["sed=1"])).contains("--filter sed=1: there is no column `sed`"));
        assert!(error(&request("id", &["seed"])).contains("quotes"));
        assert!(error(&request("id", &["seed>low"])).contains("`low` is not a number"));
    }

    #[test]
    fn json_keeps_types_and_every_digit() {
        let mut study = accidents();
        study.trials.truncate(5);
        study.trials[0].id = "16e712345678".into();
        study.trials[0].seed = u64::MAX;
        let listing = Listing::new(&study.trials, &study.targets, |_| false);
        let all = Request { columns: Choice::All, ..request("test_accuracy", &["id=16e712345678"]) };
        let json = listing.view(&all).unwrap().json();
        let scores = study.trials[0].scores().unwrap();
        assert_eq!(json[0]["id"], "16e712345678");
        assert_eq!(json[0]["seed"], u64::MAX);
        assert_eq!(json[0]["test_loss"].as_f64().unwrap().to_bits(), scores.test.loss.to_bits());
        assert_eq!((&json[0]["error"], &json[0]["model.name"]), (&Json::Null, &Json::from("lenet5")));
    }

    #[test]
    fn what_looks_like_a_number_stays_a_text() {
        let mut study = accidents();
        study.trials.truncate(3);
        let looks = ["12e3456", "1162877", "inf"];
        for (trial, look) in study.trials.iter_mut().zip(looks) {
            trial.id = look.into();
            trial.keys.push(("model.channels".into(), Cell::text(look)));
            trial.keys.push(("optimizer.lr".into(), Cell::number(0.001)));
            let outcome = trial.outcome.as_mut().unwrap();
            outcome.error = Some("true".into());
            (outcome.git, outcome.processor, outcome.device) = (look.into(), look.into(), look.into());
        }
        let listing = Listing::new(&study.trials, &[], |_| false);
        let words = ["id", "git", "processor", "device", "model.channels"];
        for column in words {
            let columns = Choice::These(vec![column.into(), "error".into(), "lr".into()]);
            let view = listing.view(&Request { columns, ..request(column, &[]) }).unwrap();
            let wanted =
                looks.iter().map(|look| serde_json::json!({column: look, "error": "true", "optimizer.lr": 0.001}));
            let mut wanted: Vec<Json> = wanted.collect();
            wanted.swap(0, 1);
            assert_eq!(view.json(), Json::from(wanted), "{column}, sorted as words");
            let count = |filter: String| listing.view(&request("seed", &[&filter])).unwrap().rows.len();
            assert_eq!(count(format!("{column}=1162877")), 1);
            assert_eq!(count(format!("{column}=1162877.0")) + count(format!("{column}>5")), 0);
            let lines = view.table(None).rows;
            assert!(
                lines[1].starts_with("12e3456 ") && lines[2].starts_with("inf "),
                "words are set to the left: {lines:?}"
            );
        }
        assert_eq!(listing.view(&request("id", &["lr=1e-3"])).unwrap().rows.len(), 3);
    }

    #[test]
    fn the_columns_that_tell_trials_apart_stay_on_a_narrow_terminal() {
        let listing = listing();
        let lines = listing.view(&request("test_accuracy", &[])).unwrap().table(Some(60));
        let header = lines.header.concat();
        for name in ["id", "status", "seed", "init", "test_"] {
            assert!(header.contains(name), "{name} is not in {header}");
        }
        assert!(lines.left_out.contains(&"seconds".to_owned()), "{:?}", lines.left_out);
    }
}
