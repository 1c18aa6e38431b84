//! What a results folder holds beyond its experiment: found, measured, and removed where nobody uses it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::files::{is_passing, lock_folder, read, remove_file, remove_folder};
use super::layout::{CONFIG, LAST, OF_A_TRIAL, RESULT, Store, TRIALS, WORK};
use super::trial::Identity;
use crate::record::{Outcome, Status};

/// Something that may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    pub kind: Kind,
    /// In the results folder.
    pub path: PathBuf,
    pub trial: String,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A finished trial that the experiment does not name.
    Trial,
    /// A trial under way that the experiment does not name, and that nobody runs.
    UnfinishedTrial,
    /// What a kill left in work/ of a trial that is stored.
    Work,
    /// The last checkpoint of a trial that will not go on from it.
    LastCheckpoint,
}

impl Store {
    /// What is neither of the trials `named` nor needed by them. A folder with other files than a trial's is somebody's own, and
    /// one that cannot be read is not understood: neither is among them.
    pub fn leftovers(&self, named: &HashSet<String>) -> Vec<Leftover> {
        let leftover = |kind, path: PathBuf, trial: &str| {
            let bytes = size(&self.root().join(&path));
            Leftover { kind, path, trial: trial.to_owned(), bytes }
        };
        let mut found = vec![];
        for id in self.own_folders(TRIALS).into_iter().filter(|id| self.is_stored(id)) {
            let folder = Path::new(TRIALS).join(&id);
            let last = folder.join(LAST);
            if !named.contains(&id) {
                found.push(leftover(Kind::Trial, folder, &id));
            } else if self.root().join(&last).is_file() && self.is_settled(&id) {
                found.push(leftover(Kind::LastCheckpoint, last, &id));
            }
        }
        for id in self.own_folders(WORK).into_iter().filter(|id| !self.is_running(id)) {
            let folder = Path::new(WORK).join(&id);
            match (self.is_stored(&id), named.contains(&id)) {
                (true, _) => found.push(leftover(Kind::Work, folder, &id)),
                (false, false) => found.push(leftover(Kind::UnfinishedTrial, folder, &id)),
                (false, true) => {}
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// Removes one of them, unless a process has begun to use it.
    pub fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        let path = self.root().join(&leftover.path);
        match leftover.kind {
            Kind::LastCheckpoint => remove_file(&path),
            Kind::Trial => remove_folder(&path, None),
            Kind::UnfinishedTrial | Kind::Work => {
                let Some(lock) = lock_folder(&path)? else { bail!("{}: runs now", path.display()) };
                remove_folder(&path, Some(lock))
            }
        }
    }

    /// The folders directly in `place` that are a trial's and hold nothing else, by the trials' ids.
    fn own_folders(&self, place: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root().join(place)).into_iter().flatten().flatten();
        let is_own = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let ids = entries.filter(is_own).map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
        ids.filter(|(id, folder)| is_of_trial(id, folder)).map(|(id, _)| id).collect()
    }

    /// Whether a stored trial is never gone on from: one that failed is.
    fn is_settled(&self, id: &str) -> bool {
        let outcome = read(&self.trial_dir(id).join(RESULT)).ok();
        let outcome = outcome.and_then(|bytes| serde_json::from_slice::<Outcome>(&bytes).ok());
        outcome.is_some_and(|outcome| outcome.status != Status::Failed)
    }
}

fn is_of_trial(id: &str, folder: &Path) -> bool {
    let config = read(&folder.join(CONFIG)).ok();
    let identity = config.and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok());
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let is_own = |entry: fs::DirEntry| {
        let (name, is_file) = (entry.file_name(), entry.file_type().is_ok_and(|kind| kind.is_file()));
        is_file && (OF_A_TRIAL.iter().any(|own| name == *own) || is_passing(&name))
    };
    identity.is_some_and(|identity| identity.id == id) && entries.flatten().all(is_own)
}

/// Of a file, or of those directly in a folder.
fn size(path: &Path) -> u64 {
    let bytes = |path: &Path| fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes(&entry.path())).sum(),
        Err(_) => bytes(path),
    }
}
