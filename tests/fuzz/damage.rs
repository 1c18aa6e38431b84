//! Edits that make a valid file a bad one: of any bytes, and of the parts that a format is made of.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// Bytes of an image of the binary layout: its label, then its pixels.
pub const RECORD_BYTES: usize = 3073;

/// SplitMix64. Steele et al. 2014.
pub struct Random(u64);

impl Random {
    /// The stream of one round.
    pub fn new(round: u64) -> Random {
        Random(Random(round).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// One to five edits: bits flipped, bytes or numbers replaced, pieces removed, repeated or put elsewhere, the end cut off.
pub fn bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [u64; 8] = [0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, i64::MAX as u64, u64::MAX];
    let shortest = bytes.len() / 8;
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        let piece = bytes[at..at + length].to_vec();
        let number = random.of(&NUMBERS).to_le_bytes();
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => drop(bytes.splice(at..at + length.min(8), number[..length.min(8)].iter().copied())),
            3 => drop(bytes.drain(at..at + length)),
            4 => drop(bytes.splice(at..at, piece)),
            5 => {
                let to = random.below(bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            _ => bytes.truncate(at.max(shortest)),
        }
    }
}

/// One to three numbers near the end, where the directory of a TIFF is, replaced by others.
pub fn directory(file: &mut [u8], random: &mut Random) {
    const NUMBERS: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 0xFFFF, 0xFFFF_FFFF];
    for _ in 0..=random.below(3) {
        let size = 1 << random.below(3);
        let at = file.len().saturating_sub(size + random.below(300));
        let number = random.of(&NUMBERS).to_le_bytes();
        file[at..].iter_mut().zip(&number[..size]).for_each(|(byte, new)| *byte = *new);
    }
}

/// One to three edits of a text's words, numbers and signs: one replaced by its like in the text or in `others`, put
/// before another, removed, or two swapped.
pub fn words(text: &mut Vec<u8>, others: &[&str], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let places = words_of(text);
        if places.is_empty() {
            return;
        }
        // Names and numbers are rarer than signs and blanks.
        let tries: Vec<&Range<usize>> = (0..4).map(|_| random.of(&places)).collect();
        let place = tries.iter().find(|place| sort(text[place.start]) < Sort::Blank).unwrap_or(&tries[0]);
        let place = (*place).clone();
        let like = |word: &[u8]| sort(word[0]) == sort(text[place.start]);
        let others: Vec<&[u8]> = others.iter().map(|word| word.as_bytes()).filter(|word| like(word)).collect();
        let own: Vec<&Range<usize>> = places.iter().filter(|other| like(&text[other.start..])).collect();
        let other = (*random.of(&own)).clone();
        let word = match random.below(2) {
            0 if !others.is_empty() => random.of(&others).to_vec(),
            _ => text[other.clone()].to_vec(),
        };
        match random.below(8) {
            0..=3 => drop(text.splice(place, word)),
            4 => drop(text.splice(place.start..place.start, word)),
            5 => drop(text.drain(place)),
            _ if place.end <= other.start => {
                let later: Vec<u8> = text.splice(other, text[place.clone()].to_vec()).collect();
                drop(text.splice(place, later));
            }
            _ => {}
        }
    }
}

/// What a word is, by its first byte.
#[derive(PartialEq, PartialOrd)]
enum Sort {
    Number,
    Name,
    Blank,
    Sign,
}

fn sort(byte: u8) -> Sort {
    match byte {
        b'0'..=b'9' | b'-' | b'.' => Sort::Number,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Sort::Name,
        b' ' => Sort::Blank,
        _ => Sort::Sign,
    }
}

/// Where names and numbers are, runs of blanks, and every other byte.
fn words_of(text: &[u8]) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = vec![];
    for (at, &byte) in text.iter().enumerate() {
        let goes_on = |last: &Range<usize>| match sort(text[last.start]) {
            Sort::Number | Sort::Name => sort(byte) < Sort::Blank,
            Sort::Blank => byte == b' ',
            Sort::Sign => false,
        };
        match places.last_mut() {
            Some(last) if goes_on(last) => last.end = at + 1,
            _ => places.push(at..at + 1),
        }
    }
    places
}

/// One to three other labels of a binary batch's records.
pub fn labels(batch: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let record = random.below(batch.len() / RECORD_BYTES);
        batch[record * RECORD_BYTES] = random.next() as u8;
    }
}

/// A safetensors file with another header, its length and our checksum put right, and sometimes other data.
pub fn safetensors(file: &mut Vec<u8>, random: &mut Random) {
    const OTHERS: [&str; 22] = [
        "0",
        "1",
        "-1",
        "2",
        "10",
        "4096",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "1e3",
        "[]",
        "{}",
        "null",
        "F32",
        "I64",
        "U8",
        "F64",
        "F4",
        "__metadata__",
        "runner",
        "\"",
    ];
    let Some((length, rest)) = file.split_first_chunk() else { return };
    let (header, data) = rest.split_at(rest.len().min(u64::from_le_bytes(*length) as usize));
    let (mut header, mut data) = (header.to_vec(), data.to_vec());
    words(&mut header, &OTHERS, random);
    match random.below(8) {
        0 => bytes(&mut data, random),
        1 => data.resize(random.below(2 * data.len()), 0),
        _ => {}
    }
    seal(&mut header, &data);
    *file = [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat();
}

/// Puts the right checksum where one is: the SHA-256 of the header without it and the padding, then the data.
fn seal(header: &mut [u8], data: &[u8]) {
    const BEFORE: &[u8] = br#","sha256":""#;
    let Some(entry) = header.windows(BEFORE.len()).position(|window| window == BEFORE) else { return };
    let digits = entry + BEFORE.len()..entry + BEFORE.len() + 64;
    if header.get(digits.end) != Some(&b'"') {
        return;
    }
    let end = header.trim_ascii_end().len();
    let rest = header.get(digits.end + 1..end).unwrap_or_default();
    let digest = Sha256::new().chain_update(&header[..entry]).chain_update(rest).chain_update(data).finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    header[digits].copy_from_slice(hex.as_bytes());
}

/// One to three words of the pickle language put before or over others.
pub fn pickle(file: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [&[u8]; 27] = [
        b"(",
        b")",
        b".",
        b"N",
        b"b",
        b"R",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"}",
        b"u",
        b"]",
        b"e",
        b"q\x05",
        b"h\x05",
        b"\x94",
        b"\x93",
        b"\x95\0\0\0\0\0\0\0\0",
        b"\x8c\x04data",
        b"\x88",
        b"K\x0a",
        b"M\x10'",
        b"J\xff\xff\xff\xff",
        b"U\x04data",
        b"T\xff\xff\xff\x7f",
        b"cnumpy\nndarray\n",
    ];
    for _ in 0..=random.below(3) {
        let (at, word) = (random.below(file.len()), random.of(&WORDS));
        let over = if random.below(2) == 0 { word.len() } else { 0 };
        let end = (at + over).min(file.len());
        file.splice(at..end, word.iter().copied());
    }
}

/// Bytes of a tar header, and the step to which its members are padded.
const TAR_BLOCK: usize = 512;

/// One to three changed fields in headers of an archive, their checksums put right.
pub fn tar(archive: &mut [u8], random: &mut Random) {
    const NAMES: [&str; 8] = [
        "cifar-10-batches-bin/data_batch_1.bin",
        "cifar-10-batches-bin/test_batch.bin",
        "cifar-10-batches-py/data_batch_2",
        "../data_batch_1.bin",
        "/etc/passwd",
        "cifar-10-batches-bin/../../x",
        "",
        "././@LongLink",
    ];
    const SIZES: [&[u8]; 8] = [
        b"00000000000\0",
        b"00000001000\0",
        b"00165163020\0",
        b"77777777777\0",
        b"-1\0",
        b"99999999999\0",
        b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    // Where the members of a seed begin, as far as nothing has been inserted: at most 600 bytes each.
    let headers: Vec<usize> = (0..archive.len() / TAR_BLOCK).map(|block| block * TAR_BLOCK).collect();
    let headers: Vec<usize> = headers.into_iter().filter(|&at| archive[at + 257..].starts_with(b"ustar")).collect();
    if headers.is_empty() {
        return;
    }
    for _ in 0..=random.below(3) {
        let at = *random.of(&headers);
        let header = &mut archive[at..at + TAR_BLOCK];
        let mut set = |field: Range<usize>, value: &[u8]| {
            header[field.clone()].fill(0);
            header[field][..value.len()].copy_from_slice(value);
        };
        match random.below(6) {
            0 => set(0..100, random.of(&NAMES).as_bytes()),
            1 => set(124..136, random.of::<&[u8]>(&SIZES)),
            2 => set(156..157, &[*random.of(b"01234567LKSxgVMN\0\xff")]),
            3 => set(157..257, random.of(&NAMES).as_bytes()),
            4 => set(257..265, *random.of(&[b"ustar\x0000", b"ustar  \0", b"\0\0\0\0\0\0\0\0"])),
            // GNU's sparse map and the real size, or the prefix of a name.
            _ => set(345..500, &[*random.of(b"07\x80\xffa"); 155]),
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
