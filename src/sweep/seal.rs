//! A checksum inside a safetensors file, so that a flipped bit in a checkpoint is noticed. The file stays one that every
//! safetensors reader takes: the checksum is an entry of its metadata.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::data::hex;

const METADATA: &str = "__metadata__";
const KEY: &str = "sha256";
/// Bytes of the header's length, which come first, and the step to which the header is padded.
const WORD: usize = 8;

/// The same file with the SHA-256 of all else in its metadata, whose entries are sorted: equal contents, equal bytes.
pub fn seal(bytes: &[u8]) -> Result<Vec<u8>> {
    let (mut header, data) = split(bytes)?;
    let metadata = header.entry(METADATA).or_insert_with(|| Map::new().into());
    metadata.as_object_mut().context("its metadata are no object")?.shift_remove(KEY);
    metadata.sort_all_objects();
    let digest = digest(&header, data)?;
    header[METADATA][KEY] = digest.into();
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(WORD), b' ');
    Ok([&(text.len() as u64).to_le_bytes(), text.as_slice(), data].concat())
}

/// Fails on a file that is not as [`seal`] made it.
pub fn check(bytes: &[u8]) -> Result<()> {
    let (mut header, data) = split(bytes)?;
    let metadata = header.get_mut(METADATA).and_then(Value::as_object_mut);
    let stored = metadata.and_then(|metadata| metadata.shift_remove(KEY)).context("it has no checksum")?;
    ensure!(stored == digest(&header, data)?, "its checksum is wrong");
    Ok(())
}

fn split(bytes: &[u8]) -> Result<(Map<String, Value>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<WORD>().context("it is cut off")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (header, data) = rest.split_at_checked(length).context("it is cut off")?;
    Ok((serde_json::from_slice(header).context("its header is broken")?, data))
}

fn digest(header: &Map<String, Value>, data: &[u8]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(header)?);
    hash.update(data);
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::checkpoint;
    use tch::Tensor;

    fn sealed() -> Vec<u8> {
        let state =
            vec![("weight".to_owned(), Tensor::from_slice(&[1.0f32, -2.0, 3.5])), ("n".to_owned(), Tensor::from(7i64))];
        seal(&checkpoint::encode(&state, &"a \"description\" µ").unwrap()).unwrap()
    }

    #[test]
    fn a_sealed_file_is_still_a_safetensors_file_with_its_description() {
        let bytes = sealed();
        check(&bytes).unwrap();
        assert_eq!(checkpoint::decode(&bytes).unwrap().len(), 2);
        assert_eq!(checkpoint::description::<String>(&bytes).unwrap().unwrap(), "a \"description\" µ");
    }

    #[test]
    fn equal_contents_make_equal_bytes() {
        // A HashMap orders the metadata anew each time.
        (0..20).for_each(|_| assert_eq!(sealed(), sealed()));
        assert_eq!(seal(&sealed()).unwrap(), sealed());
    }

    #[test]
    fn every_flipped_bit_and_every_lost_byte_is_noticed() {
        let bytes = sealed();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&damaged).is_err(), "bit {bit}");
        }
        (0..bytes.len()).for_each(|length| assert!(check(&bytes[..length]).is_err(), "{length} bytes"));
    }
}
