//! What a key of the experiment file takes, and what it is where it is not written: the rows of the tables that the reader,
//! the labels and the documentation share.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

/// A key of an object.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub takes: Takes,
    pub default: Fallback,
    pub about: &'static str,
    /// What PyTorch calls it; empty where that is the same name, or where it has no such thing.
    pub pytorch: &'static str,
    /// Whether its fields are clear without its name: `lr=0.1`, not `optimizer.lr=0.1`.
    pub is_clear: bool,
    /// Why its numbers end where they do; empty where that is plain.
    pub limit: &'static str,
}

/// The values of a key.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    Number((Bound<f64>, Bound<f64>)),
    /// From the first to the second.
    Integer(i64, i64),
    /// An integer, or the word that stands for none.
    IntegerOr(&'static str, i64, i64),
    Flag,
    Choice(&'static [&'static str]),
    /// One of these, or a name that is known elsewhere, in these words.
    ChoiceOr(&'static [&'static str], &'static str),
    /// Of at least and at most so many values.
    List(&'static Takes, usize, usize),
    /// A name, or an object of a name and its options: `adam`, `{name: adam, lr: 0.001}`.
    Named(&'static [Variant]),
    Object(&'static [Key]),
    /// `none` or an object.
    Optional(&'static [Key]),
    /// An object, or `none` for one in which all is left out.
    Parts(&'static [Key]),
    /// `none` or an object of one of the keys.
    OneOf(&'static [Key]),
    /// An object, or the value of its first key alone: `{kernel: 2}`, `2`.
    Short(&'static [Key]),
    Text,
    /// A list of at least so many layers of a network.
    Layers(usize),
}

impl Takes {
    /// The fields of an object. Those of a named thing depend on its name.
    pub fn fields(self) -> &'static [Key] {
        match self {
            Takes::Object(keys)
            | Takes::Optional(keys)
            | Takes::Parts(keys)
            | Takes::OneOf(keys)
            | Takes::Short(keys) => keys,
            _ => &[],
        }
    }
}

/// What a key is where it is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// Nothing: it must be written.
    Required,
    /// A value as a user would write it.
    Is(&'static str),
    /// It follows from other keys, in these words.
    Own(&'static str),
}

/// One of the things that a key may name, with its options.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    pub keys: &'static [Key],
    pub pytorch: &'static str,
    pub about: &'static str,
    /// Whether it has a name that the user gives it, and is known by its first key.
    pub is_own: bool,
}

/// A key that must be written.
pub const fn key(name: &'static str, takes: Takes, about: &'static str) -> Key {
    Key { name, takes, default: Fallback::Required, about, pytorch: "", is_clear: false, limit: "" }
}

pub const fn variant(name: &'static str, keys: &'static [Key], pytorch: &'static str, about: &'static str) -> Variant {
    Variant { name, keys, pytorch, about, is_own: false }
}

/// Of those that do not get theirs from the user.
pub fn names(variants: &[Variant]) -> Vec<&'static str> {
    variants.iter().filter(|variant| !variant.is_own).map(|variant| variant.name).collect()
}

impl Key {
    /// The same key, which need not be written.
    pub const fn or(self, default: &'static str) -> Key {
        Key { default: Fallback::Is(default), ..self }
    }

    /// The same key, whose default follows from others.
    pub const fn own(self, words: &'static str) -> Key {
        Key { default: Fallback::Own(words), ..self }
    }

    pub const fn torch(self, pytorch: &'static str) -> Key {
        Key { pytorch, ..self }
    }

    pub const fn limit(self, limit: &'static str) -> Key {
        Key { limit, ..self }
    }

    pub const fn clear(self) -> Key {
        Key { is_clear: true, ..self }
    }
}

/// What is added to or multiplied with float32 tensors; PyTorch refuses larger numbers in the middle of a trial.
pub const FLOAT32_MAX: f64 = f32::MAX as f64;
pub const RATE: Takes = Takes::Number((Excluded(0.0), Included(FLOAT32_MAX)));
pub const AMOUNT: Takes = Takes::Number((Included(0.0), Included(FLOAT32_MAX)));
pub const AT_LEAST_ZERO: Takes = Takes::Number((Included(0.0), Unbounded));
pub const AT_LEAST_ONE: Takes = Takes::Number((Included(1.0), Unbounded));
/// A decay factor: above 0, at most 1.
pub const FACTOR: Takes = Takes::Number((Excluded(0.0), Included(1.0)));
pub const BETWEEN_ZERO_AND_ONE: Takes = Takes::Number((Excluded(0.0), Excluded(1.0)));
/// A probability or a coefficient of a running mean.
pub const BELOW_ONE: Takes = Takes::Number((Included(0.0), Excluded(1.0)));

pub const fn at_most(high: f64) -> Takes {
    Takes::Number((Included(0.0), Included(high)))
}
