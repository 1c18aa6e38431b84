//! How every plot looks: the font, the text sizes in pixels of the finished image, and colours that colour-blind readers and
//! black-and-white printers can tell apart.

use ab_glyph::{Font, FontRef};
use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, register_font};
use std::borrow::Cow;
use std::sync::{LazyLock, Once};

/// Our own name, so that no system font can stand in for it.
const FONT: &str = "runner-roboto";
static REGULAR: &[u8] = include_bytes!("../fonts/Roboto-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../fonts/Roboto-Bold.ttf");

/// Wide enough to be crisp at twice the width that a README gives it.
pub const WIDTH: f64 = 1800.0;
pub const MARGIN: f64 = 32.0;
pub const TITLE: f64 = 38.0;
pub const LABEL: f64 = 30.0;
pub const TICK: f64 = 27.0;
pub const SMALL: f64 = 25.0;
/// From one line of text to the next, in text sizes.
pub const LEADING: f64 = 1.25;

pub const INK: RGBColor = RGBColor(30, 30, 30);
pub const QUIET: RGBColor = RGBColor(95, 95, 95);
pub const GRID: RGBColor = RGBColor(226, 226, 226);
pub const PAPER: RGBColor = RGBColor(255, 255, 255);

/// The base is black; the others are Okabe and Ito's (2008) without yellow, which fades on white, and then two of Tol's muted.
pub const BASE: RGBColor = RGBColor(0, 0, 0);
pub const SERIES: [RGBColor; 9] = [
    BLUE,
    VERMILION,
    GREEN,
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(136, 34, 85),
    RGBColor(153, 153, 51),
    RGBColor(51, 34, 136),
];
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub const GREEN: RGBColor = RGBColor(0, 158, 115);

/// White to the blue of `SERIES`, for shares in 0..=1.
pub fn shade(share: f64) -> RGBColor {
    mix(BLUE, PAPER, share.clamp(0.0, 1.0))
}

/// Legible on [`shade`] of `share`; the second for what matters less.
pub fn inks(share: f64) -> (RGBColor, RGBColor) {
    match share {
        s if s > 0.8 => (PAPER, PAPER),
        s if s > 0.25 => (INK, INK),
        _ => (INK, QUIET),
    }
}

/// `share` of `a`, the rest `b`.
pub fn mix(a: RGBColor, b: RGBColor, share: f64) -> RGBColor {
    let part = |a: u8, b: u8| (f64::from(a) * share + f64::from(b) * (1.0 - share)).round() as u8;
    RGBColor(part(a.0, b.0), part(a.1, b.1), part(a.2, b.2))
}

/// Registered with plotters on first use, because measuring text comes before drawing it.
pub fn font(size: f64, bold: bool) -> FontDesc<'static> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
            // The bytes are part of this program; were they bad, every drawing would fail with plotters' own error.
            let _ = register_font(FONT, style, bytes);
        }
    });
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    FontDesc::new(FontFamily::Name(FONT), size, style)
}

/// Stands for a letter that the font does not have.
pub const NO_LETTER: char = '\u{fffd}';

/// Whether the font has it. A control character takes no room, and is none.
pub fn has_letter(character: char) -> bool {
    static LETTERS: LazyLock<Option<FontRef>> = LazyLock::new(|| FontRef::try_from_slice(REGULAR).ok());
    LETTERS.as_ref().is_none_or(|font| font.glyph_id(character).0 != 0)
}

/// The text as it is drawn: instead of letters that the font does not have, a mark that they are missing.
pub fn drawable(text: &str) -> Cow<'_, str> {
    if text.chars().all(has_letter) {
        return text.into();
    }
    text.chars().map(|letter| if has_letter(letter) { letter } else { NO_LETTER }).collect::<String>().into()
}
