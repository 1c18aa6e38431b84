//! From a pixel's samples to its colours on white.

/// How the first samples of a pixel make its colours.
pub enum Colour {
    Grey {
        white_is_zero: bool,
    },
    Rgb,
    /// Colours by the number of the sample.
    Palette(Vec<[u8; 3]>),
    Cmyk,
    YCbCr(YCbCr),
}

/// TIFF 6.0, section 21.
pub struct YCbCr {
    /// Shares of red, green and blue in luma.
    pub luma: [f64; 3],
    /// The samples for black and for white of luma, and for none and for most of the two chromas.
    pub reference: [f64; 6],
}

/// A pixel's opacity.
#[derive(Clone, Copy)]
pub struct Alpha {
    /// Which of the pixel's samples.
    pub sample: usize,
    /// The colours are already multiplied by it.
    pub premultiplied: bool,
}

impl Colour {
    /// That it needs of a pixel.
    pub fn samples(&self) -> usize {
        match self {
            Colour::Grey { .. } | Colour::Palette(_) => 1,
            Colour::Rgb | Colour::YCbCr(_) => 3,
            Colour::Cmyk => 4,
        }
    }

    /// Red, green and blue in 0..=1 of samples in 0..=1.
    pub fn rgb(&self, samples: &[f64]) -> [f64; 3] {
        match (self, samples) {
            (Colour::Grey { white_is_zero: true }, &[grey, ..]) => [1.0 - grey; 3],
            (Colour::Grey { white_is_zero: false }, &[grey, ..]) => [grey; 3],
            (Colour::Palette(colours), &[share, ..]) => {
                let last = colours.len() - 1;
                colours[(share * last as f64).round() as usize].map(|colour| f64::from(colour) / 255.0)
            }
            (Colour::Cmyk, &[cyan, magenta, yellow, black, ..]) => {
                [cyan, magenta, yellow].map(|ink| (1.0 - ink) * (1.0 - black))
            }
            (Colour::YCbCr(form), &[luma, blue, red, ..]) => form.rgb([luma, blue, red]),
            (_, samples) => [0, 1, 2].map(|colour| samples[colour]),
        }
    }
}

impl YCbCr {
    fn rgb(&self, samples: [f64; 3]) -> [f64; 3] {
        let [black, white, no_blue, most_blue, no_red, most_red] = self.reference;
        let share =
            |sample: f64, from: f64, to: f64| if to == from { 0.0 } else { (255.0 * sample - from) / (to - from) };
        let luma = share(samples[0], black, white);
        // Chroma reaches from -127 to 127 of 255.
        let blueness = share(samples[1], no_blue, most_blue) * 127.0 / 255.0;
        let redness = share(samples[2], no_red, most_red) * 127.0 / 255.0;
        let [of_red, of_green, of_blue] = self.luma;
        let red = luma + redness * (2.0 - 2.0 * of_red);
        let blue = luma + blueness * (2.0 - 2.0 * of_blue);
        // All three are cut off only at the end.
        let green = if of_green == 0.0 { luma } else { (luma - of_red * red - of_blue * blue) / of_green };
        [red, green, blue].map(|colour| colour.clamp(0.0, 1.0))
    }
}

impl Alpha {
    pub fn on_white(self, colour: f64, opacity: f64) -> f64 {
        let colour = if self.premultiplied { colour.min(opacity) } else { colour * opacity };
        colour + 1.0 - opacity
    }
}
