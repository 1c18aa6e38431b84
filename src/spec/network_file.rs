//! `model: {file: nets/small.yaml}`: a network of the user's own that several experiments share, in a file of its own.

use std::path::Path;

use super::error::{Mistakes, Result};
use super::fields::Slot;
use super::keys::MODEL;
use super::yaml::{self, Key, Node, Value};

/// Puts what the files hold in the place of their names, which are relative to `folder`, in an experiment and in the settings on
/// the command line. Errors then point into the files. None where one cannot be read: what is without it is not known.
pub fn include(document: &mut Node, options: &mut [(Key, Node)], folder: &Path, mistakes: &mut Mistakes) -> Option<()> {
    let before = mistakes.count();
    visit(document, false, folder, mistakes);
    for (Key { name, .. }, node) in options {
        visit(node, name == MODEL.name, folder, mistakes);
    }
    (mistakes.count() == before).then_some(())
}

/// Whether there is one in `document` instead of an experiment.
pub fn is_one(document: &Node) -> bool {
    document.field("layers").is_some()
}

fn visit(node: &mut Node, is_model: bool, folder: &Path, mistakes: &mut Mistakes) {
    if let Some(name) = file_of(node).filter(|_| is_model) {
        if let Some(network) = mistakes.keep(read(&Slot::new("model.file", name), folder)) {
            *node = network;
        }
        return;
    }
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().for_each(|(Key { name, .. }, node)| {
            visit(node, name == MODEL.name, folder, mistakes);
        }),
        Value::List(items) => items.iter_mut().for_each(|item| visit(item, is_model, folder, mistakes)),
        Value::Scalar { .. } => {}
    }
}

/// What `{file: ...}` names.
fn file_of(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [(key, file)] => (key.name == "file").then_some(file),
            _ => None,
        },
        _ => None,
    }
}

fn read(name: &Slot, folder: &Path) -> Result<Node> {
    let path = folder.join(name.text()?);
    let text = yaml::read_file(&path).map_err(|error| name.error(error))?;
    let mut mistakes = Mistakes::default();
    let network = yaml::parse(&path.display().to_string(), &text, &mut mistakes);
    let network = mistakes.end(network)?;
    if is_one(&network) { Ok(network) } else { Err(network.at.error("expected a network: its `name` and `layers`")) }
}
