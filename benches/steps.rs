//! This program's side of `scripts/bench`: training steps, or augmentation alone, against the clock. To cargo it is an example, which
//! it builds with the tests.
//!
//! The protocol is that of `scripts/peers/common.py`: after the first step, and after every round, a JSON line on standard
//! output; a round starts with a line on standard input, so that contenders can take turns, and the end of input ends the
//! program. The trials of the experiment are computed together, so `--mode exact` takes one.

use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use runner::data;
use runner::data::augment::{augment, draw};
use runner::data::batches::{Scaling, Split};
use runner::engine::device;
use runner::native;
use runner::spec::config::{Config, Mode};
use runner::spec::{Experiment, Overrides};
use runner::train::{self, Observer, READ_AT_ONCE, Sets, Step};
use serde_json::json;
use tch::Device;

#[derive(Parser)]
struct Arguments {
    /// `scripts/bench` makes them
    experiment: PathBuf,
    #[arg(long, default_value = "data")]
    data: PathBuf,
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, default_value = "exact", value_name = "MODE|augment")]
    work: Work,
    /// Steps before each round that do not count, at least 1
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    warmup: u32,
    /// Steps of a round
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Print the trials' configurations with every default and measure nothing; `scripts/peers` reads them
    #[arg(long)]
    resolve: bool,
}

#[derive(Clone, Copy)]
enum Work {
    Train(Mode),
    /// Choosing, scaling and augmenting batches of training images.
    Augment,
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        match text {
            "augment" => Ok(Work::Augment),
            mode => mode.parse().map(Work::Train).map_err(|valid: String| format!("{valid}, augment")),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mode = match arguments.work {
        Work::Train(mode) => mode,
        Work::Augment => Mode::Exact,
    };
    let trials = Experiment::load(&arguments.experiment, &Overrides { mode, ..Overrides::default() })?.trials();
    let configs: Vec<&Config> = trials.iter().map(|trial| &trial.config).collect();
    if arguments.resolve {
        configs.iter().for_each(|config| println!("{}", json!(config)));
        return Ok(());
    }
    ensure!(configs.len() == 1 || mode != Mode::Exact, "only a fast mode computes several trials at once");
    let device = device::parse(&arguments.device)?;
    tch::set_num_threads(1);
    let set = data::load(configs[0].data.dataset, &arguments.data)?;
    let sets = Sets::new(&set, device);
    drop(set);

    let seed = trials[0].seed;
    let mut meter = Meter::new(&arguments, configs.len(), device);
    match arguments.work {
        Work::Train(_) => {
            let mut silent: Vec<Silent> = configs[1..].iter().map(|_| Silent).collect();
            let mut observers: Vec<&mut dyn Observer> =
                silent.iter_mut().map(|silent| silent as &mut dyn Observer).collect();
            // The last member's observer is told last.
            observers.push(&mut meter);
            train::run(&configs, seed, &sets, device, None, &mut observers)?;
        }
        Work::Augment => augment_batches(configs[0], &sets, &mut meter),
    }
    bail!("the trial ended before its rounds did")
}

fn augment_batches(config: &Config, sets: &Sets, meter: &mut Meter) {
    let split = Split::new(&config.data, sets.train.labels.size()[0] as usize);
    let scaling = Scaling::new(config.data.scale, &sets.train, &split.train);
    let count = split.train.size()[0];
    for epoch in 0.. {
        let order = split.train.index_select(0, &native::randperm(epoch, count));
        for index in order.split(config.batch_size as i64, 0) {
            let (images, _) = sets.train.select(&index);
            let drawn = draw(&config.augment, images.size()[0], images.device());
            let _ = augment(scaling.apply(&images), &config.augment, &drawn);
            meter.count(1, f32::NAN);
        }
    }
}

/// Sees the other members of a pack.
struct Silent;

/// Times rounds of steps.
struct Meter {
    warmup: usize,
    steps: usize,
    members: usize,
    device: Device,
    seen: usize,
    /// The step after which the round's clock starts.
    start: usize,
    /// While it runs.
    clock: Option<Clock>,
}

struct Clock {
    /// After this step.
    step: usize,
    start: Instant,
    cpu_seconds: f64,
}

impl Meter {
    fn new(arguments: &Arguments, members: usize, device: Device) -> Meter {
        let (warmup, steps) = (arguments.warmup as usize, arguments.steps as usize);
        Meter { warmup, steps, members, device, seen: 0, start: 0, clock: None }
    }

    /// After the `batch`-th step of the epoch. On a GPU they are told in bursts, when all of one are done, so the clock is looked
    /// at where one begins.
    fn count(&mut self, batch: usize, loss: f32) {
        self.seen += 1;
        if self.seen == 1 {
            say(&json!({"first_loss": f64::from(loss)}));
            return self.await_turn();
        }
        if self.device != Device::Cpu && batch % READ_AT_ONCE != 1 {
            return;
        }
        match &self.clock {
            None if self.seen >= self.start => {
                self.synchronize();
                self.clock = Some(Clock { step: self.seen, start: Instant::now(), cpu_seconds: cpu_seconds() });
            }
            Some(clock) if self.seen >= clock.step + self.steps => {
                self.synchronize();
                say(&json!({
                    "step": self.seen,
                    "steps": self.seen - clock.step,
                    "members": self.members,
                    "seconds": clock.start.elapsed().as_secs_f64(),
                    "cpu_seconds": cpu_seconds() - clock.cpu_seconds,
                    "loss": f64::from(loss),
                }));
                self.clock = None;
                self.await_turn();
            }
            _ => {}
        }
    }

    fn synchronize(&self) {
        if let Device::Cuda(index) = self.device {
            tch::Cuda::synchronize(index as i64);
        }
    }

    fn await_turn(&mut self) {
        if stdin().read_line(&mut String::new()).is_ok_and(|bytes| bytes == 0) {
            std::process::exit(0);
        }
        self.start = self.seen + self.warmup;
    }
}

impl Observer for Meter {
    fn step(&mut self, step: &Step) {
        assert!(step.epoch == 1, "rounds that go over an epoch's end would count its validation");
        self.count(step.batch, step.loss);
    }
}

impl Observer for Silent {
    fn step(&mut self, _: &Step) {}
}

fn say(line: &serde_json::Value) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("standard output is open");
}

/// Processor time of this process, all threads, user and system.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it is this process's own");
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}
