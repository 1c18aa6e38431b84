//! Trials of one seed computed together: their networks are one [`PackedNetwork`]. A trial alone is a pack of one.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::arithmetic::{self, Arithmetic, Batch, Measures, entropies};
use super::clip::clip;
use super::cuda_graph::Recorder;
use super::init::untrained;
use super::network::Network;
use super::packed_memory::PackedMemory;
use super::packed_network::PackedNetwork;
use super::penalties::Penalties;
use super::state::State;
use crate::native::{self, no_grad};
use crate::networks::Weights;
use crate::optimizers::Optimizer;
use crate::spec::config::{Activation, Clip, Config, Init, Mode, Regularization};

pub struct Packed {
    /// The first member's: what all have in common is read from it.
    config: Config,
    optimizers: Vec<Optimizer>,
    network: PackedNetwork,
    memory: PackedMemory,
    penalties: Option<Penalties>,
    recorder: Recorder,
    /// A step's images go through the network so many at a time.
    images_a_pass: i64,
}

/// Of [`Packed::pass`].
type Pass = (Tensor, Tensor, Tensor);

fn sum(mut all: Pass, one: Pass) -> Pass {
    all.0 += one.0;
    all.1 += one.1;
    all.2 += one.2;
    all
}

/// On a CPU the largest tensor between two layers of all members has at most so many numbers, 8 MiB, or it does not stay in the
/// processor's caches until the backward pass needs it.
const NUMBERS_A_LAYER: i64 = 1 << 21;
/// Fewer images fill no convolution.
const FEWEST: i64 = 32;

/// How many images a training pass takes of `members` networks of this configuration.
fn images_a_pass(config: &Config, members: usize, device: Device) -> i64 {
    let table = config.table();
    let normalizes = table.rows.iter().any(|row| matches!(row.weights, Weights::BatchNorm { .. }));
    // BatchNorm sees the whole batch.
    if device != Device::Cpu || normalizes {
        return i64::MAX;
    }
    table.images_within(NUMBERS_A_LAYER, members).max(FEWEST)
}

impl Packed {
    pub fn new(configs: &[&Config], seed: u64, device: Device) -> Packed {
        let config = configs[0].clone();
        if device != Device::Cpu {
            native::make_gpu_quick(device, config.mode == Mode::FastTf32);
        }
        let networks: Vec<Network> = configs.iter().map(|config| untrained(config, seed)).collect();
        // The order of images is the one that follows PyTorch's own starting weights, whatever the members' are.
        untrained(&Config { init: Init::Pytorch, ..config.clone() }, seed);
        let network = PackedNetwork::new(configs, &networks, device);
        let rules: Vec<Regularization> = configs.iter().map(|config| config.regularization).collect();
        let optimizers: Vec<Optimizer> = configs.iter().map(|config| config.optimizer).collect();
        let (memory, penalties) =
            (PackedMemory::new(&optimizers, &network.parameters(), network.width()), Penalties::new(&rules, &network));
        let images_a_pass = images_a_pass(&config, configs.len(), device);
        Packed { config, optimizers, network, memory, penalties, recorder: Recorder::default(), images_a_pass }
    }

    /// The tensor operations of a step: always the same ones for as many images, from the second step on. float32 [K, 3]:
    /// each member's loss, penalty and count of right answers, before the step.
    fn compute(&self, images: &Tensor, labels: &Tensor) -> Tensor {
        let count = labels.size()[0];
        let passes = (count - 1) / self.images_a_pass + 1;
        let parts = images.chunk(passes, 0).into_iter().zip(labels.chunk(passes, 0));
        let passes = parts.map(|(images, labels)| self.pass(&images, &labels, count));
        let (mut gradient, losses, correct) = passes.reduce(sum).expect("a batch has images");
        let parameters = self.network.parameters();
        let penalties = self.penalties.as_ref().map(|penalties| penalties.add(&gradient, &parameters));
        // One with a limit is alone, so the norm is its own.
        clip(std::slice::from_mut(&mut gradient), self.config.clip);
        self.memory.end_step(&parameters, &gradient);
        self.network.refresh();
        Tensor::stack(&[&losses, &penalties.unwrap_or_else(|| losses.zeros_like()), &correct], 1)
    }

    /// What some images of a batch of `count` add to its gradient [K, P], and to each member's loss and right answers, float32 [K].
    fn pass(&self, images: &Tensor, labels: &Tensor, count: i64) -> Pass {
        let logits = self.forward(images);
        let losses = entropies(&logits, labels, self.config.label_smoothing);
        let losses = losses.sum_dim_intlist(1, false, Kind::Float) / count as f64;
        let gradient = self.network.gradient(&losses.sum(Kind::Float));
        // No batch has so many images that float32 could not count them.
        let correct = logits.argmax(2, false).eq_tensor(labels).sum_dim_intlist(1, false, Kind::Float);
        (gradient, losses.detach(), correct)
    }

    /// float32 [K, N, C], with gradients.
    fn forward(&self, images: &Tensor) -> Tensor {
        let forward = || self.network.forward(images, true);
        match self.config.mode {
            Mode::FastBf16 => native::in_bfloat16(images.device(), forward).to_kind(Kind::Float),
            _ => forward(),
        }
    }
}

impl Arithmetic for Packed {
    fn step(&mut self, batch: &Batch, rates: &[f64]) -> Measures {
        self.memory.begin_step(rates);
        let mut recorder = std::mem::take(&mut self.recorder);
        let output = recorder.run(batch.device, &batch.input, |input| {
            let (images, labels) = (batch.images)(input);
            self.compute(&images, &labels)
        });
        self.recorder = recorder;
        let unread = Measures::Unread(output);
        match batch.device {
            Device::Cpu => Measures::Read(arithmetic::read(vec![unread]).remove(0)),
            _ => unread,
        }
    }

    fn logits(&self, images: &Tensor) -> Tensor {
        let forward = || no_grad(|| self.network.forward(images, false));
        if images.device() == Device::Cpu { forward() } else { native::without_kernel_search(forward) }
    }

    fn state(&self, member: usize) -> State {
        self.network.state(member as i64)
    }

    fn write(&mut self, member: usize, state: &State) -> Result<()> {
        self.network.write(member as i64, state)
    }

    fn refresh(&mut self) {
        self.network.refresh();
    }

    fn memory(&self, member: usize) -> (u64, State) {
        (self.memory.steps(), self.memory.state(member as i64))
    }

    fn remember(&mut self, member: usize, steps: u64, state: &State) -> Result<()> {
        self.memory.restore(member as i64, steps, state)
    }

    fn restart(&mut self) {
        self.memory = PackedMemory::new(&self.optimizers, &self.network.parameters(), self.network.width());
        self.recorder = Recorder::default();
    }
}

/// Whether two configurations can be computed together with one seed: what is left of both is the same once everything that
/// each member has of its own is taken out.
pub fn fit_together(left: &Config, right: &Config) -> bool {
    shared(left).is_some_and(|left| Some(left) == shared(right))
}

/// `config` without what members may differ in; none where it must be computed alone.
fn shared(config: &Config) -> Option<Config> {
    let mut config = config.clone();
    (config.init, config.start) = (Init::Pytorch, None);
    if let Activation::LeakyRelu { slope } = &mut config.activation {
        *slope = 0.0;
    }
    let rule = &mut config.regularization;
    (rule.l1, rule.l2, rule.dropout) = (0.0, 0.0, 0.0);
    config.optimizer = config.optimizer.shared();
    (config.clip == Clip::None).then_some(config)
}
