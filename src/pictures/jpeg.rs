//! Where a JPEG ends.

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;

/// The first picture among the bytes, without what phones write behind it (films, brighter copies); None where it is cut off.
///
/// Decoders fill the rest of a picture that is cut off with grey, and what lies behind it or in its notes may have markers of
/// pictures of its own. So this goes from marker to marker: over each segment, and over the data of each scan.
pub fn whole_picture(bytes: &[u8]) -> Option<&[u8]> {
    let (mut at, mut scanned) = (0, false);
    loop {
        let marker;
        (marker, at) = next_marker(bytes, at)?;
        match marker {
            END => return scanned.then_some(&bytes[..at]),
            // Restarts, among others, stand alone.
            0x01 | 0xD0..=START => {}
            _ => {
                let length = bytes.get(at..at + 2)?;
                at += usize::from(u16::from_be_bytes([length[0], length[1]]));
                scanned |= marker == SCAN;
            }
        }
    }
}

/// The next marker and the place behind it. Bytes of 255 among a scan's data are followed by a zero.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)? + 1;
        match bytes.get(at)? {
            0 | 0xFF => {}
            &marker => return Some((marker, at + 1)),
        }
    }
}
