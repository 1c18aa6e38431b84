//! Typed reading of nodes, by the tables of keys: every reader says what it expected, where, and what would have been valid.
//! What is read is JSON in which every default is filled in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::{ptr, slice};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::advice::{distance, example, form, instead_of};
use super::error::{Mark, Mistakes, Result, all};
use super::slot::{Slot, prefixed};
use super::yaml::{self, Key, Node, Value};
use crate::options::{self, Fallback, Takes, Variant};
use crate::words::{list, shorten};

impl<'a> Slot<'a> {
    pub fn object(&self) -> Result<Fields<'a>> {
        Ok(Fields::new(self, self.entries()?))
    }

    /// An object of `keys`.
    fn object_of(&self, keys: &'static [options::Key]) -> Result<Fields<'a>> {
        match self.node.value {
            Value::Map(_) => self.object(),
            _ => Err(self.no_object(&format!("an object such as {}", self.form(keys)))),
        }
    }

    /// `none` or an object.
    fn optional(&self, keys: &'static [options::Key]) -> Result<Option<Fields<'a>>> {
        match (self.node.text(), &self.node.value) {
            (Some("none"), _) => Ok(None),
            (_, Value::Map(_)) => self.object().map(Some),
            _ => Err(self.no_object(&format!("none or an object such as {}", self.form(keys)))),
        }
    }

    /// An object of some of `keys`, with the value that is written here where that fits.
    fn form(&self, keys: &[options::Key]) -> String {
        let shown = form(keys);
        let is_right = |takes: Takes| match takes {
            Takes::ChoiceOr(names, _) => self.choice(names).is_ok(),
            takes => self.value(takes).is_ok(),
        };
        let fits = |key: &&options::Key| shown.len() == 1 && is_right(key.takes);
        let own = |key: &options::Key| if fits(&key) { self.node.to_string() } else { example(key.takes) };
        format!("{{{}}}", list(shown.iter().map(|key| format!("{}: {}", key.name, own(key)))))
    }

    /// A named thing with options: `adam`, or `{name: adam, lr: 0.001}`.
    pub fn named(&self) -> Result<(Slot<'a>, Fields<'a>)> {
        let (name, mut fields) = match &self.node.value {
            Value::Scalar { .. } => (Slot::new(&self.path, self.node), Fields::new(self, &[])),
            Value::Map(entries) => {
                let mut fields = Fields::new(self, entries);
                (fields.need("name")?, fields)
            }
            Value::List(_) => return Err(self.expected("a name or an object {name: ...}")),
        };
        fields.owner = name.text()?.to_string();
        Ok((name, fields))
    }

    /// What is written for `key`, as JSON. A number beyond the highest one is told why that is the highest.
    pub fn value_of(&self, key: &options::Key) -> Result<Json> {
        let (Takes::Integer(_, highest) | Takes::List(&Takes::Integer(_, highest), ..)) = key.takes else {
            return self.value(key.takes);
        };
        let items = if let Value::List(items) = &self.node.value { items } else { slice::from_ref(self.node) };
        let number = |item: &Node| item.plain().and_then(|text| text.parse::<f64>().ok());
        let is_beyond = |at: &Mark| {
            items.iter().any(|item| item.at == *at && number(item).is_some_and(|number| number > highest as f64))
        };
        let limit = if key.limit.is_empty() { String::new() } else { format!("; {}", key.limit) };
        self.value(key.takes).map_err(|error| error.adding(&limit, is_beyond))
    }

    /// What is written here, as JSON.
    pub fn value(&self, takes: Takes) -> Result<Json> {
        Ok(match takes {
            Takes::Number(range) => self.number(range)?.into(),
            Takes::IntegerOr(word, ..) if self.node.text() == Some(word) => Json::Null,
            Takes::Integer(low, high) | Takes::IntegerOr(_, low, high) => self.integer(low..=high)?.into(),
            Takes::Flag => self.flag()?.into(),
            Takes::Choice(names) => self.choice(names)?.into(),
            Takes::ChoiceOr(..) => self.text()?.into(),
            Takes::List(of, shortest, longest) => {
                all(self.list_of(shortest..=longest)?.iter().map(|item| item.value(*of)))?
            }
            Takes::Named(variants) => self.one_named(variants)?,
            Takes::Short(keys) if !matches!(self.node.value, Value::Map(_)) => {
                Slot::new(&self.path, &self.node.as_field_of(keys[0].name)).value(Takes::Object(keys))?
            }
            Takes::Object(keys) | Takes::Short(keys) => self.object_of(keys)?.values(keys)?,
            Takes::Optional(keys) => self.optional(keys)?.map_or(Ok(Json::Null), |fields| fields.values(keys))?,
            Takes::Parts(keys) => self.optional(keys)?.unwrap_or_else(|| Fields::new(self, &[])).values(keys)?,
            Takes::OneOf(keys) => self.one_of(keys)?,
            Takes::Text => self.text()?.into(),
            // `layers.rs` reads them, where it knows what each gets.
            Takes::Layers(_) => Json::Null,
        })
    }

    fn one_named(&self, variants: &'static [Variant]) -> Result<Json> {
        let (name, fields) = self.named()?;
        let text = name.text()?;
        let is_meant = |variant: &&Variant| match variant.is_own {
            true => self.node.field(variant.keys[0].name).is_some(),
            false => variant.name == text,
        };
        let Some(variant) = variants.iter().find(is_meant) else {
            return Err(name.no_such(text, &options::names(variants)));
        };
        if variant.is_own {
            name.file_name()?;
        }
        let mut json = fields.values(variant.keys)?;
        json["name"] = text.into();
        Ok(json)
    }

    fn one_of(&self, keys: &'static [options::Key]) -> Result<Json> {
        let forms = || keys.iter().map(|key| self.form(slice::from_ref(key))).collect::<Vec<_>>().join(" or ");
        let mut fields = match (self.node.text(), &self.node.value) {
            (Some("none"), _) => return Ok("none".into()),
            (_, Value::Map(_)) => self.object()?,
            _ => return Err(self.no_object(&format!("none, {}", forms()))),
        };
        let written: Vec<_> = keys.iter().filter_map(|key| Some((key, fields.get(key.name)?))).collect();
        let names = || keys.iter().map(|key| key.name);
        match written.as_slice() {
            [(key, slot)] => {
                let value = slot.value(key.takes)?;
                fields.finish()?;
                Ok(Map::from_iter([(key.name.to_owned(), value)]).into())
            }
            [] => {
                fields.finish()?;
                Err(self.error(format!("expected none, {}", forms())))
            }
            _ => Err(self.error(format!("{} exclude each other", names().collect::<Vec<_>>().join(" and ")))),
        }
    }
}

/// The fields of one object. Every key that is asked for counts as known; [`Fields::finish`] reports the others.
pub struct Fields<'a> {
    path: String,
    at: &'a Mark,
    entries: &'a [(Key, Node)],
    /// What the options belong to (`adam`), where that decides which are valid.
    owner: String,
    asked: Vec<&'static str>,
    /// What stands for a key that is needed.
    misspelled: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn new(slot: &Slot<'a>, entries: &'a [(Key, Node)]) -> Fields<'a> {
        Fields {
            path: slot.path.clone(),
            at: &slot.node.at,
            entries,
            owner: String::new(),
            asked: vec![],
            misspelled: vec![],
        }
    }

    pub fn get(&mut self, key: &'static str) -> Option<Slot<'a>> {
        self.asked.push(key);
        self.entries.iter().find(|(entry, _)| entry.name == key).map(|(_, node)| Slot::new(self.join(key), node))
    }

    /// A field that must be there. Where a misspelling of it is, the error points there.
    pub fn need(&mut self, key: &'static str) -> Result<Slot<'a>> {
        if let Some(slot) = self.get(key) {
            return Ok(slot);
        }
        if let Some((entry, _)) = self.entries.iter().find(|(entry, _)| distance(&entry.name, key).is_some()) {
            let path = self.join(&entry.name);
            self.misspelled.push(&entry.name);
            return Err(entry.at.error(prefixed(&path, format!("there is no such key; did you mean `{key}`?"))));
        }
        Err(self.at.error(prefixed(&self.join(key), "this key is missing")))
    }

    /// A text that may be left out.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.get(key).map(|slot| slot.text().map(str::to_string)).transpose()
    }

    /// What `read` makes of each item of a list, which may be left out.
    pub fn each<T>(
        &mut self,
        key: &'static str,
        lengths: RangeInclusive<usize>,
        read: impl Fn(Slot<'a>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |slot| all(slot.list_of(lengths)?.into_iter().map(read)))
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let mut valid: Vec<&str> =
            self.asked.iter().copied().filter(|&key| key != "name" || self.owner.is_empty()).collect();
        valid.dedup();
        let problem = match self.owner.as_str() {
            "" => "there is no such key".to_string(),
            owner => format!("{owner} has no such option"),
        };
        let known = |name: &str| self.asked.contains(&name) || self.misspelled.contains(&name);
        all(self.entries.iter().filter(|(key, _)| !known(&key.name)).map(|(key, _)| {
            let path = self.join(&shorten(&key.name));
            Err(key.at.error(prefixed(&path, format!("{problem}; {}", instead_of(&key.name, &self.path, &valid)))))
        }))
    }

    /// All `keys`, and no other.
    pub fn values(mut self, keys: impl IntoIterator<Item = &'static options::Key>) -> Result<Json> {
        let mut mistakes = Mistakes::default();
        let values = keys.into_iter().map(|key| Some((key.name.to_owned(), mistakes.keep(self.value(key))?)));
        let values: Map<_, _> = values.flatten().collect();
        mistakes.keep(self.finish());
        mistakes.end(Some(values.into()))
    }

    /// The value of a key or its default; null where that follows from other keys.
    fn value(&mut self, key: &'static options::Key) -> Result<Json> {
        match (self.get(key.name), key.default) {
            (Some(slot), _) => slot.value_of(key),
            (None, Fallback::Required) => self.need(key.name)?.value_of(key),
            (None, _) => Ok(default(key)),
        }
    }

    pub fn read<T: DeserializeOwned>(&mut self, key: &'static options::Key) -> Result<T> {
        self.value(key).map(typed)
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// What `key` is where it is not written; null where that follows from other keys.
pub fn default(key: &'static options::Key) -> Json {
    thread_local! {
        /// A plan asks for each of them ten thousand times.
        static KNOWN: RefCell<HashMap<*const options::Key, Json>> = RefCell::default();
    }
    let Fallback::Is(text) = key.default else { return Json::Null };
    if let Some(json) = KNOWN.with_borrow(|known| known.get(&ptr::from_ref(key)).cloned()) {
        return json;
    }
    let json = written(key, text);
    KNOWN.with_borrow_mut(|known| known.insert(key, json.clone()));
    json
}

/// What `key` is where `text` is written, which must be right.
pub fn written(key: &options::Key, text: &str) -> Json {
    let node = yaml::parse_option(key.name, text);
    node.and_then(|node| Slot::new("", &node).value(key.takes)).expect("the tables of keys hold valid values")
}

/// A checked value as what it is in the program.
pub fn typed<T: DeserializeOwned>(value: Json) -> T {
    serde_json::from_value(value).expect("the tables of keys hold what the program knows")
}
