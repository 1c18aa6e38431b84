//! What README tells a new user to type, typed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_runner");

/// The program under the name that README has for it. What needs the network is left out, and what takes hours on CIFAR-10 is
/// one short comparison on the synthetic set.
const SHORT: &str = r#"
scripts/runner() {
  case "$*" in
    "data fetch") ;;
    "sweep experiments/lenet_ablation.yaml"*)
      "$PROGRAM" "$@" --dataset synthetic --only early_stopping --set epochs=1 --set data.train=256 --set data.val=64 ;;
    "sweep experiments/quickstart.yaml" | "sweep first.yaml")
      "$PROGRAM" "$@" --set epochs=1 --set data.train=256 --set data.val=64 ;;
    *) "$PROGRAM" "$@" ;;
  esac
}
"#;

/// The texts between fences of this kind.
fn fenced(kind: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(REPOSITORY).join("README.md")).unwrap();
    let (opening, mut rest, mut found) = (format!("```{kind}\n"), readme.as_str(), vec![]);
    while let Some((_, after)) = rest.split_once(&opening) {
        let (text, behind) = after.split_once("```\n").expect("a fence is closed");
        found.push(text.to_owned());
        rest = behind;
    }
    found
}

/// An empty folder with the experiments, as a clone has them.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    symlink(Path::new(REPOSITORY).join("experiments"), folder.path().join("experiments")).unwrap();
    folder
}

fn bash(script: &str, folder: &Path) -> Output {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &format!("{SHORT}{script}")]).current_dir(folder);
    command.env("PROGRAM", PROGRAM).env_remove("RUNNER_DATA").output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_works_in_the_order_of_the_page() {
    let blocks = fenced("sh");
    assert!(blocks.len() >= 4, "{blocks:?}");
    let folder = clone();
    for block in blocks {
        let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with("git clone")).collect();
        assert!(lines.iter().all(|line| line.starts_with("scripts/runner ")), "{lines:?}");
        let output = bash(&lines.join("\n"), folder.path());
        assert!(output.status.success(), "{block}\n{}", said(&output));
    }
    for page in ["results/quickstart/report.html", "results/mine/report.md", "results/first/plots/overview.png"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn every_experiment_is_valid() {
    let experiments = fenced("yaml");
    assert!(!experiments.is_empty());
    let folder = clone();
    for (number, text) in experiments.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
        let output = bash(&format!("scripts/runner sweep {number}.yaml --plan"), folder.path());
        assert!(output.status.success() && said(&output).contains(" to run"), "{text}\n{}", said(&output));
    }
}

/// The commands that the table of README lists.
#[test]
fn every_command_is_listed() {
    let readme = fs::read_to_string(Path::new(REPOSITORY).join("README.md")).unwrap();
    let help = said(&Command::new(PROGRAM).arg("--help").output().unwrap());
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(readme.contains(&format!("runner {name}")) || readme.contains(&format!("`{name}`")), "{name}");
    }
}
