//! `runner show`: the trials of a results folder as a table.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::common::{say, say_unreadable, study_so_far, terminal_width};
use crate::report::show::{Choice, Listing, Request, View};
use crate::sweep::launch::Standing;
use crate::{host, words};

/// So many columns without room are named.
const COLUMNS_NAMED: usize = 12;

const SHOW_HELP: &str = "\
The columns are those of trials.csv; a configuration key may go by its last part where that is clear: lr, optimizer.
Besides = there are !=, >, >=, < and <=, which want quotes in a shell. Trials that have not ended are running or waiting.
On a terminal the least important columns give way to its width, which a note says; in a pipe all are there.";

#[derive(Args)]
#[command(after_help = SHOW_HELP)]
pub struct ShowArguments {
    /// A folder that `runner sweep` made, such as results/quickstart
    results: PathBuf,
    /// Order by this column: accuracies and the like highest first, all else lowest first
    #[arg(long, value_name = "COLUMN", default_value = "test_accuracy")]
    sort: String,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Only trials with this value, such as status=failed, optimizer=adam, 'lr>=0.01' or 'test_accuracy>55%'; may be repeated
    #[arg(long, value_name = "COLUMN=VALUE")]
    filter: Vec<String>,
    /// Show these columns, in this order
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', conflicts_with = "all")]
    columns: Vec<String>,
    /// Show every column
    #[arg(long)]
    all: bool,
    /// Print JSON: a list of objects with the columns of trials.csv, shares in 0 to 1
    #[arg(long)]
    json: bool,
    /// Say how far the sweep is, every 10 seconds at most and where something has changed, until nothing of it is left to do and
    /// none of its jobs is in Slurm's queue. Exit code 1 if trials failed or are left. With --json, an object a line
    #[arg(long, conflicts_with_all = ["sort", "reverse", "filter", "columns", "all"])]
    follow: bool,
}

pub fn run(arguments: ShowArguments) -> Result<i32> {
    let ShowArguments { results, sort, reverse, filter: filters, columns, all, json, follow } = arguments;
    if follow {
        return super::follow::follow(&results, json);
    }
    let (store, study) = study_so_far(&results, &mut HashMap::new())?;
    let listing = Listing::new(&study.trials, &study.targets, |id| store.is_running(id));
    let columns = match columns.is_empty() {
        false => Choice::These(columns),
        true if all || json => Choice::All,
        true => Choice::Usual,
    };
    let view = View::new(&listing, &Request { sort, reverse, filters, columns })?;
    if json {
        say(serde_json::to_string_pretty(&view.json())?)?;
    } else {
        print_trials(&view)?;
        let ahead = Standing::read(&store, &study.trials).ahead_in_words();
        (!ahead.is_empty()).then(|| host::print(&ahead));
    }
    if let Some(reason) = &view.why_empty {
        host::print(reason);
    }
    Ok(say_unreadable(&study))
}

/// The table on standard output; what there is to say about it on standard error.
fn print_trials(view: &View) -> Result<()> {
    let lines = view.table(terminal_width());
    let red = console::Style::new().red();
    let rows = lines.rows.iter().zip(view.troubled());
    let rows = rows.map(|(line, troubled)| if troubled { red.apply_to(line).to_string() } else { line.clone() });
    say(lines.header.iter().cloned().chain(rows).collect::<Vec<_>>().join("\n"))?;
    host::print(&view.counts());
    if !lines.left_out.is_empty() {
        let left_out = words::some(&lines.left_out, COLUMNS_NAMED);
        host::print(&format!("no room for {left_out}; --columns chooses, `| less -S` shows all"));
    }
    Ok(())
}
