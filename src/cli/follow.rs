//! `runner show --follow`: how far a sweep is, until nothing of it is left to do.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use console::{Term, truncate_str};
use serde::Serialize;

use super::common::{say, study_so_far};
use super::sweep::{exit_code, finish};
use crate::host::can_draw;
use crate::sweep::Report;
use crate::sweep::launch::Standing;
use crate::words::{count, trial_name};

/// How often at most the results are looked at and Slurm is asked, whose controller answers everybody.
const INTERVAL: Duration = Duration::from_secs(10);
/// Looking takes at most about one part in so many of the time.
const REST_FACTOR: u32 = 20;

/// Says how far the sweep is until it is over, and returns the code with which it would have ended here.
pub fn follow(results: &Path, json: bool) -> Result<i32> {
    let (mut known, mut screen) = (HashMap::new(), Screen { json, last: None });
    let mut was_over = false;
    loop {
        let began = Instant::now();
        let (store, study) = study_so_far(results, &mut known)?;
        let standing = Standing::read(&store, &study.trials);
        let (is_over, left) = (standing.is_over(), standing.left);
        screen.show(standing)?;
        // Where trials are left, somebody may just be between two of them.
        if is_over && (left == 0 || was_over) {
            return end(results, left, json);
        }
        was_over = is_over;
        std::thread::sleep(INTERVAL.max(began.elapsed() * REST_FACTOR));
    }
}

/// All is read anew: trials may have run again since.
fn end(results: &Path, left: usize, json: bool) -> Result<i32> {
    let (store, study) = study_so_far(results, &mut HashMap::new())?;
    let mut report = Report::default();
    for trial in &study.trials {
        if let Some(outcome) = &trial.outcome {
            let name = trial_name(&trial.label, trial.seed, &trial.id);
            report.count(outcome, name, store.log_path(&trial.id));
        }
    }
    if left > 0 {
        report.undone.push(format!("{}, which nobody runs now; the same sweep goes on", count(left, "trial")));
    }
    Ok(if json { exit_code(&report) } else { finish(&report, results) })
}

/// Standard output: a terminal, on which each look is drawn over the one before, or lines for whatever changes.
struct Screen {
    json: bool,
    /// Without the time left, which changes at every look.
    last: Option<Standing>,
}

#[derive(Serialize)]
struct Line {
    time: String,
    #[serde(flatten)]
    standing: Standing,
}

impl Screen {
    fn show(&mut self, standing: Standing) -> Result<()> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let (trials, ahead) = (format!("{time} {}", standing.trials_in_words()), standing.ahead_in_words());
        let mut timeless = standing.clone();
        timeless.seconds_left = None;
        if !self.json && can_draw(&io::stdout()) {
            let terminal = Term::stdout();
            let width = terminal.size().1.into();
            terminal.clear_last_lines(if self.last.is_some() { 2 } else { 0 })?;
            [trials, ahead].iter().try_for_each(|line| say(truncate_str(line, width, "…")))?;
        } else if self.last.as_ref() != Some(&timeless) {
            let line = Line { time: time.to_string(), standing };
            let ahead = if ahead.is_empty() { ahead } else { format!(" · {ahead}") };
            say(if self.json { serde_json::to_string(&line)? } else { trials + &ahead })?;
        }
        self.last = Some(timeless);
        Ok(())
    }
}
