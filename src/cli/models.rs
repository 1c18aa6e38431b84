//! `runner models`: the networks, and the layers of one.

use anyhow::{Result, ensure};
use clap::Args;

use super::common::say_json_or;
use super::completions;
use crate::words::grouped;
use crate::{networks, spec};

#[derive(Args)]
pub struct ModelsArguments {
    /// lenet5, lenet5_dropout, keras_cnn, leaky_cnn or resnet
    #[arg(add = completions::networks())]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &ModelsArguments) -> Result<()> {
    match &arguments.name {
        Some(name) => show_layers(&table_of(name)?, arguments.json),
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

fn show_layers(table: &networks::Table, json: bool) -> Result<()> {
    let line = |name: &str, layer: &str, output: &str, parameters: &str, multiply_adds: &str| {
        format!("{name:<8}{layer:<28}{output:<16}{parameters:>12}{multiply_adds:>16}")
    };
    let mut lines = vec![line("name", "layer", "output", "parameters", "multiply-adds")];
    for row in &table.rows {
        let shape: Vec<String> = row.output.iter().map(i64::to_string).collect();
        let (parameters, multiply_adds) = (blank_zero(row.parameters), blank_zero(row.multiply_adds));
        lines.push(line(&row.name, &row.operation, &shape.join("×"), &parameters, &multiply_adds));
    }
    lines.push(line("total", "", "", &grouped(table.parameters()), &grouped(table.multiply_adds())));
    say_json_or(json, table, lines.join("\n"))
}

/// The layers of the network called `name`, with its default widths.
fn table_of(name: &str) -> Result<networks::Table> {
    ensure!(networks::names().contains(&name), "{name}: no such network; valid: {}", networks::names().join(", "));
    Ok(spec::defaults(name)?.table())
}

fn blank_zero(number: i64) -> String {
    if number == 0 { String::new() } else { grouped(number) }
}
