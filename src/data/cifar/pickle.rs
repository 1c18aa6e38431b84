//! The few words of Python's pickle language that CIFAR-10's files are written in.
//!
//! This is a reader of tokens, not a virtual machine: it has no stack, runs nothing and copies nothing. Whoever calls
//! it says what must come next. Opcodes are those of Python's `pickletools`: protocol 2, as the official files have it, and
//! what Python 3 writes when it stores the same again, protocols 3 to 5.

use std::collections::HashMap;

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
const SHORT_BINBYTES: u8 = b'C';
const BINBYTES: u8 = b'B';
const BINBYTES8: u8 = 0x8e;
const BYTEARRAY8: u8 = 0x96;
const SHORT_BINUNICODE: u8 = 0x8c;
const BINUNICODE: u8 = b'X';
const BINUNICODE8: u8 = 0x8d;
const STACK_GLOBAL: u8 = 0x93;
const BINPUT: u8 = b'q';
const LONG_BINPUT: u8 = b'r';
const MEMOIZE: u8 = 0x94;
const BINGET: u8 = b'h';
const LONG_BINGET: u8 = b'j';
const FRAME: u8 = 0x95;

/// Strings that are remembered. A batch has 10,004 and the few that NumPy repeats.
const MAX_STRINGS: usize = 20_000;

/// A position in a pickle. Every error names the byte it is about.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    position: usize,
    /// How many values have got a number by MEMOIZE, which counts them.
    numbered: u32,
    /// By the number that the file gave them.
    strings: HashMap<u32, &'a [u8]>,
    /// The string just read, which may get a number.
    last: Option<&'a [u8]>,
}

impl<'a> Pickle<'a> {
    /// Refuses `bytes` that do not start as a pickle of protocol 2 to 5.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        ensure!(
            matches!(bytes, [PROTO, 2..=5, ..]),
            "not a Python pickle of protocols 2 to 5, as CIFAR-10's files are"
        );
        Ok(Pickle { bytes, position: 2, numbered: 0, strings: HashMap::new(), last: None })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.position..].get(..count);
        let taken = taken.with_context(|| self.ends_early())?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take returns what was asked"))
    }

    /// The next opcode, not yet taken. Python numbers its values as it writes them, in case one is to be repeated, and
    /// says how long the next part is; both are skipped like blanks, but for the numbers of strings.
    fn peek(&mut self) -> Result<u8> {
        loop {
            let opcode = *self.bytes.get(self.position).with_context(|| self.ends_early())?;
            match opcode {
                BINPUT => {
                    let number = self.take(2)?[1].into();
                    self.remember(number);
                }
                LONG_BINPUT => {
                    let [_, number @ ..] = self.array::<5>()?;
                    self.remember(u32::from_le_bytes(number));
                }
                MEMOIZE => {
                    self.take(1)?;
                    self.remember(self.numbered);
                    self.numbered += 1;
                }
                FRAME => drop(self.take(9)?),
                _ => {
                    self.last = None;
                    return Ok(opcode);
                }
            }
        }
    }

    fn remember(&mut self, number: u32) {
        if let Some(string) = self.last.take()
            && self.strings.len() < MAX_STRINGS
        {
            self.strings.insert(number, string);
        }
    }

    fn ends_early(&self) -> String {
        format!("byte {}: the file ends early", self.position)
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

    /// Takes `opcodes`, which must come next.
    pub fn expect(&mut self, opcodes: &[u8]) -> Result<()> {
        for &opcode in opcodes {
            let found = self.peek()?;
            ensure!(found == opcode, "byte {}: opcode {found:#04x} instead of {opcode:#04x}", self.position);
            self.position += 1;
        }
        Ok(())
    }

    /// The module and the name of a Python object that the file would have Python call or make. They are compared, never
    /// looked up.
    pub fn global(&mut self) -> Result<(&'a [u8], &'a [u8])> {
        if self.accept(GLOBAL)? {
            return Ok((self.line()?, self.line()?));
        }
        let names = (self.string()?, self.string()?);
        self.expect(&[STACK_GLOBAL])?;
        Ok(names)
    }

    fn line(&mut self) -> Result<&'a [u8]> {
        let length = self.bytes[self.position..].iter().position(|&byte| byte == b'\n');
        let line = self.take(length.with_context(|| self.ends_early())?)?;
        self.position += 1;
        Ok(line)
    }

    pub fn expect_global(&mut self, module: &str, name: &str) -> Result<()> {
        let found = self.global()?;
        let expected = (module.as_bytes(), name.as_bytes());
        ensure!(found == expected, "byte {}: something other than {module}.{name}", self.position);
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

    /// A boolean, or the 0 or 1 that old versions of NumPy write for one.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.next()? {
            BININT1 => Ok(self.array::<1>()? != [0]),
            NEWTRUE => Ok(true),
            NEWFALSE => Ok(false),
            other => bail!("byte {}: opcode {other:#04x} where True or False belongs", self.position - 1),
        }
    }

    /// A string or bytes; a part of the file, not a copy.
    pub fn string(&mut self) -> Result<&'a [u8]> {
        let opcode = self.next()?;
        let length: u64 = match opcode {
            SHORT_BINSTRING | SHORT_BINBYTES | SHORT_BINUNICODE => self.array::<1>()?[0].into(),
            BINSTRING | BINBYTES | BINUNICODE => u32::from_le_bytes(self.array()?).into(),
            BINBYTES8 | BINUNICODE8 | BYTEARRAY8 => u64::from_le_bytes(self.array()?),
            BINGET => return self.array().and_then(|[number]| self.remembered(number.into())),
            LONG_BINGET => return self.array().and_then(|number| self.remembered(u32::from_le_bytes(number))),
            other => bail!("byte {}: opcode {other:#04x} where a string belongs", self.position - 1),
        };
        // More than an address can say is more than the file has.
        let string = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        self.last = Some(string);
        Ok(string)
    }

    fn remembered(&self, number: u32) -> Result<&'a [u8]> {
        let string = self.strings.get(&number).copied();
        string.with_context(|| format!("byte {}: no string has the number {number}", self.position))
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

    /// `pickle.dumps([7, 300, -2, "ab"], 4)` of Python 3.11, but with the string's number in the string's place once more.
    #[test]
    fn reads_protocol_4_and_finds_a_string_by_its_number() {
        let bytes = b"\x80\x04\x95\x14\0\0\0\0\0\0\0]\x94(K\x07M,\x01J\xfe\xff\xff\xff\x8c\x02ab\x94h\x01e.";
        assert_eq!(read(bytes).unwrap(), (vec![7, 300, -2], b"ab".to_vec()));
        let unknown = bytes.map(|byte| if byte == b'h' { b'j' } else { byte });
        assert!(read(&unknown).is_err());
    }

    #[test]
    fn numbers_of_values_take_bounded_memory() {
        let bytes = [&[PROTO, 4][..], &b"\x8c\x01x\x94".repeat(2 * MAX_STRINGS)].concat();
        let mut pickle = Pickle::new(&bytes).unwrap();
        (0..2 * MAX_STRINGS).for_each(|_| assert_eq!(pickle.string().unwrap(), b"x"));
        assert_eq!(pickle.strings.len(), MAX_STRINGS);
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
