//! A folder with an experiment in it, the program run there, and what it leaves behind.

pub mod clock;
mod essence;
pub mod skip;
pub mod terminal;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[allow(unused_imports)] // Each test binary uses a part of this.
pub use essence::assert_same;

pub const DONE: i32 = 0;
pub const FAILED: i32 = 1;
pub const BAD_INPUT: i32 = 2;
pub const INTERRUPTED: i32 = 130;

/// Six trials.
pub const TINY: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 256, val: 100}
seeds: [0, 1]
base:
  model: lenet5
  epochs: 2
  batch_size: 64
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9}
blocks:
  - {id: init, axes: {init: [xavier_uniform]}}
  - {id: activation, axes: {activation: [relu]}}
";
pub const TINY_TRIALS: usize = 6;

/// One trial.
pub fn one(changes: &str) -> String {
    format!(
        "schema: 1\nname: tiny\ndata: {{dataset: synthetic, train: 256, val: 100}}\nseeds: [0]\n\
         base: {{model: lenet5, batch_size: 64, optimizer: {{name: sgd, lr: 0.01, momentum: 0.9}}, {changes}}}\n"
    )
}

/// One trial that takes long enough to be caught at work.
pub fn long() -> Lab {
    Lab::new(&one("epochs: 25"))
}

/// Nothing here takes so long, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(2);

pub struct Lab {
    folder: tempfile::TempDir,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or_default())
    }

    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code(), code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless standard error says all of `words`.
    #[track_caller]
    pub fn saying(self, words: &[&str]) -> Ended {
        for word in words {
            assert!(self.err.contains(word), "standard error does not say {word:?}:\n{}", self.err);
        }
        self
    }
}

/// A run under way, killed at the latest when the test ends.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        kill(self.child.id() as i32, signal);
    }

    /// To the program and all its workers, if it was started in a group of its own.
    pub fn signal_group(&self, signal: i32) {
        kill(-(self.child.id() as i32), signal);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Standard output so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// Standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    #[track_caller]
    pub fn end(self) -> Ended {
        self.end_within(LIMIT)
    }

    #[track_caller]
    pub fn end_within(mut self, limit: Duration) -> Ended {
        wait_within(limit, "the program ends", || self.child.try_wait().unwrap().is_some());
        Ended { status: self.child.wait().unwrap(), out: self.printed(), err: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker ends by itself when its sweep is gone, but not one that a test has stopped.
impl Drop for Lab {
    fn drop(&mut self) {
        self.workers().into_iter().for_each(|worker| kill(worker, libc::SIGKILL));
    }
}

impl Lab {
    /// A new folder with `experiment` as `tiny.yaml`.
    pub fn new(experiment: &str) -> Lab {
        let lab = Lab { folder: tempfile::tempdir().unwrap() };
        fs::write(lab.path("tiny.yaml"), experiment).unwrap();
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Below the default results folder.
    pub fn result(&self, name: &str) -> PathBuf {
        self.path("results/tiny").join(name)
    }

    /// The program with `arguments`, separated by spaces, to run in the folder.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(program());
        command.args(arguments.split_whitespace());
        self.settle(command)
    }

    /// Any command, to run in the folder.
    pub fn settle(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("RUNNER_DATA");
        // Whoever runs the tests may have been told to outlive its terminal, or be a shell's job in the background; what it starts
        // would inherit that.
        // SAFETY: signal is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        command
    }

    pub fn start(&self, arguments: &str) -> Running {
        self.start_command(self.command(arguments))
    }

    /// Output goes to files: nobody has to read it while the program runs. Tests that share a lab may start programs at
    /// the same moment, so each run's files have names of their own.
    pub fn start_command(&self, mut command: Command) -> Running {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|name| self.path(&format!("{name}.{run}")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Running { child: command.spawn().unwrap(), out, err }
    }

    #[track_caller]
    pub fn run(&self, arguments: &str) -> Ended {
        self.start(arguments).end()
    }

    #[track_caller]
    pub fn sweep(&self, options: &str) -> Ended {
        self.run(&format!("sweep tiny.yaml {options}"))
    }

    pub fn start_sweep(&self, options: &str) -> Running {
        self.start(&format!("sweep tiny.yaml {options}"))
    }

    /// The worker processes that run in this folder, whoever their parent is by now.
    pub fn workers(&self) -> Vec<i32> {
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let home = self.folder.path().canonicalize().unwrap();
        let is_worker = |pid: &i32| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.split(|&byte| byte == 0).nth(1) == Some(b"worker")
                && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == home)
        };
        processes.filter(is_worker).collect()
    }

    /// Waits until a trial has a checkpoint and returns its path.
    #[track_caller]
    pub fn wait_for_checkpoint(&self) -> PathBuf {
        let mut found = None;
        let look = || {
            let trials = fs::read_dir(self.result("work")).ok()?;
            let mut checkpoints = trials.filter_map(|trial| Some(trial.ok()?.path().join("last.safetensors")));
            checkpoints.find(|path| path.exists())
        };
        wait_until("a checkpoint is there", || {
            found = look();
            found.is_some()
        });
        found.expect("just seen")
    }

    /// Waits until a trial's log says that an attempt has begun.
    #[track_caller]
    pub fn wait_for_attempt(&self, id: &str, attempt: usize) {
        let log = self.result("work").join(id).join("log.txt");
        let begun = || fs::read_to_string(&log).unwrap_or_default().contains(&format!("attempt {attempt},"));
        wait_until("the attempt has begun", begun);
    }

    #[track_caller]
    pub fn wait_for_no_workers(&self) {
        wait_until("the workers are gone", || self.workers().is_empty());
    }

    /// A table of the results as one map a row.
    #[track_caller]
    pub fn table(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let path = self.result(name);
        let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    /// One column of `trials.csv` by trial id.
    #[track_caller]
    pub fn column(&self, name: &str) -> BTreeMap<String, String> {
        self.table("trials.csv").into_iter().map(|row| (row["id"].clone(), row[name].clone())).collect()
    }

    /// The ids in `trials/`.
    pub fn stored(&self) -> Vec<String> {
        let mut ids = names(&self.result("trials"));
        ids.sort();
        ids
    }

    pub fn is_complete(&self, trials: usize) -> bool {
        self.result("trials").exists() && self.stored().len() == trials
    }

    /// Scratch files and folders that are left.
    pub fn scratch(&self) -> Vec<PathBuf> {
        files(&self.path("results")).into_iter().filter(|path| path.to_str().unwrap().contains(".scratch-")).collect()
    }

    /// How often each stored trial was begun.
    pub fn starts(&self) -> Vec<usize> {
        let log = |id: &String| fs::read_to_string(self.result(&format!("trials/{id}/log.txt"))).unwrap();
        self.stored().iter().map(|id| log(id).matches("attempt ").count()).collect()
    }

    /// Everything that must not depend on interruptions: weights, histories, tables and plots, without times.
    #[track_caller]
    pub fn essence(&self) -> BTreeMap<String, String> {
        let mut essence = BTreeMap::new();
        for path in files(&self.path("results/tiny")) {
            let name = path.strip_prefix(self.path("results/tiny")).unwrap().to_str().unwrap().to_owned();
            if let Some(content) = essence::timeless(&path) {
                essence.insert(name, content);
            }
        }
        essence
    }

    /// The bytes of all files but logs and locks.
    pub fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files(&self.path("results")).into_iter();
        files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    }
}

/// The program, or another build of it where RUNNER_BIN names one.
pub fn program() -> std::ffi::OsString {
    std::env::var_os("RUNNER_BIN").unwrap_or(env!("CARGO_BIN_EXE_runner").into())
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A file that can be run, with the folder that it is in.
pub fn write_script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(pid, signal) };
}

#[track_caller]
pub fn wait_until(what: &str, done: impl FnMut() -> bool) {
    wait_within(LIMIT, what, done);
}

#[track_caller]
pub fn wait_within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "waited in vain: {what}");
        std::thread::sleep(POLL);
    }
}

/// Whether `command`, words separated by spaces, can be run here.
pub fn works(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let status = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Sets a limit (`libc::RLIMIT_*`) for `command` and all that it starts.
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    let set = move || match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: setrlimit is safe between fork and exec.
    unsafe { command.pre_exec(set) };
}

/// Random numbers, the same in every run.
pub struct Random(pub u64);

impl Random {
    /// SplitMix64, as in `src/data/synthetic.rs`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    pub fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.below(10_000) as f64 / 10_000.0)
    }
}

/// The first bytes of a file.
pub fn head(path: &Path, count: usize) -> Vec<u8> {
    let mut bytes = vec![];
    File::open(path).unwrap().take(count as u64).read_to_end(&mut bytes).unwrap();
    bytes
}
