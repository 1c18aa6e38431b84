//! How long a sweep waits for a worker that runs a trial.

use std::time::Duration;

use crate::words::rounded_duration;

/// A worker says something after every step and every batch of an evaluation, so one that is silent for so long hangs.
/// The longest that a healthy one needs is one step: resnet's takes about 2 GFLOP an image, so minutes for a batch of some
/// thousand images on one busy core.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 60);
/// If more time than this goes by between two looks, the sweep itself was suspended, and its workers too: only so much counts.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// How long one attempt of what a worker runs has taken, and how long nothing was heard of it.
pub struct Watchdog {
    /// Of one trial.
    timeout: Option<Duration>,
    /// How many trials run, which takes as much longer.
    trials: u32,
    running: Duration,
    silent: Duration,
}

impl Watchdog {
    pub fn new(timeout: Option<Duration>) -> Watchdog {
        Watchdog { timeout, trials: 0, running: Duration::ZERO, silent: Duration::ZERO }
    }

    /// The worker has started one more trial beside those that it runs.
    pub fn started(&mut self) {
        self.trials += 1;
    }

    /// The worker has said something.
    pub fn heard(&mut self) {
        self.silent = Duration::ZERO;
    }

    /// Why the worker is to be killed, if it is. `passed` is the time since the last look.
    pub fn look(&mut self, passed: Duration) -> Option<String> {
        let passed = passed.min(LONGEST_GAP);
        self.running += passed;
        self.silent += passed;
        match self.timeout.map(|timeout| timeout * self.trials.max(1)) {
            Some(timeout) if self.running > timeout => {
                Some(format!("took longer than {}", rounded_duration(timeout.as_secs_f64())))
            }
            _ if self.silent > LONGEST_SILENCE => {
                Some(format!("its worker said nothing for {}", rounded_duration(LONGEST_SILENCE.as_secs_f64())))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks once a second.
    fn look_for(watchdog: &mut Watchdog, seconds: u64) -> Option<String> {
        (0..seconds).find_map(|_| watchdog.look(SECOND))
    }

    #[test]
    fn a_silent_worker_is_given_up_without_any_timeout() {
        let mut watchdog = Watchdog::new(None);
        assert_eq!(look_for(&mut watchdog, 30 * 60), None);
        assert_eq!(watchdog.look(SECOND).unwrap(), "its worker said nothing for 30 min");
    }

    #[test]
    fn a_worker_that_is_heard_may_take_for_ever() {
        let mut watchdog = Watchdog::new(None);
        for _ in 0..1000 {
            assert_eq!(look_for(&mut watchdog, 29 * 60), None);
            watchdog.heard();
        }
    }

    #[test]
    fn a_timeout_counts_however_much_is_heard() {
        let mut watchdog = Watchdog::new(Some(60 * SECOND));
        for _ in 0..60 {
            assert_eq!(watchdog.look(SECOND), None);
            watchdog.heard();
        }
        assert_eq!(watchdog.look(SECOND).unwrap(), "took longer than 60 s");
    }

    #[test]
    fn trials_that_run_together_have_their_times_together() {
        let mut watchdog = Watchdog::new(Some(60 * SECOND));
        (0..3).for_each(|_| watchdog.started());
        assert_eq!(look_for(&mut watchdog, 180), None);
        assert_eq!(watchdog.look(SECOND).unwrap(), "took longer than 3 min");
    }

    #[test]
    fn a_night_in_which_the_sweep_itself_slept_does_not_count() {
        let mut watchdog = Watchdog::new(Some(90 * SECOND));
        assert_eq!(watchdog.look(10 * 60 * 60 * SECOND), None);
    }
}
