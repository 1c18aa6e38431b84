//! What a small TIFF may be.

pub const WIDTH: usize = 20;
pub const HEIGHT: usize = 18;
/// Of the middle square.
pub const SIDE: usize = HEIGHT;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    Lab,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Unsigned = 1,
    Signed,
    Float,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None = 1,
    Lzw = 5,
    Deflate = 8,
    PackBits = 32773,
    Zstandard = 50000,
}

#[derive(Clone, Debug)]
pub struct Kind {
    pub colour: Colour,
    pub bits: usize,
    pub format: Format,
    /// What the extra samples are; None where the file does not say it of the one it has.
    pub extra: Option<Vec<u64>>,
    pub predictor: u64,
    pub planar: bool,
    pub tiled: bool,
    pub big_endian: bool,
    pub big_tiff: bool,
    pub reversed_bits: bool,
    pub compression: Compression,
    /// Only of YCbCr.
    pub subsampling: (usize, usize),
}

pub const PLAIN: Kind = Kind {
    colour: Colour::Rgb,
    bits: 8,
    format: Format::Unsigned,
    extra: Some(vec![]),
    predictor: 1,
    planar: false,
    tiled: false,
    big_endian: false,
    big_tiff: false,
    reversed_bits: false,
    compression: Compression::None,
    subsampling: (1, 1),
};

impl Kind {
    pub fn colours(&self) -> usize {
        match self.colour {
            Colour::WhiteIsZero | Colour::BlackIsZero | Colour::Palette => 1,
            Colour::Rgb | Colour::YCbCr | Colour::Lab => 3,
            Colour::Cmyk => 4,
        }
    }

    pub fn samples(&self) -> usize {
        self.colours() + self.extra.as_ref().map_or(1, Vec::len)
    }

    /// The sample that is the opacity, and whether the colours are multiplied by it.
    pub fn alpha(&self) -> Option<(usize, bool)> {
        let extra = self.extra.clone().unwrap_or(vec![2]);
        extra.iter().position(|&kind| kind > 0).map(|at| (self.colours() + at, extra[at] == 1))
    }

    /// Whether TIFF 6.0 and its supplements allow it.
    pub fn exists(&self) -> bool {
        let packed = matches!(self.compression, Compression::Lzw | Compression::Deflate);
        let format = match self.format {
            Format::Float => matches!(self.bits, 16 | 32 | 64),
            Format::Signed => self.bits >= 8,
            Format::Unsigned => true,
        };
        let predictor = match self.predictor {
            1 => true,
            2 => packed && matches!(self.bits, 8 | 16 | 32 | 64),
            _ => packed && self.format == Format::Float,
        };
        let colour = match self.colour {
            Colour::Palette => self.bits <= 16 && self.format == Format::Unsigned,
            Colour::YCbCr | Colour::Lab => self.bits == 8 && self.format == Format::Unsigned,
            _ => true,
        };
        let subsampled = self.subsampling != (1, 1);
        let plain = !self.planar && self.predictor == 1 && self.extra == Some(vec![]);
        let extra = self.extra.is_some() || self.colour == Colour::Rgb;
        format && predictor && colour && extra && (!subsampled || self.colour == Colour::YCbCr && plain)
    }

    /// One of strips and bytes in the commonest order.
    pub fn has_plain_layout(&self) -> bool {
        !self.planar && !self.tiled && !self.big_endian && self.predictor == 1
    }

    /// What the refusal names; None where the picture is to be seen.
    pub fn refusal(&self) -> Option<&'static str> {
        let premultiplied = self.alpha().is_some_and(|(_, premultiplied)| premultiplied);
        let can_be = matches!(self.colour, Colour::Rgb | Colour::BlackIsZero);
        Some(match self {
            Kind { format: Format::Signed, .. } => "signed samples",
            Kind { colour: Colour::Lab, .. } => "Lab colours",
            Kind { format: Format::Float, colour: Colour::WhiteIsZero, .. } => "floating-point samples of which zero",
            Kind { extra: None, planar: true, .. } => "samples whose meaning is not said",
            _ if premultiplied && !can_be => "premultiplied opacity",
            Kind { compression: Compression::Zstandard, .. } => "Zstandard compression",
            _ => return None,
        })
    }
}
