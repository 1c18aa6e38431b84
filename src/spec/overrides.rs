//! What the command line changes in an experiment, and the images of the user's own that it may name.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::config::{DatasetName, Imported, Mode};
use super::imports::{Found, find};

/// What the command line changes in an experiment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `KEY=VALUE`, the value in YAML, applied in order to the base: any key of `base`, plain or dotted, or `data`,
    /// `select`, `seeds`, `targets`. What a block sets itself still wins in that block.
    pub set: Vec<String>,
    pub dataset: Option<String>,
    pub mode: Mode,
    /// The only seed.
    pub seed: Option<u64>,
    pub imports: Imports,
    /// Where the files lie that the experiment names, if not beside it.
    pub folder: Option<PathBuf>,
    /// Weights to start from are not read to their ends, which takes long; the ids of trials that start from some are then others.
    pub is_sketch: bool,
}

/// The data sets that may be named beside the built-in ones.
#[derive(Clone, Debug, Default)]
pub struct Imports {
    folder: Option<PathBuf>,
    /// Looked for when first asked for.
    found: OnceLock<Result<Vec<Found>, String>>,
}

impl Imports {
    /// Those in `folder`, or in the folders in it.
    pub fn in_folder(folder: PathBuf) -> Imports {
        Imports { folder: Some(folder), found: OnceLock::new() }
    }

    /// This one alone.
    pub fn only(imported: &Imported) -> Imports {
        let found = Found { folder: PathBuf::new(), imported: imported.clone() };
        Imports { folder: None, found: OnceLock::from(Ok(vec![found])) }
    }

    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn all(&self) -> Result<&[Found], String> {
        let look = || self.folder.as_deref().map_or_else(|| Ok(vec![]), find);
        self.found.get_or_init(look).as_deref().map_err(String::clone)
    }

    pub fn names(&self) -> Result<Vec<&str>, String> {
        Ok(self.all()?.iter().map(|found| found.imported.name.as_str()).collect())
    }

    /// None where there is no import of this name; an error where there are two.
    pub fn named(&self, name: &str) -> Result<Option<DatasetName>, String> {
        let mut all = self.all()?.iter().filter(|found| found.imported.name == name);
        match (all.next(), all.next()) {
            (Some(one), Some(other)) => {
                let (one, other) = (one.folder.display(), other.folder.display());
                Err(format!("{one} and {other} are both called `{name}`; --data names the one that is meant"))
            }
            (found, _) => Ok(found.map(|found| DatasetName::Imported(found.imported.clone()))),
        }
    }
}
