//! `runner schema`: the JSON Schema of the experiment file.

use anyhow::Result;

use super::common::say;
use crate::spec::guide;

pub fn run() -> Result<()> {
    say(serde_json::to_string_pretty(&guide::schema())?)
}
