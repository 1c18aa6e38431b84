//! `runner predict`: its answers, and what it says of files it cannot read.

use std::fs;

use image::{DynamicImage, ImageFormat};
use runner::data::{self, IMAGE_BYTES};

use super::pictures::{folder_of_base, large_picture, one_pixel, picture, picture_folder, predicted, tiff};
use super::shared::{evaluated, folder, lab, trials};
use crate::common::{BAD_INPUT, DONE, FAILED};

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

#[test]
fn a_checkpoint_to_go_on_from_is_named_with_the_file_that_is_meant() {
    let last = format!("results/tiny/trials/{}/last.safetensors", trials().base);
    for command in ["evaluate", "export", "predict"] {
        let more = if command == "predict" { "none.png" } else { "" };
        let words = ["last.safetensors: this is the checkpoint from which a sweep goes on", "best.safetensors"];
        let ended = lab().run(&format!("{command} {last} {more}")).expect(BAD_INPUT).saying(&words);
        assert!(!ended.err.contains("missing field"), "{}", ended.err);
    }
}
