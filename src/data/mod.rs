//! Data sets as plain bytes, checked as they are read; `batches` and `augment` make tensors of them.

pub mod augment;
pub mod batches;
pub mod cifar;
mod dataset;
pub mod fetch;
pub mod import;
pub mod inspect;
pub mod shared;
pub mod synthetic;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::spec::config::DatasetName;

pub use dataset::{Dataset, IMAGE_BYTES, Images, sha256};

/// Reads or draws a data set. `dir` is [`directory`]'s answer and does not matter for the synthetic one: what is wrong there is
/// named with the file, the record and the way out.
pub fn load(name: &DatasetName, dir: &Path) -> Result<Dataset> {
    match name {
        DatasetName::Cifar10 => cifar::load(dir),
        DatasetName::Synthetic => Ok(synthetic::dataset()),
        DatasetName::Imported(own) => import::load(own, dir),
    }
}

/// The name of each class, in the order of the labels.
pub fn class_names(name: &DatasetName) -> Vec<String> {
    let owned = |names: [&str; 10]| names.map(str::to_owned).to_vec();
    match name {
        DatasetName::Cifar10 => owned(cifar::CLASS_NAMES),
        DatasetName::Synthetic => owned(synthetic::CLASS_NAMES),
        DatasetName::Imported(own) => own.classes.clone(),
    }
}

/// Where data sets lie: `--data`, else the environment's `RUNNER_DATA`, else `data`.
pub fn directory(flag: Option<&Path>) -> PathBuf {
    choose_directory(flag, std::env::var_os("RUNNER_DATA"))
}

/// An empty variable counts as unset, as a shell's `RUNNER_DATA= runner ...` means it.
fn choose_directory(flag: Option<&Path>, variable: Option<OsString>) -> PathBuf {
    let variable = variable.filter(|value| !value.is_empty());
    flag.map(Path::to_path_buf).or_else(|| variable.map(PathBuf::from)).unwrap_or_else(|| "data".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_prefers_the_flag_then_the_variable() {
        let variable = || Some(OsString::from("from/variable"));
        assert_eq!(choose_directory(Some(Path::new("from/flag")), variable()), Path::new("from/flag"));
        assert_eq!(choose_directory(None, variable()), Path::new("from/variable"));
        assert_eq!(choose_directory(None, Some(OsString::new())), Path::new("data"));
        assert_eq!(choose_directory(None, None), Path::new("data"));
    }
}
