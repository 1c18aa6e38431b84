//! The first directory of a TIFF or BigTIFF file: what its tags say, unjudged.

use anyhow::{Context, Result, bail, ensure};

pub const CUT_OFF: &str = "the file is cut off";

/// Bytes whose numbers are in one order.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub bytes: &'a [u8],
    pub big_endian: bool,
}

impl<'a> Source<'a> {
    pub fn part(self, at: u64, length: u64) -> Result<&'a [u8]> {
        let end = at.checked_add(length).context(CUT_OFF)?;
        self.bytes.get(usize::try_from(at)?..usize::try_from(end)?).context(CUT_OFF)
    }

    fn number(self, at: u64, size: u64) -> Result<u64> {
        Ok(unsigned(self.part(at, size)?, self.big_endian))
    }
}

/// Of at most eight bytes.
pub fn unsigned(bytes: &[u8], big_endian: bool) -> u64 {
    let append = |number, byte: &u8| number << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) }
}

struct Entry<'a> {
    tag: u16,
    kind: u64,
    values: Source<'a>,
}

pub struct Directory<'a> {
    pub source: Source<'a>,
    entries: Vec<Entry<'a>>,
}

/// In front of an entry's number of values: its tag and their kind.
const ENTRY_HEAD: u64 = 4;

/// Whether these are the first bytes of a TIFF or BigTIFF file.
pub fn begins(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic))
}

impl<'a> Directory<'a> {
    pub fn first(bytes: &'a [u8]) -> Result<Directory<'a>> {
        let source = Source { bytes, big_endian: bytes.starts_with(b"MM") };
        const VERSION_OF_BIG: u64 = 43;
        // Bytes of an offset, as of a number of values, and of the number of entries; where the directory's offset stands.
        let (offset_size, count_size, place) = match source.number(2, 2)? {
            VERSION_OF_BIG => {
                ensure!(source.number(4, 2)? == 8, "damaged: a BigTIFF with offsets of an unknown size");
                (8, 8, 8)
            }
            _ => (4, 2, 4),
        };
        let start = source.number(place, offset_size)?;
        let count = source.number(start, count_size)?;
        let length = ENTRY_HEAD + 2 * offset_size;
        let all = source.part(start + count_size, count.checked_mul(length).context(CUT_OFF)?)?;
        let entry = |bytes| Entry::read(source, Source { bytes, ..source }, offset_size);
        let entries = all.chunks_exact(length as usize).map(entry).collect::<Result<Vec<_>>>()?;
        Ok(Directory { source, entries: entries.into_iter().flatten().collect() })
    }

    fn entry(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// Empty where the tag is not there.
    pub fn bytes(&self, tag: u16) -> &'a [u8] {
        self.entry(tag).map_or(&[], |entry| entry.values.bytes)
    }

    /// Empty where the tag is not there.
    pub fn numbers(&self, tag: u16) -> Result<Vec<u64>> {
        let Some(Entry { kind, values, .. }) = self.entry(tag) else { return Ok(vec![]) };
        match kind {
            1 | 3 | 4 | 13 | 16 | 18 => {
                let size = size_of(*kind).unwrap_or(1) as usize;
                Ok(values.bytes.chunks_exact(size).map(|number| unsigned(number, values.big_endian)).collect())
            }
            _ => bail!("damaged: the values of its tag {tag} are no whole numbers"),
        }
    }

    pub fn number(&self, tag: u16) -> Result<Option<u64>> {
        Ok(self.numbers(tag)?.first().copied())
    }

    /// `default` where the tag is not there.
    pub fn fractions<const COUNT: usize>(&self, tag: u16, default: [f64; COUNT]) -> Result<[f64; COUNT]> {
        const RATIONAL: u64 = 5;
        let Some(Entry { kind, values, .. }) = self.entry(tag) else { return Ok(default) };
        let half = |bytes| unsigned(bytes, values.big_endian) as f64;
        let found: Vec<f64> = match *kind {
            RATIONAL => values.bytes.chunks_exact(8).map(|pair| half(&pair[..4]) / half(&pair[4..])).collect(),
            _ => self.numbers(tag)?.into_iter().map(|number| number as f64).collect(),
        };
        let found = found.try_into().ok().filter(|found: &[f64; COUNT]| found.iter().all(|value| value.is_finite()));
        found.with_context(|| format!("damaged: its tag {tag} needs {COUNT} fractions"))
    }
}

impl<'a> Entry<'a> {
    /// None for kinds of values that are not known.
    fn read(file: Source<'a>, entry: Source<'a>, offset_size: u64) -> Result<Option<Entry<'a>>> {
        let (tag, kind) = (entry.number(0, 2)? as u16, entry.number(2, 2)?);
        let Some(size) = size_of(kind) else { return Ok(None) };
        let length = entry.number(ENTRY_HEAD, offset_size)?.checked_mul(size).context(CUT_OFF)?;
        let place = ENTRY_HEAD + offset_size;
        // Values that fit stand in the offset's place.
        let bytes = match length <= offset_size {
            true => entry.part(place, length)?,
            false => file.part(entry.number(place, offset_size)?, length)?,
        };
        Ok(Some(Entry { tag, kind, values: Source { bytes, ..file } }))
    }
}

/// Bytes that a value of a kind takes.
fn size_of(kind: u64) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}
