//! How far a download is, on standard error.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::host::can_draw;

/// Without a terminal, progress is a line each time this share of the whole has arrived.
const PERCENT_A_LINE: u64 = 10;

/// A bar on a terminal, else a line for every tenth.
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Cell<u64>>,
}

impl Progress {
    pub fn new(bytes: u64) -> Self {
        let terminal = can_draw();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        bar.set_style(style.expect("the template is a constant"));
        Progress { bar, lines: (!terminal).then(Default::default) }
    }

    pub fn set(&self, have: u64) {
        self.bar.set_position(have);
        let total = self.bar.length().unwrap_or(have).max(1);
        let percent = have * 100 / total / PERCENT_A_LINE * PERCENT_A_LINE;
        if let Some(said) = &self.lines
            && percent != said.replace(percent)
        {
            eprintln!("{percent} % of {} MB", total / 1_000_000);
        }
    }

    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}
