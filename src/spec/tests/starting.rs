//! `start` and `freeze`, and layers whose names have dots.

use std::path::Path;

use super::*;

/// A safetensors file of float32 zeros.
pub fn weights(path: &Path, tensors: &[(&str, &[usize])]) {
    let bytes = |shape: &[usize]| vec![0u8; 4 * shape.iter().product::<usize>()];
    let data: Vec<_> = tensors.iter().map(|(name, shape)| (*name, shape.to_vec(), bytes(shape))).collect();
    let view = |(name, shape, bytes): &'_ (&str, Vec<usize>, Vec<u8>)| (name.to_string(), shape.clone(), bytes.clone());
    let owned: Vec<_> = data.iter().map(view).collect();
    let views = owned.iter().map(|(name, shape, bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

const FIRST: &[(&str, &[usize])] =
    &[("conv1.weight", &[6, 3, 5, 5]), ("conv1.bias", &[6]), ("fc3.weight", &[1000, 84])];

/// A folder with an experiment whose base has these lines, and files of weights.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        weights(&folder.path("a.safetensors"), FIRST);
        weights(&folder.path("other.safetensors"), &[("x.weight", &[1])]);
        let grey: &[(&str, &[usize])] = &[("conv1.weight", &[6, 1, 5, 5]), ("fc3.weight", &[1000, 84])];
        weights(&folder.path("grey.safetensors"), grey);
        folder
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, lines: &str) -> crate::spec::Result<Experiment> {
        std::fs::write(self.path("e.yaml"), format!("{HEAD}{lines}")).unwrap();
        Experiment::load(&self.path("e.yaml"), &Overrides::default())
    }

    fn error(&self, lines: &str) -> String {
        self.load(lines).unwrap_err().to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn what_is_in_the_file_and_the_exceptions_are_part_of_the_id_and_its_path_is_not() {
    let folder = Folder::new();
    let id = |lines: &str| trial_id(&folder.load(lines).unwrap().base, 0);
    let first = id("  start: {weights: a.safetensors}\n");
    std::fs::create_dir(folder.path("deep")).unwrap();
    std::fs::copy(folder.path("a.safetensors"), folder.path("deep/b.safetensors")).unwrap();
    assert_eq!(id("  start: {weights: deep/b.safetensors, except: []}\n"), first);
    assert_eq!(id("  start.weights: a.safetensors\n"), first);
    assert_eq!(id("  start: none\n"), id(""));
    let mut ids =
        vec![first, id(""), id("  start: {weights: a.safetensors, except: [fc3]}\n"), id("  freeze: [conv1]\n")];
    weights(&folder.path("a.safetensors"), &[("conv1.bias", &[6])]);
    ids.push(id("  start: {weights: a.safetensors}\n"));
    (1..ids.len()).for_each(|index| assert!(!ids[..index].contains(&ids[index]), "{ids:?}"));
}

#[test]
fn a_sketch_reads_no_weights_to_their_ends_and_is_else_the_same() {
    let folder = Folder::new();
    let lines = "blocks:\n  - id: a\n    axes: {start: [{weights: a.safetensors}, {weights: b.safetensors}]}\n";
    weights(&folder.path("b.safetensors"), &[("conv1.bias", &[6])]);
    let whole = folder.load(lines).unwrap();
    let overrides = Overrides { is_sketch: true, ..Overrides::default() };
    let sketch = Experiment::load(&folder.path("e.yaml"), &overrides).unwrap();
    assert_eq!((labels(&sketch.blocks[0]), &sketch.notes), (labels(&whole.blocks[0]), &whole.notes));
    let ids = |experiment: &Experiment| experiment.trials().into_iter().map(|trial| trial.id).collect::<Vec<_>>();
    assert_eq!((ids(&sketch)[..2] == ids(&whole)[..2], ids(&sketch)[2] == ids(&whole)[2]), (true, false));
    let mut bytes = std::fs::read(folder.path("a.safetensors")).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(folder.path("b.safetensors"), bytes).unwrap();
    let error = Experiment::load(&folder.path("e.yaml"), &overrides).unwrap_err().to_string();
    assert!(error.contains("not a whole safetensors file"), "{error}");
}

#[test]
fn what_is_taken_and_what_is_drawn_anew_is_said() {
    let folder = Folder::new();
    let notes = folder.load("  start: {weights: a.safetensors, except: [conv1.bias]}\n").unwrap().notes;
    let path = folder.path("a.safetensors");
    let wanted = "takes 1 tensor; drawn anew: conv1.bias, conv2, fc1, fc2, fc3";
    assert_eq!(notes, [format!("lenet5 starts from {}: {wanted}", path.display())]);
}

#[test]
fn scratch_fine_tuned_and_frozen_are_values_of_axes() {
    let folder = Folder::new();
    let lines = "blocks:\n  - id: transfer\n    mode: grid\n    axes: {start: [none, {weights: a.safetensors}], \
                 freeze: [[], [conv1, conv2]]}\n";
    let experiment = folder.load(lines).unwrap();
    let variants = &experiment.blocks[0].variants;
    let wanted = [
        "base",
        "start=none · freeze=[conv1, conv2]",
        "start weights a.safetensors · freeze=[]",
        "start weights a.safetensors · freeze=[conv1, conv2]",
    ];
    assert_eq!(labels(&experiment.blocks[0]), wanted);
    assert!(variants[3].config.freezes("conv2") && !variants[3].config.freezes("conv"));
    assert!(crate::spec::check_stored(&variants[3].config).is_ok());
    let json = serde_json::to_string(&variants[3].config).unwrap();
    assert!(!json.contains("a.safetensors"), "{json}");
}

#[test]
fn what_cannot_be_started_from_or_frozen_is_refused() {
    let folder = Folder::new();
    std::fs::write(folder.path("pickle.pt"), [0x80; 40]).unwrap();
    std::fs::write(folder.path("short.safetensors"), &std::fs::read(folder.path("a.safetensors")).unwrap()[..300])
        .unwrap();
    let cases = [
        ("start: {weights: no.safetensors}", "e.yaml:7:20: start.weights: no.safetensors: No such file"),
        ("start: {weights: .}", "e.yaml:7:20: start.weights: .: not a file"),
        (
            "start: {weights: pickle.pt}",
            "e.yaml:7:20: start.weights: pickle.pt: not a safetensors file; scripts/convert.py",
        ),
        ("start: {weights: short.safetensors}", "e.yaml:7:20: start.weights: short.safetensors: not a whole"),
        (
            "start: {weights: other.safetensors}",
            "e.yaml:7:20: start.weights: other.safetensors: nothing in it fits lenet5 by name and shape: the file has x.weight 1; \
             lenet5 has conv1.weight 6×3×5×5, conv1.bias 6, conv2.weight 16×6×5×5 and 7 more; a network of your own takes the \
             file's names by `name` in its layers",
        ),
        (
            "start: {weights: grey.safetensors}",
            "e.yaml:7:20: start.weights: grey.safetensors: nothing in it fits lenet5 by name and shape: conv1.weight is 6×1×5×5 in \
             the file and 6×3×5×5 in lenet5, fc3.weight is 1000×84 in the file and 10×84 in lenet5; a tensor is taken where both \
             are the same",
        ),
        (
            "start: {weights: a.safetensors, except: [conv1]}",
            "e.yaml:7:20: start.weights: a.safetensors: `except` leaves nothing of what fits lenet5: conv1.weight, conv1.bias",
        ),
        (
            "start: {weights: a.safetensors, except: [fc4]}",
            "e.yaml:7:43: start.except: lenet5 has no layer `fc4`; valid",
        ),
        ("start: {sha256: a}", "e.yaml:7:10: start.weights: this key is missing"),
        ("start: {weights: {sha256: a}}", "e.yaml:7:20: start.weights: expected a text"),
        ("start: {weights: {file: a.safetensors, sha256: a}}", "e.yaml:7:50: start.weights.sha256: a.safetensors has "),
        (
            "freeze: [con1]",
            "e.yaml:7:11: freeze: lenet5 has no layer `con1`; valid: conv1, conv2, fc1, fc2, fc3; did you",
        ),
        ("freeze: [conv]", "e.yaml:7:11: freeze: lenet5 has no layer `conv`"),
        ("freeze: [conv1, conv2, fc1, fc2, fc3]", "e.yaml:7:11: freeze: there is no other layer"),
        (
            "freeze: [conv1, conv2]\n  regularization: {l2: 0.1, on: conv}",
            "e.yaml:7:11: freeze: no kernel is left that regularization covers",
        ),
    ];
    for (line, wanted) in cases {
        assert_among(&folder.error(&format!("  {line}\n")), wanted);
    }
}

#[test]
fn names_may_put_layers_into_groups_that_follow_each_other() {
    let named = |names: [&str; 3]| {
        let [a, b, c] = names;
        parse(&format!(
            "schema: 1\nname: t\nbase:\n  optimizer: sgd\n  model:\n    name: small\n    layers:\n      - flatten\n      - \
             {{dense: {{out: 9, name: {a}}}}}\n      - {{dense: {{out: 9, name: {b}}}}}\n      - {{dense: {{out: 10, name: {c}}}}}\n"
        ))
    };
    for names in
        [["a.0", "a.1", "b"], ["layer1.0.conv1", "layer1.1.conv1", "layer2.0"], ["fc", "features.0", "features.10.x"]]
    {
        assert!(named(names).is_ok(), "{names:?}");
    }
    for (names, wanted) in [
        (["a.0", "b", "a.1"], "x.yaml:11:9: model.layers[3]: `a.1` stands apart from the other layers of `a`"),
        (
            ["a.0.x", "a.1", "a.0.y"],
            "x.yaml:11:9: model.layers[3]: `a.0.y` stands apart from the other layers of `a.0`",
        ),
        (["a", "a.b", "c"], "x.yaml:10:9: model.layers[2]: `a` would be a layer and a group"),
        (["a.b", "a", "c"], "x.yaml:10:9: model.layers[2]: `a` would be a layer and a group"),
        (["a", "b.", "c"], "x.yaml:10:9: model.layers[2]: `b.` cannot be a name there"),
        (["a", "b.class", "c"], "x.yaml:10:9: model.layers[2]: `b.class` cannot be a name there"),
        (["a", "0.b", "c"], "x.yaml:10:9: model.layers[2]: `0.b` cannot be a name there"),
    ] {
        assert_starts(&named(names).unwrap_err().to_string(), wanted);
    }
}
