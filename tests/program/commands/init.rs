//! `runner init`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{BAD_INPUT, DONE, Lab, names};

#[test]
fn the_starter_runs_as_it_is() {
    let lab = Lab::new("");
    let said = lab.run("init").expect(DONE).out;
    assert!(said.contains("experiment.yaml is written") && said.contains("runner sweep experiment.yaml"), "{said}");
    let text = fs::read_to_string(lab.path("experiment.yaml")).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=schema.json\n"), "{text}");
    assert_eq!(fs::read_to_string(lab.path("schema.json")).unwrap(), lab.run("schema").expect(DONE).out);
    let plan = lab.run("sweep experiment.yaml --plan").expect(DONE).out;
    assert!(plan.contains("21 trials, 21 to run") && plan.contains("rate_by_batch"), "{plan}");
    let ended = lab.run("sweep experiment.yaml --set epochs=1 --set data.train=200 --set data.val=50").expect(DONE);
    assert!(ended.out.contains("21 done, 0 diverged, 0 failed; results in results/experiment"), "{}", ended.out);
}

#[test]
fn the_starter_takes_a_name_and_no_files_place() {
    let lab = Lab::new("");
    fs::create_dir(lab.path("studies")).unwrap();
    let said = lab.run("init studies/first-one").expect(DONE).out;
    assert!(said.contains("runner sweep studies/first-one.yaml"), "{said}");
    let text = fs::read_to_string(lab.path("studies/first-one.yaml")).unwrap();
    assert!(text.contains("\nname: first-one ") && text.contains("sweep studies/first-one.yaml --plan"), "{text}");
    assert!(said.contains("studies/schema.json"), "{said}");
    fs::write(lab.path("schema.json"), "mine too").unwrap();
    let other = lab.run("init other.yaml").expect(DONE).out;
    assert!(lab.path("other.yaml").exists() && !other.contains("schema.json"), "{other}");
    assert_eq!(fs::read(lab.path("schema.json")).unwrap(), b"mine too");
    fs::write(lab.path("mine.yaml"), "mine").unwrap();
    symlink(lab.path("nowhere"), lab.path("linked.yaml")).unwrap();
    for name in ["mine", "linked"] {
        lab.run(&format!("init {name}")).expect(BAD_INPUT).saying(&[&format!("{name}.yaml: is there already")]);
    }
    assert_eq!(fs::read(lab.path("mine.yaml")).unwrap(), b"mine");
    assert!(!lab.path("nowhere").exists());
    let before = names(&lab.path("")).len();
    lab.run("init Big").expect(BAD_INPUT).saying(&["name: expected 1 to 64 of a-z, 0-9, _ and -, found `Big`"]);
    lab.run("init absent/x").expect(BAD_INPUT).saying(&["cannot write absent/x.yaml"]);
    assert_eq!(names(&lab.path("")).len(), before + 4, "only what these two said");
}
