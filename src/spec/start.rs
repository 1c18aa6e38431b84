//! The weights in a file that a trial starts from, as part of its configuration; and layers by the names of their groups.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Weights in a file, taken by name and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub weights: WeightsFile,
    /// Layers, or what the names of several have before a dot, that are drawn all the same.
    pub except: Vec<String>,
}

/// What is in it decides a trial's numbers, not where it lies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WeightsFile {
    /// None in what is stored.
    #[serde(skip_serializing, default)]
    pub file: Option<PathBuf>,
    /// 64 hex digits.
    pub sha256: String,
}

impl PartialEq for WeightsFile {
    fn eq(&self, other: &WeightsFile) -> bool {
        self.sha256 == other.sha256
    }
}

impl Start {
    /// Whether a tensor of this name is taken from the file, if it is there with the same shape.
    pub fn takes(&self, tensor: &str) -> bool {
        !is_in(tensor, &self.except)
    }
}

/// Whether `name` is one of `groups`, or in one: `layer1.0.conv1` is in `layer1`.
pub fn is_in(name: &str, groups: &[String]) -> bool {
    groups
        .iter()
        .any(|group| name.strip_prefix(group.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}
