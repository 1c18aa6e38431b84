//! Tensors and their description as safetensors bytes, and back. Unlike a pickle, reading them runs nothing.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::models::State;

/// The key of our JSON text in a file's metadata.
const METADATA_KEY: &str = "runner";

/// A safetensors file with `description` as JSON in its metadata. Tensors of every memory layout are stored row-major.
pub fn encode<T: Serialize>(state: &State, description: &T) -> Result<Vec<u8>> {
    let stored = state.iter().map(|(name, tensor)| Ok((name, Stored::new(tensor)?))).collect::<Result<Vec<_>>>()?;
    let views = stored
        .iter()
        .map(|(name, stored)| Ok((name, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (METADATA_KEY.to_owned(), serde_json::to_string(description)?),
    ]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// The tensors of a safetensors file in the order of its header.
///
/// Fails on anything that is not a whole safetensors file of float32, int64 or byte tensors; a pickle is named as such.
pub fn decode(bytes: &[u8]) -> Result<State> {
    let file = open(bytes)?;
    let mut state = vec![];
    for (name, view) in file.iter() {
        let kind = kind(view.dtype()).with_context(|| format!("{name}: {:?} is not supported", view.dtype()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        state.push((name.to_owned(), Tensor::from_data_size(view.data(), &shape, kind)));
    }
    Ok(state)
}

/// The description that [`encode`] stored; None in a file that another program wrote.
pub fn description<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>> {
    open(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    Ok(text.map(|text| serde_json::from_str(text)).transpose()?)
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    ensure!(!bytes.is_empty(), "the file is empty");
    // Looks for a pickle only in what is not safetensors: a header of 640 bytes makes a file start as pickles do.
    SafeTensors::deserialize(bytes).map_err(|error| match bytes {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => anyhow!(
            "this is a Python pickle, which could run code; convert it with scripts/convert.py IN.pt OUT.safetensors"
        ),
        _ => anyhow!(error).context("not a whole safetensors file"),
    })
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
        Dtype::I64 => Some(Kind::Int64),
        Dtype::U8 => Some(Kind::Uint8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_any_length_is_no_pickle() {
        let state = vec![("fc1.bias".to_owned(), Tensor::from_slice(&[1.0f32]))];
        let mut lengths = vec![];
        for padding in 0..800 {
            let bytes = encode(&state, &"x".repeat(padding)).unwrap();
            lengths.push([bytes[0], bytes[1]]);
            assert_eq!(decode(&bytes).unwrap()[0].0, "fc1.bias");
        }
        assert!(lengths.contains(&[0x80, 2]), "a header of 640 bytes was among them");
    }

    #[test]
    fn pickles_are_named() {
        for pickle in [&b"PK\x03\x04 and so on"[..], b"\x80\x02}q\x00.", b"\x80\x05]\x94."] {
            assert!(decode(pickle).unwrap_err().to_string().contains("convert.py"));
        }
    }
}
