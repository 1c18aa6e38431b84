//! `show`, `evaluate` and `predict` on the results of one small sweep that all tests here share.
#![cfg(target_os = "linux")]

// Each test binary uses a part of it.
#[allow(dead_code)]
mod common;
#[allow(dead_code)]
#[path = "pictures/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Read, Write};
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::skip::skip;
use common::{BAD_INPUT, DONE, FAILED, INTERRUPTED, Lab, names, wait_until};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use runner::data::{self, IMAGE_BYTES};
use runner::inference::picture::small_square;
use runner::parity::python;
use serde_json::Value as Json;

const MEBIBYTE: u64 = 1 << 20;

/// Three trials, of which one diverges.
const TINY: &str = "
schema: 1
name: tiny
data: {dataset: synthetic, train: 1000, val: 200}
seeds: [7]
base:
  model: lenet5
  epochs: 3
  batch_size: 20
  optimizer: {name: adam, lr: 0.003}
blocks:
  - {id: activation, axes: {activation: [relu]}}
  - {id: rate, zip: [{activation: [relu], optimizer.lr: [1e30]}]}
";

static LAB: OnceLock<Lab> = OnceLock::new();

/// The folder with the finished sweep, removed when the tests end: nothing drops what is static.
fn lab() -> &'static Lab {
    extern "C" fn remove() {
        LAB.get().map(|lab| fs::remove_dir_all(lab.path("")));
    }
    LAB.get_or_init(|| {
        // SAFETY: the function touches nothing but a static that outlives every thread.
        unsafe { libc::atexit(remove) };
        let lab = Lab::new(TINY);
        lab.sweep("").expect(DONE);
        lab
    })
}

/// The stored trials by what they are.
struct Trials {
    base: String,
    relu: String,
    diverged: String,
}

fn trials() -> Trials {
    let rows = lab().table("trials.csv");
    let id = |activation: &str, status: &str| {
        let row = rows.iter().find(|row| row["activation.name"] == activation && row["status"] == status);
        row.map(|row| row["id"].clone()).unwrap_or_else(|| panic!("no {activation} trial is {status}"))
    };
    Trials { base: id("tanh", "done"), relu: id("relu", "done"), diverged: id("relu", "diverged") }
}

fn folder(id: &str) -> String {
    format!("results/tiny/trials/{id}")
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// What a command writes to a terminal of 80 columns.
fn on_a_terminal(mut command: Command) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 30, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: openpty fills the two descriptors, which are owned from then on.
    let (mut ours, theirs) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none as _, &size), 0);
        (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs))
    };
    let mut child = command.env("TERM", "xterm").stdout(theirs).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let mut written = vec![];
    // The end of a terminal is an error.
    let _ = ours.read_to_end(&mut written);
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
    String::from_utf8(written).unwrap()
}

// ---- show ----

#[test]
fn show_lists_the_best_first_and_what_diverged_last() {
    let Trials { base, relu, diverged } = trials();
    let ended = lab().run("show results/tiny").expect(DONE).saying(&["3 trials: 2 done, 1 diverged"]);
    let rows: Vec<Vec<&str>> = ended.out.lines().map(|line| line.split_whitespace().collect()).collect();
    // One seed and one optimizer: only what differs has a column.
    let header =
        "id status seed activation lr epochs_run best_epoch val_accuracy test_accuracy test_loss accuracy_gap seconds";
    assert_eq!(rows[0].join(" "), header);
    let accuracy = lab().column("test_accuracy");
    let best_first = if accuracy[&base].parse::<f64>().unwrap() >= accuracy[&relu].parse().unwrap() {
        [&base, &relu]
    } else {
        [&relu, &base]
    };
    assert_eq!([rows[1][0], rows[2][0], rows[3][0]], [best_first[0], best_first[1], &diverged]);
    assert_eq!((rows[3][1], rows[3][8]), ("diverged", "–"));
    let percent = format!("{:.2}%", 100.0 * accuracy[best_first[0]].parse::<f64>().unwrap());
    assert_eq!(rows[1][8], percent);
}

#[test]
fn a_trial_that_diverges_in_its_first_epoch_took_0_seconds() {
    let Trials { diverged, .. } = trials();
    let text = fs::read_to_string(lab().result(&format!("trials/{diverged}/result.json"))).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = ["seconds", "images_per_second"].map(|name| result[name].as_f64().unwrap().to_bits());
    assert_eq!(numbers, [0.0f64.to_bits(); 2], "{text}");
    assert_eq!(lab().column("seconds")[&diverged], "0.0");
}

#[test]
fn show_gives_scripts_the_numbers_of_the_tables() {
    let ended = lab().run("show results/tiny --json --filter status=done --filter lr<1").expect(DONE);
    let rows = json(&ended.out);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let table: BTreeMap<String, _> =
        lab().table("trials.csv").into_iter().map(|row| (row["id"].clone(), row)).collect();
    for row in rows.as_array().unwrap() {
        let stored = &table[row["id"].as_str().unwrap()];
        assert_eq!(row.as_object().unwrap().len(), stored.len());
        assert_eq!(row["test_loss"].as_f64().unwrap(), stored["test_loss"].parse::<f64>().unwrap());
        assert_eq!((&row["seed"], &row["error"], &row["model.name"]), (&7.into(), &Json::Null, &"lenet5".into()));
    }
    let none = lab().run("show results/tiny --json --filter status=failed").expect(DONE);
    assert_eq!(json(&none.out), Json::Array(vec![]));
    assert!(none.err.contains("no trial with status=failed; status is diverged, done"), "{}", none.err);
}

#[test]
fn show_tells_what_it_does_not_understand() {
    lab().run("show results/tiny --sort accuracy").expect(BAD_INPUT).saying(&[
        "`accuracy`",
        "valid: id, ",
        "val_accuracy",
    ]);
    lab().run("show results/tiny --columns id,statuss").expect(BAD_INPUT).saying(&["did you mean `status`?"]);
    lab().run("show results").expect(BAD_INPUT).saying(&["results: not a results folder"]);
}

#[test]
fn show_fits_a_terminal() {
    let text =
        on_a_terminal(lab().command("show results/tiny --columns id,status,error,test_accuracy,blocks,activation,lr"));
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end()).collect();
    assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80), "{text}");
    assert!(lines[1].starts_with("id ") && lines[0].trim() == "test_", "a header of two lines:\n{text}");
    assert!(text.lines().any(|line| line.contains("\u{1b}[31m") && line.contains("diverged")), "in red:\n{text}");
}

#[test]
fn show_sees_what_runs_and_what_waits() {
    let experiment = TINY.replace("epochs: 3", "epochs: 2000").replace("1e30", "0.001");
    let lab = Lab::new(&experiment);
    let sweep = lab.start_sweep("--jobs 1");
    let statuses = || -> Vec<String> {
        let ended = lab.run("show results/tiny --json --columns status,epochs_run --sort epochs_run --reverse");
        let rows = if ended.code() == DONE { json(&ended.out) } else { Json::Array(vec![]) };
        let text = |row: &Json| format!("{} {}", row["status"].as_str().unwrap(), row["epochs_run"]);
        rows.as_array().unwrap().iter().map(text).collect()
    };
    wait_until("a trial has finished an epoch", || {
        statuses().first().is_some_and(|first| first.starts_with("running") && first != "running 0")
    });
    assert_eq!(statuses()[1..], ["waiting 0", "waiting 0"]);
    sweep.signal(libc::SIGINT);
    sweep.end().expect(INTERRUPTED);
    assert!(statuses()[0].starts_with("waiting") && statuses()[0] != "waiting 0", "its epochs are stored");
}

// ---- evaluate ----

fn evaluated(arguments: &str) -> Json {
    json(&lab().run(&format!("evaluate {arguments} --json")).expect(DONE).out)
}

#[test]
fn evaluate_finds_the_scores_that_the_sweep_stored() {
    let id = trials().base;
    let stored =
        json(&fs::read_to_string(lab().result(&format!("trials/{id}/result.json"))).unwrap())["scores"].clone();
    for split in ["test", "val", "train"] {
        let found = evaluated(&format!("{} --split {split}", folder(&id)))[0].clone();
        // Sums may be taken in another order with another number of threads.
        let close = |a: &Json, b: &Json| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6;
        assert!(
            close(&found["loss"], &stored[split]["loss"]),
            "{split}: {} or {}",
            found["loss"],
            stored[split]["loss"]
        );
        assert_eq!(found["accuracy"], stored[split]["accuracy"], "{split}");
        assert_eq!((&found["trial"], &found["seed"], &found["split"]), (&id.clone().into(), &7.into(), &split.into()));
        if split == "test" {
            assert_eq!(found["confusion"], stored["confusion"]);
        }
    }
}

#[test]
fn evaluate_sets_networks_side_by_side() {
    let Trials { base, relu, .. } = trials();
    let ended = lab().run(&format!("evaluate {} {}", folder(&base), folder(&relu))).expect(DONE);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0], "test split · lenet5 · SYNTHETIC data · 1,000 images");
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!([words(2), words(3), words(4)].concat(), ["checkpoint", "activation", &base, "tanh", &relu, "relu"]);
    assert_eq!(words(6), ["checkpoint", "loss", "accuracy", "precision", "recall", "specificity", "F1"]);
    assert_eq!((words(7)[0], words(8)[0]), (base.as_str(), relu.as_str()));
    assert_eq!(words(11), ["class", "checkpoint", "images", "precision", "recall", "specificity", "F1"]);
    assert_eq!((&words(12)[..3], &words(13)[..2]), (&["disc", &base, "100"][..], &[relu.as_str(), "100"][..]));
    // The same trial twice: numbers, for the ids do not tell them apart.
    let twice = format!("evaluate {0} {0}/best.safetensors", folder(&base));
    let text = on_a_terminal(lab().command(&twice));
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
    assert!(text.contains("…") && text.contains(".safetensors"), "{text}");
}

#[test]
fn evaluate_draws_each_network() {
    let Trials { base, relu, .. } = trials();
    let ended =
        lab().run(&format!("evaluate {} {} --split val --plots figures/val --json", folder(&base), folder(&relu)));
    json(&ended.expect(DONE).out);
    let mut made = names(&lab().path("figures/val"));
    made.sort();
    let mut expected: Vec<String> = [&base, &relu]
        .iter()
        .flat_map(|id| ["classes", "confusion"].map(|kind| format!("{id}_val_{kind}.png")))
        .collect();
    expected.sort();
    assert_eq!(made, expected);
    for name in made {
        let picture = image::open(lab().path("figures/val").join(name)).unwrap();
        assert!(picture.width() == 1800 && picture.height() > 400);
    }
}

#[test]
fn evaluate_says_where_missing_weights_come_from() {
    let Trials { base, diverged, .. } = trials();
    lab()
        .run(&format!("evaluate {}", folder(&diverged)))
        .expect(BAD_INPUT)
        .saying(&["the trial diverged (epoch 1", "no weights"]);
    lab().run("evaluate results/tiny").expect(BAD_INPUT).saying(&["a results folder", "runner show results/tiny"]);
    lab().run("evaluate results/tiny/plots").expect(BAD_INPUT).saying(&["not the folder of a finished trial"]);
    let copy = lab().path("without-weights");
    let bare = copy.join(&base);
    fs::create_dir_all(&bare).unwrap();
    fs::copy(lab().result(&format!("trials/{base}/result.json")), bare.join("result.json")).unwrap();
    let again = format!("--only {base} --rerun all");
    lab()
        .run(&format!("evaluate without-weights/{base}"))
        .expect(BAD_INPUT)
        .saying(&["its weights are not here", &again]);
}

#[test]
fn weights_that_were_lost_are_trained_again_as_told() {
    let lab = Lab::new(&TINY.replace("epochs: 3", "epochs: 1").replace("1e30", "0.001"));
    lab.sweep("").expect(DONE);
    let id = lab.stored()[0].clone();
    let weights = lab.result(&format!("trials/{id}/best.safetensors"));
    let before = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap();
    lab.sweep(&format!("--only {id} --rerun all")).expect(DONE);
    assert!(fs::read(&weights).unwrap() == before && lab.starts().iter().sum::<usize>() == 3);
}

// ---- predict ----

/// Predictions of the base for `arguments`, one object a picture.
fn predicted(arguments: &str, code: i32) -> Vec<Json> {
    let ended = lab().run(&format!("predict {} --json {arguments}", folder(&trials().base))).expect(code);
    json(&ended.out).as_array().unwrap().clone()
}

/// A new folder of the shared lab.
fn picture_folder(name: &str) -> PathBuf {
    let folder = lab().path(name);
    fs::create_dir(&folder).unwrap();
    folder
}

/// [32, 32] pixels of a test image, whose bytes are planes.
fn picture(planes: &[u8]) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([0, 1, 2].map(|plane| planes[(plane * 32 + y as usize) * 32 + x as usize]))
    })
}

#[test]
fn predictions_of_test_images_are_those_that_evaluate_counts() {
    let folder_of_pictures = picture_folder("test-images");
    let set = data::synthetic::dataset().test;
    for (index, planes) in set.pixels.chunks_exact(IMAGE_BYTES).enumerate() {
        picture(planes).save(folder_of_pictures.join(format!("{index:04}.png"))).unwrap();
    }
    let ended = lab().run(&format!("predict {} test-images", folder(&trials().base))).expect(DONE);
    let mut reader = csv::Reader::from_reader(ended.out.as_bytes());
    let header = "image,first,first_probability,second,second_probability,third,third_probability";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), header);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let mut confusion = vec![vec![0_u64; 10]; 10];
    for (index, (row, label)) in rows.iter().zip(&set.labels).enumerate() {
        assert_eq!(&row[0], format!("test-images/{index:04}.png"), "in the order of the names");
        let probabilities = [2, 4, 6].map(|column| row[column].parse::<f64>().unwrap());
        assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities.iter().sum::<f64>() <= 1.0 + 1e-9);
        let class = data::synthetic::CLASS_NAMES.iter().position(|name| *name == &row[1]).unwrap();
        confusion[usize::from(*label)][class] += 1;
    }
    assert_eq!(rows.len(), set.labels.len());
    let evaluation = &evaluated(&folder(&trials().base))[0];
    assert_eq!(evaluation["confusion"], serde_json::to_value(&confusion).unwrap());
    let classes = confusion.iter().filter(|row| row.iter().any(|count| *count > 0)).count();
    assert!(classes == 10 && evaluation["accuracy"].as_f64().unwrap() > 0.2, "the network has learnt something");
}

/// The first test image with each pixel as a square of `zoom`², and a white corner.
fn large_picture(zoom: u32) -> RgbImage {
    let mut small = picture(&data::synthetic::dataset().test.pixels[..IMAGE_BYTES]);
    (0..64).for_each(|at| small.put_pixel(at % 8, at / 8, image::Rgb([255; 3])));
    RgbImage::from_fn(32 * zoom, 32 * zoom, |x, y| *small.get_pixel(x / zoom, y / zoom))
}

#[test]
fn a_picture_gives_the_same_answer_in_every_format() {
    let folder = picture_folder("formats");
    let rgb = DynamicImage::from(large_picture(3));
    let grey = rgb.to_luma8();
    fs::write(folder.join("rgb.tiff"), tiff(&rgb)).unwrap();
    fs::write(folder.join("grey.tiff"), tiff(&DynamicImage::from(grey.clone()))).unwrap();
    for extension in ["png", "bmp", "webp", "gif"] {
        rgb.save(folder.join(format!("rgb.{extension}"))).unwrap();
        DynamicImage::from(grey.clone()).to_rgb8().save(folder.join(format!("grey.{extension}"))).unwrap();
    }
    DynamicImage::from(rgb.to_rgb16()).save(folder.join("rgb16.png")).unwrap();
    image::codecs::jpeg::JpegEncoder::new_with_quality(fs::File::create(folder.join("rgb.jpeg")).unwrap(), 100)
        .encode_image(&rgb)
        .unwrap();
    grey.save(folder.join("grey1.png")).unwrap();
    DynamicImage::from(grey.clone()).to_luma16().save(folder.join("grey16.png")).unwrap();
    animation(&folder.join("grey_then_black.gif"), &grey);
    palette(&folder.join("grey_palette.png"), &grey);
    // The extension says nothing.
    fs::copy(folder.join("rgb.png"), folder.join("rgb_called.jpg")).unwrap();
    let found: BTreeMap<String, Json> = predicted("formats", DONE)
        .into_iter()
        .map(|prediction| (prediction["image"].as_str().unwrap().replace("formats/", ""), prediction["top"].clone()))
        .collect();
    assert_eq!(found.len(), 17);
    for (name, top) in &found {
        // GIF has 256 colours, JPEG loses a little; all else is the same to the bit.
        let tolerance = if name.starts_with("rgb.gif") || name.ends_with("jpeg") { 0.05 } else { 0.0 };
        let expected = &found[if name.starts_with("rgb") { "rgb.png" } else { "grey.png" }];
        assert_eq!(top[0]["class"], expected[0]["class"], "{name}");
        let difference = top[0]["probability"].as_f64().unwrap() - expected[0]["probability"].as_f64().unwrap();
        assert!(difference.abs() <= tolerance, "{name}: {difference}");
    }
}

fn tiff(picture: &DynamicImage) -> Vec<u8> {
    let rgb = picture.to_rgb8();
    table::one_strip(1, 2, &[8; 3], rgb.dimensions(), rgb.as_raw())
}

/// A GIF whose first frame is `first` and whose second is black.
fn animation(path: &Path, first: &GrayImage) {
    let mut encoder = image::codecs::gif::GifEncoder::new(fs::File::create(path).unwrap());
    let black = RgbaImage::from_pixel(first.width(), first.height(), image::Rgba([0, 0, 0, 255]));
    let frames = [DynamicImage::from(first.clone()).to_rgba8(), black];
    encoder.encode_frames(frames.map(image::Frame::new)).unwrap();
}

/// A PNG with a palette of greys. White is stored as a black that is wholly transparent.
fn palette(path: &Path, grey: &GrayImage) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), grey.width(), grey.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..=255).flat_map(|grey: u8| [if grey == 255 { 0 } else { grey }; 3]).collect::<Vec<_>>());
    encoder.set_trns((0..=255).map(|grey: u8| if grey == 255 { 0 } else { 255 }).collect::<Vec<_>>());
    encoder.write_header().unwrap().write_image_data(grey.as_raw()).unwrap();
}

/// Makes pictures, and the [32, 32, 3] bytes that Pillow sees in the middle of each.
const PILLOW: &str = r#"
import sys
import numpy as np
from PIL import Image, ImageOps
folder = sys.argv[1]
y, x = np.mgrid[0:150, 0:200]
waves = [127 + 100 * np.sin(x / 30), 127 + 100 * np.cos(y / 25), 127 + 80 * np.sin((x + 2 * y) / 40)]
rgb = Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8))
seen_through = rgb.copy()
seen_through.putalpha(Image.fromarray((255 * x / 199).astype(np.uint8)))
exact = dict(quality=95, subsampling=0)
rgb.save(f"{folder}/rgb.png")
rgb.save(f"{folder}/baseline.jpg", **exact)
rgb.save(f"{folder}/progressive.jpg", progressive=True, **exact)
rgb.convert("CMYK").save(f"{folder}/cmyk.jpg", **exact)
rgb.convert("L").save(f"{folder}/grey.jpg", **exact)
rgb.convert("P", palette=Image.Palette.ADAPTIVE).save(f"{folder}/palette.png")
seen_through.save(f"{folder}/rgba.png")
seen_through.save(f"{folder}/rgba.webp", lossless=True, exact=True)
seen_through.convert("LA").save(f"{folder}/grey_alpha.png")
Image.fromarray((np.asarray(rgb.convert("L")).astype(np.uint16) * 257)).save(f"{folder}/grey16.png")
rgb.save(f"{folder}/frames.webp", save_all=True, append_images=[Image.new("RGB", rgb.size)], lossless=True)
for turn in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = turn
    rgb.save(f"{folder}/turned_{turn}.jpg", exif=exif, **exact)
import os
for name in os.listdir(folder):
    picture = ImageOps.exif_transpose(Image.open(f"{folder}/{name}"))
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    picture = picture.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = picture.crop((left, top, left + side, top + side)).resize((32, 32), Image.Resampling.BILINEAR)
    open(f"{folder}/{name}.bytes", "wb").write(small.tobytes())
"#;

#[test]
fn pictures_look_as_pillow_shows_them() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("pictures_look_as_pillow_shows_them: {error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python).args(["-c", PILLOW]).arg(folder.path()).status().unwrap();
    assert!(status.success(), "Pillow makes the pictures");
    let mut compared = 0;
    for name in names(folder.path()).into_iter().filter(|name| !name.ends_with(".bytes")) {
        let ours = small_square(&fs::read(folder.path().join(&name)).unwrap(), 32).unwrap();
        let theirs = fs::read(folder.path().join(format!("{name}.bytes"))).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let furthest = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
        // Pillow rounds between the two directions, and two JPEG decoders round differently.
        assert!(furthest <= 2, "{name}: {furthest}");
        compared += 1;
    }
    assert_eq!(compared, 19);
}

#[test]
fn bad_files_are_named_and_the_others_answered() {
    let folder = picture_folder("mixed");
    let mut whole = vec![];
    DynamicImage::from(large_picture(2)).write_to(&mut std::io::Cursor::new(&mut whole), ImageFormat::Png).unwrap();
    fs::write(folder.join("good, \"quoted\".png"), &whole).unwrap();
    fs::write(folder.join("one.png"), one_pixel()).unwrap();
    fs::write(folder.join("empty.png"), b"").unwrap();
    fs::write(folder.join("text.png"), b"this is no picture\n").unwrap();
    fs::write(folder.join(".hidden"), b"no picture, but nobody asked").unwrap();
    fs::create_dir(folder.join("below")).unwrap();
    let whole = tiff(&DynamicImage::from(large_picture(2)));
    fs::write(folder.join("cut.tiff"), &whole[..whole.len() * 2 / 3]).unwrap();
    for extension in ["png", "jpeg", "gif", "bmp", "webp"] {
        let mut bytes = std::io::Cursor::new(vec![]);
        let format = ImageFormat::from_extension(extension).unwrap();
        DynamicImage::from(large_picture(2)).write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        fs::write(folder.join(format!("cut.{extension}")), &bytes[..bytes.len() * 2 / 3]).unwrap();
    }
    let ended = lab().run(&format!("predict {} mixed missing.png", folder_of_base())).expect(FAILED);
    assert_eq!(ended.out.lines().count(), 3, "{}", ended.out);
    assert!(ended.out.lines().nth(1).unwrap().starts_with("\"mixed/good, \"\"quoted\"\".png\","), "{}", ended.out);
    assert!(ended.out.lines().nth(2).unwrap().starts_with("mixed/one.png,"), "{}", ended.out);
    let errors: Vec<&str> = ended.err.lines().collect();
    assert_eq!(errors.len(), 9, "{}", ended.err);
    ended
        .saying(&[
            "mixed/empty.png: the file is empty",
            "mixed/text.png: not a picture",
            "valid: PNG, JPEG",
            "missing.png",
        ])
        .saying(&["mixed/cut.png: ", "mixed/cut.jpeg: the file is cut off", "mixed/cut.gif: ", "mixed/cut.bmp: "])
        .saying(&["mixed/cut.webp: ", "mixed/cut.tiff: "]);
    let objects = predicted("mixed/one.png mixed/empty.png", FAILED);
    assert_eq!(objects[0]["top"].as_array().unwrap().len(), 3);
    assert_eq!(objects[1]["error"], "mixed/empty.png: the file is empty");
}

#[test]
fn folders_without_pictures_are_named() {
    let outer = picture_folder("outer");
    for name in ["below/deeper", "empty", "hidden", "full"] {
        fs::create_dir_all(outer.join(name)).unwrap();
    }
    fs::write(outer.join("below/one.png"), one_pixel()).unwrap();
    fs::write(outer.join("hidden/.one.png"), one_pixel()).unwrap();
    fs::write(outer.join("full/one.png"), one_pixel()).unwrap();
    for name in ["outer", "outer/empty", "outer/hidden", "outer/below/deeper"] {
        let ended = lab().run(&format!("predict {} {name}", folder_of_base())).expect(FAILED);
        ended.saying(&[&format!("{name}: a folder without pictures")]);
        assert!(predicted(name, FAILED)[0]["error"].as_str().unwrap().starts_with(name));
    }
    let ended = lab().run(&format!("predict {} outer outer/full", folder_of_base())).expect(FAILED);
    assert!(ended.out.lines().nth(1).unwrap().starts_with("outer/full/one.png,"), "{}", ended.out);
}

fn folder_of_base() -> String {
    folder(&trials().base)
}

fn one_pixel() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    RgbImage::from_pixel(1, 1, image::Rgb([200, 30, 30])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

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
    let (code, small, _) = predict("small");
    assert_eq!(code, DONE, "{small}");
    let (code, text, peak) = predict("grey");
    assert_eq!((code, text), (DONE, small.replace("small", "grey")), "one colour looks the same at every size");
    assert!(peak < 900 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
    let (code, text, peak) = predict("rgb");
    assert!(code == FAILED && text.contains("huge/rgb.png: 20000×20000 pixels take 1200 MB"), "{text}");
    assert!(peak < 400 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
}
