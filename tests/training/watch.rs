//! Trials alone and in a pack, and what is seen of them.
//!
//! libtorch's default generator belongs to the whole process, so the tests take turns.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use anyhow::Result;
use runner::data;
use runner::record::Epoch;
use runner::spec::Experiment;
use runner::spec::config::{Config, DatasetName, Mode};
use runner::train::{self, Ended, Observer, Sets, Step};
use tch::Device;

static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub const SEED: u64 = 3;
/// 800 images in batches of 16 are 50 steps.
pub const LENET: &str = "model: lenet5, epochs: 1, batch_size: 16, optimizer: {name: sgd, lr: 0.01, momentum: 0.9}";

pub fn sets() -> Sets {
    tch::set_num_threads(1);
    let set = data::load(&DatasetName::Synthetic, Path::new("")).unwrap();
    Sets::new(&set, Device::Cpu)
}

/// The base, then each included change of it.
pub fn configs(base: &str, changes: &[&str]) -> Vec<Config> {
    let include: String = changes.iter().map(|change| format!("      - {{{change}}}\n")).collect();
    let text = format!(
        "schema: 1\nname: pack\ndata: {{dataset: synthetic, train: 800, val: 100}}\nbase: {{{base}}}\nblocks:\n  \
         - id: others\n    include:\n{include}"
    );
    let experiment = Experiment::parse("pack", &text, &Default::default()).unwrap();
    experiment.blocks[0].variants.iter().map(|variant| variant.config.clone()).collect()
}

/// Losses and rates step by step; stops after so many steps.
#[derive(Default)]
pub struct Watch {
    pub losses: Vec<f32>,
    pub rates: Vec<f64>,
    pub stop_after: Option<usize>,
    /// Wants a checkpoint after every step.
    pub impatient: bool,
    pub checkpoint: Vec<u8>,
    pub checkpoints: usize,
}

impl Observer for Watch {
    fn step(&mut self, step: &Step) {
        self.losses.push(step.loss);
        self.rates.push(step.lr);
    }

    fn checkpoint(&mut self, bytes: Vec<u8>, _: &[Epoch]) -> Result<()> {
        self.checkpoint = bytes;
        self.checkpoints += 1;
        Ok(())
    }

    fn wants_checkpoint(&mut self) -> bool {
        self.wants_stop() || self.impatient
    }

    fn wants_stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.losses.len() >= steps)
    }
}

pub fn exact(config: &Config) -> Config {
    Config { mode: Mode::Exact, ..config.clone() }
}

/// Its own fast mode where it has one.
pub fn fast(config: &Config) -> Config {
    let mode = if config.mode == Mode::Exact { Mode::Fast } else { config.mode };
    Config { mode, ..config.clone() }
}

pub fn alone(config: &Config, sets: &Sets) -> (Watch, Ended) {
    let mut watch = Watch::default();
    let ended = train::run_one(&exact(config), SEED, sets, Device::Cpu, None, &mut watch).unwrap();
    (watch, ended)
}

pub fn together(
    configs: &[Config],
    sets: &Sets,
    resume: Option<&[Vec<u8>]>,
    stop_after: Option<usize>,
) -> (Vec<Watch>, Vec<Ended>) {
    let mut watches: Vec<Watch> = configs.iter().map(|_| Watch { stop_after, ..Watch::default() }).collect();
    let ended = watched(configs, sets, resume, &mut watches);
    (watches, ended)
}

pub fn watched(configs: &[Config], sets: &Sets, resume: Option<&[Vec<u8>]>, watches: &mut [Watch]) -> Vec<Ended> {
    let mut observers: Vec<&mut dyn Observer> = watches.iter_mut().map(|watch| watch as &mut dyn Observer).collect();
    let configs: Vec<Config> = configs.iter().map(fast).collect();
    train::run(&configs.iter().collect::<Vec<_>>(), SEED, sets, Device::Cpu, resume, &mut observers).unwrap()
}
