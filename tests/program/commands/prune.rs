//! `runner prune`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use libc::SIGINT;
use serde_json::Value as Json;

use crate::common::terminal::terminal;
use crate::common::{BAD_INPUT, DONE, INTERRUPTED, Lab, TINY, files, one};

/// What is listed, as kinds and paths.
fn listed(lab: &Lab) -> Vec<(String, String)> {
    let ended = lab.run("prune results/tiny --json").expect(DONE);
    let list: Json = serde_json::from_str(&ended.out).unwrap();
    let text = |item: &Json, key: &str| item[key].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|item| (text(item, "kind"), text(item, "path"))).collect()
}

fn of_kind(lab: &Lab, kind: &str) -> Vec<String> {
    listed(lab).into_iter().filter(|(own, _)| own == kind).map(|(_, path)| path).collect()
}

#[test]
fn what_the_experiment_names_no_more_is_listed_and_removed_only_when_told() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let before = lab.stored();
    let lasts = of_kind(&lab, "last_checkpoint");
    assert_eq!((lasts.len(), listed(&lab).len()), (6, 6), "of finished trials only the last checkpoints");
    fs::write(lab.path("tiny.yaml"), TINY.replace("  - {id: activation, axes: {activation: [relu]}}\n", "")).unwrap();
    lab.sweep("").expect(DONE).saying(&["2 stored trials are not in this experiment"]);
    let bytes = lab.bytes();
    let gone = of_kind(&lab, "trial");
    assert_eq!(gone.len(), 2);
    let ended = lab.run("prune results/tiny").expect(DONE).saying(&["nothing is removed; --yes removes it"]);
    assert!(
        ended.out.contains("not in the experiment as last swept (--mode exact): 2, ") && ended.out.contains(&gone[0]),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("results/tiny: 6 items to remove, "), "{}", ended.out);
    assert!(lab.bytes() == bytes, "without --yes nothing changes");
    lab.run("prune results/tiny --yes").expect(DONE).saying(&["6 of 6 items removed, "]);
    let left = lab.stored();
    assert!(left.len() == 4 && gone.iter().all(|path| !lab.result(path).exists()));
    assert!(left.iter().all(|id| before.contains(id) && lab.result(&format!("trials/{id}/best.safetensors")).exists()));
    assert_eq!(listed(&lab), []);
    lab.sweep("").expect(DONE).saying(&["4 of 4 trials are stored already"]);
    let again = lab.run("prune results/tiny").expect(DONE);
    assert!(again.out.contains("there is nothing to remove") && again.err.is_empty(), "{}{}", again.out, again.err);
}

#[test]
fn what_runs_or_will_go_on_is_left_alone() {
    let lab = Lab::new(&one("epochs: 3000"));
    let sweep = lab.start_sweep("");
    let checkpoint = lab.wait_for_checkpoint();
    // Even where the experiment does not name it any more.
    let manifest = lab.result("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"batch_size\": 64", "\"batch_size\": 32")).unwrap();
    assert_eq!(listed(&lab), []);
    lab.run("prune results/tiny --yes").expect(DONE);
    sweep.signal(SIGINT);
    sweep.end().expect(INTERRUPTED);
    assert!(checkpoint.exists());
    let folder = format!("work/{}", checkpoint.parent().unwrap().file_name().unwrap().display());
    assert_eq!(of_kind(&lab, "unfinished_trial"), [folder]);
    fs::write(&manifest, text).unwrap();
    assert_eq!(listed(&lab), [], "the sweep goes on with it");
    lab.run("prune results/tiny --yes").expect(DONE);
    assert!(checkpoint.exists());
}

#[test]
fn what_failed_keeps_its_checkpoint_and_nothing_foreign_is_touched() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let ids = lab.stored();
    let result = lab.result(&format!("trials/{}/result.json", ids[0]));
    let text = fs::read_to_string(&result).unwrap();
    fs::write(&result, text.replace("\"status\": \"done\"", "\"status\": \"failed\"")).unwrap();
    assert!(of_kind(&lab, "last_checkpoint").iter().all(|path| !path.contains(&ids[0])));
    fs::write(lab.path("tiny.yaml"), one("epochs: 1")).unwrap();
    lab.sweep("").expect(DONE);
    // Somebody's own: a file in a trial, a folder, a link, a copy under another name.
    fs::write(lab.result(&format!("trials/{}/notes.txt", ids[1])), "mine").unwrap();
    fs::create_dir_all(lab.result(&format!("trials/{}/plots", ids[2]))).unwrap();
    fs::rename(lab.result(&format!("trials/{}", ids[3])), lab.result("trials/copy")).unwrap();
    fs::create_dir(lab.path("elsewhere")).unwrap();
    fs::rename(lab.result(&format!("trials/{}", ids[4])), lab.path("elsewhere").join(&ids[4])).unwrap();
    symlink(lab.path("elsewhere").join(&ids[4]), lab.result(&format!("trials/{}", ids[4]))).unwrap();
    fs::create_dir(lab.result("trials/mine")).unwrap();
    fs::write(lab.result("trials/mine/result.json"), "{}").unwrap();
    assert_eq!(of_kind(&lab, "trial"), [format!("trials/{}", ids[0]), format!("trials/{}", ids[5])]);
    let kept: Vec<_> = files(&lab.path(""))
        .into_iter()
        .filter(|path| !path.to_str().unwrap().contains(&ids[0]) && !path.to_str().unwrap().contains(&ids[5]))
        .collect();
    lab.run("prune results/tiny --yes").expect(DONE);
    for path in kept.iter().filter(|path| !path.ends_with("last.safetensors")) {
        assert!(path.exists(), "{}", path.display());
    }
    lab.run("prune elsewhere").expect(BAD_INPUT).saying(&["elsewhere: not a results folder"]);
}

/// What is left of `item` once the question on a terminal has been answered.
fn is_left_after(lab: &Lab, answer: &str, item: &str) -> bool {
    let (mut ours, theirs) = terminal(80);
    let mut command = lab.command("prune results/tiny");
    let [input, errors] = [theirs.try_clone().unwrap(), theirs];
    command.stdin(input).stdout(File::create(lab.path("list")).unwrap()).stderr(errors);
    let mut child = command.spawn().unwrap();
    ours.write_all(answer.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    lab.result(item).exists()
}

#[test]
fn a_terminal_is_asked_and_only_yes_removes() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let last = of_kind(&lab, "last_checkpoint").remove(0);
    for answer in ["\n", "n\n", "nyes\n", "\u{4}"] {
        assert!(is_left_after(&lab, answer, &last), "{answer:?}");
    }
    assert!(!is_left_after(&lab, "y\n", &last));
}
