//! Row 31: folders that hold files of the user's own.

use std::fs;

use crate::common::{BAD_INPUT, DONE, Lab, TINY, names, one};

/// An experiment whose text links to a picture, as a report links to its own.
fn with_a_link() -> String {
    one("epochs: 1").replace("name: tiny\n", "name: tiny\ndescription: '![mine](plots/a.png)'\n")
}

#[test]
fn row_31_a_picture_that_a_text_links_to_is_nobodys_to_delete() {
    let title = "- {id: init, title: '![mine](plots/b.png)', axes";
    let lab = Lab::new(&TINY.replace("- {id: init, axes", title).replace("seeds: [0, 1]", "seeds: [0]"));
    lab.sweep("").expect(DONE);
    for (name, command) in [("a.png", "report results/tiny"), ("b.png", "sweep tiny.yaml")] {
        fs::write(lab.path("tiny.yaml"), with_a_link()).unwrap();
        lab.sweep("").expect(DONE);
        fs::write(lab.result("plots").join(name), "mine").unwrap();
        fs::write(lab.path("tiny.yaml"), TINY.replace("- {id: init, axes", title)).unwrap();
        lab.run(command).expect(DONE);
        lab.run(command).expect(DONE);
        assert_eq!(fs::read(lab.result("plots").join(name)).unwrap(), b"mine", "after {command}");
    }
}

#[test]
fn row_31_pictures_of_an_earlier_report_go_and_others_stay() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let (gone, changed) = (lab.result("plots/activation_loss.png"), lab.result("plots/activation_accuracy.png"));
    assert!(gone.exists());
    fs::write(&changed, "drawn over").unwrap();
    fs::write(lab.result("plots/mine.png"), "mine").unwrap();
    fs::write(lab.path("tiny.yaml"), TINY.replace("{id: activation", "{id: other")).unwrap();
    lab.sweep("").expect(DONE);
    assert!(!gone.exists() && lab.result("plots/other_loss.png").exists());
    assert_eq!(fs::read(changed).unwrap(), b"drawn over");
    assert_eq!(fs::read(lab.result("plots/mine.png")).unwrap(), b"mine");
}

#[test]
fn row_31_what_lies_where_a_report_belongs_is_kept_beside_it() {
    let lab = Lab::new(TINY);
    lab.sweep("").expect(DONE);
    let report = fs::read(lab.result("report.md")).unwrap();
    for (round, kept) in ["report.md.kept", "report.md.kept-2"].into_iter().enumerate() {
        fs::write(lab.result("report.md"), format!("my notes {round}")).unwrap();
        let words = ["report.md: was changed by somebody else; it is kept as", kept];
        lab.run("report results/tiny").expect(DONE).saying(&words);
        assert!(fs::read(lab.result("report.md")).unwrap() == report);
        assert_eq!(fs::read_to_string(lab.result(kept)).unwrap(), format!("my notes {round}"));
    }
    fs::write(lab.result("plots/other_loss.png"), "mine").unwrap();
    fs::write(lab.path("tiny.yaml"), TINY.replace("{id: activation", "{id: other")).unwrap();
    lab.sweep("").expect(DONE).saying(&["other_loss.png: was not made by this program; it is kept as"]);
    assert_eq!(fs::read(lab.result("plots/other_loss.png.kept")).unwrap(), b"mine");
}

#[test]
fn row_31_a_sweep_refuses_a_folder_of_somebody_elses() {
    let lab = Lab::new(&one("epochs: 1"));
    type Plant = fn(&Lab);
    let plants: [(Plant, &str); 4] = [
        (|lab| fs::write(lab.path("mine/report.md"), "![](plots/a.png)").unwrap(), "report.md"),
        (|lab| fs::write(lab.path("mine/plots/a.png"), "a").unwrap(), "plots/a.png"),
        (|lab| fs::write(lab.path("mine/thesis.tex"), "a").unwrap(), "thesis.tex"),
        (|lab| fs::write(lab.path("mine/manifest.json"), "{}").unwrap(), "manifest.json"),
    ];
    for (plant, name) in plants {
        let _ = fs::remove_dir_all(lab.path("mine"));
        fs::create_dir_all(lab.path("mine/plots")).unwrap();
        plant(&lab);
        for command in ["sweep", "train"] {
            lab.run(&format!("{command} tiny.yaml --out mine")).expect(BAD_INPUT).saying(&["mine"]);
            assert!(lab.path("mine").join(name).exists());
            assert!(names(&lab.path("mine")).len() <= 2 && !lab.path("mine/trials").exists());
        }
    }
}

/// What file systems and shells put there, and what a program that was killed at its start leaves.
#[test]
fn row_31_a_folder_with_nothing_of_anybodys_is_taken() {
    let lab = Lab::new(&one("epochs: 1"));
    for name in ["a/lost+found", "a/.snapshot", "b/trials", "b/work", "b/plots"] {
        fs::create_dir_all(lab.path(name)).unwrap();
    }
    fs::write(lab.path("a/.gitignore"), "*").unwrap();
    for folder in ["a", "b"] {
        lab.sweep(&format!("--out {folder}")).expect(DONE);
    }
    assert!(lab.path("a/.gitignore").exists() && lab.path("a/.snapshot").exists());
}

#[test]
fn row_31_a_comparison_refuses_a_folder_of_somebody_elses() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    lab.sweep("--set epochs=2 --out other").expect(DONE);
    fs::create_dir_all(lab.path("mine/plots")).unwrap();
    fs::write(lab.path("mine/report.md"), "![](plots/a.png)").unwrap();
    fs::write(lab.path("mine/plots/a.png"), "a").unwrap();
    let compare = "report results/tiny other --out";
    lab.run(&format!("{compare} mine")).expect(BAD_INPUT).saying(&["mine: is not empty", "choose another --out"]);
    assert_eq!(fs::read(lab.path("mine/report.md")).unwrap(), b"![](plots/a.png)");
    assert_eq!(fs::read(lab.path("mine/plots/a.png")).unwrap(), b"a");
    for _ in 0..2 {
        lab.run(&format!("{compare} both")).expect(DONE);
    }
}

#[test]
fn row_31_a_report_made_before_there_were_records_is_replaced() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let before = fs::read(lab.result("report.md")).unwrap();
    fs::remove_file(lab.result("made.json")).unwrap();
    fs::write(lab.result("report.md"), "an older version's").unwrap();
    lab.run("report results/tiny").expect(DONE);
    assert!(fs::read(lab.result("report.md")).unwrap() == before);
    assert!(!lab.result("report.md.kept").exists());
}

#[test]
fn row_31_plots_of_an_evaluation_replace_nothing() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let trial = format!("evaluate results/tiny/trials/{} --plots", lab.stored()[0]);
    lab.run(&format!("{trial} drawn")).expect(DONE);
    lab.run(&format!("{trial} drawn")).expect(DONE);
    let name = &names(&lab.path("drawn"))[0];
    fs::write(lab.path("drawn").join(name), "mine").unwrap();
    lab.run(&format!("{trial} drawn")).expect(BAD_INPUT).saying(&[name, "choose another --plots"]);
    assert_eq!(fs::read(lab.path("drawn").join(name)).unwrap(), b"mine");
}

#[test]
fn row_31_files_that_somebody_put_to_a_trial_outlive_its_rerun() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let id = lab.stored()[0].clone();
    fs::write(lab.result("trials").join(&id).join("notes.txt"), "mine").unwrap();
    lab.sweep("--rerun all").expect(DONE).saying(&["has files of somebody's own", "kept/"]);
    assert_eq!(fs::read(lab.result("kept").join(format!("{id}.1/notes.txt"))).unwrap(), b"mine");
    lab.sweep("--rerun all").expect(DONE);
    assert_eq!((lab.stored(), names(&lab.result("kept")).len()), (vec![id], 1));
}
