//! `runner prune`: what a results folder holds beyond its experiment, and its removal.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::common::say;
use crate::publish;
use crate::spec::config::Mode;
use crate::store::Store;
use crate::store::prune::{Kind, Leftover};
use crate::words::{count, megabytes};
use crate::{exit, host};

/// So many of a kind are named.
const NAMED: usize = 10;

const PRUNE_HELP: &str = "\
Listed are
  - trials that the experiment, as it was last swept into the folder, does not name: other keys, seeds or --mode;
  - the last checkpoint of each trial that is done or diverged (its best weights stay, and a failed trial keeps its own);
  - what a kill has left in work/.
A trial that is running or that a sweep would go on with is not among them, nor is a folder with files of your own.
Nothing is removed before you have said so: at the question, or with --yes.";

#[derive(Args)]
#[command(after_help = PRUNE_HELP)]
pub struct PruneArguments {
    /// A folder that `runner sweep` made, such as results/quickstart
    results: PathBuf,
    /// Remove it all without asking
    #[arg(long)]
    yes: bool,
    /// Print JSON: a list with one object a file or folder; asks nothing, and removes only with --yes
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &PruneArguments) -> Result<i32> {
    let (store, mode, found) = find(arguments)?;
    if arguments.json {
        say(serde_json::to_string_pretty(&found)?)?;
    } else {
        say(describe(&store, mode, &found))?;
    }
    if found.is_empty() || !(arguments.yes || (!arguments.json && agrees()?)) {
        return Ok(exit::DONE);
    }
    // What has changed while the question stood is left alone.
    let (store, _, now) = find(arguments)?;
    let (mut removed, mut bytes, mut code) = (0, 0, exit::DONE);
    for leftover in found.iter().filter(|leftover| now.iter().any(|other| other.path == leftover.path)) {
        match store.remove_leftover(leftover) {
            Ok(()) => (removed, bytes) = (removed + 1, bytes + leftover.bytes),
            Err(error) => {
                host::print(&format!("error: {error:#}"));
                code = exit::FAILED;
            }
        }
    }
    host::print(&format!("{removed} of {} removed, {} free", count(found.len(), "item"), megabytes(bytes)));
    Ok(code)
}

/// With the mode of the experiment as it was last swept.
fn find(arguments: &PruneArguments) -> Result<(Store, Mode, Vec<Leftover>)> {
    let (store, manifest) = publish::open(&arguments.results)?;
    let named = manifest.experiment.trials().into_iter().map(|trial| trial.id).collect();
    let found = store.leftovers(&named);
    Ok((store, manifest.experiment.base.mode, found))
}

fn describe(store: &Store, mode: Mode, found: &[Leftover]) -> String {
    let swept = format!("not in the experiment as last swept (--mode {})", mode.as_str());
    let kinds = [
        (Kind::Trial, swept.as_str()),
        (Kind::UnfinishedTrial, &format!("{swept}, and not finished")),
        (Kind::LastCheckpoint, "last checkpoints of trials that have ended"),
        (Kind::Work, "left behind by a kill"),
    ];
    let total = |found: &[&Leftover]| megabytes(found.iter().map(|leftover| leftover.bytes).sum());
    let mut lines = vec![];
    for (kind, about) in kinds {
        let own: Vec<&Leftover> = found.iter().filter(|leftover| leftover.kind == kind).collect();
        if own.is_empty() {
            continue;
        }
        lines.push(format!("{about}: {}, {}", own.len(), total(&own)));
        let line = |leftover: &&Leftover| format!("  {:<44}{:>12}", leftover.path.display(), megabytes(leftover.bytes));
        lines.extend(own.iter().take(NAMED).map(line));
        lines.extend((own.len() > NAMED).then(|| format!("  and {} more (--json lists all)", own.len() - NAMED)));
    }
    let (root, all) = (store.root().display(), found.iter().collect::<Vec<_>>());
    match found.len() {
        0 => lines.push(format!("{root}: there is nothing to remove")),
        items => lines.push(format!("{root}: {} to remove, {} in all", count(items, "item"), total(&all))),
    }
    lines.join("\n")
}

/// Asks on a terminal; elsewhere nobody could answer.
fn agrees() -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        host::print("nothing is removed; --yes removes it");
        return Ok(false);
    }
    let mut answer = String::new();
    let _ = write!(std::io::stderr(), "remove it all? [y/N] ");
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
