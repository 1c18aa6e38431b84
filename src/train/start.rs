//! The weights in a file that a trial starts from, in place of those that were drawn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::checkpoint;
use crate::data::sha256;
use crate::engine::{State, find};
use crate::spec::config::Start;

/// `drawn`, a network's untrained state dict, with what its configuration takes of the file, by name and shape.
pub fn started(drawn: State, start: &Start) -> Result<State> {
    let theirs = read(start)?;
    let mut anew = vec![];
    let chosen = drawn.into_iter().map(|(name, tensor)| {
        let own = find(&theirs, &name).filter(|own| start.takes(&name) && own.size() == tensor.size());
        anew.extend(own.is_none().then(|| name.clone()));
        (name, own.map_or(tensor, |own| own.shallow_clone()))
    });
    let state: State = chosen.collect();
    let file = start.weights.file.as_deref().unwrap_or(Path::new("")).display();
    eprintln!("{} of {} tensors start from {file}", state.len() - anew.len(), state.len());
    anew.iter().for_each(|name| eprintln!("drawn anew: {name}"));
    Ok(state)
}

/// What is in the file, if it is still the one that the sweep has seen.
fn read(start: &Start) -> Result<State> {
    let file = start.weights.file.as_deref().context("the file with the weights to start from is not known here")?;
    let about = || format!("{}, the weights to start from", file.display());
    let bytes = fs::read(file).with_context(about)?;
    let found = sha256([&*bytes]);
    ensure!(
        found == start.weights.sha256,
        "{} has changed: its SHA-256 was {} and is {found}",
        file.display(),
        start.weights.sha256
    );
    checkpoint::decode(&bytes).and_then(|file| file.state()).with_context(about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config::WeightsFile;

    #[test]
    fn a_file_that_has_changed_since_the_sweep_began_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let drawn = || vec![("fc1.weight".to_owned(), tch::Tensor::from_slice(&[1.0f32, 2.0]))];
        let bytes =
            checkpoint::plain(&vec![("fc1.weight".to_owned(), tch::Tensor::from_slice(&[5.0f32, 6.0]))]).unwrap();
        fs::write(&path, &bytes).unwrap();
        let weights = WeightsFile { file: Some(path.clone()), sha256: sha256([&*bytes]) };
        let start = Start { weights, except: vec![] };
        let taken = started(drawn(), &start).unwrap();
        assert_eq!(Vec::<f32>::try_from(&taken[0].1).unwrap(), [5.0, 6.0]);
        fs::write(&path, &bytes[1..]).unwrap();
        let error = format!("{:#}", started(drawn(), &start).unwrap_err());
        assert!(error.contains("a.safetensors has changed: its SHA-256 was"), "{error}");
    }
}
