//! What an experiment has in files of its own: `model: {file: nets/small.yaml}`, a network that several experiments share, and
//! `start: {weights: FILE}`. Their names are relative to the experiment.

use std::collections::HashMap;
use std::path::Path;

use super::changed_network::changed;
use super::error::{Mark, Mistakes, Result};
use super::keys::MODEL;
use super::slot::Slot;
use super::weights_file::{self, WeightsFile};
use super::yaml::{self, Key, Node, Value};

/// The weights in files, by the SHA-256 of each, and where it is named first.
pub type Weights = HashMap<String, (Mark, WeightsFile)>;

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Model,
    Start,
    Weights,
    Elsewhere,
}

/// Whether there is a network in `document` instead of an experiment.
pub fn is_network(document: &Node) -> bool {
    document.field("layers").is_some()
}

/// Puts what the files hold in the place of their names, which are relative to `folder`, in an experiment and in the settings on
/// the command line. Errors then point into the files. None where one cannot be read: what is without it is not known. Without
/// `digests`, weights are not read to their ends.
pub fn include(
    document: &mut Node,
    options: &mut [(Key, Node)],
    folder: &Path,
    digests: bool,
    mistakes: &mut Mistakes,
) -> Option<Weights> {
    let before = mistakes.count();
    let mut reader = Reader { folder, digests, mistakes, weights: Weights::default() };
    reader.visit(document, Place::Elsewhere);
    options.iter_mut().for_each(|(key, node)| reader.visit(node, place(key, Place::Elsewhere)));
    let weights = reader.weights;
    (mistakes.count() == before).then_some(weights)
}

fn place(key: &Key, around: Place) -> Place {
    match key.name.as_str() {
        name if name == MODEL.name => Place::Model,
        "start" => Place::Start,
        "start.weights" => Place::Weights,
        "weights" if around == Place::Start => Place::Weights,
        _ => Place::Elsewhere,
    }
}

struct Reader<'a> {
    folder: &'a Path,
    digests: bool,
    mistakes: &'a mut Mistakes,
    weights: Weights,
}

impl Reader<'_> {
    fn visit(&mut self, node: &mut Node, place: Place) {
        if let Value::List(items) = &mut node.value {
            items.iter_mut().for_each(|item| self.visit(item, place));
        } else if place == Place::Weights {
            let included = self.weights(node);
            self.mistakes.keep(included);
        } else if let Some(name) = file_of(node).filter(|_| place == Place::Model) {
            let network = self.network(name).and_then(|network| changed(node, network));
            self.mistakes.keep(network.map(|network| *node = network));
        } else if let Value::Map(entries) = &mut node.value {
            entries.iter_mut().for_each(|(key, node)| self.visit(node, self::place(key, place)));
        }
    }

    fn network(&self, name: &Node) -> Result<Node> {
        let name = Slot::new("model.file", name);
        let path = self.folder.join(name.text()?);
        let text = yaml::read_file(&path).map_err(|error| name.error(error))?;
        let mut mistakes = Mistakes::default();
        let network = yaml::parse(&path.display().to_string(), &text, &mut mistakes);
        let network = mistakes.end(network)?;
        if is_network(&network) {
            Ok(network)
        } else {
            Err(network.at.error("expected a network: its `name` and `layers`"))
        }
    }

    /// `FILE` becomes `{file: FOLDER/FILE, sha256: ...}`.
    fn weights(&mut self, node: &mut Node) -> Result<()> {
        // Left out, as a dotted key may be.
        if node.is_null() {
            return Ok(());
        }
        let slot = Slot::new("start.weights", node.field("file").unwrap_or(node));
        let path = self.folder.join(slot.text()?);
        let known = self.weights.iter().find(|(_, (_, file))| file.path == path).map(|(sha256, _)| sha256.clone());
        let sha256 = match known {
            Some(sha256) => sha256,
            None => {
                let (sha256, file) = weights_file::read(&path, self.digests)
                    .map_err(|problem| slot.error(format!("{}: {problem}", path.display())))?;
                self.weights.entry(sha256.clone()).or_insert((slot.node.at.clone(), file));
                sha256
            }
        };
        let wanted = node.field("sha256").filter(|_| self.digests);
        if let Some(wanted) = wanted.filter(|wanted| wanted.text() != Some(&sha256)) {
            return Err(Slot::new("start.weights.sha256", wanted).error(format!("{} has {sha256}", path.display())));
        }
        let at = node.at.clone();
        let field = |name: &str, text: String| {
            let value = Value::Scalar { text, quoted: true };
            (Key { at: at.clone(), name: name.to_owned() }, Node { at: at.clone(), value })
        };
        node.value = Value::Map(vec![field("file", path.display().to_string()), field("sha256", sha256)]);
        Ok(())
    }
}

/// What `{file: ...}` names.
fn file_of(node: &Node) -> Option<&Node> {
    node.field("file").filter(|_| node.field("layers").is_none())
}
