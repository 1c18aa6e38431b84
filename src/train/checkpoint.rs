//! Tensors and their description as safetensors bytes, and back. Unlike a pickle, reading them runs nothing.
//!
//! With the description goes a checksum, so that a flipped bit is noticed. Both are entries of the file's metadata, so it
//! stays one that every safetensors reader takes.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::data::sha256;
use crate::engine::State;

/// The key of our JSON text in a file's metadata.
const DESCRIPTION: &str = "runner";
/// What stands before the checksum's 64 hex digits. No text inside the header has it: there each quote has a backslash.
const CHECKSUM: &str = r#","sha256":""#;
/// Bytes of the header's length, which come first, and the step to which the header is padded with blanks.
const WORD: usize = 8;
/// The history of 10,000 epochs takes 3 MB. A header needs memory several times its size.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// A safetensors file with `description` as JSON in its metadata: equal contents, equal bytes. Tensors of every memory
/// layout are stored row-major.
pub fn encode<T: Serialize>(state: &State, description: &T) -> Result<Vec<u8>> {
    let plain = serialize(state, None)?;
    let (length, _) = SafeTensors::read_metadata(&plain)?;
    let (tensors, data) = plain[WORD..].split_at(length);
    let tensors = std::str::from_utf8(tensors)?.trim_end().strip_prefix('{').context("a header is an object")?;

    let description = serde_json::to_string(&serde_json::to_string(description)?)?;
    let before = format!(r#"{{"__metadata__":{{"format":"pt","{DESCRIPTION}":{description}"#);
    let after = format!("}}{}{tensors}", if tensors == "}" { "" } else { "," });
    let mut header = format!(r#"{before}{CHECKSUM}{}"{after}"#, digest(&before, &after, data)).into_bytes();
    header.resize(header.len().next_multiple_of(WORD), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), &*header, data].concat())
}

/// A safetensors file as PyTorch's users write it, which says nothing of this program.
pub fn plain(state: &State) -> Result<Vec<u8>> {
    serialize(state, Some(HashMap::from([("format".to_owned(), "pt".to_owned())])))
}

fn serialize(state: &State, metadata: Option<HashMap<String, String>>) -> Result<Vec<u8>> {
    let stored = state.iter().map(|(name, tensor)| Ok((name, Stored::new(tensor)?))).collect::<Result<Vec<_>>>()?;
    let views = stored
        .iter()
        .map(|(name, stored)| Ok((name, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, metadata)?)
}

/// Of the header, without the checksum and the padding, and the data.
fn digest(before: &str, after: &str, data: &[u8]) -> String {
    sha256([before.as_bytes(), after.as_bytes(), data])
}

/// A whole and undamaged safetensors file.
pub struct Checkpoint<'a> {
    header: Metadata,
    data: &'a [u8],
}

/// Fails on anything that is not a whole safetensors file, and on one of ours whose checksum is wrong. A pickle is named as
/// such. Files of other programs have no checksum that we know.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint<'_>> {
    ensure!(!bytes.is_empty(), "the file is empty");
    refuse_long_header(bytes)?;
    let (length, header) = SafeTensors::read_metadata(bytes).context("not a whole safetensors file")?;
    let (text, data) = bytes[WORD..].split_at(length);
    let file = Checkpoint { header, data };
    if file.entry().is_some() {
        check(std::str::from_utf8(text)?, data).context("the file is damaged")?;
    }
    Ok(file)
}

/// A pickle's first bytes would also make a header too long, so only such a file is looked at as one.
fn refuse_long_header(bytes: &[u8]) -> Result<()> {
    let length = bytes.first_chunk().map(|word| u64::from_le_bytes(*word));
    if length.is_some_and(|length| length <= MAX_HEADER_BYTES) {
        return Ok(());
    }
    match (bytes, length) {
        ([b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..], _) => {
            bail!(
                "this is a Python pickle, which could run code; convert it with scripts/convert.py IN.pt OUT.safetensors"
            )
        }
        (_, Some(length)) => {
            bail!("not a whole safetensors file: a header of {length} bytes is more than {MAX_HEADER_BYTES}")
        }
        (_, None) => bail!("not a whole safetensors file: it has only {} bytes", bytes.len()),
    }
}

fn check(header: &str, data: &[u8]) -> Result<()> {
    let parts = header.split_once(CHECKSUM).and_then(|(before, rest)| Some((before, rest.split_once('"')?)));
    let (before, (stored, after)) = parts.context("it has no checksum")?;
    ensure!(stored == digest(before, after.trim_end_matches(' '), data), "its checksum is wrong");
    Ok(())
}

impl Checkpoint<'_> {
    /// The tensors in the order of their data. Float16 and bfloat16 become float32, which has all their numbers.
    ///
    /// Fails on others than these, int64 and byte tensors.
    pub fn state(&self) -> Result<State> {
        let tensor = |name: String| {
            let info = self.header.info(&name).context("the header lists its own names")?;
            let tensor = self.tensor(info).with_context(|| name.clone())?;
            Ok((name, tensor))
        };
        self.header.offset_keys().into_iter().map(tensor).collect()
    }

    fn tensor(&self, info: &TensorInfo) -> Result<Tensor> {
        let kind = kind(info.dtype).with_context(|| format!("{:?} is not supported; store float32", info.dtype))?;
        let shape: Vec<i64> = info.shape.iter().map(|&side| side.try_into()).collect::<Result<_, _>>()?;
        let (start, end) = info.data_offsets;
        let tensor = Tensor::f_from_data_size(&self.data[start..end], &shape, kind)?;
        Ok(if matches!(kind, Kind::Half | Kind::BFloat16) { tensor.f_to_kind(Kind::Float)? } else { tensor })
    }

    /// The description that [`encode`] stored; None in a file that another program wrote.
    pub fn description<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(self.entry().map(|text| serde_json::from_str(text)).transpose()?)
    }

    fn entry(&self) -> Option<&String> {
        self.header.metadata().as_ref()?.get(DESCRIPTION)
    }
}

struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Stored> {
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Int64 => Dtype::I64,
            Kind::Uint8 => Dtype::U8,
            other => bail!("{other:?} tensors are not stored"),
        };
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(Stored { dtype, shape: tensor.size().iter().map(|&side| side as usize).collect(), bytes })
    }
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::I64 => Some(Kind::Int64),
        Dtype::U8 => Some(Kind::Uint8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        let state =
            vec![("weight".to_owned(), Tensor::from_slice(&[1.0f32, -2.0, 3.5])), ("n".to_owned(), Tensor::from(7i64))];
        encode(&state, &"a \"description\" µ").unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        let state = decode(bytes).and_then(|file| file.state());
        format!("{:#}", state.expect_err("should be refused"))
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let bytes = sealed();
        let file = decode(&bytes).unwrap();
        let state = file.state().unwrap();
        assert_eq!(state.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["n", "weight"]);
        assert_eq!(state[0].1.int64_value(&[]), 7);
        assert_eq!(Vec::<f32>::try_from(&state[1].1).unwrap(), [1.0, -2.0, 3.5]);
        assert_eq!(file.description::<String>().unwrap().unwrap(), "a \"description\" µ");
        assert_eq!(decode(&encode(&vec![], &0).unwrap()).unwrap().description::<i32>().unwrap(), Some(0));
    }

    /// Stored trials are to stay readable, so these bytes must not change.
    #[test]
    fn the_stored_form_is_the_same_as_ever() {
        // The program of the stored trials in results/lenet_ablation wrote these.
        let header = concat!(
            r#"{"__metadata__":{"format":"pt","runner":"\"a \\\"description\\\" µ\"","#,
            r#""sha256":"090972f1969c8f88584c4c481d09c9d555e0ead1ed997beaf6acc2fa8b452751"},"#,
            r#""n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#,
            r#""weight":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}     "#
        );
        let weight: Vec<u8> = [1.0f32, -2.0, 3.5].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(sealed(), file(header, &[&7i64.to_le_bytes(), &*weight].concat()));
    }

    #[test]
    fn every_flipped_bit_and_every_lost_byte_is_noticed() {
        let bytes = sealed();
        let key = bytes.windows(DESCRIPTION.len()).position(|window| window == DESCRIPTION.as_bytes()).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Without its own key the file passes for another program's, of which nothing is to go on from.
            let noticed = decode(&damaged).map_or(true, |file| file.description::<String>().unwrap().is_none());
            assert!(noticed, "bit {bit}");
            assert!((key..key + DESCRIPTION.len()).contains(&(bit / 8)) || decode(&damaged).is_err(), "bit {bit}");
        }
        (0..bytes.len()).for_each(|length| assert!(decode(&bytes[..length]).is_err(), "{length} bytes"));
        let place = bytes.windows(6).position(|window| window == b"sha256").unwrap();
        let mut without = bytes.clone();
        without[place..place + 6].copy_from_slice(b"sha512");
        assert_eq!(error(&without), "the file is damaged: it has no checksum");
    }

    #[test]
    fn files_of_other_programs_are_read_without_a_checksum() {
        let bytes = file(
            r#"{"__metadata__":{"sha256":"theirs"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            &[0; 4],
        );
        let file = decode(&bytes).unwrap();
        assert_eq!(file.state().unwrap()[0].0, "w");
        assert!(file.description::<String>().unwrap().is_none());
    }

    #[test]
    fn numbers_of_half_the_size_become_the_same_numbers() {
        let halves = [0x3c00u16, 0xc100, 0x0001, 0x7bff, 0x8000].map(u16::to_le_bytes).concat();
        let brain = [0x3f80u16, 0xc020, 0x0001, 0x7f7f, 0x8000].map(u16::to_le_bytes).concat();
        let header = concat!(
            r#"{"b":{"dtype":"BF16","shape":[5],"data_offsets":[10,20]},"#,
            r#""h":{"dtype":"F16","shape":[5],"data_offsets":[0,10]}}"#
        );
        let state = decode(&file(header, &[halves, brain].concat())).unwrap().state().unwrap();
        let bits = |at: usize| {
            let (name, tensor) = &state[at];
            assert_eq!(tensor.kind(), Kind::Float);
            let values = Vec::<f32>::try_from(tensor).unwrap();
            (name.clone(), values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        // 1, -2.5, the smallest above 0, the largest, and -0.
        let smallest = 2f32.powi(-24).to_bits();
        assert_eq!(
            bits(0),
            ("h".to_owned(), vec![0x3f80_0000, 0xc020_0000, smallest, 65504f32.to_bits(), 0x8000_0000])
        );
        assert_eq!(bits(1), ("b".to_owned(), vec![0x3f80_0000, 0xc020_0000, 0x0001_0000, 0x7f7f_0000, 0x8000_0000]));
    }

    #[test]
    fn hostile_headers_are_refused() {
        let tensor =
            |shape: &str, offsets: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#);
        let one = |shape: &str, offsets: &str| file(&format!(r#"{{"w":{}}}"#, tensor(shape, offsets)), &[0; 8]);
        let two = |first: &str, second: &str| {
            file(&format!(r#"{{"v":{},"w":{}}}"#, tensor("[2]", first), tensor("[2]", second)), &[0; 16])
        };
        assert!(decode(&one("[2]", "[0,8]")).unwrap().state().is_ok());
        assert!(decode(&two("[0,8]", "[8,16]")).unwrap().state().is_ok());
        let huge = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
        let cases = [
            (huge(u64::MAX), "a header of 18446744073709551615 bytes is more than"),
            (huge(MAX_HEADER_BYTES + 1), "a header of 16777217 bytes is more than"),
            (huge(MAX_HEADER_BYTES), "invalid header length"),
            (two("[0,8]", "[0,8]"), "w"),
            (two("[0,8]", "[4,12]"), "w"),
            (two("[8,16]", "[16,24]"), "v"),
            (one("[2]", "[8,0]"), ""),
            (one("[2]", "[0,18446744073709551615]"), ""),
            (one("[4294967296,4294967296,4]", "[0,8]"), ""),
            (one("[3]", "[0,8]"), ""),
            (one("[-2]", "[0,8]"), ""),
            // No values, but a side that is no i64.
            (file(&format!(r#"{{"w":{}}}"#, tensor("[0,9223372036854775808]", "[0,0]")), &[]), "w: "),
            (file(r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, &[0; 8]), "w: F64 is not supported"),
            (file(&format!(r#"{{"w":{{"x":{}"#, "[".repeat(100_000)), &[]), "recursion limit"),
        ];
        for (bytes, words) in cases {
            let error = error(&bytes);
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn a_header_of_any_length_is_no_pickle() {
        let state = vec![("fc1.bias".to_owned(), Tensor::from_slice(&[1.0f32]))];
        let mut lengths = vec![];
        for padding in 0..800 {
            let bytes = encode(&state, &"x".repeat(padding)).unwrap();
            lengths.push([bytes[0], bytes[1]]);
            assert_eq!(decode(&bytes).unwrap().state().unwrap()[0].0, "fc1.bias");
        }
        assert!(lengths.contains(&[0x80, 2]), "a header of 640 bytes was among them");
    }

    #[test]
    fn pickles_are_named() {
        let damaged = [&640u64.to_le_bytes()[..], &[b'x'; 640]].concat();
        assert!(error(&damaged).starts_with("not a whole safetensors file"), "a length is no pickle");
        for pickle in [&b"PK\x03\x04 and so on"[..], b"\x80\x02}q\x00.", b"\x80\x05]\x94."] {
            assert!(error(pickle).contains("convert.py"));
        }
    }
}
