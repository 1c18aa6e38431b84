//! Bytes as NumPy's `.npy` files, format 1.0: one axis, dtype u8.

use anyhow::{Result, ensure};

/// What stands before the values of any file here: the format wants a multiple of 64.
const HEADER: usize = 128;

/// The same file as `numpy.save` makes of an array of these values.
pub fn encode(values: &[u8]) -> Vec<u8> {
    [&header(values.len()), values].concat()
}

/// The values in a file that [`encode`] or NumPy made.
pub fn decode(bytes: &[u8]) -> Result<Vec<u8>> {
    let (found, values) = bytes.split_at(HEADER.min(bytes.len()));
    ensure!(found == header(values.len()), "not a .npy file of one axis of bytes, or not a whole one");
    Ok(values.to_owned())
}

fn header(count: usize) -> Vec<u8> {
    let described = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - header.len() - 2) as u16).to_le_bytes());
    header.extend(described.bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_and_every_damage_to_its_form_is_noticed() {
        for count in [0, 1, 1000, 10_000] {
            let values: Vec<u8> = (0..count).map(|place| (place % 10) as u8).collect();
            assert_eq!(decode(&encode(&values)).unwrap(), values);
        }
        let bytes = encode(&[3; 40]);
        (0..bytes.len()).for_each(|length| assert!(decode(&bytes[..length]).is_err(), "{length} bytes"));
        for place in 0..HEADER {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {place}");
        }
        assert!(decode(&[bytes, vec![3]].concat()).is_err());
    }
}
