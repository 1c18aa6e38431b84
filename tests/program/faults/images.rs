//! Row 26: pictures to predict.

use std::fs;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::common::{DONE, FAILED, Lab, limit, one};

#[test]
fn row_26_pictures_that_are_none_are_named_and_the_others_predicted() {
    let lab = Lab::new(&one("epochs: 1"));
    lab.sweep("").expect(DONE);
    let trial = format!("results/tiny/trials/{}", lab.stored()[0]);
    let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, 7]));
    picture.save_with_format(lab.path("whole.png"), ImageFormat::Png).unwrap();
    let whole = fs::read(lab.path("whole.png")).unwrap();
    fs::write(lab.path("empty.png"), "").unwrap();
    fs::write(lab.path("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(lab.path("text.jpg"), "not a picture").unwrap();
    RgbImage::new(1, 1).save_with_format(lab.path("dot.bmp"), ImageFormat::Bmp).unwrap();
    DynamicImage::ImageRgb8(picture).to_luma16().save_with_format(lab.path("deep.png"), ImageFormat::Png).unwrap();
    let mut command = lab.command(&format!("predict {trial} empty.png whole.png cut.png dot.bmp text.jpg deep.png"));
    limit(&mut command, libc::RLIMIT_AS, 8 << 30);
    let ended = lab.start_command(command).end().expect(FAILED).saying(&["empty.png", "cut.png", "text.jpg"]);
    assert_eq!(ended.err.lines().count(), 3, "{}", ended.err);
    for name in ["whole.png", "dot.bmp", "deep.png"] {
        assert!(ended.out.contains(name), "{}", ended.out);
    }
}
