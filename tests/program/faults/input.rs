//! Rows 18 to 20: experiment files and options that are wrong, by accident or by intent.

use std::fs::{self, File};

use crate::common::{BAD_INPUT, Lab, TINY, limit};

/// Refuses what stands in `tiny.yaml` of `lab`, in bounded memory and before anything is made.
fn refused_in(lab: &Lab, options: &str, words: &[&str]) {
    let mut command = lab.command(&format!("sweep tiny.yaml {options}"));
    limit(&mut command, libc::RLIMIT_AS, 8 << 30);
    let ended = lab.start_command(command).end().expect(BAD_INPUT).saying(words);
    assert!(!lab.path("results").exists(), "something was made");
    assert!(ended.out.is_empty() && ended.err.len() < 2000, "{}", ended.err);
}

fn refused(experiment: &str, words: &[&str]) {
    refused_in(&Lab::new(experiment), "", words);
}

#[test]
fn row_18_bombs_depth_size_and_bytes_that_are_no_text() {
    let bomb: String =
        (1..60).map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9))).collect();
    refused(&format!("a0: &a0 x\n{bomb}"), &["tiny.yaml:6:5: more than 100000 values in one file"]);
    refused(&"[".repeat(1 << 19), &["tiny.yaml:1:"]);
    refused(&"{a: ".repeat(1 << 17), &["tiny.yaml:1:"]);
    let lab = Lab::new("");
    fs::write(lab.path("tiny.yaml"), b"schema: 1\nname: \xff\n").unwrap();
    refused_in(&lab, "", &["tiny.yaml:2:7: byte 16 is not UTF-8 text"]);
    File::create(lab.path("tiny.yaml")).unwrap().set_len(100 << 20).unwrap();
    refused_in(&lab, "", &["tiny.yaml: longer than 1048576 bytes"]);
}

#[test]
fn row_19_wrong_keys_and_numbers_are_shown_with_line_and_column() {
    let cases = [
        ("  epochs: 2", "  epoch: 2", "tiny.yaml:8:3: epoch: "),
        ("  epochs: 2", "  epochs: 2\n  epochs: 3", "tiny.yaml:9:3"),
        ("lr: 0.01", "lr: .nan", "tiny.yaml:10:30"),
        ("lr: 0.01", "lr: 1e999", "tiny.yaml:10:30"),
        ("lr: 0.01", "lr: 0,1", "tiny.yaml:10:"),
        ("momentum: 0.9", "nesterov: no", "tiny.yaml:10:46"),
        ("batch_size: 64", "batch_size: -64", "tiny.yaml:9:15"),
        ("epochs: 2", "epochs: -1", "tiny.yaml:8:11"),
        ("train: 256", "train: -1", "tiny.yaml:4:35"),
    ];
    for (right, wrong, place) in cases {
        assert!(TINY.contains(right));
        refused(&TINY.replacen(right, wrong, 1), &[place]);
    }
    let lab = Lab::new(TINY);
    refused_in(&lab, "--set epoch=1", &["--set epoch=1", "epochs"]);
    refused_in(&lab, "--only nonsense", &["--only nonsense", "init, activation"]);
    refused_in(&lab, "--device tpu", &["tpu", "auto, cpu, cuda"]);
    refused_in(&lab, "--timeout never", &["90s, 30m or 2h"]);
    Lab::new(TINY).run("sweep missing.yaml").expect(BAD_INPUT).saying(&["missing.yaml"]);
    Lab::new(TINY).run("report .").expect(BAD_INPUT).saying(&["not a results folder"]);
}

#[test]
fn row_20_names_axes_and_sizes_out_of_bounds() {
    refused(&TINY.replace("name: tiny\n", "name: ../../x\n"), &["tiny.yaml:3:7", "../../x"]);
    refused(&TINY.replace("name: tiny\n", "name: /tmp/x\n"), &["tiny.yaml:3:7"]);
    refused(&TINY.replace("batch_size: 64", "batch_size: 0"), &["tiny.yaml:9:15"]);
    refused(&TINY.replace("batch_size: 64", "batch_size: 257"), &["tiny.yaml:9:15", "257 is more than the 256 images"]);
    let values: Vec<String> = (1..=1000).map(|value| format!("0.{value:04}")).collect();
    let values = values.join(", ");
    let axes = format!("{{optimizer.lr: [{values}], label_smoothing: [{values}], regularization.l2: [{values}]}}");
    let billion = TINY.replace("axes: {init: [xavier_uniform]}", &format!("mode: grid, axes: {axes}"));
    refused(&billion, &["tiny.yaml:12:", "more than 10000 combinations"]);
}
