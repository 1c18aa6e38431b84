//! Files that are no experiments.

use super::*;

#[test]
fn yaml_beyond_the_plain_core_is_refused() {
    let cases = [
        ("a: 1\nb: *x", "x.yaml:2:4: not valid YAML: no value before this alias has its name, `&name`"),
        ("a: &x [1, *x]", "x.yaml:1:11: this alias stands inside of what it stands for"),
        ("a: !!int 1", "x.yaml:1:4: tags"),
        ("a: &x 1\n<<: *x", "x.yaml:2:5: <<: expected an object, `<<: *name` or `<<: [*name, *other]`, found `1`"),
        ("<<: [{a: 1}, 2]", "x.yaml:1:14: <<: expected an object"),
        ("<<: {a: 1}\n<<: {a: 2}", "x.yaml:2:1: duplicate key `<<`; it is already in line 1"),
        ("1: a", "x.yaml:1:1: expected a name as key, found `1`"),
        ("true: a", "x.yaml:1:1: expected a name as key"),
        ("[a]: b", "x.yaml:1:1: expected a name as key, found `[a]`"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: duplicate key `a`; it is already in line 1"),
        ("{a: {b: 1, b: 2}}", "x.yaml:1:12: duplicate key `b`"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document"),
        ("a: 1\n\tb: 2", "x.yaml:2:1: not valid YAML: there is a tab; YAML takes spaces in front of a key"),
        ("a:\n  b: 1\n\tc: 2\nd: 3", "x.yaml:3:1: not valid YAML: there is a tab"),
        ("a: [1, 2", "x.yaml:2:1: not valid YAML"),
        ("a: \"b", "x.yaml:1:4: not valid YAML"),
        ("a: b: c", "x.yaml:1:5: not valid YAML"),
    ];
    for (text, wanted) in cases {
        assert_among(&error_of(text), wanted);
    }
    assert_starts(&error_of(&"[".repeat(20)), "x.yaml:1:18: nested more than 16 deep");
    assert_starts(&error_of(&"- ".repeat(20)), "x.yaml:1:35: nested more than 16 deep");
    assert_starts(&error_of(&"- a\n".repeat(200_000)), "x.yaml:100000:3: more than 100000 values in one file");
}

#[test]
fn aliases_and_merge_keys_say_what_is_written_out() {
    let with_aliases = with(concat!(
        "  schedule: &cosine {name: cosine}\nblocks:\n",
        "  - &plain {id: a, axes: &axes {optimizer: [&sgd {name: sgd, lr: 0.1}, &adam {name: adam, eps: 1e-7, lr: 0.5}]}}\n",
        "  - {id: b, axes: *axes}\n  - {<<: *plain, id: c}\n  - id: d\n    base: {<<: [{epochs: 3}, {epochs: 4, init: keras}]}\n",
        "    axes:\n      optimizer: [{<<: *sgd, momentum: 0.9}, {lr: 0.2, <<: *adam}]\n",
        "      schedule: [{<<: *cosine, min_lr: 0.001}]\n",
    ));
    let written_out = with(concat!(
        "  schedule: {name: cosine}\nblocks:\n",
        "  - {id: a, axes: {optimizer: [{name: sgd, lr: 0.1}, {name: adam, eps: 1e-7, lr: 0.5}]}}\n",
        "  - {id: b, axes: {optimizer: [{name: sgd, lr: 0.1}, {name: adam, eps: 1e-7, lr: 0.5}]}}\n",
        "  - {id: c, axes: {optimizer: [{name: sgd, lr: 0.1}, {name: adam, eps: 1e-7, lr: 0.5}]}}\n",
        "  - id: d\n    base: {epochs: 3, init: keras}\n",
        "    axes:\n      optimizer: [{name: sgd, lr: 0.1, momentum: 0.9}, {name: adam, eps: 1e-7, lr: 0.2}]\n",
        "      schedule: [{name: cosine, min_lr: 0.001}]\n",
    ));
    assert_eq!(with_aliases, written_out);
}

#[test]
fn errors_in_what_an_alias_stands_for_point_at_what_is_to_be_changed() {
    let text = |sgd: &str, axis: &str| {
        format!(
            "  activation: &sgd {{name: {sgd}}}\nblocks:\n  - id: a\n    axes:\n      init: [keras]\n      activation: [{axis}]\n"
        )
    };
    // Inside: where it is written. As a whole: where it is named.
    assert_starts(&error_with(&text("leaky_relu, slope: 7", "*sgd")), "x.yaml:7:46: activation.slope: expected");
    assert_starts(&error_with(&text("leaky_relu, slope: 1", "{<<: *sgd, slop: 2}")), "x.yaml:12:31: activation.slop: ");
    let epochs = "  init: &init keras\nblocks:\n  - id: a\n    axes:\n      epochs: [*init]\n";
    assert_starts(&error_with(epochs), "x.yaml:11:16: epochs: expected a whole number from 1 to 10000, found `keras`");
}

#[test]
fn aliases_cannot_make_a_file_large() {
    let laughs: String =
        (1..60).map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9))).collect();
    let said = error_of(&format!("a0: &a0 x\n{laughs}"));
    assert_eq!(said, "x.yaml:6:5: more than 100000 values in one file, its aliases written out");
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1000), "*a, ".repeat(2000));
    assert_starts(&error_of(&text), "x.yaml:2:41");
    assert!(error_of(&text).ends_with("more than 1048576 bytes of text in one file, its aliases written out"));
    let deep: String = (1..30).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
    assert_eq!(error_of(&format!("a0: &a0 x\n{deep}")), "x.yaml:17:12: nested more than 16 deep");
    let nested = format!("a: {}x{}\n", "&b [".repeat(14), "]".repeat(14));
    let wide = format!("a: {}{}{}\n", "&b [".repeat(14), "x, ".repeat(20_000), "]".repeat(14));
    assert_among(&error_of(&nested), "x.yaml:1:1: schema: this key is missing");
    assert_starts(&error_of(&wide), "x.yaml:1:48: more than 100000 values");
}

#[test]
fn hostile_files_are_refused_within_a_second() {
    let megabyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let grid = |axis: &str, exclude: &str| {
        format!(
            "{HEAD}blocks:\n  - id: a\n    mode: grid\n    axes: {{optimizer.lr: [{}], label_smoothing: [{}], {axis}}}\n    exclude: [{exclude}]\n",
            numbers(99),
            numbers(100)
        )
    };
    let pattern = "{model: lenet5, optimizer.name: sgd, optimizer.lr: 0.001, model.name: lenet5, optimizer: sgd, label_smoothing: 0.9}";
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n".to_string();
    let texts = [
        bomb,
        megabyte("["),
        megabyte("{a: "),
        megabyte("- "),
        megabyte("? "),
        megabyte("a: \n "),
        megabyte("[]: "),
        megabyte("a,"),
        megabyte("- a\n"),
        megabyte("\"\\"),
        megabyte("#"),
        megabyte("%"),
        megabyte("\t"),
        megabyte("&a "),
        megabyte("!a "),
        megabyte("---\n"),
        format!("[{}", megabyte("a,")),
        format!("{{{}", megabyte("a: 1,")),
        format!("{}{}", "[".repeat(200), megabyte("a,")),
        format!("schema: 1\nname: {}", "a".repeat(1 << 19)),
        format!("{HEAD}  {}: 1\n", "optimizer".to_string() + &".x".repeat(1 << 18)),
        format!("{HEAD}  init: |\n{}", "    a\n".repeat(100_000)),
        "\u{0}".repeat(1000),
        "x".repeat(2 << 20),
        // Each of 9,900 labels would repeat the digits.
        grid(&format!("optimizer.weight_decay: [0.{}]", "1".repeat(1 << 19)), ""),
        // All of a pattern's keys agree but the last.
        grid("", &vec![pattern; 200].join(", ")),
        grid("", &vec![pattern; 1000].join(", ")),
    ];
    for text in texts {
        let start = processor_time();
        let error = error_of(&text);
        let head: String = text.chars().take(20).collect();
        let (limit, taken) = (if cfg!(debug_assertions) { 10 } else { 1 }, processor_time() - start);
        assert!(taken < Duration::from_secs(limit), "{head:?} took {taken:?}");
        let longest = error.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 1000 && error.lines().count() <= 22, "{head:?}: an error of {} bytes", error.len());
    }
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = std::env::temp_dir().join(format!("runner-spec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x.yaml");
    let load = || Experiment::load(&path, &Overrides::default()).unwrap_err().to_string();
    let name = path.display().to_string();
    assert_starts(&load(), &format!("{name}: No such file"));
    std::fs::write(&path, b"schema: 1\nname: \xff\n").unwrap();
    assert_eq!(load(), format!("{name}:2:7: byte 16 is not UTF-8 text"));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    assert_starts(&load(), &format!("{name}: longer than 1048576 bytes"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_input_error_survives_anyhow() {
    let error: anyhow::Error = parse("a").unwrap_err().into();
    assert_eq!(
        error.downcast_ref::<InputError>().map(|error| (error.first().at.line, error.first().at.col)),
        Some((1, 1))
    );
}
