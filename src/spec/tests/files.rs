//! Files that are no experiments.

use super::*;

#[test]
fn yaml_beyond_the_plain_core_is_refused() {
    let cases = [
        ("a: &x 1", "x.yaml:1:4: anchors"),
        ("a: &x {b: 1}", "x.yaml:1:4: anchors"),
        ("a: 1\nb: *x", "x.yaml:2:4: "),
        ("a: !!int 1", "x.yaml:1:4: tags"),
        ("<<: {a: 1}", "x.yaml:1:1: merge keys"),
        ("1: a", "x.yaml:1:1: expected a name as key, found `1`"),
        ("true: a", "x.yaml:1:1: expected a name as key"),
        ("[a]: b", "x.yaml:1:1: expected a name as key, found `[a]`"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: duplicate key `a`; it is already in line 1"),
        ("{a: {b: 1, b: 2}}", "x.yaml:1:12: duplicate key `b`"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document"),
        ("a: [1, 2", "x.yaml:2:1: not valid YAML"),
        ("a: \"b", "x.yaml:1:4: not valid YAML"),
        ("a: b: c", "x.yaml:1:5: not valid YAML"),
    ];
    for (text, wanted) in cases {
        assert_starts(&error_of(text), wanted);
    }
    assert_starts(&error_of(&"[".repeat(20)), "x.yaml:1:18: nested more than 16 deep");
    assert_starts(&error_of(&"- ".repeat(20)), "x.yaml:1:35: nested more than 16 deep");
    assert_starts(&error_of(&"- a\n".repeat(200_000)), "x.yaml:100000:3: more than 100000 values in one file");
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
        assert!(error.len() < 1000, "{head:?}: an error of {} bytes", error.len());
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
    assert_eq!(error.downcast_ref::<InputError>().map(|error| (error.at.line, error.at.col)), Some((1, 1)));
}
