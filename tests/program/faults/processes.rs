//! Row 34: the program's file is replaced while it runs, and the system refuses threads, processes or descriptors.

use std::fs;
use std::process::Command;

use libc::{SIGINT, SIGKILL};

use super::strace;
use crate::common::clock::{Steady, change_clocks};
use crate::common::skip::skip;
use crate::common::{
    BAD_INPUT, DONE, Ended, FAILED, INTERRUPTED, Lab, TINY, TINY_TRIALS, kill, limit, long, one, program, wait_until,
    works, write_script,
};

#[test]
fn row_34_a_replaced_program_goes_on_with_what_is_running() {
    for replaced in [true, false] {
        let lab = long();
        let copy = lab.path("copy");
        fs::copy(program(), &copy).unwrap();
        let mut command = Command::new(&copy);
        command.args(["sweep", "tiny.yaml"]);
        let sweep = lab.start_command(lab.settle(command));
        lab.wait_for_checkpoint();
        let name = fs::read_to_string(format!("/proc/{}/comm", lab.workers()[0])).unwrap();
        assert_eq!(name, "runner\n", "as lists of processes show it");
        fs::remove_file(&copy).unwrap();
        if replaced {
            write_script(&copy, "#!/bin/sh\nexit 7\n");
        }
        kill(lab.workers()[0], SIGKILL);
        sweep.end().expect(DONE).saying(&["attempt 1 of 3 failed: its worker died: signal: 9", "goes on after epoch"]);
    }
}

const THREADS: &str = "the limit of processes and threads is reached (ulimit -u";
const DESCRIPTORS: &str = "Too many open files";

/// Whatever the limit: all trials at the first attempt, or an error that names it.
fn is_done_or_refused(lab: &Lab, ended: &Ended, trials: usize, words: &str) -> bool {
    assert!(!ended.err.contains("panicked") && !ended.err.contains("attempt 1 of 3"), "{ended:?}");
    if ended.code() == DONE {
        let attempts = lab.column("attempts");
        assert!(attempts.len() == trials && attempts.values().all(|attempts| attempts == "1"), "{attempts:?}");
        return true;
    }
    assert!([FAILED, BAD_INPUT].contains(&ended.code()) && ended.err.contains(words), "{ended:?}");
    false
}

#[test]
fn row_34_a_refused_thread_or_process_is_no_panic() {
    if !strace::is_there() {
        return;
    }
    // The sweep's own calls: its thread for signals, its first worker and what hears it, its second worker and so on.
    for (moment, code) in [(1, BAD_INPUT), (2, BAD_INPUT), (3, BAD_INPUT), (4, DONE), (5, DONE), (6, DONE)] {
        let lab = Lab::new(TINY);
        let fault = format!("error=EAGAIN:when={moment}+");
        let command = strace::with_fault(&lab, "/^(clone|clone3|fork|vfork)$", &fault, "sweep tiny.yaml --jobs 2");
        let ended = lab.start_command(command).end().expect(code);
        is_done_or_refused(&lab, &ended, TINY_TRIALS, THREADS);
        assert!(strace::calls(&lab).contains("(INJECTED)"));
        let fewer = ended.err.matches("goes on with fewer workers").count();
        assert_eq!(fewer, usize::from(moment == 4 || moment == 5), "{}", ended.err);
        assert!(lab.workers().is_empty());
    }
}

/// A user of our own, whose processes are no other test's, and who may do what this test may, but for exceeding limits.
const USER: &str = "--reuid=54321 --clear-groups --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override";

#[test]
fn row_34_whatever_the_limit_of_threads_no_attempt_is_lost() {
    if !works(&format!("setpriv {USER} true")) {
        skip("setpriv cannot take another user here");
        return;
    }
    let mut completed = vec![];
    for most in [1, 2, 3, 4, 5, 9] {
        let lab = Lab::new(TINY);
        let mut command = Command::new("setpriv");
        command.args(USER.split(' ')).arg(program()).args(["sweep", "tiny.yaml", "--jobs", "4"]);
        limit(&mut command, libc::RLIMIT_NPROC, most);
        let ended = lab.start_command(lab.settle(command)).end();
        completed.push(is_done_or_refused(&lab, &ended, TINY_TRIALS, THREADS));
    }
    assert!(!completed[0] && completed.is_sorted() && completed[4..].iter().all(|done| *done), "{completed:?}");
}

#[test]
fn row_34_whatever_the_limit_of_descriptors_no_attempt_is_lost() {
    let mut completed = vec![];
    for most in [6, 12, 18, 24, 28] {
        // Twelve trials and as many workers, each of which takes two.
        let lab = Lab::new(&TINY.replace("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"));
        let mut command = lab.command("sweep tiny.yaml --jobs 12");
        limit(&mut command, libc::RLIMIT_NOFILE, most);
        let ended = lab.start_command(command).end();
        completed.push(is_done_or_refused(&lab, &ended, 2 * TINY_TRIALS, DESCRIPTORS));
        let fewer = ended.err.matches("the limit of open files is reached (ulimit -n); the sweep goes on with fewer");
        assert!(!completed.ends_with(&[true]) || fewer.count() == 1, "{}", ended.err);
    }
    assert!(!completed[0] && completed.is_sorted() && completed[3..].iter().all(|done| *done), "{completed:?}");
}

/// The sweep's clock runs a hundred times as fast, for it tries again once a minute.
#[test]
fn row_34_workers_that_could_not_be_started_are_once_there_is_room() {
    if !works("prlimit --nofile") {
        skip("no prlimit");
        return;
    }
    let lab = Lab::new(&one("epochs: 10000").replace("seeds: [0]", "seeds: [0, 1, 2]"));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 20; exec \"$0\" sweep tiny.yaml --jobs 3"]).arg(program());
    if !change_clocks(&lab, &mut command, Steady::TimesAsFast(100)) {
        return;
    }
    let sweep = lab.start_command(lab.settle(command));
    wait_until("there are fewer", || sweep.said().contains("the sweep goes on with fewer workers"));
    lab.wait_for_checkpoint();
    assert!((1..3).contains(&lab.workers().len()));
    assert!(works(&format!("prlimit --pid {} --nofile=100:", sweep.id())));
    wait_until("all are there", || lab.workers().len() == 3);
    sweep.signal(SIGINT);
    let ended = sweep.end().expect(INTERRUPTED);
    assert_eq!(ended.err.matches("cannot start a worker").count(), 1, "{}", ended.err);
}
