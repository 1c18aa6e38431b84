use super::*;
use crate::report::table::exact;
use crate::report::tests::example::accidents;
use crate::spec::Cell;
use serde_json::Value as Json;

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
    let lines = View::new(listing, &request("id", &[])).unwrap().table(None);
    lines.header[0].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One column of what is shown.
fn cells(view: &View, name: &str) -> Vec<String> {
    view.rows.iter().map(|row| row[view.listing.find(name).unwrap()].text.clone()).collect()
}

#[test]
fn the_best_comes_first_and_what_failed_comes_last() {
    let listing = listing();
    let view = View::new(&listing, &request("test_accuracy", &[])).unwrap();
    let accuracies = cells(&view, "test_accuracy");
    assert!(accuracies[..9].is_sorted_by(|a, b| a.parse::<f64>().unwrap() >= b.parse::<f64>().unwrap()));
    assert_eq!(cells(&view, "status")[8..], ["done", "running", "diverged", "failed"]);
    assert_eq!(view.troubled().collect::<Vec<_>>()[8..], [false, false, true, true]);
    assert_eq!(view.counts(), "12 trials: 9 done, 1 running, 1 diverged, 1 failed");
    let turned = Request { reverse: true, ..request("test_accuracy", &[]) };
    let turned = cells(&View::new(&listing, &turned).unwrap(), "test_accuracy");
    assert!(turned[0] == accuracies[8] && turned[11].is_empty());
}

#[test]
fn losses_times_and_words_are_lowest_first() {
    let listing = listing();
    for column in ["test_loss", "seconds"] {
        let values = cells(&View::new(&listing, &request(column, &["status=done"])).unwrap(), column);
        assert!(values.is_sorted_by(|a, b| a.parse::<f64>().unwrap() <= b.parse::<f64>().unwrap()), "{column}");
    }
    assert!(cells(&View::new(&listing, &request("init", &[])).unwrap(), "init").is_sorted());
}

#[test]
fn a_running_trial_shows_its_epochs() {
    let listing = listing();
    let view = View::new(&listing, &request("id", &["status=running"])).unwrap();
    assert_eq!(cells(&view, "epochs_run"), ["3"]);
    let history = &accidents().trials[10].history[..3];
    let best = history.iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)).unwrap();
    let wanted = [best.epoch.to_string(), exact(Some(best.val_accuracy)).text, exact(Some(best.val_loss)).text];
    let shown = ["best_epoch", "val_accuracy", "val_loss"].map(|name| cells(&view, name).concat());
    assert_eq!(shown, wanted);
    assert_eq!(cells(&view, "test_accuracy"), [""], "no test images are looked at before the end");
}

#[test]
fn only_keys_that_differ_are_shown() {
    let sgd = [("model.name", "lenet5"), ("optimizer.name", "sgd"), ("optimizer.momentum", "0.9"), ("warmup", "none")];
    let adam = [("model.name", "lenet5"), ("optimizer.name", "adam"), ("optimizer.eps", "1e-8"), ("warmup", "none")];
    let warm = [("model.name", "lenet5"), ("optimizer.name", "adam"), ("warmup.epochs", "2")];
    let after = "epochs_run best_epoch val_accuracy test_accuracy test_loss accuracy_gap seconds";
    // Adam has no momentum; that says no more than `adam`.
    assert_eq!(header(&with_keys(&[&sgd, &adam])), format!("id status seed optimizer {after}"));
    assert_eq!(header(&with_keys(&[&adam, &warm])), format!("id status seed warmup epochs {after}"));
}

#[test]
fn filters_compare_numbers_shares_and_words() {
    let listing = listing();
    let count = |filters: &[&str]| View::new(&listing, &request("id", filters)).unwrap().rows.len();
    assert_eq!(count(&["init=orthogonal"]), 3);
    assert_eq!(count(&["init!=orthogonal"]), 9);
    assert_eq!(count(&["init=orthogonal", "seed<2", "seed>=1"]), 1);
    assert_eq!(count(&["seed=1.0"]), 4);
    assert_eq!(count(&["test_accuracy>56%"]), count(&["test_accuracy > 0.56"]));
    assert_eq!(count(&["test_accuracy>56%"]) + count(&["test_accuracy<=0.56"]), 9);
    assert_eq!(count(&["blocks=initialization"]), 12);
    let view = View::new(&listing, &request("id", &["status=dnoe"])).unwrap();
    let reason = "no trial with status=dnoe; status is diverged, done, failed, running";
    assert_eq!((view.rows.len(), view.why_empty.as_deref()), (0, Some(reason)));
}

#[test]
fn errors_name_the_columns() {
    let listing = listing();
    let error = |request: &Request| format!("{:#}", View::new(&listing, request).err().unwrap());
    let text = error(&request("test_acuracy", &[]));
    assert!(
        text.starts_with(
            "--sort: there is no column `test_acuracy`; valid: label, id, blocks, seed, role, model, init, "
        )
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
    let json = View::new(&listing, &all).unwrap().json();
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
        let view = View::new(&listing, &Request { columns, ..request(column, &[]) }).unwrap();
        let wanted = looks.iter().map(|look| serde_json::json!({column: look, "error": "true", "optimizer.lr": 0.001}));
        let mut wanted: Vec<Json> = wanted.collect();
        wanted.swap(0, 1);
        assert_eq!(view.json(), Json::from(wanted), "{column}, sorted as words");
        let count = |filter: String| View::new(&listing, &request("seed", &[&filter])).unwrap().rows.len();
        assert_eq!(count(format!("{column}=1162877")), 1);
        assert_eq!(count(format!("{column}=1162877.0")) + count(format!("{column}>5")), 0);
        let lines = view.table(None).rows;
        assert!(
            lines[1].starts_with("12e3456 ") && lines[2].starts_with("inf "),
            "words are set to the left: {lines:?}"
        );
    }
    assert_eq!(View::new(&listing, &request("id", &["lr=1e-3"])).unwrap().rows.len(), 3);
}

#[test]
fn the_columns_that_tell_trials_apart_stay_on_a_narrow_terminal() {
    let listing = listing();
    let lines = View::new(&listing, &request("test_accuracy", &[])).unwrap().table(Some(80));
    let header = lines.header.concat();
    for name in ["label", "id", "status", "seed", "test_"] {
        assert!(header.contains(name), "{name} is not in {header}");
    }
    assert!(lines.left_out.contains(&"seconds".to_owned()), "{:?}", lines.left_out);
}

#[test]
fn every_accuracy_is_a_percentage_and_the_highest_comes_first() {
    let listing = listing();
    for column in ["val_accuracy", "test_accuracy", "test_top3_accuracy", "val_accuracy_peak", "val_curve_area"] {
        let columns = Choice::These(vec![column.into()]);
        let request = Request { columns, ..request(column, &["status=done"]) };
        let view = View::new(&listing, &request).unwrap();
        assert!(view.table(None).rows.iter().all(|cell| cell.trim().ends_with('%')), "{column}");
        let values: Vec<f64> = cells(&view, column).iter().map(|cell| cell.parse().unwrap()).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{column}: {values:?}");
    }
}

#[test]
fn networks_are_told_apart_by_name_and_their_layers_are_there_for_who_asks() {
    let own = |name, layers| [("model.name", name), ("model.layers", layers)];
    let (small, wide) = (own("small", "[flatten, {dense: 10}]"), own("wide", "[flatten, {dense: 64}, {dense: 10}]"));
    let listing = with_keys(&[&small, &wide, &[("model.name", "lenet5")]]);
    let shown = header(&listing);
    assert!(shown.contains(" model ") && !shown.contains("layers"), "{shown}");
    let asked = Request { columns: Choice::These(vec!["layers".to_owned()]), ..request("id", &[]) };
    assert!(View::new(&listing, &asked).unwrap().table(None).rows[0].contains("[flatten"));
    // One name for two networks, as in several experiments beside each other.
    let listing = with_keys(&[&small, &own("small", "[flatten, act, {dense: 10}]")]);
    assert!(header(&listing).contains("layers"), "{}", header(&listing));
}
