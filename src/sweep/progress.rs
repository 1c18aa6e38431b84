//! What a sweep shows while it runs: on a terminal one line a worker and one for the whole, elsewhere plain lines.

use std::time::{Duration, Instant, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::message::Progress;
use super::options::Report;
use crate::host::{can_draw, hide_control_characters, print, show_control_characters};
use crate::record::Outcome;
use crate::words::{rounded_duration, without_middle};

/// How often plain output says where the sweep stands.
const PLAIN_INTERVAL: Duration = Duration::from_secs(60);
const BAR_STEPS: u64 = 1000;
/// Of 80 columns, this many leave room for the epoch and the loss.
const WIDEST_NAME: usize = 41;

pub struct Display {
    bars: Option<Bars>,
    last_plain: Instant,
}

struct Bars {
    all: MultiProgress,
    workers: Vec<ProgressBar>,
    sweep: ProgressBar,
}

impl Display {
    /// Bars if standard error is a terminal and `wanted`, else plain lines.
    pub fn new(workers: usize, wanted: bool) -> Display {
        let terminal = can_draw(&std::io::stderr());
        let bars = (wanted && terminal).then(|| Bars::new(workers));
        Display { bars, last_plain: Instant::now() }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => drop(bars.all.println(line)),
            None => log(line),
        }
    }

    /// What a worker does with a trial: `name` tells it apart from the others, `id` finds its files.
    pub fn worker(&self, worker: usize, (name, id): (&str, &str), epochs: usize, progress: &Progress) {
        let Some(bars) = &self.bars else { return };
        let share = progress.epochs() / epochs as f64;
        let loss = progress.loss.map_or("not finite".to_owned(), |loss| format!("{loss:.3}"));
        let accuracy =
            progress.val_accuracy.map_or(String::new(), |accuracy| format!(" · val {:.1} %", 100.0 * accuracy));
        let bar = &bars.workers[worker];
        bar.set_position((share * BAR_STEPS as f64) as u64);
        // A narrow terminal cuts off the end.
        bar.set_message(format!(
            "{} · {}/{epochs} · loss {loss}{accuracy} · {:.0} images/s · {id}",
            without_middle(name, WIDEST_NAME),
            progress.epoch,
            progress.images_per_second
        ));
    }

    pub fn idle(&self, worker: usize) {
        if let Some(bars) = &self.bars {
            bars.workers[worker].set_position(0);
            bars.workers[worker].set_message("idle");
        }
    }

    /// The whole sweep, of whose work a `share` of 0..=1 is done; plain output repeats it once a minute.
    pub fn sweep(&mut self, totals: &str, share: f64) {
        match &self.bars {
            Some(bars) => {
                bars.sweep.set_position((share * BAR_STEPS as f64) as u64);
                bars.sweep.set_message(totals.to_owned());
            }
            None if self.last_plain.elapsed() >= PLAIN_INTERVAL => {
                self.last_plain = Instant::now();
                log(totals);
            }
            None => {}
        }
    }

    /// Takes the bars away.
    pub fn finish(&mut self) {
        self.bars = None;
    }
}

/// A plain line with the time, for whoever reads it later.
fn log(line: &str) {
    print(&format!("{} {line}", humantime::format_rfc3339_seconds(SystemTime::now())));
}

impl Bars {
    fn new(workers: usize) -> Bars {
        hide_control_characters();
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let style =
            |template| ProgressStyle::with_template(template).expect("a fixed template").progress_chars("█▉▊▋▌▍▎▏ ");
        let bar = |template| all.add(ProgressBar::new(BAR_STEPS).with_style(style(template)));
        let workers: Vec<ProgressBar> = (0..workers).map(|_| bar("{bar:16.cyan} {wide_msg}")).collect();
        let sweep = bar("{bar:16.green} {wide_msg}");
        Bars { all, workers, sweep }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear();
        show_control_characters();
    }
}

/// Where the whole sweep stands: of how many trials which have ended, the share of the work that is done, the seconds left as
/// far as an epoch has been measured, and what the time is left to, where more may follow: `the look at 4 seeds`.
pub fn totals(ended: &Report, trials: usize, share: f64, seconds_left: Option<f64>, goal: Option<String>) -> String {
    let mut line = format!("{}/{trials} trials", ended.ended());
    for (count, how) in [(ended.failures.len(), "failed"), (ended.diverged, "diverged")] {
        if count > 0 {
            line += &format!(", {count} {how}");
        }
    }
    line += &format!(" · {:.0} % of the work", 100.0 * share);
    match (seconds_left.map(rounded_duration), goal) {
        (Some(time), None) => line + &format!(" · about {time} left"),
        (Some(time), Some(goal)) => line + &format!(" · about {time} to {goal}"),
        (None, Some(goal)) => line + &format!(" · to {goal}"),
        (None, None) => line,
    }
}

/// Where a trial goes on; None for one that starts afresh.
pub fn start(finished_epochs: usize, midway: bool, epochs: usize) -> Option<String> {
    let next = finished_epochs + 1;
    match (finished_epochs, midway) {
        (0, false) => None,
        (0, true) => Some("goes on in the middle of epoch 1".to_owned()),
        (_, true) => Some(format!("goes on after epoch {finished_epochs}, in the middle of epoch {next}")),
        _ if finished_epochs >= epochs => Some("all its epochs are trained; its scores are what is left".to_owned()),
        _ => Some(format!("goes on after epoch {finished_epochs}")),
    }
}

/// How a trial has ended.
pub fn end(outcome: &Outcome) -> String {
    let Some(scores) = &outcome.scores else {
        return format!("diverged: {}", outcome.error.as_deref().unwrap_or(""));
    };
    let (accuracy, seconds) = (100.0 * scores.test.accuracy, rounded_duration(outcome.seconds));
    format!("test accuracy {accuracy:.2} % (epoch {} of {}), {seconds}", scores.best_epoch, outcome.epochs)
}
