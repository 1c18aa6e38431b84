//! What several commands have in common: `--data`, the answer on standard output, and a results folder as it is read.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::report::{StoredTrial, Study};
use crate::store::Store;
use crate::store::files::{make_folder, write_atomically};
use crate::words::count;
use crate::{data, exit, host, publish};

#[derive(Args)]
pub struct DataFolder {
    /// Where the images are: CIFAR-10, a folder with either layout or either official archive, or what `data import` made, or the
    /// folder around it [default: $RUNNER_DATA, else data/]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DataFolder {
    /// The folder that is meant where none is named, too.
    pub fn path(&self) -> PathBuf {
        data::directory(self.data.as_deref())
    }
}

/// Prints; a reader that has gone away ends the program quietly.
pub fn say(text: impl Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(exit::DONE),
        other => other.context("cannot print"),
    }
}

/// Prints `answer` as JSON, or else what it says to people.
pub fn say_json_or(json: bool, answer: &impl Serialize, text: impl Display) -> Result<()> {
    if json { say(serde_json::to_string_pretty(answer)?) } else { say(text) }
}

/// None where standard output is no terminal.
pub fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size().1.into())
}

/// A results folder's experiment with what is stored of it.
pub fn stored_study(folder: &Path) -> Result<Study> {
    study(folder, &mut HashMap::new()).map(|(_, study)| study)
}

/// The same, trials under way having the epochs that they have stored so far. `known` spares reading a trial twice.
pub fn study_so_far(folder: &Path, known: &mut HashMap<String, StoredTrial>) -> Result<(Store, Study)> {
    let (store, mut study) = study(folder, known)?;
    for trial in study.trials.iter_mut().filter(|trial| trial.outcome.is_none()) {
        trial.history = store.history_so_far(&trial.id);
    }
    Ok((store, study))
}

fn study(folder: &Path, known: &mut HashMap<String, StoredTrial>) -> Result<(Store, Study)> {
    let (store, manifest) = publish::open(folder)?;
    let note = publish::note(&manifest, &manifest.experiment, None);
    let changed = manifest.changed_plans(&manifest.experiment);
    // Some may run again meanwhile.
    known.retain(|id, _| store.is_stored(id));
    let study = publish::study::study(&manifest.experiment, &note, changed, &store, known)?;
    Ok((store, study))
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

/// Writes files into a folder where none of these names is taken, unless by the same bytes; `what` is what the user may name
/// instead.
pub fn write_new(folder: &Path, files: &[(String, Vec<u8>)], what: &str) -> Result<()> {
    make_folder(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let free = !path.exists() || std::fs::read(&path).is_ok_and(|there| there == *bytes);
        ensure!(free, "{}: is there already and differs; choose another {what}, or remove it", path.display());
    }
    files.iter().try_for_each(|(name, bytes)| write_atomically(&folder.join(name), bytes))
}
