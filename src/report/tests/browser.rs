//! `report.html` in a real browser without a window: nothing to complain about, every picture shown, on narrow and wide screens,
//! light and dark. Skipped, with a line saying so, where there is no Chromium.

use super::*;
use crate::report::html;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BROWSERS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Tells the page around it what the browser makes of this one.
const PROBE: &str = "<script>addEventListener('load', () => {
  const images = [...document.images];
  const page = document.documentElement;
  const luminance = color => Math.max(...color.match(/[\\d.]+/g).slice(0, 3).map(Number));
  parent.postMessage(JSON.stringify({
    images: images.length,
    shown: images.filter(image => image.complete && image.naturalWidth > 0 && image.clientWidth > 0).length,
    undescribed: images.filter(image => !image.alt).length,
    width: page.clientWidth,
    needed: page.scrollWidth,
    widest: Math.max(...images.map(image => image.getBoundingClientRect().right)),
    heading: document.querySelector('h1').textContent,
    paper: luminance(getComputedStyle(document.body).backgroundColor),
    ink: luminance(getComputedStyle(document.body).color),
    links: [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length,
  }), '*');
});</script>";

/// What the probe finds and what the console says of the page in a frame of `width` pixels, for no window is that narrow; None
/// where there is no browser.
fn open(folder: &Path, page: &str, width: usize, scheme: &str) -> Option<(serde_json::Value, String)> {
    let around = format!(
        "<script>addEventListener('message', event => document.title = event.data)</script>
        <iframe src=\"report.html\" style=\"border: 0; height: 900px; width: {width}px\"></iframe>"
    );
    fs::write(folder.join("report.html"), page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    fs::write(folder.join("around.html"), around).unwrap();
    let started = |browser: &str| -> Option<Output> {
        let mut command = Command::new(browser);
        let always = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"];
        command
            .args(always)
            .args([scheme, "--window-size=1400,1000", "--virtual-time-budget=20000"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.arg(format!("file://{}", folder.join("around.html").display())).output().ok()
    };
    let Some(output) = BROWSERS.into_iter().find_map(started) else {
        crate::skip::skip("there is no browser (apt-get install chromium)");
        return None;
    };
    let (dom, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    let shown = title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}\n{said}"));
    Some((found, said.lines().filter(|line| line.contains("CONSOLE")).collect()))
}

#[test]
fn a_browser_shows_the_report_whole() {
    let mut study = example::accidents();
    study.name = "a & <b> 学 \"c\"".into();
    let files = rendered(&study);
    let markdown = String::from_utf8(files["report.md"].clone()).unwrap();
    let page = html::page(&study.name, &markdown, |path| files.get(path).cloned());
    let pictures = files.keys().filter(|path| path.ends_with(".png")).count();
    let folder = tempfile::tempdir().unwrap();
    let (dark, light) = ("--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1");
    for (width, scheme) in [(1200, light), (400, light), (1200, dark), (400, dark)] {
        let Some((found, complaints)) = open(folder.path(), &page, width, scheme) else { return };
        let number = |key: &str| found[key].as_f64().unwrap();
        assert_eq!(complaints, "");
        assert_eq!([number("images"), number("shown"), number("undescribed")], [pictures as f64, pictures as f64, 0.0]);
        assert_eq!((found["heading"].as_str(), number("links")), (Some(study.name.as_str()), 0.0));
        let wide = number("width");
        assert!(wide <= width as f64 && number("needed") <= wide && number("widest") <= wide, "{width}: {found}");
        assert_eq!(number("paper") < number("ink"), scheme == dark, "{found}");
    }
}

#[test]
fn complaints_of_a_browser_and_missing_pictures_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<body><h1>a</h1><img src=\"nowhere.png\" /><script>console.error('oh')</script></body>";
    let Some((found, complaints)) = open(folder.path(), page, 400, "--blink-settings=preferredColorScheme=1") else {
        return;
    };
    assert!(complaints.contains("oh") && found["shown"] == 0 && found["undescribed"] == 1, "{found} {complaints}");
}
