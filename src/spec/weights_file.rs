//! The names and shapes in a safetensors file, and its digest. Its numbers are read where a trial starts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

/// Larger files are no weights of networks for small images.
const MAX_BYTES: u64 = 4 << 30;
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Bytes of the header's length, which come first.
const WORD: u64 = 8;
const BUFFER: usize = 1 << 20;

pub struct WeightsFile {
    pub path: PathBuf,
    pub shapes: HashMap<String, Vec<i64>>,
}

/// With the SHA-256 of all its bytes, as 64 hex digits; of its path, where its bytes do not matter.
pub fn read(path: &Path, is_hashed: bool) -> Result<(String, WeightsFile), String> {
    try_read(path, is_hashed).map_err(|error| format!("{error:#}"))
}

fn try_read(path: &Path, is_hashed: bool) -> Result<(String, WeightsFile)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    ensure!(about.is_file(), "not a file");
    ensure!(about.len() <= MAX_BYTES, "{} bytes are more than {MAX_BYTES}", about.len());
    let (mut hash, mut file) = (Sha256::new(), BufReader::with_capacity(BUFFER, file.take(MAX_BYTES)));
    let mut word = [0; WORD as usize];
    file.read_exact(&mut word).context("not a safetensors file")?;
    let length = u64::from_le_bytes(word);
    ensure!(
        length <= MAX_HEADER_BYTES.min(about.len().saturating_sub(WORD)),
        "not a safetensors file; scripts/convert.py IN.pt OUT.safetensors makes one of what PyTorch saved"
    );
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    hash.update(word);
    hash.update(&header);
    let metadata: Metadata = serde_json::from_slice(&header).context("not a safetensors file")?;
    let data = if is_hashed {
        hash_rest(&mut file, &mut hash)?
    } else {
        hash = Sha256::new_with_prefix(path.as_os_str().as_encoded_bytes());
        about.len() - WORD - length
    };
    let tensors = metadata.tensors();
    let needed = tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or_default();
    ensure!(data == needed as u64, "not a whole safetensors file: {data} bytes of tensors instead of {needed}");
    let shape = |sides: &[usize]| sides.iter().map(|&side| side as i64).collect();
    let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), shape(&tensor.shape))).collect();
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((sha256, WeightsFile { path: path.to_owned(), shapes }))
}

/// How many bytes there were.
fn hash_rest(file: &mut impl BufRead, hash: &mut Sha256) -> Result<u64> {
    let mut count = 0;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(count);
        }
        hash.update(bytes);
        let length = bytes.len();
        count += length as u64;
        file.consume(length);
    }
}
