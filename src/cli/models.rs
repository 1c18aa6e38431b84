//! `runner models`: the networks, and the layers of one.

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;

use super::common::{DataFolder, say_json_or};
use super::completions;
use crate::networks::TableRow;
use crate::spec::Imports;
use crate::spec::config::Config;
use crate::words::grouped;
use crate::{networks, spec};

#[derive(Args)]
pub struct ModelsArguments {
    /// lenet5, lenet5_dropout, keras_cnn, leaky_cnn or resnet, or a file for the networks in it
    #[arg(value_name = "NAME|FILE.yaml", add = completions::networks())]
    name: Option<String>,
    #[command(flatten)]
    folder: DataFolder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &ModelsArguments) -> Result<()> {
    match &arguments.name {
        Some(name) if Path::new(name).extension().is_some() => show_file(Path::new(name), arguments),
        Some(name) => {
            let table = table_of(name)?;
            say_json_or(arguments.json, &table, layers(&table))
        }
        None => show_networks(arguments.json),
    }
}

fn show_networks(json: bool) -> Result<()> {
    let mut lines = vec![format!("{:<16}{:>12}{:>22}", "network", "parameters", "multiply-adds/image")];
    let mut rows = vec![];
    for name in networks::names() {
        let table = table_of(name)?;
        let (parameters, multiply_adds) = (table.parameters(), table.multiply_adds());
        lines.push(format!("{name:<16}{:>12}{:>22}", grouped(parameters), grouped(multiply_adds)));
        rows.push(serde_json::json!({"name": name, "parameters": parameters, "multiply_adds": multiply_adds}));
    }
    say_json_or(json, &rows, lines.join("\n"))
}

/// Every network in a file.
fn show_file(path: &Path, arguments: &ModelsArguments) -> Result<()> {
    let configs = spec::networks_in(path, Imports::in_folder(arguments.folder.path()))?;
    let texts = configs.iter().map(|config| format!("{}\n{}", config.model.as_str(), layers(&config.table())));
    let row = |config: &Config| serde_json::json!({"name": config.model.as_str(), "rows": config.table().rows});
    let rows: Vec<_> = configs.iter().map(row).collect();
    say_json_or(arguments.json, &rows, texts.collect::<Vec<_>>().join("\n\n"))
}

fn layers(table: &networks::Table) -> String {
    let widest = |least: usize, text: fn(&TableRow) -> &str| {
        table.rows.iter().map(|row| text(row).len() + 2).fold(least, usize::max)
    };
    let (width, longest) = (widest(8, |row| &row.name), widest(28, |row| &row.operation));
    let line = |name: &str, layer: &str, output: &str, parameters: &str, multiply_adds: &str| {
        format!("{name:<width$}{layer:<longest$}{output:<16}{parameters:>12}{multiply_adds:>16}")
    };
    let mut lines = vec![line("name", "layer", "output", "parameters", "multiply-adds")];
    for row in &table.rows {
        let shape: Vec<String> = row.output.iter().map(i64::to_string).collect();
        let (parameters, multiply_adds) = (blank_zero(row.parameters), blank_zero(row.multiply_adds));
        lines.push(line(&row.name, &row.operation, &shape.join("×"), &parameters, &multiply_adds));
    }
    lines.push(line("total", "", "", &grouped(table.parameters()), &grouped(table.multiply_adds())));
    lines.join("\n")
}

/// The layers of the network called `name`, with its default widths.
fn table_of(name: &str) -> Result<networks::Table> {
    ensure!(networks::names().contains(&name), "{name}: no such network; valid: {}", networks::names().join(", "));
    Ok(spec::defaults(name)?.table())
}

fn blank_zero(number: i64) -> String {
    if number == 0 { String::new() } else { grouped(number) }
}
