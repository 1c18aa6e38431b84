//! Networks of a user's own.

use serde_json::json;

use super::*;
use crate::spec::check_stored;

/// A file whose base has these layers, one a line from line 8 on.
fn file(layers: &[&str]) -> String {
    let lines: Vec<String> = layers.iter().map(|layer| format!("      - {layer}\n")).collect();
    format!("schema: 1\nname: t\nbase:\n  optimizer: sgd\n  model:\n    name: small\n    layers:\n{}", lines.concat())
}

fn layers_of(layers: &[&str]) -> serde_json::Value {
    serde_json::to_value(parse(&file(layers)).unwrap().base.model).unwrap()["layers"].clone()
}

#[test]
fn every_layer_has_all_its_options_in_what_is_stored() {
    let stored = layers_of(&[
        "{conv: {out: 8, kernel: 3, padding: same}}",
        "batch_norm",
        "act",
        "{act: relu}",
        "{max_pool: 2}",
        "{residual: {main: [act, {conv: {out: 8, kernel: 1, bias: false, name: way}}]}}",
        "{adaptive_avg_pool: 4}",
        "global_avg_pool",
        "flatten",
        "dropout",
        "{dropout: 0.5}",
        "{dense: classes}",
    ]);
    let conv = json!({"out": 8, "kernel": 3, "stride": 1, "padding": 1, "groups": 1, "bias": true});
    let way = json!({"out": 8, "kernel": 1, "stride": 1, "padding": 0, "groups": 1, "bias": false, "name": "way"});
    let wanted = json!([
        {"conv": conv},
        {"batch_norm": {"eps": 1e-5, "momentum": 0.1}},
        {"act": null},
        {"act": {"name": "relu"}},
        {"max_pool": {"kernel": 2, "stride": 2, "padding": 0}},
        {"residual": {"main": [{"act": null}, {"conv": way}]}},
        {"adaptive_avg_pool": {"out": 4}},
        "global_avg_pool",
        "flatten",
        {"dropout": null},
        {"dropout": 0.5},
        {"dense": {"out": 10, "bias": true}},
    ]);
    assert_eq!(stored, wanted);
}

#[test]
fn a_written_default_is_no_other_trial_and_what_is_stored_is_read_again() {
    let short = parse(&file(&["{conv: {out: 8, kernel: 3}}", "{max_pool: 2}", "flatten", "{dense: classes}"])).unwrap();
    let long = parse(&file(&[
        "conv: {out: 8, kernel: 3, stride: 1, padding: 0, groups: 1, bias: true}",
        "max_pool: {kernel: 2, stride: 2}",
        "{flatten: }",
        "{dense: {out: 10}}",
    ]));
    assert_eq!(trial_id(&short.base, 0), trial_id(&long.unwrap().base, 0));
    check_stored(&short.base).unwrap();
    let dropped =
        ["flatten", "{residual: {main: [dropout, {act: {name: leaky_relu, slope: 0.1}}]}}", "{dense: classes}"];
    check_stored(&parse(&file(&dropped)).unwrap().base).unwrap();
}

#[test]
fn what_does_not_fit_is_said_with_its_line_its_layer_and_the_shape() {
    let conv = "{conv: {out: 8, kernel: 5}}";
    let cases: &[(&[&str], &str)] = &[
        (&[conv, "{max_pool: 28}", conv, "flatten"], "x.yaml:10:9: model.layers[2]: 5×5 does not fit its input, 8×1×1"),
        (&[conv, "{dense: 5}"], "x.yaml:9:9: model.layers[1]: its input is 8×28×28; `flatten` goes before it"),
        (&["flatten", "flatten"], "x.yaml:9:9: model.layers[1]: its input is flat already, 3072 numbers"),
        (&["flatten", "{max_pool: 2}"], "x.yaml:9:9: model.layers[1]: its input is flat already, 3072 numbers"),
        (
            &["{conv: {out: 8, kernel: 5, groups: 2}}"],
            "x.yaml:8:9: model.layers[0]: 3 channels to 8 cannot be split into 2 groups",
        ),
        (
            &["flatten", "{dense: 9}"],
            "x.yaml:8:7: model.layers: the last layer gives 9; `{dense: classes}` gives the 10 classes",
        ),
        (&[conv], "x.yaml:8:7: model.layers: the last layer gives 8×28×28"),
        (
            &["{residual: {main: [{conv: {out: 8, kernel: 3}}]}}"],
            "x.yaml:8:9: model.layers[0]: its main way gives 8×30×30 and its shortcut 3×32×32, which cannot be added",
        ),
        (
            &["{residual: {main: [act], shortcut: [{max_pool: 40}]}}"],
            "x.yaml:8:56: model.layers[0].residual.shortcut[0].max_pool.kernel: expected a whole number from 1 to 32",
        ),
        (
            &["{residual: {main: [{conv: {out: 8, kernel: 3}}, {dense: 5}]}}"],
            "x.yaml:8:57: model.layers[0].residual.main[1]: its input is 8×30×30; `flatten` goes before it",
        ),
        (
            &["{conv: {out: 8, kernel: 4, padding: same}}"],
            "x.yaml:8:9: model.layers[0]: `padding: same` goes with an odd kernel and stride 1",
        ),
        (&["{max_pool: {kernel: 2, padding: 2}}"], "x.yaml:8:9: model.layers[0]: a pooling's padding is at most half"),
    ];
    for (layers, wanted) in cases {
        assert_starts(&error_of(&file(layers)), wanted);
    }
}

#[test]
fn what_is_no_layer_is_refused_with_what_is() {
    let cases = [
        (
            "convolution",
            "x.yaml:8:9: model.layers[0]: there is no `convolution`; valid: conv, batch_norm, act, max_pool",
        ),
        ("conv", "x.yaml:8:9: model.layers[0]: conv needs its options, such as `{conv: {out: 5, kernel: 5}}`"),
        ("{act: relu, flatten: }", "x.yaml:8:9: model.layers[0]: expected one layer, found 2 keys"),
        ("[act]", "x.yaml:8:9: model.layers[0]: expected a text, found `[act]`"),
        (
            "{conv: {out: 8, kernal: 3}}",
            "x.yaml:8:25: model.layers[0].conv.kernal: there is no such key; did you mean `kernel`?",
        ),
        ("{act: swish}", "x.yaml:8:15: model.layers[0].act: there is no `swish`; valid: tanh, relu"),
        ("{residual: {shortcut: []}}", "x.yaml:8:20: model.layers[0].residual.main: this key is missing"),
        ("{dropout: 1}", "x.yaml:8:19: model.layers[0].dropout: expected a finite number at least 0 and below 1"),
    ];
    for (layer, wanted) in cases {
        assert_among(&error_of(&file(&[layer])), wanted);
    }
    assert_starts(
        &error_of(&file(&["act"]).replace("- act", "[]")),
        "x.yaml:8:7: model.layers: expected a list of 1 to 500",
    );
}

#[test]
fn every_bad_layer_of_a_file_is_reported_at_once() {
    let error = error_of(&file(&["cnv", "{conv: {out: 0, kernel: 3}}", "flatten", "{dense: x}"]));
    assert_eq!(places(&error), ["x.yaml:8:9", "x.yaml:9:22", "x.yaml:11:17"]);
}

#[test]
fn names_are_those_of_python_and_each_is_there_once() {
    let named = |first: &str, second: &str| {
        let dense = |name: &str| format!("{{dense: {{out: 10, name: {name}}}}}");
        error_of(&file(&["flatten", &dense(first), &dense(second)]))
    };
    let twice =
        "x.yaml:10:9: model.layers[2]: it is called `a`, as model.layers[1] is already; give one of them another";
    assert_starts(&named("a", "a"), twice);
    for name in ["class", "forward", "act", "a..b", "_a", "1a", "\"\""] {
        assert_starts(
            &named(name, "b"),
            &format!("x.yaml:9:9: model.layers[1]: `{}` cannot be", name.trim_matches('"')),
        );
    }
    let numbered = error_of(&file(&["flatten", "{dense: {out: 10, name: fc1}}", "{dense: 10}"]));
    assert_starts(&numbered, "x.yaml:10:9: model.layers[2]: it is called `fc1`, as model.layers[1] is already");
}

const SMALL: &[&str] = &["{conv: {out: 8, kernel: 3}}", "act", "global_avg_pool", "flatten", "{dense: classes}"];

#[test]
fn keys_that_do_nothing_in_an_own_network_are_refused() {
    let with = |line: &str| error_of(&file(SMALL).replace("  model:\n", &format!("  {line}\n  model:\n")));
    assert_starts(&with("pool: avg"), "x.yaml:5:9: pool: the layers of a network of your own say themselves");
    assert_starts(&with("regularization.dropout: 0.5"), "x.yaml:5:27: regularization.dropout: is for the layers");
    let convolutions = &["{conv: {out: 10, kernel: 3}}", "global_avg_pool", "flatten"];
    let text = file(convolutions).replace("  model:\n", "  regularization: {l2: 0.1, on: dense}\n  model:\n");
    assert_starts(&error_of(&text), "x.yaml:5:33: regularization.on: this model has no dense layer");
    let name = file(SMALL).replace("small", "lenet5");
    assert_among(&error_of(&name), "x.yaml:7:5: model.layers: lenet5 has no such option");
    assert_starts(&error_of(&file(SMALL).replace("small", "A b")), "x.yaml:6:11: model.name: expected 1 to 64 of a-z");
}

#[test]
fn a_batch_norm_of_one_number_a_channel_needs_more_than_one_image() {
    let norm = &["flatten", "batch_norm", "{dense: classes}"];
    let sized = |layers, size: usize| {
        let more = format!("  data: {{train: 33}}\n  batch_size: {size}\n  model:\n").replace("  data", "data");
        let (data, base) = more.split_once('\n').unwrap();
        parse(&file(layers).replace("base:\n", &format!("{data}\nbase:\n")).replace("  model:\n", base))
    };
    assert_starts(&sized(norm, 16).unwrap_err().to_string(), "x.yaml:6:15: batch_size: 33 images leave a batch of one");
    assert!(sized(norm, 10).is_ok() && sized(SMALL, 16).is_ok());
}

#[test]
fn an_own_network_is_the_value_of_an_axis_like_any_other_and_goes_by_its_name() {
    let own = |name: &str, width: usize| {
        format!("{{name: {name}, layers: [flatten, {{dense: {width}}}, act, {{dense: classes}}]}}")
    };
    let file = |models: &[String]| {
        format!("{HEAD}blocks:\n  - id: a\n    axes: {{model: [lenet5_dropout, {}]}}\n", models.join(", "))
    };
    let experiment = parse(&file(&[own("small", 8), own("wide", 64)])).unwrap();
    assert_eq!(labels(&experiment.blocks[0]), ["base", "lenet5_dropout", "small", "wide"]);
    let values: Vec<_> = experiment.blocks[0].variants.iter().map(|variant| variant.values[0].as_str()).collect();
    assert_eq!(values, ["lenet5", "lenet5_dropout", "small", "wide"]);
    let error = error_of(&file(&[own("small", 8), own("small", 64)]));
    assert!(error.contains("two networks are called `small`"), "{error}");
}

#[test]
fn a_network_may_lie_in_a_file_of_its_own_and_is_the_same_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, network) = (folder.path().join("e.yaml"), folder.path().join("small.yaml"));
    let layers = |width: usize| format!("[flatten, {{dense: {width}}}]");
    let base = |model: &str| format!("schema: 1\nname: t\nbase:\n  optimizer: sgd\n  model: {model}\n");
    let load = |text: String| {
        std::fs::write(&path, text).unwrap();
        Experiment::load(&path, &Overrides::default())
    };
    let inline = load(base(&format!("{{name: small, layers: {}}}", layers(10)))).unwrap();
    std::fs::write(&network, format!("name: small\nlayers: {}\n", layers(10))).unwrap();
    assert_eq!(load(base("{file: small.yaml}")).unwrap(), inline);
    assert_eq!(networks_in(&network, Imports::default()).unwrap()[0].model, inline.base.model);
    let on_an_axis = format!("{HEAD}blocks:\n  - id: a\n    axes: {{model: [{{file: small.yaml}}]}}\n");
    assert_eq!(load(on_an_axis).unwrap().blocks[0].variants[1].config.model, inline.base.model);

    let error = |text: String| load(text).unwrap_err().to_string();
    let missing = format!("{}:5:17: model.file: {}", path.display(), folder.path().join("no.yaml").display());
    assert_starts(&error(base("{file: no.yaml}")), &missing);
    std::fs::write(&network, format!("name: small\nlayers: {}\n", layers(9))).unwrap();
    let wrong = format!("{}:2:9: model.layers: the last layer gives 9", network.display());
    assert_starts(&error(base("{file: small.yaml}")), &wrong);
    std::fs::write(&network, "name: lenet5\n").unwrap();
    assert_starts(&error(base("{file: small.yaml}")), &format!("{}:1:1: expected a network", network.display()));
}

#[test]
fn the_command_line_may_name_a_networks_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.yaml");
    std::fs::write(&path, format!("{HEAD}blocks: []\n")).unwrap();
    std::fs::write(folder.path().join("small.yaml"), "name: small\nlayers: [flatten, {dense: classes}]\n").unwrap();
    let set = |text: &str| Experiment::load(&path, &Overrides { set: vec![text.to_owned()], ..Overrides::default() });
    assert_eq!(set("model={file: small.yaml}").unwrap().base.model.as_str(), "small");
    let missing = format!("--set model={{file: no.yaml}}: model.file: {}", folder.path().join("no.yaml").display());
    assert_starts(&set("model={file: no.yaml}").unwrap_err().to_string(), &missing);
}

#[test]
fn a_network_of_a_file_may_have_other_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.yaml");
    let small = "name: small\nlayers: [{conv: {out: 8, kernel: 3}}, batch_norm, {act: {name: leaky_relu}}, {max_pool: 2}, {residual: {main: [\
                 {conv: {out: 8, kernel: 3, padding: same}}, {batch_norm: {name: way.norm}}, act]}}, {max_pool: 3}, flatten, \
                 {dense: classes}]\n";
    std::fs::write(folder.path().join("small.yaml"), small).unwrap();
    let load = |models: &str| {
        std::fs::write(&path, format!("{HEAD}blocks:\n  - id: a\n    axes: {{model: [{models}]}}\n")).unwrap();
        Experiment::load(&path, &Overrides::default())
    };
    let experiment = load(
        "{file: small.yaml}, {file: small.yaml, without: [bn1]}, {file: small.yaml, replace: {pool1: {avg_pool: 2}}}, \
         {file: small.yaml, name: changed, without: [way.norm, act2], replace: {pool2: {max_pool: 2}}}, \
         {file: small.yaml, without: [residual1]}",
    )
    .unwrap();
    let wanted = ["base", "small", "small-no-bn1", "small-other-pool1", "changed", "small-no-residual1"];
    assert_eq!(labels(&experiment.blocks[0]), wanted);
    let operations = |variant: usize| {
        let rows = experiment.blocks[0].variants[variant].config.table().rows;
        rows.into_iter().map(|row| row.operation).collect::<Vec<_>>()
    };
    let whole = operations(1);
    assert_eq!(operations(2), [&whole[..1], &whole[2..]].concat());
    assert_eq!((operations(3)[3].as_str(), operations(3).len()), ("average pooling 2x2", whole.len()));
    assert_eq!((operations(4).len(), operations(5).len()), (whole.len() - 2, whole.len() - 4));
    for (model, wanted) in [
        (
            "{file: small.yaml, without: [bn2]}",
            "e.yaml:9:49: model: there is no layer `bn2`; valid: conv1, bn1, act1, pool1",
        ),
        ("{file: small.yaml, replace: {pool9: act}}", "e.yaml:9:49: model: there is no layer `pool9`"),
        ("{file: small.yaml, with: [act]}", "e.yaml:9:39: model.with: there is no such key"),
        (
            "{file: small.yaml, replace: {pool1: {max_pool: 40}}}",
            "e.yaml:9:67: model.layers[3].max_pool.kernel: expected",
        ),
    ] {
        let error = load(model).unwrap_err().to_string().replace(&format!("{}/", folder.path().display()), "");
        assert_starts(&error, wanted);
    }
}

#[test]
fn layers_stand_in_a_table_as_they_are_written() {
    let layers = "[flatten, {dense: {out: 20, bias: false}}, act, {dense: 10}]";
    let experiment =
        parse(&format!("{HEAD}blocks: [{{id: a, axes: {{model: [{{name: own, layers: {layers}}}]}}}}]\n")).unwrap();
    let cells = crate::spec::label::flatten(&experiment.blocks[0].variants[1].config);
    let (_, cell) = cells.into_iter().find(|(key, _)| key == "model.layers").unwrap();
    assert_eq!(cell.kind, crate::spec::label::Kind::Text);
    assert_eq!(cell.text, "[flatten, {dense: {out: 20, bias: false}}, act, {dense: {out: 10, bias: true}}]");
}

#[test]
fn a_key_is_named_once_among_those_that_are_valid() {
    let text = format!(
        "{HEAD}blocks: [{{id: a, axes: {{model: [{{name: own, layers: [{{conv: {{out: 8, kernel_size: 5}}}}]}}]}}}}]\n"
    );
    let said = parse(&text).unwrap_err().to_string();
    assert!(said.contains("valid: out, kernel, stride,"), "{said}");
}

/// An experiment beside `small.yaml`, a network with these layers, whose axis has these models.
fn with_models(small: &str, models: &str) -> Result<Experiment> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.yaml");
    std::fs::write(folder.path().join("small.yaml"), format!("name: small\nlayers: [{small}]\n")).unwrap();
    std::fs::write(&path, format!("{HEAD}blocks:\n  - id: a\n    axes: {{model: [{models}]}}\n")).unwrap();
    Experiment::load(&path, &Overrides::default())
}

/// The layers that hold tensors in each variant.
fn names_with_tensors(experiment: &Experiment) -> Vec<String> {
    let names = |config: &Config| {
        let rows = config.table().rows.into_iter().filter(|row| !row.tensors().is_empty());
        rows.map(|row| row.name).collect::<Vec<_>>().join(" ")
    };
    experiment.blocks[0].variants[1..].iter().map(|variant| names(&variant.config)).collect()
}

#[test]
fn a_changed_network_keeps_its_layers_names_so_that_weights_still_fit_by_name() {
    let small = "{conv: {out: 8, kernel: 3, name: stem}}, batch_norm, act, {conv: {out: 8, kernel: 3}}, batch_norm, \
                 {conv: {out: 8, kernel: 3}}, {max_pool: 2}, flatten, {dense: classes}";
    let experiment = with_models(
        small,
        "{file: small.yaml}, {file: small.yaml, replace: {stem: {conv: {out: 8, kernel: 5}}}}, \
         {file: small.yaml, name: other, replace: {stem: {conv: {out: 8, kernel: 5, name: wide}}}}, \
         {file: small.yaml, without: [bn1]}, {file: small.yaml, replace: {conv1: batch_norm}}, \
         {file: small.yaml, without: [conv2], replace: {pool1: {conv: {out: 4, kernel: 2, stride: 2}}, \
         fc1: {dense: {out: classes, bias: false}}}}, {file: small.yaml, replace: {act1: {act: gelu}}}, {file: small.yaml, name: deeper, replace: {act1: {residual: \
         {main: [{conv: {out: 8, kernel: 1}}, batch_norm]}}}}",
    );
    let wanted = [
        "stem bn1 conv1 bn2 conv2 fc1",
        "stem bn1 conv1 bn2 conv2 fc1",
        "wide bn1 conv1 bn2 conv2 fc1",
        "stem conv1 bn2 conv2 fc1",
        "stem bn1 conv1 bn2 conv2 fc1",
        "stem bn1 conv1 bn2 pool1 fc1",
        "stem bn1 conv1 bn2 conv2 fc1",
        "stem bn1 act1.conv1 act1.bn1 conv1 bn2 conv2 fc1",
    ];
    assert_eq!(names_with_tensors(&experiment.unwrap()), wanted);
}

#[test]
fn every_name_in_the_table_of_layers_is_one_by_which_a_layer_can_be_left_out() {
    let small = "{conv: {out: 3, kernel: 3, padding: same, name: a.b}}, batch_norm, act, {residual: {main: [{residual: {main: \
                 [{conv: {out: 3, kernel: 3, padding: same}}, act]}}, act], shortcut: [{act: relu}, dropout]}}, {residual: {main: \
                 [{act: gelu}]}}, {max_pool: {kernel: 3, stride: 1, padding: 1}}, {avg_pool: {kernel: 3, stride: 1, padding: 1}}, \
                 {dropout: 0.5}, {adaptive_avg_pool: 2}, global_avg_pool, flatten, {dense: classes}";
    let of_file = |changes: &str| with_models(small, &format!("{{file: small.yaml{changes}}}"));
    let names = |experiment: Experiment| -> Vec<String> {
        experiment.blocks[0].variants[1].config.table().rows.into_iter().map(|row| row.name).collect()
    };
    let all = names(of_file("").unwrap());
    let wanted = "a.b bn1 act1 conv1 act2 residual2 act3 act4 residual1 act5 residual3 pool1 pool2 dropout2 pool3 pool4 flatten1 fc1";
    assert_eq!(all.join(" "), wanted);
    // Without these the others make no network.
    for name in all.iter().filter(|name| !["act5", "flatten1", "fc1"].contains(&name.as_str())) {
        // What is in a residual goes with it.
        let fewer = names(of_file(&format!(", without: [{name}]")).unwrap_or_else(|error| panic!("{name}: {error}")));
        assert!(fewer.len() < all.len(), "{name}: {fewer:?}");
    }
}

#[test]
fn two_networks_of_one_name_are_shown_where_they_stand_and_how_to_name_them() {
    let own = |width: usize| format!("{{name: small, layers: [flatten, {{dense: {width}}}, {{dense: classes}}]}}");
    let text =
        format!("{HEAD}blocks:\n  - id: a\n    axes:\n      model:\n        - {}\n        - {}\n", own(8), own(64));
    let wanted = "x.yaml:12:18: model.name: two networks are called `small`, this one and that in x.yaml:11:18; each needs a name \
                  of its own";
    assert_starts(&error_of(&text), wanted);
    let inline = "{name: small, layers: [flatten, act, {dense: classes}]}";
    let error = with_models("flatten, {dense: classes}", &format!("{{file: small.yaml}}, {inline}"));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("e.yaml:9:47: model.name: two networks are called `small`, this one and that in "),
        "{error}"
    );
    assert!(error.contains("small.yaml:1:7; ") && error.ends_with("beside `file`, `name: ...` gives one"), "{error}");
}

#[test]
fn a_name_that_a_layer_cannot_have_is_not_sent_elsewhere() {
    let error = error_of(&file(&["{avg_pool: {kernel: 2, name: a}}", "flatten", "{dense: {out: classes, epochs: 3}}"]));
    assert_among(
        &error,
        "x.yaml:8:32: model.layers[0].avg_pool.name: there is no such key; valid: kernel, stride, padding; only conv, \
         batch_norm and dense have names, others go by what they are: act1, pool1",
    );
    assert_among(&error, "x.yaml:10:32: model.layers[2].dense.epochs: there is no such key; valid: out, bias, name");
}
