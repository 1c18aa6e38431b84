//! The few words of Python's pickle language that CIFAR-10's files are written in.
//!
//! This is a reader of tokens, not a virtual machine: it has no stack, runs nothing and copies nothing. Whoever calls
//! it says what must come next. Opcodes are those of Python's `pickletools`, protocol 2.

use anyhow::{Context, Result, bail, ensure};

pub const MARK: u8 = b'(';
pub const STOP: u8 = b'.';
pub const NONE: u8 = b'N';
pub const BUILD: u8 = b'b';
pub const REDUCE: u8 = b'R';
pub const TUPLE: u8 = b't';
pub const TUPLE1: u8 = 0x85;
pub const TUPLE2: u8 = 0x86;
pub const TUPLE3: u8 = 0x87;
pub const EMPTY_DICT: u8 = b'}';
pub const SETITEMS: u8 = b'u';
pub const EMPTY_LIST: u8 = b']';
pub const APPENDS: u8 = b'e';
const PROTO: u8 = 0x80;
const GLOBAL: u8 = b'c';
const NEWTRUE: u8 = 0x88;
const NEWFALSE: u8 = 0x89;
const BININT: u8 = b'J';
const BININT1: u8 = b'K';
const BININT2: u8 = b'M';
const SHORT_BINSTRING: u8 = b'U';
const BINSTRING: u8 = b'T';
const BINPUT: u8 = b'q';
const LONG_BINPUT: u8 = b'r';

/// A position in a pickle. Every error names the byte it is about.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Pickle<'a> {
    /// # Errors
    /// `bytes` does not start as a pickle of protocol 2.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        ensure!(bytes.starts_with(&[PROTO, 2]), "not a pickle of protocol 2, which CIFAR-10's files are");
        Ok(Pickle { bytes, position: 2 })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.position..].get(..count);
        let taken = taken.with_context(|| format!("byte {}: the file ends early", self.position))?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take returns what was asked"))
    }

    /// The next opcode, not yet taken. Python numbers its values as it writes them, in case one is to be repeated;
    /// CIFAR-10's files repeat none, so the numbers are skipped like blanks.
    fn peek(&mut self) -> Result<u8> {
        loop {
            match self.bytes.get(self.position) {
                Some(&BINPUT) => self.take(2)?,
                Some(&LONG_BINPUT) => self.take(5)?,
                Some(&opcode) => return Ok(opcode),
                None => bail!("byte {}: the file ends early", self.position),
            };
        }
    }

    fn next(&mut self) -> Result<u8> {
        let opcode = self.peek()?;
        self.position += 1;
        Ok(opcode)
    }

    /// Takes `opcode` if it comes next, and says whether it did.
    pub fn accept(&mut self, opcode: u8) -> Result<bool> {
        let found = self.peek()? == opcode;
        self.position += usize::from(found);
        Ok(found)
    }

    /// # Errors
    /// Another opcode than the given ones comes next.
    pub fn expect(&mut self, opcodes: &[u8]) -> Result<()> {
        for &opcode in opcodes {
            let found = self.peek()?;
            ensure!(found == opcode, "byte {}: opcode {found:#04x} instead of {opcode:#04x}", self.position);
            self.position += 1;
        }
        Ok(())
    }

    /// The name of a Python object that the file would have Python call or make. It is compared, never looked up.
    pub fn expect_global(&mut self, module: &str, name: &str) -> Result<()> {
        self.expect(&[GLOBAL])?;
        let expected = format!("{module}\n{name}\n");
        let found = self.take(expected.len())?;
        ensure!(found == expected.as_bytes(), "byte {}: something other than {module}.{name}", self.position);
        Ok(())
    }

    pub fn expect_integers(&mut self, expected: &[i64]) -> Result<()> {
        for expected in expected {
            let found = self.integer()?;
            ensure!(found == *expected, "byte {}: {found} instead of {expected}", self.position);
        }
        Ok(())
    }

    pub fn expect_string(&mut self, expected: &str) -> Result<()> {
        let found = self.string()?;
        ensure!(found == expected.as_bytes(), "byte {}: another string than {expected:?}", self.position);
        Ok(())
    }

    pub fn integer(&mut self) -> Result<i64> {
        match self.next()? {
            BININT1 => Ok(self.array::<1>()?[0].into()),
            BININT2 => Ok(u16::from_le_bytes(self.array()?).into()),
            BININT => Ok(i32::from_le_bytes(self.array()?).into()),
            other => bail!("byte {}: opcode {other:#04x} where an integer belongs", self.position - 1),
        }
    }

    pub fn boolean(&mut self) -> Result<bool> {
        match self.next()? {
            NEWTRUE => Ok(true),
            NEWFALSE => Ok(false),
            other => bail!("byte {}: opcode {other:#04x} where True or False belongs", self.position - 1),
        }
    }

    /// A string of Python 2, which is bytes; a part of the file, not a copy.
    pub fn string(&mut self) -> Result<&'a [u8]> {
        let length = match self.next()? {
            SHORT_BINSTRING => self.array::<1>()?[0].into(),
            BINSTRING => {
                let length = i32::from_le_bytes(self.array()?);
                usize::try_from(length)
                    .with_context(|| format!("byte {}: a string of length {length}", self.position))?
            }
            other => bail!("byte {}: opcode {other:#04x} where a string belongs", self.position - 1),
        };
        self.take(length)
    }

    /// Reads a list, calling `item` where each of its items starts.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(&[EMPTY_LIST])?;
        // Python writes a list as runs of 1,000 items, each between MARK and APPENDS.
        while self.accept(MARK)? {
            while !self.accept(APPENDS)? {
                item(self)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cPickle.dumps([7, 300, -2, "ab"], 2)` of Python 2.7, but with a number (`q\x02`) after the string.
    const LIST: &[u8] = b"\x80\x02]q\x01(K\x07M,\x01J\xfe\xff\xff\xffU\x02abq\x02e.";

    fn read(bytes: &[u8]) -> Result<(Vec<i64>, Vec<u8>)> {
        let mut pickle = Pickle::new(bytes)?;
        let (mut integers, mut string) = (Vec::new(), Vec::new());
        pickle.list(|pickle| {
            if integers.len() < 3 {
                integers.push(pickle.integer()?);
            } else {
                string = pickle.string()?.to_vec();
            }
            Ok(())
        })?;
        pickle.expect(&[STOP])?;
        Ok((integers, string))
    }

    #[test]
    fn reads_a_list_and_skips_the_numbers_of_values() {
        assert_eq!(read(LIST).unwrap(), (vec![7, 300, -2], b"ab".to_vec()));
    }

    #[test]
    fn every_shortened_or_altered_list_is_read_or_refused_without_a_panic() {
        for length in 0..LIST.len() {
            assert!(read(&LIST[..length]).is_err(), "{length} bytes");
        }
        for position in 0..LIST.len() {
            for value in 0..=255 {
                let mut altered = LIST.to_vec();
                altered[position] = value;
                let _ = read(&altered);
            }
        }
    }

    #[test]
    fn lengths_beyond_the_file_and_negative_ones_are_refused() {
        for length in [i32::MAX, -1, i32::MIN] {
            let bytes = [&[PROTO, 2, BINSTRING][..], &length.to_le_bytes(), b"x"].concat();
            assert!(Pickle::new(&bytes).unwrap().string().is_err(), "{length}");
        }
    }

    #[test]
    fn another_name_than_the_expected_is_refused() {
        let mut pickle = Pickle::new(b"\x80\x02cos\nsystem\nnumpy\n").unwrap();
        assert!(pickle.expect_global("numpy", "dtype").is_err());
    }
}
