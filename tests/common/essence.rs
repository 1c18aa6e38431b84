//! What of a results folder does not depend on when and how often its trials ran.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Compares two runs' essences and names the first file that differs.
#[track_caller]
pub fn assert_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    let names = |essence: &BTreeMap<String, String>| essence.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, content) in found {
        assert!(*content == expected[name], "{name} differs:\n{content}\ninstead of\n{}", expected[name]);
    }
}

/// A file's content without times and counts of attempts; None for files that are about nothing else.
pub fn timeless(path: &Path) -> Option<String> {
    let bytes = fs::read(path).unwrap();
    match path.file_name().unwrap().to_str().unwrap() {
        "last.safetensors" => Some(tensors(&bytes)),
        "result.json" => Some(timeless_json(&bytes)),
        // Texts name the slowest and the quickest; events are at moments.
        "log.txt" | "lock" | "publish.lock" | "report.md" | "report.html" | "summary.md" | "summary.tex"
        | "made.json" => None,
        "events.out.tfevents" => None,
        name if name.ends_with(".csv") && name != "steps.csv" => Some(timeless_table(&bytes)),
        _ => Some(String::from_utf8(bytes).unwrap_or_else(|error| format!("{:x?}", error.into_bytes()))),
    }
}

fn tensors(bytes: &[u8]) -> String {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let tensors: BTreeMap<_, _> = file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    format!("{tensors:x?}")
}

fn timeless_json(bytes: &[u8]) -> String {
    let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).unwrap();
    value.retain(|key, _| !is_about_time(key));
    serde_json::to_string_pretty(&value).unwrap()
}

fn timeless_table(bytes: &[u8]) -> String {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().unwrap().clone();
    let kept = |row: &csv::StringRecord| {
        let cells = header.iter().zip(row).filter(|(name, _)| !is_about_time(name));
        cells.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    };
    let rows = reader.records().map(|row| row.unwrap()).filter(|row| row.get(3) != Some("seconds"));
    rows.map(|row| kept(&row)).collect::<Vec<_>>().join("\n")
}

fn is_about_time(name: &str) -> bool {
    name.contains("second") || ["ended", "peak_bytes", "worker_peak_bytes", "attempts"].contains(&name)
}
