//! `runner init`: an experiment to begin with.
#![allow(clippy::disallowed_methods, reason = "the user's own file, which is no result")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::common::say;
use crate::spec::{Experiment, Overrides, guide};

const STARTER: &str = include_str!("starter.yaml");

#[derive(Args)]
pub struct InitArguments {
    /// The experiment's name: NAME.yaml is written. a-z, 0-9, _ and -, behind a folder if you like
    #[arg(default_value = "experiment")]
    name: String,
}

/// Never over a file that is there. The schema that its first line names is written beside it.
pub fn run(arguments: &InitArguments) -> Result<()> {
    let stem = arguments.name.strip_suffix(".yaml").unwrap_or(&arguments.name);
    let path = PathBuf::from(format!("{stem}.yaml"));
    let text = starter(stem, &path)?;
    write_new(&path, &text)?;
    let schema = path.with_file_name("schema.json");
    let beside = match write_new(&schema, &(serde_json::to_string_pretty(&guide::schema())? + "\n")) {
        Ok(()) => format!(", and {}, by which editors complete and check it", schema.display()),
        // One of this or another day, or an editor goes without.
        Err(_) => String::new(),
    };
    let path = path.display();
    say(format!("{path} is written{beside}; this runs it as it is:\n  runner sweep {path}"))
}

/// The text for the experiment at `path`, which is valid.
fn starter(stem: &str, path: &Path) -> Result<String> {
    let name = Path::new(stem).file_name().unwrap_or_default().to_string_lossy();
    let text = STARTER.replace("{name}", &name).replace("{path}", &path.display().to_string());
    if let Err(error) = Experiment::parse("", &text, &Overrides::default()) {
        bail!("{}", error.first().message());
    }
    Ok(text)
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{}: is there already and stays as it is; `runner init NAME` takes another name", path.display())
        }
        made => made.with_context(|| format!("cannot write {}", path.display()))?,
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
