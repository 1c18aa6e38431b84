//! `runner report`: the tables and plots of stored trials, or how they compare with another setting.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use super::common::{DataFolder, say, say_json_or, say_unreadable, stored_study};
use crate::report::baseline::against;
use crate::report::setup::caveats;
use crate::report::summary::summarize;
use crate::{host, publish};

#[derive(Args)]
pub struct ReportArguments {
    /// Folders that `runner sweep` made, such as results/quickstart
    #[arg(required = true, value_name = "RESULTS_DIR")]
    results: Vec<PathBuf>,
    /// Where the comparison of several folders goes
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare every setting with this one instead, such as relu or 'activation: relu', print that and change no file
    #[arg(long, value_name = "SETTING", conflicts_with = "out")]
    baseline: Option<String>,
    /// With --baseline: print JSON
    #[arg(long, requires = "baseline")]
    json: bool,
    /// Show report.html afterwards, with xdg-open (on macOS open)
    #[arg(long, conflicts_with = "baseline")]
    open: bool,
    #[command(flatten)]
    folder: DataFolder,
}

pub fn run(arguments: &ReportArguments) -> Result<i32> {
    let ReportArguments { results, out, baseline, json, open, folder } = arguments;
    match baseline {
        Some(baseline) => compare_with(baseline, results, *json),
        None => publish(results, out.as_deref(), &folder.path(), *open),
    }
}

fn publish(results: &[PathBuf], out: Option<&Path>, data: &Path, open: bool) -> Result<i32> {
    let (study, folder) = match (results, out) {
        ([folder], None) => (publish::publish_stored(folder, data)?, folder.as_path()),
        ([_], Some(_)) => bail!("--out is for the comparison of several results folders"),
        (_, None) => bail!("the comparison of several results folders needs a folder of its own: --out DIR"),
        (folders, Some(out)) => (publish::publish_comparison(folders, out, data)?, out),
    };
    if study.test_images.is_none() {
        host::print("the test images of these trials are not at hand (--data); pictures of them stay as they are");
    }
    for caveat in caveats(&summarize(&study)) {
        host::print(&format!("note: {caveat}"));
    }
    say(format!("tables and plots in {}", folder.display()))?;
    if open {
        show(&folder.join("report.html"));
    }
    Ok(say_unreadable(&study))
}

/// Where nothing can show the page, as on most servers, it is named; the report is made all the same.
fn show(page: &Path) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut viewer = Command::new(program);
    let shown = viewer.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match shown {
        Ok(status) if status.success() => {}
        Ok(_) => host::print(&format!("{program} cannot show it here; the page is {}", page.display())),
        Err(error) => host::print(&format!("{program}: {error}; the page is {}", page.display())),
    }
}

fn compare_with(baseline: &str, results: &[PathBuf], json: bool) -> Result<i32> {
    let [folder] = results else { bail!("--baseline compares the settings of one results folder") };
    let study = stored_study(folder)?;
    let found = against(&study, &summarize(&study), baseline)?;
    say_json_or(json, &found.json(), &found)?;
    study.changed_plans.iter().for_each(|change| host::print(&format!("note: {change}")));
    Ok(say_unreadable(&study))
}
