//! `runner keys`: what may stand in an experiment file.

use anyhow::{Result, bail};
use clap::Args;

use super::common::say_json_or;
use super::completions;
use crate::spec::guide::{self, Row};

/// As wide as any terminal.
const WIDTH: usize = 80;
/// Where what is said of a key begins.
const MARGIN: usize = 28;

#[derive(Args)]
pub struct KeysArguments {
    /// Only this key and those below it, such as optimizer or optimizer.lr; also the last part of a key, or a name such as adam
    #[arg(add = completions::all_keys())]
    key: Option<String>,
    /// Print JSON: a list with one object a key
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &KeysArguments) -> Result<()> {
    let rows = match arguments.key.as_deref().map(guide::find) {
        None => guide::rows(),
        Some(Ok(rows)) => rows,
        Some(Err(meant)) => {
            let guess = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
            bail!("there is no key `{}`; {guess}`runner keys` lists all", arguments.key.as_deref().unwrap_or_default());
        }
    };
    say_json_or(arguments.json, &rows, rows.iter().map(describe).collect::<Vec<_>>().join("\n"))
}

/// The key on the left, and on the right what it takes, what it is for and PyTorch's name for it.
fn describe(row: &Row) -> String {
    let default = row.default.map(|default| format!("default {default}"));
    let default = default.or(row.is_required.then(|| "required".to_owned()));
    let takes = [row.values.replace('`', ""), default.unwrap_or_default()];
    let pytorch = if row.pytorch.is_empty() { String::new() } else { format!("PyTorch: {}", row.pytorch) };
    let about = [row.about.replace('`', ""), pytorch];
    let owner = row.owner.filter(|_| !row.values.is_empty()).map_or(String::new(), |owner| format!(" ({owner})"));
    let key = format!("{}{owner}", row.key);
    let mut lines: Vec<String> = [takes, about].iter().flat_map(|parts| wrapped(parts)).collect();
    if key.len() + 2 > MARGIN {
        lines.insert(0, String::new());
    }
    let left = std::iter::once(key.as_str()).chain(std::iter::repeat(""));
    let joined = left.zip(&lines).map(|(key, line)| format!("{key:<MARGIN$}{line}").trim_end().to_owned());
    joined.collect::<Vec<_>>().join("\n")
}

/// The parts that are there with semicolons between them, in lines that fit beside the margin.
fn wrapped(parts: &[String]) -> Vec<String> {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let mut lines: Vec<String> = vec![];
    for word in parts.join("; ").split_whitespace() {
        match lines.last_mut() {
            Some(line) if MARGIN + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_whole_in_eighty_columns() {
        let rows = guide::rows();
        let text: Vec<String> = rows.iter().map(describe).collect();
        assert!(text.iter().all(|text| text.lines().all(|line| line.chars().count() <= WIDTH)));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (row, text) in rows.iter().zip(&text) {
            let said = words(text).join(" ");
            for part in [&row.key, &row.values.replace('`', ""), &row.about.replace('`', ""), &row.pytorch] {
                assert!(said.contains(&words(part).join(" ")), "{part}:\n{text}");
            }
        }
        let lr = describe(&guide::find("optimizer.lr").unwrap()[0]);
        let wanted = "optimizer.lr (sgd)          above 0; default 0.001\n\
                      \x20                           learning rate; PyTorch: torch.optim.SGD(lr=)";
        assert_eq!(lr, wanted);
    }
}
