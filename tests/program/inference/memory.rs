//! Pictures of 20,000×20,000 pixels.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

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

/// The exit code, what it wrote, and the most memory it had.
#[allow(clippy::zombie_processes, reason = "waited for by wait4, which also measures")]
fn run_measured(arguments: &str) -> (i32, String, u64) {
    let child = lab().command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, mut status) = (child.id() as i32, 0);
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: wait4 fills both; nobody else waits for the child, which writes less than a pipe holds.
    let usage = unsafe {
        assert_eq!(libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()), pid);
        usage.assume_init()
    };
    let mut text = String::new();
    child.stdout.unwrap().read_to_string(&mut text).unwrap();
    child.stderr.unwrap().read_to_string(&mut text).unwrap();
    (libc::WEXITSTATUS(status), text, usage.ru_maxrss as u64 * 1024)
}

#[test]
fn huge_pictures_are_answered_or_refused_in_bounded_memory() {
    picture_folder("huge");
    plain(&lab().path("huge/small.png"), 32, png::ColorType::Grayscale);
    plain(&lab().path("huge/grey.png"), 20_000, png::ColorType::Grayscale);
    plain(&lab().path("huge/rgb.png"), 20_000, png::ColorType::Rgb);
    let predict = |name: &str| run_measured(&format!("predict {} huge/{name}.png", folder_of_base()));
    let (code, small, least) = predict("small");
    assert_eq!(code, DONE, "{small}");
    let (code, text, peak) = predict("grey");
    assert_eq!((code, text), (DONE, small.replace("small", "grey")), "one colour looks the same at every size");
    // A child's peak begins at that of this process, in which other tests run: exec takes it over.
    assert!(peak < least + 600 * MEBIBYTE, "{} MiB, {} for a small one", peak / MEBIBYTE, least / MEBIBYTE);
    let (code, text, peak) = predict("rgb");
    assert!(code == FAILED && text.contains("huge/rgb.png: 20000×20000 pixels take 1200 MB"), "{text}");
    assert!(peak < least + 100 * MEBIBYTE, "{} MiB, {} for a small one", peak / MEBIBYTE, least / MEBIBYTE);
}
