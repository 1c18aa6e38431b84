//! The names and places in a results folder.

use std::path::{Path, PathBuf};

pub const TRIALS: &str = "trials";
pub const WORK: &str = "work";
pub const PLOTS: &str = "plots";
pub const CONFIG: &str = "config.json";
pub const HISTORY: &str = "history.csv";
pub const RESULT: &str = "result.json";
pub const SHOWCASE: &str = "showcase.json";
pub const PREDICTIONS: &str = "predictions.npy";
/// Beside `manifest.json`: the true class of each test image, so that a report needs no images.
pub const TEST_LABELS: &str = "test_labels.npy";
pub const LAST: &str = "last.safetensors";
pub const BEST: &str = "best.safetensors";
pub const STEPS: &str = "steps.csv";
pub const LOG: &str = "log.txt";
pub const LOCK: &str = "lock";
/// In `work/`; held while tables and plots are made.
pub const PUBLISH_LOCK: &str = "publish.lock";
/// All that a trial's folder may have.
pub const OF_A_TRIAL: [&str; 10] = [CONFIG, HISTORY, RESULT, SHOWCASE, PREDICTIONS, LAST, BEST, STEPS, LOG, LOCK];

/// A folder of results. Cheap to clone; holds no file open.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A folder that need not be there, to look into.
    pub fn at(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn trial_dir(&self, id: &str) -> PathBuf {
        self.root.join(TRIALS).join(id)
    }

    pub fn log_path(&self, id: &str) -> PathBuf {
        let finished = self.trial_dir(id).join(LOG);
        if finished.exists() { finished } else { self.work_dir(id).join(LOG) }
    }

    pub(super) fn work_dir(&self, id: &str) -> PathBuf {
        self.root.join(WORK).join(id)
    }
}
