//! A results folder as `show` and `report` read it, and what of it cannot be read.

use std::path::Path;

use anyhow::Result;

use crate::report::Study;
use crate::words::count;
use crate::{exit, host, publish};

/// A results folder's experiment with what is stored of it.
pub fn stored_study(folder: &Path) -> Result<Study> {
    let (store, manifest) = publish::open(folder)?;
    let note = publish::note(&manifest, &manifest.experiment, None);
    let changed = manifest.changed_plans(&manifest.experiment);
    publish::study::study(&manifest.experiment, &note, changed, &store, &mut Default::default())
}

/// Names the trials that cannot be read and returns the exit code.
pub fn say_unreadable(study: &Study) -> i32 {
    let unreadable: Vec<&str> = study.unreadable().collect();
    unreadable.iter().for_each(|error| host::print(&format!("warning: {error}")));
    if unreadable.is_empty() {
        return exit::DONE;
    }
    let trials = count(study.trials.len(), "trial");
    host::print(&format!("{} of {trials} cannot be read and count as failed", unreadable.len()));
    exit::FAILED
}
