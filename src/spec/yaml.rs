//! YAML text → a tree of nodes that know their line and column.
//!
//! One document of mappings, lists and scalars is read, with anchors, aliases and merge keys, which together may make no more
//! of a file than it could spell out; tags are refused. What an alias stands for keeps its own place in the file, so that an error
//! points at what to change. A plain scalar stays text until a field asks for a number or a flag; that is how `no` and `0,1`
//! get an error instead of a meaning.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::error::{InputError, Mark, Mistakes, Result, all};
use super::slips;
use crate::words::{list, shorten};

const MAX_FILE_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 100_000;

#[derive(Clone, Debug)]
pub struct Node {
    pub at: Mark,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar { text: String, quoted: bool },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub at: Mark,
    pub name: String,
}

/// The text of a file, which must be UTF-8 and at most [`MAX_FILE_BYTES`] long.
pub fn read_file(path: &Path) -> Result<String> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| Mark::whole(name.as_str()).error(error.to_string()))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(too_long(&name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..offset]);
        let line = before.matches('\n').count() + 1;
        let col = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let at = Mark { source: name.as_str().into(), line, col };
        at.error(format!("byte {offset} is not UTF-8 text"))
    })
}

/// The tree of a file's text; `name` stands in its errors. What is left out for a mistake is noted.
pub fn parse(name: &str, text: &str, mistakes: &mut Mistakes) -> Option<Node> {
    let read = Reader::new(name, true, text, mistakes).and_then(Reader::document);
    mistakes.keep(read)
}

/// The tree of a value from the command line. It has no positions: the option itself is in the error.
pub fn parse_option(option: &str, text: &str) -> Result<Node> {
    let mut mistakes = Mistakes::default();
    let read = Reader::new(option, false, text, &mut mistakes).and_then(Reader::document);
    let read = mistakes.keep(read);
    mistakes.end(read)
}

fn too_long(name: &str) -> InputError {
    Mark::whole(name).error(format!("longer than {MAX_FILE_BYTES} bytes, too long for an experiment"))
}

/// Builds nodes from the parser's events. It recurses at most [`MAX_DEPTH`] deep; the parser itself does not recurse.
struct Reader<'a, 'm> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    source: Arc<str>,
    has_lines: bool,
    size: Size,
    /// By the parser's number.
    anchors: HashMap<usize, Anchor>,
    mistakes: &'m mut Mistakes,
}

/// How large the tree is, aliases written out.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// What an alias stands for.
struct Anchor {
    node: Node,
    size: Size,
    height: usize,
}

impl<'a, 'm> Reader<'a, 'm> {
    fn new(name: &str, has_lines: bool, text: &'a str, mistakes: &'m mut Mistakes) -> Result<Reader<'a, 'm>> {
        if text.len() > MAX_FILE_BYTES {
            return Err(too_long(name));
        }
        Ok(Reader {
            parser: Parser::new_from_str(text),
            text,
            source: name.into(),
            has_lines,
            size: Size::default(),
            anchors: HashMap::new(),
            mistakes,
        })
    }

    fn document(mut self) -> Result<Node> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, at) => return Err(at.error("there is nothing in it")),
                (event, at) => break self.node(event, at, 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(root),
                (_, at) => return Err(at.error("a second document starts here; one file holds one")),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Mark)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.mark(span.start))),
            Some(Err(problem)) => {
                let line = if self.has_lines { problem.marker().line() } else { 0 };
                let words = match problem.info() {
                    "while parsing node, found unknown anchor" => "no value before this alias has its name, `&name`",
                    words => words,
                };
                let error = || self.mark(*problem.marker()).error(format!("not valid YAML: {words}"));
                let slip = if words.contains("tab") { slips::tab } else { slips::missing_space };
                let cause = slip(self.text, line, &self.source);
                Err(cause.unwrap_or_else(error))
            }
            None => Err(Mark::whole(self.source.clone()).error("not valid YAML: it ends too early")),
        }
    }

    fn mark(&self, marker: Marker) -> Mark {
        match self.has_lines {
            true => Mark { source: self.source.clone(), line: marker.line(), col: marker.col() + 1 },
            false => Mark::whole(self.source.clone()),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Mark, depth: usize) -> Result<Node> {
        let before = self.size;
        let (anchor, tag) = match &event {
            Event::Alias(anchor) => return self.alias(*anchor, at, depth),
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag)
            }
            _ => return Err(at.error("not valid YAML: expected a value")),
        };
        if tag.is_some() {
            self.mistakes.note(at.error("tags (!name) are not supported"));
        }
        let bytes = if let Event::Scalar(text, ..) = &event { text.len() } else { 0 };
        self.grow(Size { nodes: 1, bytes }, &at, depth)?;
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.to_string(), quoted: style != ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            _ => self.map(depth)?,
        };
        let node = Node { at, value };
        if anchor != 0 {
            let size = Size { nodes: self.size.nodes - before.nodes, bytes: self.size.bytes - before.bytes };
            // It is kept twice.
            self.grow(size, &node.at, depth)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), size, height: node.height() });
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, at: Mark, depth: usize) -> Result<Node> {
        let Some(Anchor { size, height, .. }) = self.anchors.get(&anchor) else {
            return Err(at.error("this alias stands inside of what it stands for"));
        };
        self.grow(*size, &at, depth + height)?;
        Ok(Node { at, value: self.anchors[&anchor].node.value.clone() })
    }

    /// Refuses what makes a file hard to read or large in memory.
    fn grow(&mut self, by: Size, at: &Mark, depth: usize) -> Result<()> {
        self.size.nodes += by.nodes;
        self.size.bytes += by.bytes;
        let aliases = if self.anchors.is_empty() { "" } else { ", its aliases written out" };
        match () {
            () if depth > MAX_DEPTH => Err(at.error(format!("nested more than {MAX_DEPTH} deep"))),
            () if self.size.nodes > MAX_NODES => {
                Err(at.error(format!("more than {MAX_NODES} values in one file{aliases}")))
            }
            () if self.size.bytes > MAX_FILE_BYTES => {
                Err(at.error(format!("more than {MAX_FILE_BYTES} bytes of text in one file{aliases}")))
            }
            () => Ok(()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        let mut lines = HashMap::new();
        loop {
            let node = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, at) => self.node(event, at, depth + 1)?,
            };
            let key = key(node).and_then(|key| self.first_of_its_name(key, &mut lines));
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            match self.mistakes.keep(key) {
                Some(key) if key.name == MERGE => {
                    merged = self.mistakes.keep(merged_entries(value)).unwrap_or_default();
                }
                Some(key) => entries.push((key, value)),
                None => {}
            }
        }
        // What is written wins, then what is named first.
        let mut seen: HashSet<String> = lines.into_keys().collect();
        merged.retain(|(key, _): &(Key, Node)| seen.insert(key.name.clone()));
        merged.append(&mut entries);
        Ok(Value::Map(merged))
    }

    /// The key, unless `lines` has it already.
    fn first_of_its_name(&self, key: Key, lines: &mut HashMap<String, usize>) -> Result<Key> {
        match lines.entry(key.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(key.at.line);
                Ok(key)
            }
            Entry::Occupied(first) => {
                let first =
                    if self.has_lines { format!("; it is already in line {}", first.get()) } else { String::new() };
                Err(key.at.error(format!("duplicate key `{}`{first}", shorten(&key.name))))
            }
        }
    }
}

const MERGE: &str = "<<";

/// The entries of the object, or of the objects in a list, that a merge key takes in.
fn merged_entries(node: Node) -> Result<Vec<(Key, Node)>> {
    let refusal = |node: &Node| {
        let found = node.excerpt();
        node.at.error(format!("<<: expected an object, `<<: *name` or `<<: [*name, *other]`, found {found}"))
    };
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let entries = items.into_iter().map(|item| match item.value {
                Value::Map(entries) => Ok(entries),
                _ => Err(refusal(&item)),
            });
            Ok(all::<_, Vec<_>>(entries)?.concat())
        }
        Value::Scalar { .. } => Err(refusal(&node)),
    }
}

fn key(node: Node) -> Result<Key> {
    match &node.value {
        Value::Scalar { text, quoted } if *quoted || !reads_as_other(text) => {
            Ok(Key { name: text.clone(), at: node.at })
        }
        _ => Err(node.at.error(format!("expected a name as key, found {}", node.excerpt()))),
    }
}

/// Whether a plain scalar is something else than text to YAML: nothing, a flag or a number.
fn reads_as_other(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "true" | "false") || text.parse::<f64>().is_ok()
}

impl Node {
    /// A plain scalar's text, which a field may take for a number or a flag.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted: false } => Some(text),
            _ => None,
        }
    }

    /// Whether it says that a dotted key's field is left out.
    pub fn is_null(&self) -> bool {
        self.plain() == Some("null")
    }

    /// A scalar's text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A field of an object. The short form `adam` is read as `{name: adam}`.
    pub fn field(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            Value::Scalar { text, .. } => (name == "name" && text != "none").then_some(self),
            Value::List(_) => None,
        }
    }

    /// An object that has it as its only field.
    pub fn as_field_of(&self, name: &str) -> Node {
        let (at, name) = (self.at.clone(), name.to_owned());
        Node { at: at.clone(), value: Value::Map(vec![(Key { at, name }, self.clone())]) }
    }

    /// How deep it is nested.
    fn height(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(|item| 1 + item.height()).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|(_, value)| 1 + value.height()).max().unwrap_or(0),
        }
    }

    /// The value for an error message, in backquotes and not too long.
    pub fn excerpt(&self) -> String {
        match self.plain() {
            Some("") => "nothing".to_string(),
            _ => format!("`{}`", shorten(&self.to_string())),
        }
    }
}

/// The value on one line, as the user would write it in a flow mapping.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.value {
            Value::Scalar { text, quoted: true } if reads_as_other(text) => write!(f, "{text:?}"),
            Value::Scalar { text, .. } => f.write_str(text),
            Value::List(items) => write!(f, "[{}]", list(items.iter().map(Node::to_string))),
            Value::Map(entries) => {
                write!(f, "{{{}}}", list(entries.iter().map(|(key, value)| format!("{}: {value}", key.name))))
            }
        }
    }
}
