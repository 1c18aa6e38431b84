//! What is stored of a trial that is given up.

use std::io::Write;

use anyhow::Result;

use super::queue::MAX_ATTEMPTS;
use super::workers::Setup;
use crate::record::Outcome;
use crate::store::{Identity, Store, is_lost};
use crate::{host, native};

/// None where another sweep has taken the trial meanwhile. `last_words` end its log, which it has even if none of its
/// workers got so far.
pub fn store(
    store: &Store,
    trial: &Identity,
    setup: &Setup,
    error: String,
    last_words: &str,
) -> Result<Option<Outcome>> {
    let Some(claim) = store.claim(trial)? else { return Ok(None) };
    // For its sake the failure itself is not given up.
    let _ = claim.log().map(|mut log| writeln!(log, "{last_words}"));
    let history = claim.history();
    let outcome = Outcome {
        attempts: MAX_ATTEMPTS,
        epochs: history.len(),
        libtorch: native::libtorch_version().to_owned(),
        device: setup.devices.join(","),
        threads: setup.threads,
        processor: host::processor(),
        git: env!("RUNNER_GIT").to_owned(),
        ..Outcome::failed(error)
    };
    match claim.finish(&outcome, &history, None) {
        Err(error) if is_lost(&error) => Ok(None),
        finished => finished.map(|()| Some(outcome)),
    }
}
