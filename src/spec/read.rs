//! Values by the tables of keys: JSON in which every default is filled in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::error::Result;
use super::fields::{Fields, Slot};
use super::yaml;
use crate::options::{Fallback, Key, Takes, Variant};

impl<'a> Slot<'a> {
    /// What is written here, as JSON.
    pub fn value(&self, takes: Takes) -> Result<Json> {
        Ok(match takes {
            Takes::Number(range) => self.number(range)?.into(),
            Takes::IntegerOr(word, ..) if self.node.text() == Some(word) => Json::Null,
            Takes::Integer(low, high) | Takes::IntegerOr(_, low, high) => self.integer(low..=high)?.into(),
            Takes::Flag => self.flag()?.into(),
            Takes::Choice(names) => self.choice(names)?.into(),
            Takes::List(of, shortest, longest) => {
                self.list_of(shortest..=longest)?.iter().map(|item| item.value(*of)).collect::<Result<_>>()?
            }
            Takes::Named(variants) => self.one_named(variants)?,
            Takes::Object(keys) => self.object()?.values(keys)?,
            Takes::Optional(keys) => self.optional()?.map_or(Ok(Json::Null), |fields| fields.values(keys))?,
            Takes::Parts(keys) => self.optional()?.unwrap_or_else(|| Fields::empty(self)).values(keys)?,
            Takes::OneOf(keys) => self.one_of(keys)?,
        })
    }

    fn one_named(&self, variants: &'static [Variant]) -> Result<Json> {
        let (name, fields) = self.named()?;
        let text = name.text()?;
        let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
            return Err(name.no_such(text, &variants.iter().map(|variant| variant.name).collect::<Vec<_>>()));
        };
        let mut json = fields.values(variant.keys)?;
        json["name"] = text.into();
        Ok(json)
    }

    fn one_of(&self, keys: &'static [Key]) -> Result<Json> {
        let Some(mut fields) = self.optional()? else { return Ok("none".into()) };
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
                let forms: Vec<String> = names().map(|name| format!("{{{name}: x}}")).collect();
                Err(self.error(format!("expected none, {}", forms.join(" or "))))
            }
            _ => Err(self.error(format!("{} exclude each other", names().collect::<Vec<_>>().join(" and ")))),
        }
    }
}

impl Fields<'_> {
    /// All `keys`, and no other.
    pub fn values(mut self, keys: impl IntoIterator<Item = &'static Key>) -> Result<Json> {
        let values =
            keys.into_iter().map(|key| Ok((key.name.to_owned(), self.value(key)?))).collect::<Result<Map<_, _>>>()?;
        self.finish()?;
        Ok(values.into())
    }

    /// The value of a key or its default; null where that follows from other keys.
    fn value(&mut self, key: &'static Key) -> Result<Json> {
        match (self.get(key.name), key.default) {
            (Some(slot), _) => slot.value(key.takes),
            (None, Fallback::Required) => self.need(key.name)?.value(key.takes),
            (None, _) => Ok(default(key)),
        }
    }

    pub fn read<T: DeserializeOwned>(&mut self, key: &'static Key) -> Result<T> {
        self.value(key).map(typed)
    }
}

/// What `key` is where it is not written; null where that follows from other keys.
pub fn default(key: &'static Key) -> Json {
    thread_local! {
        /// A plan asks for each of them ten thousand times.
        static KNOWN: RefCell<HashMap<*const Key, Json>> = RefCell::default();
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
pub fn written(key: &Key, text: &str) -> Json {
    let node = yaml::parse_option(key.name, text);
    node.and_then(|node| Slot::new("", &node).value(key.takes)).expect("the tables of keys hold valid values")
}

/// A checked value as what it is in the program.
pub fn typed<T: DeserializeOwned>(value: Json) -> T {
    serde_json::from_value(value).expect("the tables of keys hold what the program knows")
}
