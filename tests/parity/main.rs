//! This program against plain PyTorch (`scripts/parity.py`), bit for bit on the CPU with one thread.
//!
//! Uses the real images if they are in data/, else the synthetic set. Skipped, with a line saying so, where no Python
//! with torch is found.

#[path = "../program/import/made.rs"]
#[allow(dead_code, reason = "the tests of imports use all of it")]
mod made;
#[path = "../common/skip.rs"]
mod skip;
mod transfer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use anyhow::Result;
use runner::data::batches::{Resident, Scaling};
use runner::data::{self, Dataset, import};
use runner::engine::untrained;
use runner::engine::{Network, State};
use runner::parity::bits::same_bits;
use runner::parity::cases::{self, Case, Otherwise};
use runner::parity::output::{Row, Verdict};
use runner::parity::python::{self, Job};
use runner::parity::{compare_all, trace};
use runner::spec::config::{Config, DatasetName, SYNTHETIC, Scale};
use runner::spec::{Experiment, Imports, Overrides};
use runner::train::Sets;
use runner::train::checkpoint;
use serde_json::json;
use skip::skip;
use tch::{Device, Tensor};
use tempfile::TempDir;

/// libtorch's default generator belongs to the whole process: one test at a time.
static GENERATOR: Mutex<()> = Mutex::new(());

/// What every test needs.
struct Bench {
    python: PathBuf,
    scratch: TempDir,
    data: PathBuf,
    dataset: Dataset,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    /// None, after saying why, where there is no Python.
    fn new(test: &str) -> Option<Bench> {
        let python = python::find().map_err(|error| skip(&format!("{test}: {error:#}"))).ok()?;
        let alone = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tch::set_num_threads(1);
        let data = data::directory(None);
        let dataset = data::load(&DatasetName::Cifar10, &data).unwrap_or_else(|_| {
            eprintln!("{test}: no images in {}; it uses the synthetic set", data.display());
            data::load(&DatasetName::Synthetic, &data).unwrap()
        });
        Some(Bench { python, scratch: tempfile::tempdir().unwrap(), data, dataset, _alone: alone })
    }

    fn compare(&self, cases: &[Case], wrapper: Option<&str>) -> Vec<Row> {
        let (python, folder) = (self.python.as_path(), self.scratch.path());
        let job =
            Job { python, folder, dataset: &self.dataset, data: &self.data, threads: 1, device: Device::Cpu, wrapper };
        let mut rows = vec![];
        let keep = |row| {
            rows.push(row);
            Ok(())
        };
        compare_all(&job, cases, keep).unwrap();
        rows
    }

    fn sets(&self) -> Sets {
        Sets::new(&self.dataset, Device::Cpu)
    }

    /// Runs `script` with `arguments` where parity.py can be imported.
    fn run(&self, script: &str, arguments: &[&Path]) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut command = Command::new(&self.python);
        command.env("PYTHONPATH", scripts).env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", script]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn config(&self, base: &str) -> Config {
        let dataset = self.dataset.name.as_str();
        let text = format!(
            "{{schema: 1, name: test, data: {{dataset: {dataset}, train: 128, val: 100}}, base: {{epochs: 1, {base}}}}}"
        );
        Experiment::parse("test", &text, &Default::default()).unwrap().base
    }
}

#[test]
fn row_38_every_short_case_is_identical_the_ends_of_all_ranges_too() {
    let Some(bench) = Bench::new("every_short_case_is_identical") else { return };
    let cases = cases::short(bench.dataset.name.as_str()).unwrap();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let rows = bench.compare(&cases, None);
    let different: Vec<&Row> = rows.iter().filter(|row| row.verdict != Verdict::Identical).collect();
    assert!(different.is_empty(), "{} of {} differ: {different:#?}", different.len(), rows.len());
}

/// Other numbers of classes, and images of one channel.
const OWN: &str = "
schema: 1
name: own
data: {dataset: own, train: 210, val: 90}
base: {model: lenet5, epochs: 2, batch_size: 50, optimizer: {name: sgd, lr: 0.05, momentum: 0.9}}
blocks:
  - id: networks
    axes:
      model:
        - lenet5_dropout
        - {name: keras_cnn, channels: [4, 8, 8], dense: [16]}
        - {name: leaky_cnn, channels: [4, 8], dense: [16]}
        - {name: resnet, channels: [4, 8, 8, 8, 8], dense: [16]}
        - {name: lenet5, dense: []}
  - id: options
    axes:
      data.scale: [symmetric, standardize]
      optimizer: [adam, rmsprop]
      label_smoothing: [0.1]
      init: [orthogonal, keras]
      augment: [{flip: true, crop: 4}]
      data.split_seed: [7]
";

#[test]
fn imports_of_100_classes_and_of_grey_images_are_identical() {
    let Some(mut bench) = Bench::new("imports_of_100_classes_and_of_grey_images_are_identical") else { return };
    let folder = bench.scratch.path().join("sources");
    made::cifar100(&folder.join("cifar-100-binary"), [400, 200]);
    made::idx(&folder.join("mnist"), [400, 130], true);
    for (source, classes) in [("cifar-100-binary", 100), ("mnist", 10)] {
        let out = folder.join(source).join("out");
        let options = import::Options { name: Some("own".to_owned()), ..Default::default() };
        import::import(&folder.join(source), &out, &options, &|_| {}).unwrap();
        let overrides = Overrides { imports: Imports::in_folder(out.clone()), ..Overrides::default() };
        let cases = cases::of_experiment(&Experiment::parse("own", OWN, &overrides).unwrap());
        assert_eq!((cases.len(), cases[0].config.data.dataset.classes()), (15, classes));
        bench.dataset = data::load(&cases[0].config.data.dataset, &out).unwrap();
        let rows = bench.compare(&cases, None);
        let different: Vec<&Row> = rows.iter().filter(|row| row.verdict != Verdict::Identical).collect();
        assert!(different.is_empty(), "{source}: {} of {} differ: {different:#?}", different.len(), rows.len());
    }
}

/// In the middle of an epoch, at an epoch's end, in the second epoch, at the very end: ten steps an epoch.
#[test]
fn cases_cut_short_are_identical() {
    let Some(bench) = Bench::new("cases_cut_short_are_identical") else { return };
    let mut cases = cases::short(bench.dataset.name.as_str()).unwrap();
    cases.retain(|case| case.name == "adam: base" || case.name == "resnet: base");
    let cut = |&steps: &usize| cases.iter().map(move |case| Case { max_steps: Some(steps), ..case.clone() });
    let cases: Vec<Case> = [7, 10, 13, 20].iter().flat_map(cut).collect();
    for (case, row) in cases.iter().zip(bench.compare(&cases, None)) {
        assert_eq!((Some(row.steps), row.verdict), (case.max_steps, Verdict::Identical), "{row:?}");
    }
}

/// `torch::optim::Adam` of libtorch: a product and a sum where Python interpolates.
const CPP_ADAM: &str = r#"
import sys
import torch

class CppAdam(torch.optim.Optimizer):
    def __init__(self, parameters, lr, betas, eps, weight_decay, amsgrad):
        super().__init__(parameters, {"lr": lr})
        self.betas, self.eps, self.steps = betas, eps, 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        (beta1, beta2), group = self.betas, self.param_groups[0]
        for p in group["params"]:
            if not self.state[p]:
                self.state[p] = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            exp_avg, exp_avg_sq = self.state[p]["exp_avg"], self.state[p]["exp_avg_sq"]
            exp_avg.mul_(beta1).add_(p.grad, alpha=1 - beta1)
            exp_avg_sq.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
            denominator = (exp_avg_sq.sqrt() / (1 - beta2 ** self.steps) ** 0.5).add_(self.eps)
            p.addcdiv_(exp_avg, denominator, value=-group["lr"] / (1 - beta1 ** self.steps))

torch.optim.Adam = CppAdam
import parity
sys.exit(parity.main())
"#;

#[test]
fn an_adam_in_another_order_is_caught_at_step_2() {
    let Some(bench) = Bench::new("an_adam_in_another_order_is_caught_at_step_2") else { return };
    let mut cases = cases::short(bench.dataset.name.as_str()).unwrap();
    cases.retain(|case| case.name == "adam: base");
    let rows = bench.compare(&cases, Some(CPP_ADAM));
    assert_eq!(rows[0].first, "step 2: weights");
    assert!(rows[0].largest_loss_difference > 0.0 && rows[0].largest_weight_difference > 0.0, "{:?}", rows[0]);
}

/// Whether two threads or another layout change bits is libtorch's and the processor's business; that the table says so
/// is ours. Python's files are read here without the code under test.
#[test]
fn other_threads_and_layouts_are_reported_as_they_are() {
    let Some(bench) = Bench::new("other_threads_and_layouts_are_reported_as_they_are") else { return };
    let cases = cases::otherwise(bench.dataset.name.as_str()).unwrap();
    assert_eq!(cases.len(), 2);
    let rows = bench.compare(&cases, None);
    for (case, row) in cases.iter().zip(&rows) {
        let is_same = same_by_hand(&bench, case);
        let is_reported_so = row.verdict == Verdict::Identical;
        assert_eq!(is_reported_so, is_same, "{row:?}");
        eprintln!("{}: {}", row.case, if is_same { "identical" } else { row.first.as_str() });
    }
}

fn same_by_hand(bench: &Bench, case: &Case) -> bool {
    let out = bench.scratch.path().join("by-hand");
    let line = json!({
        "name": case.name,
        "config": case.config,
        "seed": case.seed,
        "threads": if case.otherwise == Some(Otherwise::Threads(2)) { 2 } else { 1 },
        "channels_last": case.otherwise == Some(Otherwise::ChannelsLast),
        "out": out,
    });
    let (cases_file, images) =
        (bench.scratch.path().join("by-hand.jsonl"), bench.scratch.path().join("images-by-hand.bin"));
    fs::write(&cases_file, line.to_string()).unwrap();
    let Dataset { train, test, .. } = &bench.dataset;
    fs::write(&images, [&train.labels[..], &train.pixels, &test.labels, &test.pixels].concat()).unwrap();
    let script = "import parity, sys; parity.run_cases(sys.argv[1], {'data_dir': None, 'dataset_file': sys.argv[2]})";
    bench.run(script, &[&cases_file, &images]);

    let ours = trace::ours(case, &bench.sets()).unwrap();
    let table = fs::read_to_string(out.join("steps.csv")).unwrap();
    let losses: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    let same_losses = ours.steps.iter().map(|step| format!("{:08x}", step.loss.to_bits())).eq(losses);
    let theirs = load(&out.join("final.safetensors")).unwrap();
    let same_weights = ours
        .last
        .unwrap()
        .iter()
        .all(|(name, tensor)| theirs.iter().any(|(other, theirs)| other == name && same_bits(tensor, theirs)));
    same_losses && same_weights
}

/// In each folder: loads this program's weights; leaves the logits they give, other weights in two formats, and their
/// logits.
const EXCHANGE: &str = r#"
import pathlib, sys
import torch
from safetensors.torch import load_file, save_file
import parity

torch.set_num_threads(1)
for folder in map(pathlib.Path, sys.argv[1:]):
    config, _ = parity.read_config(folder / "config.json")
    images = load_file(folder / "images.safetensors")["images"]
    model = parity.make_model(config)
    model.load_state_dict(load_file(folder / "ours.safetensors"), strict=True)
    with torch.no_grad():
        save_file({"logits": model.eval()(images)}, folder / "logits-ours.safetensors")
        torch.manual_seed(7)
        model = parity.make_model(config)
        model.train()(images)    # moves BatchNorm's running statistics
        torch.save(model.state_dict(), folder / "theirs.pt")
        save_file(model.state_dict(), folder / "theirs.safetensors")
        save_file({"logits": model.eval()(images)}, folder / "logits-theirs.safetensors")
"#;

const EXCHANGED: [&str; 5] = [
    "model: lenet5",
    "model: lenet5_dropout",
    "model: {name: keras_cnn, channels: [8, 16, 16], dense: [32]}",
    "model: {name: leaky_cnn, channels: [8, 16], dense: [32]}, activation: {name: leaky_relu, slope: 0.1}",
    "model: {name: resnet, channels: [8, 16, 16, 16, 16], dense: [32]}",
];

#[test]
fn weights_travel_both_ways_with_identical_logits() {
    let Some(bench) = Bench::new("weights_travel_both_ways_with_identical_logits") else { return };
    let mut sets = bench.sets();
    let (images, labels) = (sets.test.images.narrow(0, 0, 500), sets.test.labels.narrow(0, 0, 500));
    sets.test = Resident { images, labels };
    let configs = EXCHANGED.map(|model| bench.config(&format!("{model}, optimizer: sgd")));
    let folders: Vec<PathBuf> =
        (1..=configs.len()).map(|number| bench.scratch.path().join(number.to_string())).collect();
    for (config, folder) in configs.iter().zip(&folders) {
        give(config, &sets, folder).unwrap();
    }
    bench.run(EXCHANGE, &folders.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    for (config, folder) in configs.iter().zip(&folders) {
        convert(&bench, &folder.join("theirs.pt"), &folder.join("converted.safetensors"));
        take(config, folder).unwrap();
    }
}

/// Leaves a trained network's weights and the images for Python.
fn give(config: &Config, sets: &Sets, folder: &Path) -> Result<()> {
    let (name, config) = (String::from("exchange"), config.clone());
    let case = Case { name, config, seed: 0, max_steps: None, test_images: None, otherwise: None };
    let weights = trace::ours(&case, sets)?.best.expect("the trial finished an epoch");
    let images = vec![("images".to_owned(), scaled(&sets.test.images))];
    fs::create_dir(folder)?;
    fs::write(folder.join("config.json"), serde_json::to_vec(&case.config)?)?;
    fs::write(folder.join("ours.safetensors"), checkpoint::encode(&weights, &"weights of a test")?)?;
    fs::write(folder.join("images.safetensors"), checkpoint::encode(&images, &"images of a test")?)?;
    Ok(())
}

fn scaled(pixels: &Tensor) -> Tensor {
    Scaling::fixed(Scale::Unit, Device::Cpu).unwrap().apply(pixels)
}

/// Compares the logits of all weights in the folder with Python's.
fn take(config: &Config, folder: &Path) -> Result<()> {
    let images = load(&folder.join("images.safetensors"))?.remove(0).1;
    for (weights, logits) in [("ours", "logits-ours"), ("theirs", "logits-theirs"), ("converted", "logits-theirs")] {
        let expected = load(&folder.join(format!("{logits}.safetensors")))?.remove(0).1;
        let got = forward(config, &load(&folder.join(format!("{weights}.safetensors")))?, &images)?;
        assert!(same_bits(&got, &expected), "{:?}: {weights}: other logits", config.model);
    }
    Ok(())
}

/// `scripts/convert.py SOURCE TARGET`
fn convert(bench: &Bench, source: &Path, target: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/convert.py");
    let output = Command::new(&bench.python).args([&script, source, target]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn load(path: &Path) -> Result<State> {
    checkpoint::decode(&fs::read(path)?)?.state()
}

fn forward(config: &Config, state: &State, images: &Tensor) -> Result<Tensor> {
    let mut network = Network::new(config);
    network.load_state(state)?;
    Ok(tch::no_grad(|| network.forward(images, false)))
}

/// The weights that a trial starts from are those that the untrained state dict has.
#[test]
fn the_initial_state_is_reproducible() {
    let _alone = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let config = cases::short(SYNTHETIC).unwrap().remove(0).config;
    let (first, second) = (untrained(&config, 3).state(), untrained(&config, 3).state());
    assert!(first.iter().zip(&second).all(|((_, first), (_, second))| same_bits(first, second)));
    assert!(!same_bits(&first[0].1, &untrained(&config, 4).state()[0].1));
}
