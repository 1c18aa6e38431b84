//! CIFAR-100's files and IDX files, made here in small.

use std::fs;

use image::ImageFormat;
use runner::pictures::small_square;

use super::made::{as_picture, cifar100, encoded, grey, idx};
use crate::common::{BAD_INPUT, DONE, Lab};

const EXPERIMENT: &str = "{schema: 1, name: tiny, data: {dataset: own, val: 100}, seeds: [0], \
                          base: {model: lenet5, epochs: 1, batch_size: 50, optimizer: {name: sgd, lr: 0.01}}}";

#[test]
fn cifar_100_has_its_fine_or_its_coarse_labels() {
    let lab = Lab::new(EXPERIMENT);
    cifar100(&lab.path("cifar-100-binary"), [500, 200]);
    let said = lab.run("data import . own").expect(DONE).out;
    assert!(
        said.contains("500 images to train on and 200 to test, in 100 classes") && said.contains("fine labels"),
        "{said}"
    );
    lab.run("data import cifar-100-binary groups --labels coarse").expect(DONE);
    for (out, label, last) in [("own", 37, "fine_99"), ("groups", 7, "coarse_19")] {
        let bytes = fs::read(lab.path(out).join("train.bin")).unwrap();
        let official = fs::read(lab.path("cifar-100-binary/train.bin")).unwrap();
        let (record, theirs) = (&bytes[37 * 3073..][..3073], &official[37 * 3074..][..3074]);
        assert!(record[0] == label && record[1..] == theirs[2..], "{out}");
        assert!(fs::read_to_string(lab.path(out).join("classes.txt")).unwrap().ends_with(&format!("{last}\n")));
    }

    lab.sweep("--data own").expect(DONE);
    let classes = fs::read_to_string(lab.result("classes.csv")).unwrap();
    assert_eq!(classes.lines().count(), 101);
    let confusion = fs::read_to_string(lab.result("confusion.csv")).unwrap();
    assert!(confusion.lines().count() <= 201, "pairs without an image are left out");
    let id = lab.stored()[0].clone();
    let shown = lab.run(&format!("evaluate results/tiny/trials/{id} --data own")).expect(DONE).out;
    assert!(shown.contains("most frequent confusions") && shown.lines().all(|line| line.len() < 120), "{shown}");

    let says = |arguments: &str, words: &[&str]| drop(lab.run(arguments).expect(BAD_INPUT).saying(words));
    says("data import . other --classes names.txt", &["--classes is for IDX files"]);
    fs::create_dir(lab.path("cifar-100-python")).unwrap();
    ["meta", "train", "test"].iter().for_each(|file| fs::write(lab.path("cifar-100-python").join(file), b"x").unwrap());
    says("data import cifar-100-python other", &["CIFAR-100 in its python version; the binary one"]);
    fs::remove_dir_all(lab.path("cifar-100-python")).unwrap();
    let path = lab.path("cifar-100-binary/test.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3074 * 4 + 1] = 100;
    fs::write(&path, &bytes).unwrap();
    says("data import . other", &["test.bin: record 4: label 100 is not in 0..=99"]);
    fs::write(&path, &bytes[..3073]).unwrap();
    says("data import . other", &["test.bin: 3073 bytes are no whole number of records of 3074"]);
}

#[test]
fn idx_images_are_what_their_pictures_would_be() {
    let lab = Lab::new(EXPERIMENT);
    idx(&lab.path("mnist"), [300, 60], true);
    idx(&lab.path("FashionMNIST/raw"), [300, 60], false);
    lab.run("data import mnist own").expect(DONE);
    let clothes = lab.run("data import FashionMNIST/raw clothes").expect(DONE).out;
    assert!(clothes.contains("IDX files, classes named as Fashion-MNIST's"), "{clothes}");
    let bytes = fs::read(lab.path("own/train.bin")).unwrap();
    assert!(bytes == fs::read(lab.path("clothes/train.bin")).unwrap());
    for number in [0, 7, 299] {
        let pixels = small_square(&encoded(&as_picture(&grey(number)), ImageFormat::Png), 32).unwrap();
        let record = &bytes[number * 3073..][..3073];
        assert_eq!(usize::from(record[0]), number % 10);
        for (plane, channel) in record[1..].chunks_exact(1024).enumerate() {
            assert!(channel.iter().eq(pixels.iter().skip(plane).step_by(3)), "image {number}");
        }
    }
    let names = |out: &str| fs::read_to_string(lab.path(out).join("classes.txt")).unwrap();
    assert!(names("own").starts_with("0\n1\n") && names("clothes").contains("\nankle boot\n"));
    lab.sweep("--data own").expect(DONE);

    fs::write(lab.path("names.txt"), "a\nb\n").unwrap();
    let says = |arguments: &str, words: &[&str]| drop(lab.run(arguments).expect(BAD_INPUT).saying(words));
    says("data import mnist other --classes names.txt", &["record 2: label 2 is not in 0..=1; --classes FILE"]);
    says("data import mnist other --seed 1", &["--seed is for sources without test images"]);
    let path = lab.path("FashionMNIST/raw/t10k-labels-idx1-ubyte");
    let whole = fs::read(&path).unwrap();
    for (bytes, words) in [
        (whole[..30].to_vec(), "22 bytes of data where its header says [60]"),
        ([&whole[..], &[0]].concat(), "more bytes of data where its header says [60]"),
        (
            [&[0, 0, 8, 1, 255, 255, 255, 255], &whole[8..]].concat(),
            "60 bytes of data where its header says [4294967295]",
        ),
        (whole[..3].to_vec(), "the file is cut off or damaged"),
        ([&[0, 0, 9, 1], &whole[4..]].concat(), "it begins with [0, 0, 9, 1]"),
        ([&[0, 0, 8, 1, 0, 0, 0, 59], &whole[8..67]].concat(), "59 labels for 60 images"),
    ] {
        fs::write(&path, bytes).unwrap();
        says("data import FashionMNIST/raw other", &["t10k-labels-idx1-ubyte: ", words]);
    }
}
