//! `runner report --open`.

use std::fs;

use crate::common::{BAD_INPUT, DONE, Lab, one, write_script};

#[test]
fn the_page_is_opened_where_something_can() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let report = |script: Option<&str>| {
        let folder = lab.path("bin");
        fs::create_dir_all(&folder).unwrap();
        if let Some(script) = script {
            write_script(&folder.join("xdg-open"), &format!("#!/bin/sh\n{script}\n"));
        }
        let mut command = lab.command("report results/tiny --open");
        command.env("PATH", &folder);
        lab.start_command(command).end().expect(DONE)
    };
    report(None).saying(&["xdg-open: No such file", "the page is results/tiny/report.html"]);
    let ended = report(Some("echo \"$@\" > opened"));
    assert_eq!(fs::read_to_string(lab.path("opened")).unwrap(), "results/tiny/report.html\n");
    assert!(!ended.err.contains("the page is"), "{}", ended.err);
    report(Some("exit 3")).saying(&["xdg-open cannot show it here; the page is results/tiny/report.html"]);
    lab.run("report results/tiny --open --baseline base").expect(BAD_INPUT);
}
