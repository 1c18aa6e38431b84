//! The keys that hold others, or a text, and so are in no table of values.

/// One of them as people read it.
pub struct Outer {
    pub key: &'static str,
    pub values: &'static str,
    /// None where it must be written.
    pub default: Option<&'static str>,
    pub about: &'static str,
}

const fn outer(key: &'static str, values: &'static str, default: Option<&'static str>, about: &'static str) -> Outer {
    Outer { key, values, default, about }
}

const NAME: &str = "1 to 64 of a-z, 0-9, _ and -";
const SETTINGS: &str = "any keys of `base` and `data`, dotted ones too";
const LISTS: &str = "any keys of `base` and `data`, dotted ones too, each with a list of values";
const RANGES: &str = "the same, or in a random block a range, `{log: [1e-4, 1e-1]}`, `{uniform: [0, 0.5]}`, `{int: [16, 256]}`; \
                      `null` leaves out a field that not all of an object's values have";

pub const SCHEMA: Outer = outer("schema", "`1`", None, "the form of this file");
pub const EXPERIMENT_NAME: Outer = outer("name", NAME, None, "names the experiment and its results folder");
pub const DESCRIPTION: Outer = outer("description", "a text", Some("none"), "stands at the head of the report");
pub const TUNE: Outer =
    outer("tune", "`{axes, seeds}`", Some("none"), "what each configuration tries before it is compared");
pub const TUNE_AXES: Outer = outer("tune.axes", LISTS, None, "the values; all combinations are tried");
pub const BASE_KEYS: Outer = outer(
    "base",
    "the keys that follow, dotted ones too",
    None,
    "what every trial has unless its block says otherwise",
);
pub const BLOCKS: Outer = outer("blocks", "a list of objects", Some("none"), "comparisons of settings with a base");
pub const BLOCK: [Outer; 7] = [
    outer("blocks.id", NAME, None, "names the block"),
    outer("blocks.title", "a text", Some("the id"), "its heading in the report"),
    outer("blocks.base", SETTINGS, Some("none"), "what differs from the experiment's base in all of the block"),
    outer("blocks.axes", RANGES, Some("none"), "what is varied: one key at a time or, in a grid, in every combination"),
    outer("blocks.zip", "a list of objects like `axes`", Some("none"), "the lists of each move together"),
    outer(
        "blocks.exclude",
        "a list of objects like `base`",
        Some("none"),
        "combinations with all of this are left out",
    ),
    outer(
        "blocks.include",
        "a list of objects like `base`",
        Some("none"),
        "further settings, each of these keys together",
    ),
];
pub const NETWORK_FILE: [Outer; 4] = [
    outer("model.file", "a text", Some("none"), "a file with a network's name and layers, relative to the experiment"),
    outer("model.name", NAME, Some("the file's, and what is changed"), "beside `file`: what the network is called"),
    outer(
        "model.without",
        "a list of names",
        Some("[]"),
        "beside `file`: layers that are left out, by the names that `runner models FILE` shows",
    ),
    outer(
        "model.replace",
        "an object of names with a layer each",
        Some("{}"),
        "beside `file`: other layers in the place of these, whose names they keep: `{pool1: {avg_pool: 2}}`",
    ),
];
