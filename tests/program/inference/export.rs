//! `runner export`: the class of plain torch.nn gives the program's own logits.

use std::path::Path;
use std::process::Command;

use runner::data;
use runner::inference::load::load;
use runner::parity::python;
use runner::spec::config::DatasetName;
use tch::{Device, Tensor};

use crate::common::skip::skip;
use crate::common::{BAD_INPUT, DONE, Lab, names};

/// One trial a network, with the activations and scalings that a class may have to write down.
const NETWORKS: [(&str, &str, &str); 6] = [
    ("lenet5", "unit", ""),
    ("lenet5_dropout", "symmetric", "activation: gelu"),
    ("keras_cnn", "standardize", "activation: {name: leaky_relu, slope: 0.1}, pool: avg"),
    ("leaky_cnn", "unit", "activation: elu"),
    ("{name: resnet, channels: [8, 16, 16, 16, 16], dense: [32]}", "standardize", "activation: silu"),
    (
        "{name: named, layers: [{conv: {out: 8, kernel: 3, stride: 2, name: stem.0}}, {batch_norm: {name: stem.1}}, act, {residual: \
         {main: [{conv: {out: 8, kernel: 1, name: way.0.conv}}], shortcut: [{conv: {out: 8, kernel: 1, name: way.1}}]}}, {max_pool: \
         5}, flatten, dropout, {dense: {out: classes, name: head}}]}",
        "unit",
        "regularization: {dropout: 0.2}",
    ),
];

/// For each folder: the class gives the logits, and its file, run alone, prints the network.
const COMPARE: &str = r#"
import importlib, os, runpy, sys, numpy, torch
torch.set_num_threads(1)
for number in range(1, len(sys.argv), 2):
    folder, name = sys.argv[number:number + 2]
    os.chdir(folder)
    sys.path.insert(0, os.path.abspath("out"))
    module = importlib.import_module(name)
    images = torch.from_numpy(numpy.fromfile("images", dtype=numpy.uint8)).view(-1, 3, 32, 32)
    with torch.no_grad():
        logits = module.load()(module.scale(images))
    wanted = torch.from_numpy(numpy.fromfile("logits", dtype=numpy.float32)).view(-1, 10)
    assert len(module.CLASSES) == 10 and not any(name.startswith("runner") for name in sys.modules)
    different = (logits.view(torch.int32) != wanted.view(torch.int32)).sum().item()
    if different or len(logits) < 100:
        sys.exit(f"{name}: {different} of {logits.numel()} logits have other bits")
    print("== network", flush=True)
    runpy.run_path(f"out/{name}.py", run_name="__main__")
    sys.path.pop(0)
    sys.modules.pop(name)
"#;

fn lab(model: &str, scale: &str, more: &str) -> Lab {
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    Lab::new(&format!(
        "schema: 1\nname: tiny\ndata: {{dataset: synthetic, train: 64, val: 50, scale: {scale}}}\nseeds: [3]\n\
         base: {{model: {model}, epochs: 1, batch_size: 32, optimizer: {{name: sgd, lr: 0.01}}{more}}}\n"
    ))
}

/// The first test images, real ones where they are at hand.
fn images() -> Tensor {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let set = data::load(&DatasetName::Cifar10, &folder)
        .unwrap_or_else(|_| data::load(&DatasetName::Synthetic, &folder).unwrap());
    let count = 128;
    Tensor::from_slice(&set.test.pixels[..count * data::IMAGE_BYTES]).view([count as i64, 3, 32, 32])
}

fn write<T: tch::kind::Element + Copy>(path: &Path, tensor: &Tensor, bytes: impl Fn(&T) -> Vec<u8>)
where
    Vec<T>: TryFrom<Tensor, Error = tch::TchError>,
{
    let values = Vec::<T>::try_from(tensor.flatten(0, -1)).unwrap();
    std::fs::write(path, values.iter().flat_map(bytes).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn the_exported_class_gives_the_same_logits_bit_for_bit() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("{error:#}")),
    };
    let images = images();
    tch::set_num_threads(1);
    let (mut labs, mut tables) = (vec![], vec![]);
    let mut compare = Command::new(&python);
    compare.args(["-c", COMPARE]);
    for (model, scale, more) in NETWORKS {
        let lab = lab(model, scale, more);
        lab.sweep("").expect(DONE);
        let trial = lab.result("trials").join(&lab.stored()[0]);
        let ended = lab.run(&format!("export {} out", trial.display())).expect(DONE);
        let name = model.trim_start_matches("{name: ").split(',').next().unwrap();
        assert!(ended.out.contains(&format!("out/{name}.py")), "{}", ended.out);
        let loaded = load(&trial, None, Path::new("nowhere"), Device::Cpu).unwrap();
        let scaling = loaded.scaling(Path::new("nowhere"), Device::Cpu).unwrap();
        write::<u8>(&lab.path("images"), &images, |byte| vec![*byte]);
        let own = tch::no_grad(|| loaded.network.forward(&scaling.apply(&images), false));
        write::<f32>(&lab.path("logits"), &own, |logit| logit.to_le_bytes().to_vec());
        compare.arg(lab.path("")).arg(name);
        tables.push((scale, loaded.config.table().parameters()));
        labs.push(lab);
    }
    let printed = labs[0].start_command(labs[0].settle(compare)).end().expect(DONE).out;
    let networks: Vec<&str> = printed.split("== network\n").skip(1).collect();
    assert_eq!(networks.len(), NETWORKS.len(), "{printed}");
    for (printed, (scale, parameters)) in networks.iter().zip(tables) {
        // PyTorch does not count BatchNorm's running statistics, the table does.
        let has_same_count = scale == "unit" && !printed.contains("BatchNorm2d");
        let parameters = format!("{parameters} parameters");
        assert!(printed.contains("Conv2d") && (!has_same_count || printed.contains(&parameters)), "{printed}");
    }
}

#[test]
fn an_export_never_goes_over_other_files() {
    let lab = lab("lenet5", "unit", "");
    lab.sweep("").expect(DONE);
    let id = &lab.stored()[0];
    let export = format!("export results/tiny/trials/{id}");
    lab.run(&export).expect(DONE);
    let folder = lab.path(&format!("lenet5-{id}"));
    let mut files = names(&folder);
    files.sort();
    assert_eq!(files, ["lenet5.py", "lenet5.safetensors"]);
    lab.run(&export).expect(DONE);
    std::fs::write(folder.join("lenet5.py"), "mine").unwrap();
    lab.run(&export)
        .expect(BAD_INPUT)
        .saying(&["lenet5.py: is there already and differs; choose another folder as OUT"]);
    assert_eq!(std::fs::read(folder.join("lenet5.py")).unwrap(), b"mine");
}

/// What is exported is a state dict like any other program's.
#[test]
fn what_is_exported_is_evaluated_like_the_trial() {
    let lab = lab("lenet5", "unit", "");
    lab.sweep("").expect(DONE);
    let trial = format!("results/tiny/trials/{}", lab.stored()[0]);
    lab.run(&format!("export {trial} out")).expect(DONE);
    let score = |what: &str| {
        let ended = lab.run(&format!("evaluate {what} --json")).expect(DONE);
        serde_json::from_str::<serde_json::Value>(&ended.out).unwrap()[0]["loss"].clone()
    };
    assert_eq!(score(&trial), score("out/lenet5.safetensors --experiment tiny.yaml"));
    lab.run("evaluate out/lenet5.safetensors").expect(BAD_INPUT).saying(&["does not say which network it holds"]);
}

#[test]
fn what_is_exported_has_a_name_that_python_can_import() {
    let lab = lab("{name: 3-small-no-bn, layers: [flatten, {dense: classes}]}", "unit", "");
    lab.sweep("").expect(DONE);
    let ended = lab.run(&format!("export results/tiny/trials/{} out", lab.stored()[0])).expect(DONE);
    assert!(ended.out.contains("out/network_3_small_no_bn.py"), "{}", ended.out);
}
