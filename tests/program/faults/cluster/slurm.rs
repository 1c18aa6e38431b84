//! Sweeps on a real Slurm of two nodes, which `slurm-here` starts on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use libc::{SIGCONT, SIGKILL, SIGSTOP};

use super::{experiment, twelve};
use crate::common::clock::preload;
use crate::common::skip::leave_out;
use crate::common::{BAD_INPUT, DONE, Ended, FAILED, Lab, Running, assert_same, kill, names, one, wait_until, works};

/// The first of three ports that nobody has.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(26830);
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut tried = std::iter::repeat_with(|| NEXT.fetch_add(3, Ordering::Relaxed));
    tried.find(|first| (*first..first + 3).all(is_free)).unwrap()
}

/// A folder that two nodes share, with an experiment.
struct Cluster {
    lab: Lab,
    slurm: tempfile::TempDir,
}

impl Cluster {
    /// None where there can be none.
    fn start(experiment: &str) -> Option<Cluster> {
        if ["slurmctld -V", "slurmd -V", "munged -V"].map(works).contains(&false) || !works("test -w /etc") {
            leave_out("no Slurm, or not root (apt-get install slurm-wlm munge)");
            return None;
        }
        let cluster = Cluster { lab: Lab::new(experiment), slurm: tempfile::tempdir().unwrap() };
        let output = cluster.here("start").arg(free_ports().to_string()).output().unwrap();
        if !output.status.success() {
            leave_out(&format!("Slurm does not start here: {}", String::from_utf8_lossy(&output.stderr).trim()));
            return None;
        }
        Some(cluster)
    }

    fn here(&self, action: &str) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/faults/cluster/slurm-here"));
        command.arg(action).arg(self.slurm.path());
        command
    }

    fn start_command(&self, mut command: Command) -> Running {
        command.env("SLURM_CONF", self.slurm.path().join("slurm.conf"));
        self.lab.start_command(command)
    }

    fn launch(&self, options: &str) -> Ended {
        self.start_command(self.lab.command(&format!("sweep tiny.yaml --launch slurm --tasks 2 --jobs 1 {options}")))
            .end()
    }

    /// Follows the sweep, as a user does who wants to see ended jobs too.
    fn follow(&self) -> Running {
        let mut show = self.lab.command("show results/tiny --follow");
        preload(&self.lab, &mut show, "common/hurry.c");
        show.env("SQUEUE_STATES", "all");
        self.start_command(show)
    }

    /// A command of Slurm's, with its arguments.
    fn ask(&self, words: &str) -> String {
        let mut words = words.split_whitespace();
        let mut command = self.lab.settle(Command::new(words.next().unwrap()));
        command.args(words);
        self.start_command(command).end().expect(DONE).out
    }

    /// The jobs of the last launch that have not ended: its array's number and `number node state` of each.
    fn queue(&self) -> Vec<String> {
        self.ask("squeue --noheader --array --format=%A|%N|%T").lines().map(str::to_owned).collect()
    }

    /// The task that runs on a node, as its log is named: `array_task`.
    fn task_at(&self, node: &str) -> String {
        self.ask(&format!("squeue --noheader --array --nodelist={node} --format=%F_%K")).trim().to_owned()
    }

    fn array(&self) -> String {
        let text = fs::read(self.lab.result("slurm/submitted.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["job"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn wait_for_the_end(&self) {
        let mut looked = std::time::Instant::now();
        wait_until("the queue is empty", || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            let empty = self.queue().is_empty();
            if !empty && looked.elapsed().as_secs() > 20 {
                looked = std::time::Instant::now();
                println!("{:?}\n{}", self.queue(), self.logs());
            }
            empty
        });
    }

    /// What tasks and last jobs have said; nothing where the results are elsewhere.
    fn logs(&self) -> String {
        let folder = self.lab.result("slurm");
        if !folder.exists() {
            return String::new();
        }
        let mut logs: Vec<String> = names(&folder).into_iter().filter(|name| name.ends_with(".log")).collect();
        logs.sort();
        logs.iter().map(|log| format!("== {log}\n{}", fs::read_to_string(folder.join(log)).unwrap())).collect()
    }

    /// What a task has said, with what it said before it was sent back.
    fn log(&self, task: &str) -> String {
        fs::read_to_string(self.lab.result(&format!("slurm/{task}.log"))).unwrap()
    }

    /// The results are those of an undisturbed sweep on one machine, and each trial's log has so many epochs.
    #[track_caller]
    fn assert_whole(&self, experiment: &str, epochs: RangeInclusive<usize>) {
        let undisturbed = Lab::new(experiment);
        undisturbed.sweep("").expect(DONE);
        let mut essence: BTreeMap<String, String> = self.lab.essence();
        essence.retain(|name, _| !name.starts_with("slurm/"));
        assert_eq!(self.lab.stored(), undisturbed.stored(), "{}", self.logs());
        assert_same(&essence, &undisturbed.essence());
        for id in self.lab.stored() {
            let log = fs::read_to_string(self.lab.result(&format!("trials/{id}/log.txt"))).unwrap();
            assert!(epochs.contains(&log.matches("\nepoch ").count()), "{id}:\n{log}\n{}", self.logs());
        }
        assert_eq!(names(&self.lab.result("work")), ["publish.lock"]);
    }

    fn stored(&self) -> usize {
        let trials: PathBuf = self.lab.result("trials");
        if trials.exists() { names(&trials).iter().filter(|name| !name.starts_with('.')).count() } else { 0 }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.here("stop").status();
    }
}

#[test]
fn an_array_of_two_trains_each_trial_once_and_a_job_after_it_makes_the_tables() {
    let Some(cluster) = Cluster::start(&twelve(2)) else { return };
    cluster.launch("").expect(DONE).saying(&["2 tasks for 12 trials submitted as job "]);
    let follower = cluster.follow();
    cluster.wait_for_the_end();
    let followed = follower.end().expect(DONE).out;
    assert!(followed.contains(&format!(" · job {}, tasks: ", cluster.array())), "{followed}");
    assert!(followed.ends_with("12 done, 0 diverged, 0 failed; results in results/tiny\n"), "{followed}");
    assert!(cluster.logs().contains("_tables.log\n"), "it ends after the tables are made");
    cluster.assert_whole(&twelve(2), 2..=2);
    assert_eq!(cluster.lab.starts(), [1; 12]);
    let logs = cluster.logs();
    assert!(logs.contains("_tables.log\n") && logs.contains("12 done, 0 diverged, 0 failed"), "{logs}");
    let again = cluster.launch("").expect(DONE);
    assert!(again.out.contains("12 done") && !again.err.contains("submitted"), "{again:?}");
    assert!(cluster.queue().is_empty());
}

#[test]
fn a_cancelled_array_stays_cancelled_until_what_is_missing_is_launched() {
    let experiment = twelve(6);
    let Some(cluster) = Cluster::start(&experiment) else { return };
    cluster.launch("").expect(DONE);
    wait_until("both have trials", || cluster.lab.workers().len() == 2 && cluster.stored() > 0);
    // Nothing ends meanwhile. A worker may have been stopped between two trials, though.
    let mut workers = vec![];
    let tasks = format!("job {}, tasks: 2 running", cluster.array());
    wait_until("both are stopped within a trial", || {
        workers = cluster.lab.workers();
        workers.iter().for_each(|worker| kill(*worker, SIGSTOP));
        let shown =
            cluster.start_command(cluster.lab.command("show results/tiny")).end().expect(DONE).saying(&[&tasks]);
        let are_within = workers.len() == 2 && shown.err.contains(" left with ");
        workers.iter().filter(|_| !are_within).for_each(|worker| kill(*worker, SIGCONT));
        are_within
    });
    // While tasks of it are there, nothing more is submitted.
    let again = cluster.launch("").expect(DONE).saying(&["an earlier launch still has 2 tasks"]);
    assert!(!again.err.contains("submitted as"), "{}", again.err);
    let follower = cluster.follow();
    cluster.ask(&format!("scancel {}", cluster.array()));
    workers.iter().for_each(|worker| kill(*worker, SIGCONT));
    cluster.wait_for_the_end();
    let (stored, logs) = (cluster.stored(), cluster.logs());
    assert!(stored < 12, "cancelled too late");
    follower.end().expect(FAILED).saying(&[&format!("{} trials, which nobody runs now", 12 - stored)]);
    assert!(logs.contains(&format!("{} of 12 trials are unfinished: ", 12 - stored)), "{logs}");
    let words = format!("2 tasks for {} trials submitted as job", 12 - stored);
    cluster.launch("").expect(DONE).saying(&[&words]);
    cluster.wait_for_the_end();
    cluster.assert_whole(&experiment, 6..=6);
}

/// Kills all that runs on a node, as if it had lost its power. Its daemon is started again later.
fn fail_node(cluster: &Cluster, node: &str) {
    let at_node = format!("|{node}|");
    let jobs: Vec<String> = cluster.queue().into_iter().filter(|job| job.contains(&at_node)).collect();
    let steps: Vec<String> =
        jobs.iter().map(|job| format!("slurmstepd: [{}.", job.split('|').next().unwrap())).collect();
    let daemon: i32 =
        fs::read_to_string(cluster.slurm.path().join(format!("{node}.pid"))).unwrap().trim().parse().unwrap();
    let node = format!("SLURMD_NODENAME={node}");
    let conf = format!("SLURM_CONF={}", cluster.slurm.path().join("slurm.conf").display());
    let own = |pid: &i32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let environment = read("environ");
        let has = |own: &str| environment.split(|&byte| byte == 0).any(|variable| variable == own.as_bytes());
        has(&conf) && (has(&node) || steps.iter().any(|step| command.starts_with(step)))
    };
    let pids = || names("/proc".as_ref()).into_iter().filter_map(|name| name.parse::<i32>().ok());
    kill(daemon, SIGKILL);
    pids().filter(own).for_each(|pid| kill(pid, SIGKILL));
}

#[test]
fn a_task_out_of_time_is_requeued_alone_and_a_failed_node_costs_one_attempt() {
    let long = experiment("[0, 1]", 25);
    let Some(cluster) = Cluster::start(&long) else { return };
    // Slurm looks at time limits every half a minute and sends the signal that much early, so at least 10 s after the start.
    let ended = cluster.launch("--slurm time=1,signal=B:USR1@20").expect(DONE);
    ended.saying(&["2 tasks for 2 trials submitted as job"]);
    wait_until("both run", || cluster.lab.workers().len() == 2);
    cluster.lab.wait_for_checkpoint();
    // A fast machine would be done by then.
    let workers = cluster.lab.workers();
    workers.iter().for_each(|worker| kill(*worker, SIGSTOP));
    let survivor = cluster.task_at("n0");
    fail_node(&cluster, "n1");
    wait_until("the other is out of time", || cluster.log(&survivor).contains("stopping after a checkpoint"));
    assert_eq!(cluster.stored(), 0);
    workers.iter().for_each(|worker| kill(*worker, SIGCONT));
    let conf = cluster.slurm.path().join("slurm.conf");
    let mut daemon = Command::new("slurmd");
    daemon.arg("-f").arg(conf).args(["-N", "n1"]);
    cluster.start_command(cluster.lab.settle(daemon)).end().expect(DONE);
    cluster.wait_for_the_end();
    let logs = cluster.logs();
    assert!(logs.contains("goes on after epoch"), "{logs}");
    // Of the epoch in which a node failed the line may be lost, or there twice.
    cluster.assert_whole(&long, 24..=26);
    assert!(logs.contains("2 done, 0 diverged, 0 failed") && !logs.contains("unfinished"), "{logs}");
}

/// What a pattern of names, a shell or sbatch could take for something else.
const ODD: &str = "50%j of %A %% 'a' \"b\" $HOME `c`; *\n,[d]";

#[test]
fn no_letter_of_a_path_means_anything_and_files_beside_the_experiment_are_found() {
    let Some(cluster) = Cluster::start(&one("epochs: 1").replace("lenet5", "{file: nets/small.yaml}")) else { return };
    fs::create_dir(cluster.lab.path("nets")).unwrap();
    fs::write(cluster.lab.path("nets/small.yaml"), "name: small\nlayers: [flatten, {dense: classes}]\n").unwrap();
    let mut launch = cluster.lab.command("sweep tiny.yaml --launch slurm --jobs 1 --out");
    launch.arg(ODD);
    cluster.start_command(launch).end().expect(DONE);
    cluster.wait_for_the_end();
    let folder = cluster.lab.path(ODD).join("slurm");
    let mut files = names(&folder);
    files.sort();
    let logs: Vec<String> = files.iter().filter(|name| name.ends_with(".log")).cloned().collect();
    assert!(logs.len() == 2 && logs[0].ends_with("_0.log") && logs[1].ends_with("_tables.log"), "{files:?}");
    let said: String = logs.iter().map(|log| fs::read_to_string(folder.join(log)).unwrap()).collect();
    assert_eq!(said.matches("1 done, 0 diverged, 0 failed").count(), 2, "{said}");
    let ended = cluster.launch("--out back\\slash").expect(BAD_INPUT);
    ended
        .saying(&["back\\slash: sbatch writes no logs where a path has a backslash; choose another folder with --out"]);
}

#[test]
fn a_task_is_sent_back_as_often_as_its_script_says_and_then_no_more() {
    let Some(cluster) = Cluster::start(&one("epochs: 500")) else { return };
    let (text, most) = (include_str!("../../../../src/sweep/launch/task.sh"), "most_requeues=");
    assert!(text.contains(&format!("{most}100\n")));
    cluster.lab.sweep("--launch /bin/true").expect(DONE);
    fs::write(cluster.lab.result("slurm/task.sh"), text.replace(&format!("{most}100"), &format!("{most}1"))).unwrap();
    cluster.launch("").expect(DONE);
    cluster.lab.wait_for_checkpoint();
    // As before its time limit.
    let out_of_time = || cluster.ask(&format!("scancel --batch --signal=USR1 {}_0", cluster.array()));
    out_of_time();
    wait_until("it is sent back", || cluster.logs().contains("goes on after epoch"));
    out_of_time();
    cluster.wait_for_the_end();
    let logs = cluster.logs();
    assert!(logs.contains("out of time after 1 returns to the queue; not sent back once more"), "{logs}");
    assert!(logs.contains("1 of 1 trial are unfinished") && cluster.stored() == 0, "{logs}");
}

/// Six trials at the first look and one more for whatever stays open after it.
const SETTLING: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
settle: {max_seeds: 4}
margin: 0.01
base: {model: lenet5, epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.01}}
blocks:
  - {id: init, axes: {init: [xavier_uniform]}}
";

#[test]
fn the_last_job_submits_the_next_look_until_the_study_is_settled() {
    let Some(cluster) = Cluster::start(SETTLING) else { return };
    cluster.launch("").expect(DONE).saying(&["2 tasks for 6 trials submitted as job"]);
    cluster.wait_for_the_end();
    cluster.assert_whole(SETTLING, 1..=1);
    let logs = cluster.logs();
    assert!(logs.contains("2 tasks for 2 trials submitted as job"), "{logs}");
    assert_eq!(cluster.stored(), 8, "{logs}");
}
