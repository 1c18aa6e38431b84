//! Names that are full of markup: in every output they are text, and nothing else changes.

use super::*;
use crate::report::table::markdown;
use pulldown_cmark::{Event, Options, Parser, TextMergeStream};

pub const HOSTILE: &str =
    r#"*a_b* [c](http://d.e) % & #1 $f^2$ $g$ | <i>h</i> &lt; \alpha\ `j` ~~k~~ www.l.de é ł α 学 {m} -- "n" 'o' ^p"#;
/// With a letter that has to be spoken of, as those have.
pub const PLAIN: [&str; 4] = ["name 学", "title", "label", "class"];

/// Two blocks of which `names` are the name, a title, a label and a class; all else is the same for all names.
pub fn study(names: [&str; 4]) -> Study {
    let settings: &[(&str, f64)] = &[("base", 0.5), ("one", 0.52), ("two", 0.6)];
    let mut study = example::study(&[("a_b", settings), ("a-b", settings)], 3, 3);
    let [name, title, label, class] = names.map(str::to_owned);
    study.name = name;
    study.class_names[3] = class;
    for block in &mut study.blocks {
        block.title = Some(title.clone());
        block.variants[1].label = label.clone();
        block.variants[1].settings = vec![("init".into(), label.clone())];
        block.variants[2].label = "two".into();
    }
    example::fail(&mut study.trials[4]);
    study.trials[4].outcome.as_mut().unwrap().error = Some(label);
    study
}

pub fn texts(study: &Study) -> HashMap<String, String> {
    rendered(study).into_iter().filter_map(|(path, bytes)| Some((path, String::from_utf8(bytes).ok()?))).collect()
}

/// What is not text, in order, and the texts between.
fn parsed(markdown: &str) -> (Vec<String>, Vec<String>) {
    // All that GitHub knows, mathematics too.
    let events = TextMergeStream::new(Parser::new_ext(markdown, Options::all() - Options::ENABLE_SMART_PUNCTUATION));
    let (mut structure, mut texts) = (vec![], vec![]);
    for event in events {
        match event {
            Event::Text(text) => texts.push(text.into_string()),
            other => structure.push(format!("{other:?}")),
        }
    }
    (structure, texts)
}

#[track_caller]
fn assert_same(found: &[String], expected: &[String]) {
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    // Not all of both, which are long.
    assert_eq!(differs.map(|place| (&found[place], &expected[place])), None);
    assert_eq!(found.len(), expected.len());
}

#[test]
fn markdown_shows_names_as_they_are() {
    let plain = texts(&study(PLAIN));
    let found = texts(&study([HOSTILE; 4]));
    for page in ["report.md", "summary.md"] {
        let ((expected, _), (structure, texts)) = (parsed(&plain[page]), parsed(&found[page]));
        assert_same(&structure, &expected);
        assert!(texts.iter().filter(|text| text.as_str() == HOSTILE).count() > 8, "{page}: {texts:#?}");
    }
}

#[test]
fn html_shows_names_as_they_are() {
    let page = |names| {
        let study = study(names);
        html::page(&study.name, &texts(&study)["report.md"], |_| None)
    };
    let (plain, found) = (page(PLAIN), page([HOSTILE; 4]));
    // Tags, and the texts between them.
    let tags = |page: &str| -> Vec<String> {
        page.split('<').skip(1).map(|piece| piece.split('>').next().unwrap().to_owned()).collect()
    };
    assert_same(&tags(&found), &tags(&plain));
    let shown = |text: &str| {
        ["&lt;", "<", "&gt;", ">", "&quot;", "\"", "&amp;", "&"]
            .chunks(2)
            .fold(text.to_owned(), |text, pair| text.replace(pair[0], pair[1]))
    };
    let texts: Vec<String> = found.split('<').filter_map(|piece| Some(shown(piece.split_once('>')?.1))).collect();
    assert!(texts.iter().filter(|text| text.as_str() == HOSTILE).count() > 8, "{texts:#?}");
}

#[test]
fn addresses_are_no_links() {
    assert_eq!(markdown("http://a.b www.c.d"), "http\\://a.b www\\.c.d");
}

#[test]
fn letters_that_no_picture_can_show_are_named() {
    let note = "lacks letters of these names, and has \u{fffd} instead: 学";
    let report = |names| texts(&study(names)).remove("report.md").unwrap();
    assert!(report([HOSTILE; 4]).contains(note));
    assert!(!report(["Łódź", "μ = ±1", "Ёж", "ô"]).contains("lacks letters"));
}
