//! Rows 7, 8 and 27 to 30: what else is on the machine, and what the program is fed all the rest with.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::common::clock::{Steady, change_clocks};
use crate::common::terminal::terminal;
use crate::common::{BAD_INPUT, DONE, Ended, FAILED, Lab, Random, TINY, TINY_TRIALS, assert_same, limit, long, one};

#[test]
fn row_07_several_sweeps_at_once_share_the_trials() {
    let lab = Lab::new(TINY);
    let sweeps: Vec<_> = (0..4).map(|_| lab.start_sweep("--jobs 2")).collect();
    for sweep in sweeps {
        sweep.end().expect(DONE);
        assert_eq!(lab.table("trials.csv").len(), TINY_TRIALS);
    }
    assert_eq!(lab.starts(), [1; TINY_TRIALS]);
    let alone = Lab::new(TINY);
    alone.sweep("").expect(DONE);
    assert_same(&lab.essence(), &alone.essence());
}

#[test]
fn row_08_a_clock_that_jumps_by_days_changes_nothing() {
    let lab = Lab::new(TINY);
    let mut command = lab.command("sweep tiny.yaml");
    if !change_clocks(&lab, &mut command, Steady::AsItIs) {
        return;
    }
    lab.start_command(command).end().expect(DONE);
    // A sweep has no use for the calendar, but a library under it may.
    assert!(lab.path("clock.read").exists(), "nothing looked at the changed clocks");
    let steady = Lab::new(TINY);
    steady.sweep("").expect(DONE);
    // The tables' rows are compared in their order.
    assert_same(&lab.essence(), &steady.essence());
    let seconds = lab.column("seconds").into_values().map(|seconds| seconds.parse::<f64>().unwrap());
    assert!(seconds.into_iter().all(|seconds| (0.0..1000.0).contains(&seconds)));
}

/// A GPU that runs out of memory can only be had where there is one; elsewhere `row_22_memory` stands for it: libtorch raises the
/// same kind of error with what it needed, and the worker survives it.
#[test]
fn row_27_a_gpu_that_is_not_there() {
    let lab = Lab::new(TINY);
    let (device, words) = match tch::Cuda::device_count() {
        0 => ("cuda", ["cuda: libtorch sees no GPU here", "valid: auto, cpu"]),
        _ => ("cuda:999", ["cuda:999: libtorch sees ", "cuda:0 to cuda:"]),
    };
    lab.sweep(&format!("--device {device}")).expect(BAD_INPUT).saying(&words);
    assert!(!lab.path("results").exists());
}

#[test]
fn row_28_surroundings_change_neither_results_nor_plain_output() {
    let lab = Lab::new(TINY);
    let clean = |ended: Ended| {
        assert!(!(ended.err + &ended.out).contains('\u{1b}'), "escape codes without a terminal");
    };
    clean(lab.sweep("").expect(DONE));
    for (locale, zone) in [("de_DE.UTF-8", "Asia/Kolkata"), ("tr_TR.UTF-8", "America/St_Johns")] {
        let other = Lab::new(TINY);
        let mut command = other.command("sweep tiny.yaml");
        command.env_remove("HOME").env_remove("PATH").env("TERM", "dumb");
        command.envs([("LANG", locale), ("LC_ALL", locale), ("TZ", zone)]);
        clean(other.start_command(command).end().expect(DONE));
        assert_same(&other.essence(), &lab.essence());
    }
}

/// Runs `command` with its standard error on a terminal so many columns wide, and returns the exit code and what it drew there.
fn on_a_terminal(mut command: Command, columns: u16) -> (i32, String) {
    let (mut ours, theirs) = terminal(columns);
    let mut child = command.env("TERM", "xterm").stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    drop(command);
    let mut drawn = vec![];
    // The end of a terminal is an error.
    let _ = ours.read_to_end(&mut drawn);
    (child.wait().unwrap().code().unwrap_or(-1), String::from_utf8_lossy(&drawn).into_owned())
}

#[test]
fn row_28_a_terminal_shows_a_line_a_worker_and_the_time_left() {
    let lab = long();
    let (code, drawn) = on_a_terminal(lab.command("sweep tiny.yaml"), 100);
    assert_eq!(code, DONE, "{drawn}");
    for words in ["epoch ", "/25", "images/s", "0/1 trials", "% of the work", " left", "test accuracy"] {
        assert!(drawn.contains(words), "{words:?} was never shown:\n{drawn}");
    }
    let (code, drawn) = on_a_terminal(lab.command("sweep tiny.yaml --rerun all --no-progress"), 100);
    assert!(code == DONE && !drawn.contains('\u{1b}'), "{drawn}");
}

#[test]
fn row_28_a_narrow_terminal_cuts_lines_off_and_not_results() {
    let lab = long();
    let (code, drawn) = on_a_terminal(lab.command("sweep tiny.yaml"), 25);
    assert!(code == DONE && drawn.contains("epoch "), "{drawn}");
    let plain = long();
    plain.sweep("").expect(DONE);
    assert_same(&lab.essence(), &plain.essence());
}

#[test]
fn row_28_paths_of_any_bytes_reach_the_workers() {
    let names: [&[u8]; 6] = [b"-mine", b"--data", b"-", b"a = b\n --results=c", b"not\xff\xfeutf8", b" "];
    for name in names.map(OsStr::from_bytes) {
        let lab = Lab::new(&one("epochs: 1"));
        let value = |option: &str| [OsStr::new(option), name].join(OsStr::new("="));
        let mut command = lab.command("sweep tiny.yaml");
        command.arg(value("--out")).arg(value("--data"));
        lab.start_command(command).end().expect(DONE);
        assert_eq!(fs::read_dir(lab.path("").join(name).join("trials")).unwrap().count(), 1, "{name:?}");
        let mut command = lab.command("sweep tiny.yaml");
        command.env("RUNNER_DATA", name);
        lab.start_command(command).end().expect(DONE);
        assert_eq!(lab.column("attempts").into_values().collect::<Vec<_>>(), ["1"], "{name:?}");
    }
}

#[test]
fn row_29_ten_thousand_trials_are_planned() {
    let values = |count| (1..=count).map(|value| format!("0.{value:03}")).collect::<Vec<_>>().join(", ");
    let axes = format!("{{optimizer.lr: [{}], label_smoothing: [{}]}}", values(99), values(101));
    let lab = Lab::new(&format!("{}blocks:\n  - {{id: all, mode: grid, axes: {axes}}}\n", one("epochs: 1")));
    let mut command = lab.command("sweep tiny.yaml --plan");
    limit(&mut command, libc::RLIMIT_AS, 8 << 30);
    let ended = lab.start_command(command).end().expect(DONE);
    assert!(ended.out.ends_with("10000 trials, 10000 to run; results in results/tiny\n"));
    assert_eq!(ended.out.lines().count(), 10_001);
}

/// Every reader is fed far more of them one by one in `tests/fuzz`; here the program as a whole gets some.
#[test]
fn row_30_random_bytes_anywhere_are_refused() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let trial = format!("results/tiny/trials/{}", lab.stored()[0]);
    let mut random = Random(3);
    let files = ["noise.yaml", "noise.safetensors", "noise.tar.gz", "noise.png", &format!("{trial}/result.json")];
    let commands = [
        "sweep noise.yaml",
        "evaluate noise.safetensors",
        "data verify --data noise.tar.gz",
        &format!("predict {trial} noise.png"),
        "report results/tiny",
    ];
    for length in [1, 8, 100, 3000] {
        for (file, command) in files.iter().zip(commands) {
            let noise: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            fs::write(lab.path(file), noise).unwrap();
            let mut command = lab.command(command);
            limit(&mut command, libc::RLIMIT_AS, 8 << 30);
            let ended = lab.start_command(command).end().saying(&[file]);
            // A picture or a trial does not stop the others.
            let goes_on = *file == "noise.png" || file.starts_with("results");
            let refused = ended.code() == if goes_on { FAILED } else { BAD_INPUT };
            assert!(refused && !ended.err.contains("panicked"), "{}", ended.err);
        }
    }
}
