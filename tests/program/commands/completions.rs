//! `runner completions`, in a real bash.

use std::process::Command;

use crate::common::skip::skip;
use crate::common::{BAD_INPUT, DONE, Lab, TINY, program, works};

/// What bash offers for the last of `words`.
fn offered(lab: &Lab, words: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$0" completions bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        function=$(complete -p runner); function=${function##*-F }; function=${function%% *}
        "$function" runner "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script]).arg(program()).args(words);
    let ended = lab.start_command(lab.settle(bash)).end().expect(DONE);
    ended.out.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_is_offered_commands_options_keys_blocks_and_trials() {
    if !works("bash --version") {
        return skip("no bash");
    }
    let lab = Lab::new(TINY);
    let commands = offered(&lab, &["runner", ""]);
    for command in ["sweep", "show", "init", "keys", "prune", "export"] {
        assert!(commands.contains(&command.to_owned()), "{commands:?}");
    }
    assert!(!commands.contains(&"worker".to_owned()), "{commands:?}");
    assert_eq!(offered(&lab, &["runner", "sw"]), ["sweep"]);
    assert_eq!(offered(&lab, &["runner", "sweep", "ti"]), ["tiny.yaml"]);
    assert_eq!(offered(&lab, &["runner", "sweep", "tiny.yaml", "--rer"]), ["--rerun"]);
    assert_eq!(offered(&lab, &["runner", "sweep", "tiny.yaml", "--rerun", ""]), ["failed", "all"]);
    let parts = offered(&lab, &["runner", "sweep", "tiny.yaml", "--only", ""]);
    let plan = lab.sweep("--plan").expect(DONE).out;
    let ids: Vec<&str> = plan.lines().filter(|line| line.contains(" seed ")).map(|line| &line[..12]).collect();
    assert_eq!(parts[..2], ["init", "activation"]);
    assert!(ids.len() == 6 && ids.iter().all(|id| parts.contains(&id.to_string())), "{parts:?}");
    assert_eq!(offered(&lab, &["runner", "sweep", "tiny.yaml", "--only", &ids[0][..6]]), [ids[0]]);
    assert_eq!(offered(&lab, &["runner", "sweep", "tiny.yaml", "--set", "optimizer.w"]), ["optimizer.weight_decay="]);
    assert_eq!(offered(&lab, &["runner", "keys", "early"]).len(), 3);
    assert_eq!(offered(&lab, &["runner", "models", "res"]), ["resnet"]);
}

/// Their ids would need the whole file, which may be large, while the shell waits.
#[test]
fn trials_that_start_from_weights_are_not_offered() {
    if !works("bash --version") {
        return skip("no bash");
    }
    let start = "  - id: start\n    axes: {start: [{weights: a.safetensors}]}\n";
    let lab = Lab::new(&format!("{TINY}{start}"));
    let header = br#"{"conv1.bias":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 24]].concat();
    std::fs::write(lab.path("a.safetensors"), bytes).unwrap();
    let parts = offered(&lab, &["runner", "sweep", "tiny.yaml", "--only", ""]);
    assert_eq!(parts[..3], ["init", "activation", "start"]);
    let plan = lab.sweep("--plan").expect(DONE).out;
    let ids = |is_started: bool| {
        let lines =
            plan.lines().filter(move |line| line.contains(" seed ") && line.contains("a.safetensors") == is_started);
        lines.map(|line| line[..12].to_owned()).collect::<Vec<_>>()
    };
    assert!(!ids(true).is_empty() && ids(true).iter().all(|id| !parts.contains(id)), "{plan}\n{parts:?}");
    assert!(ids(false).len() == 6 && ids(false).iter().all(|id| parts.contains(id)), "{plan}\n{parts:?}");
}

#[test]
fn every_shell_gets_a_script_that_names_the_program() {
    let lab = Lab::new("");
    let program = program().into_string().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = lab.run(&format!("completions {shell}")).expect(DONE).out;
        assert!(script.contains(&program) && script.contains("RUNNER_COMPLETE"), "{shell}: {script}");
    }
    lab.run("completions csh").expect(BAD_INPUT).saying(&["possible values: bash, zsh, fish"]);
}
