//! Pictures of 20,000×20,000 pixels.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::pictures::{folder_of_base, picture_folder};
use super::shared::lab;
use crate::common::{DONE, FAILED};

const MEBIBYTE: u64 = 1 << 20;

/// A PNG of one colour.
fn plain(path: &Path, side: u32, color: png::ColorType) {
    let mut encoder = png::Encoder::new(BufWriter::new(fs::File::create(path).unwrap()), side, side);
    encoder.set_color(color);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().unwrap();
    let mut rows = writer.stream_writer().unwrap();
    let row = vec![90; side as usize * color.samples()];
    (0..side).for_each(|_| rows.write_all(&row).unwrap());
    rows.finish().unwrap();
}

/// The exit code, what it wrote, and the most memory it had. That is asked for while it runs: what the kernel counts for a child
/// that has ended begins at the memory of this process, in which other tests run.
fn run_measured(arguments: &str) -> (i32, String, u64) {
    let mut child = lab().command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    // It writes less than a pipe holds.
    while child.try_wait().unwrap().is_none() {
        peak = peak_so_far(child.id()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(peak > 0, "nothing was measured");
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), text, peak)
}

/// In bytes; none of a process that has just ended.
fn peak_so_far(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kibibytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
}

#[test]
fn huge_pictures_are_answered_or_refused_in_bounded_memory() {
    picture_folder("huge");
    plain(&lab().path("huge/small.png"), 32, png::ColorType::Grayscale);
    plain(&lab().path("huge/grey.png"), 20_000, png::ColorType::Grayscale);
    plain(&lab().path("huge/rgb.png"), 20_000, png::ColorType::Rgb);
    let predict = |name: &str| run_measured(&format!("predict {} huge/{name}.png", folder_of_base()));
    let (code, small, _) = predict("small");
    assert_eq!(code, DONE, "{small}");
    let (code, text, peak) = predict("grey");
    assert_eq!((code, text), (DONE, small.replace("small", "grey")), "one colour looks the same at every size");
    assert!(peak < 900 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
    let (code, text, peak) = predict("rgb");
    assert!(code == FAILED && text.contains("huge/rgb.png: 20000×20000 pixels take 1200 MB"), "{text}");
    assert!(peak < 400 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
}
