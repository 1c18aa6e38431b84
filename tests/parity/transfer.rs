//! Networks of torchvision's written as layers, weights to start from, and layers that stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::engine::untrained;
use runner::parity::bits::same_bits;
use runner::parity::cases::{Case, of_experiment};
use runner::parity::output::Verdict;
use runner::spec::Experiment;
use runner::train::checkpoint;

use crate::skip::skip;
use crate::{Bench, forward, load, scaled};

fn network(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/networks").join(format!("{name}.yaml"))
}

impl Bench {
    /// The cases of an experiment with some images, a base with these lines and these blocks.
    fn cases(&self, images: usize, base: &str, blocks: &str) -> Vec<Case> {
        let dataset = self.dataset.name.as_str();
        let path = self.scratch.path().join("transfer.yaml");
        let text = format!(
            "schema: 1\nname: transfer\ndata: {{dataset: {dataset}, train: {images}, val: 20}}\nbase: {{{base}}}\n{blocks}"
        );
        fs::write(&path, text).unwrap();
        let mut cases = of_experiment(&Experiment::load(&path, &Default::default()).unwrap());
        cases.iter_mut().for_each(|case| case.test_images = Some(20));
        cases
    }

    fn expect_identical(&self, cases: &[Case], wrapper: Option<&str>) {
        for row in self.compare(cases, wrapper) {
            assert_eq!(row.verdict, Verdict::Identical, "{row:?}");
        }
    }

    /// Weights that a seed draws, as a file.
    fn drawn(&self, name: &str, base: &str, seed: u64) -> String {
        let path = self.scratch.path().join(name);
        let state = untrained(&self.cases(20, base, "")[0].config, seed).state();
        fs::write(&path, checkpoint::plain(&state).unwrap()).unwrap();
        path.display().to_string()
    }
}

const SMALL: &str = "model: {name: small, layers: [{conv: {out: 8, kernel: 3, name: stem.0}}, {batch_norm: {name: stem.1}}, act, \
                     {max_pool: 3}, {conv: {out: 12, kernel: 3}}, act, flatten, dropout, {dense: {out: classes, name: head}}]}, \
                     optimizer: {name: sgd, lr: 0.01, momentum: 0.9}, epochs: 2, batch_size: 16";

#[test]
fn trials_that_start_from_weights_are_identical() {
    let Some(bench) = Bench::new("trials_that_start_from_weights_are_identical") else { return };
    let other = SMALL.replace("out: 12", "out: 14");
    let (same, wider) = (bench.drawn("same.safetensors", SMALL, 71), bench.drawn("wider.safetensors", &other, 72));
    let starts = format!(
        "[none, {{weights: {same}}}, {{weights: {same}, except: [head]}}, {{weights: {same}, except: [stem.1, conv1.bias]}}, \
         {{weights: {wider}}}]"
    );
    let blocks = format!(
        "blocks:\n  - id: grid\n    mode: grid\n    axes: {{start: {starts}, freeze: [[], [stem], [stem.1, conv1]]}}\n  \
         - id: others\n    base: {{start: {{weights: {same}}}}}\n    axes: {{init: [orthogonal], clip: [{{norm: 0.1}}], \
         regularization: [{{dropout: 0.3, l1: 0.001}}], optimizer: [adam]}}\n"
    );
    let cases = bench.cases(120, SMALL, &blocks);
    assert!(cases.len() >= 19, "{}", cases.len());
    bench.expect_identical(&cases, None);
}

/// A network's file with an eighth of its channels.
fn narrow(name: &str) -> String {
    let text = fs::read_to_string(network(name)).unwrap();
    let sizes = [4096, 512, 256, 128, 64];
    sizes.iter().fold(text, |text, size| text.replace(&format!("out: {size}"), &format!("out: {}", size / 8)))
}

const RECIPE: &str = "optimizer: {name: sgd, lr: 0.01, momentum: 0.9}, epochs: 1";

#[test]
fn torchvisions_networks_narrow_and_whole_are_identical() {
    let Some(bench) = Bench::new("torchvisions_networks_narrow_and_whole_are_identical") else { return };
    for name in ["resnet18", "vgg16"] {
        let file = bench.scratch.path().join(format!("{name}.yaml"));
        fs::write(&file, narrow(name)).unwrap();
        bench.expect_identical(
            &bench.cases(160, &format!("model: {{file: {}}}, {RECIPE}, batch_size: 16", file.display()), ""),
            None,
        );
        let whole = format!("model: {{file: {}}}, {RECIPE}, batch_size: 4", network(name).display());
        bench.expect_identical(&bench.cases(8, &whole, ""), None);
    }
}

/// In a folder: leaves a network of torchvision's with random weights and running statistics, and the logits of the images there.
const SAVE: &str = r#"
import pathlib, sys
import torch, torchvision
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
folder, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).name
torch.manual_seed(11)
model = getattr(torchvision.models, name)(num_classes=10)
images = load_file(folder / "images.safetensors")["images"]
with torch.no_grad():
    model.train()(images)
    save_file(model.state_dict(), folder / f"{name}.safetensors")
    save_file({"logits": model.eval()(images)}, folder / f"{name}-logits.safetensors")
"#;

/// `parity.py` with torchvision's own network in the place of the layers.
const TORCHVISION: &str = r#"
import sys
import torch, torchvision
import parity

layered = parity.make_model

def make_model(config):
    layered(config)
    drawn = torch.get_rng_state()
    model = getattr(torchvision.models, config["model"]["name"])(num_classes=10)
    torch.set_rng_state(drawn)
    return model

parity.make_model = make_model
sys.exit(parity.main())
"#;

#[test]
fn torchvisions_own_networks_give_the_same_logits_and_learn_the_same() {
    let test = "torchvisions_own_networks_give_the_same_logits_and_learn_the_same";
    let Some(bench) = Bench::new(test) else { return };
    let found = Command::new(&bench.python).args(["-c", "import torchvision"]).output().unwrap();
    if !found.status.success() {
        return skip(&format!("{test}: this Python has no torchvision"));
    }
    let folder = bench.scratch.path().join("torchvision");
    fs::create_dir(&folder).unwrap();
    let images = scaled(&bench.sets().test.images.narrow(0, 0, 16));
    let named = vec![("images".to_owned(), images.shallow_clone())];
    fs::write(folder.join("images.safetensors"), checkpoint::plain(&named).unwrap()).unwrap();
    for name in ["resnet18", "vgg16"] {
        bench.run(SAVE, &[&folder, Path::new(name)]);
        let weights = folder.join(format!("{name}.safetensors"));
        // A step of vgg16 moves 134 million weights, whose digests take most of the time.
        let count = if name == "vgg16" { 8 } else { 40 };
        let base = format!(
            "model: {{file: {}}}, {RECIPE}, batch_size: 2, start: {{weights: {}}}",
            network(name).display(),
            weights.display()
        );
        let cases = bench.cases(count, &base, "");
        let theirs = load(&folder.join(format!("{name}-logits.safetensors"))).unwrap().remove(0).1;
        let ours = forward(&cases[0].config, &load(&weights).unwrap(), &images).unwrap();
        assert!(same_bits(&ours, &theirs), "{name}: other logits");
        bench.expect_identical(&cases, Some(TORCHVISION));
    }
}
