//! From where a trial goes on: its checkpoint, and the steps that were traced until there.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::store::{Claim, Identity};
use crate::train::checkpoint;
use crate::train::course::{Reached, reached};

/// From where a trial goes on.
#[derive(Default)]
pub struct Start {
    /// The checkpoint's bytes; None for a fresh start.
    pub resume: Option<Vec<u8>>,
    pub reached: Reached,
    /// The rows of `steps.csv` until there, where steps are traced.
    pub trace: Option<String>,
    /// Why a checkpoint that is there was not taken.
    pub note: Option<String>,
}

impl Start {
    /// At the stored checkpoint, if there is one that can be used. A trial once traced stays so: its `steps.csv` is to hold
    /// every step.
    pub fn find(claim: &Claim, wants_trace: bool) -> Result<Start> {
        let steps = claim.read_steps();
        let traced = wants_trace || steps.is_some();
        let afresh = |note| Start { trace: traced.then(|| STEPS_HEADER.to_owned()), note, ..Start::default() };
        let Some(bytes) = claim.read_checkpoint()? else { return Ok(afresh(None)) };
        let steps = traced.then(|| steps.unwrap_or_default());
        Start::at(bytes, claim.identity(), steps.as_deref()).or_else(|error| {
            let note = format!("{error:#}; the trial starts afresh");
            claim.discard_checkpoint()?;
            Ok(afresh(Some(note)))
        })
    }

    /// At the checkpoint in `bytes`, until which the stored `steps` must go.
    fn at(bytes: Vec<u8>, identity: &Identity, steps: Option<&[u8]>) -> Result<Start> {
        let checkpoint = checkpoint::decode(&bytes).context("the checkpoint is damaged")?;
        let reached = reached(&checkpoint, &identity.config, identity.seed)?;
        let trace = steps.map(|steps| steps_until(steps, reached.steps)).transpose()?;
        Ok(Start { resume: Some(bytes), reached, trace, note: None })
    }
}

const STEPS_HEADER: &str = "step,lr,loss,loss_hex\n";

/// The header and the first `steps` rows of a stored `steps.csv`.
fn steps_until(stored: &[u8], steps: usize) -> Result<String> {
    let stored = String::from_utf8_lossy(stored);
    let mut rows = stored.lines().skip(1);
    let mut kept = STEPS_HEADER.to_owned();
    for step in 1..=steps {
        let row = rows.next().filter(|row| is_row(row, step));
        writeln!(kept, "{}", row.with_context(|| format!("steps.csv has no step {step} of {steps}"))?)?;
    }
    Ok(kept)
}

/// Whether `row` is that of `step` and whole: its loss is there twice.
fn is_row(row: &str, step: usize) -> bool {
    let cells: Vec<&str> = row.split(',').collect();
    let [number, _, loss, bits] = cells[..] else { return false };
    let same_bits = |loss: f32| u32::from_str_radix(bits, 16) == Ok(loss.to_bits());
    number.parse() == Ok(step) && loss.parse().is_ok_and(same_bits)
}
