use super::*;
use crate::spec::{Experiment, Overrides};

const NOW: Duration = Duration::ZERO;

/// The trials of LeNets with these keys: its learning rates go together, its batch sizes do not.
fn trials(mode: Mode, seeds: &str, axes: &str) -> Vec<Trial> {
    let text = format!(
        "schema: 1\nname: a\nbase: {{model: lenet5, optimizer: sgd}}\nseeds: {seeds}\n\
         blocks: [{{id: b, axes: {{{axes}}}}}]"
    );
    Experiment::parse("a", &text, &Overrides { mode, ..Overrides::default() }).unwrap().trials()
}

/// Six trials that all fit together.
fn alike() -> Vec<Trial> {
    trials(Mode::Fast, "[0]", "optimizer.lr: [0.1, 0.2, 0.3, 0.4, 0.5]")
}

fn queue_of(trials: &[Trial], max_failures: Option<usize>) -> Queue {
    let mut queue = Queue::new(&[0, 1, 2], max_failures, true);
    assert_eq!(queue.take_on(trials.iter(), |_| false), 0..trials.len());
    queue
}

/// What a worker with room for `most` is given now.
fn give(queue: &mut Queue, worker: usize, most: usize) -> Vec<usize> {
    queue.give(worker, most, NOW).map_or(vec![], |batch| batch.trials)
}

#[test]
fn every_configuration_runs_once_before_any_a_second_time() {
    let queue = queue_of(&trials(Mode::Exact, "[0, 1]", "batch_size: [8, 16]"), None);
    let order: Vec<(u64, i64)> = queue
        .waiting()
        .map(|trial| &queue.trials()[trial])
        .map(|trial| (trial.seed, trial.config.batch_size as i64))
        .collect();
    assert_eq!(order, [(0, 64), (0, 8), (0, 16), (1, 64), (1, 8), (1, 16)]);
}

#[test]
fn trials_are_taken_on_once_and_do_not_wait_when_they_have_ended() {
    let all = alike();
    let mut queue = Queue::new(&[0], None, true);
    assert_eq!(queue.take_on(all[..3].iter().chain(&all[..2]), |trial| trial.id == all[1].id), 0..3);
    assert_eq!(queue.waiting().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(queue.take_on(all.iter(), |_| false), 3..6);
    assert_eq!(queue.waiting().collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
}

#[test]
fn a_trial_that_fails_is_the_next_one_and_alone_until_its_attempts_are_used_up() {
    let mut queue = queue_of(&alike(), None);
    assert_eq!(give(&mut queue, 0, 2), [0, 1]);
    assert_eq!(queue.fail(1), Some(1));
    assert_eq!(queue.give(1, 4, NOW), Some(Batch { trials: vec![1], attempt: 2 }));
    assert_eq!(queue.fail(1), Some(2));
    // Neither as the first nor as one of the others of a batch.
    queue.put_back(&[0]);
    assert_eq!(queue.give(2, 9, NOW), Some(Batch { trials: vec![0, 2, 3, 4, 5], attempt: 1 }));
    assert_eq!(queue.give(1, 9, NOW), Some(Batch { trials: vec![1], attempt: 3 }));
    assert_eq!(queue.fail(1), None);
    assert_eq!(queue.running(1), [1]);
    assert!(!queue.give_up(1) && queue.running(1).is_empty());
    assert!(give(&mut queue, 1, 9).is_empty());
}

#[test]
fn what_another_sweep_runs_is_asked_for_later_and_after_all_others() {
    let mut queue = queue_of(&alike(), None);
    assert_eq!(give(&mut queue, 0, 1), [0]);
    queue.busy(0, NOW);
    assert_eq!(queue.waiting().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 0]);
    assert_eq!(give(&mut queue, 0, 9), [1, 2, 3, 4, 5]);
    assert!(!queue.has_work(BUSY_WAIT - Duration::from_millis(1)) && queue.give(1, 1, NOW).is_none());
    assert!(!queue.is_over(NOW));
    assert_eq!(queue.give(1, 1, BUSY_WAIT), Some(Batch { trials: vec![0], attempt: 1 }));
}

#[test]
fn what_is_put_back_is_next_in_its_order_with_the_same_attempt() {
    let mut queue = queue_of(&alike(), None);
    assert_eq!(give(&mut queue, 0, 3), [0, 1, 2]);
    queue.put_back(&[1, 2]);
    assert_eq!(queue.waiting().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(queue.running(0), [0]);
    // Places in what the worker was given stay what they were.
    assert_eq!((queue.running_at(0, 0), queue.running_at(0, 1)), (Some(0), None));
    assert_eq!(queue.give(1, 2, NOW), Some(Batch { trials: vec![1, 2], attempt: 1 }));
    assert_eq!(queue.running_at(1, 1), Some(2));
}

#[test]
fn workers_share_what_waits() {
    let mut queue = queue_of(&alike(), None);
    assert_eq!([1, 2, 4, 6, 100].map(|workers| queue.share(workers)), [6, 3, 2, 1, 1]);
    let share = queue.share(4);
    assert_eq!([0, 1, 2, 3].map(|worker| give(&mut queue, worker, share).len()), [2, 2, 2, 0]);
}

#[test]
fn only_what_fits_goes_together() {
    let rates = "optimizer.lr: [0.1, 0.2]";
    assert_eq!(give(&mut queue_of(&trials(Mode::Fast, "[0]", rates), None), 0, 9), [0, 1, 2]);
    assert_eq!(give(&mut queue_of(&trials(Mode::Exact, "[0]", rates), None), 0, 9), [0]);
    assert_eq!(give(&mut queue_of(&trials(Mode::Fast, "[0]", "batch_size: [8, 16]"), None), 0, 9), [0]);
    // Three of the first seed, then three of the second.
    let mut queue = queue_of(&trials(Mode::Fast, "[0, 1]", rates), None);
    assert_eq!([give(&mut queue, 0, 9), give(&mut queue, 1, 9)], [[0, 1, 2], [3, 4, 5]]);
}

#[test]
fn a_stopped_sweep_gives_nothing_out_and_is_over_with_its_last_running_trial() {
    let mut queue = queue_of(&alike(), None);
    assert_eq!(give(&mut queue, 0, 2), [0, 1]);
    queue.stop();
    assert!(!queue.has_work(NOW) && give(&mut queue, 1, 1).is_empty() && !queue.is_over(NOW));
    queue.put_back(&[0]);
    queue.end(1);
    assert!(queue.is_over(NOW) && give(&mut queue, 0, 1).is_empty());
}

#[test]
fn so_many_given_up_stop_the_sweep() {
    for (max_failures, stops) in [(None, [false, false]), (Some(1), [true, true]), (Some(2), [false, true])] {
        let mut queue = queue_of(&alike(), max_failures);
        assert_eq!(give(&mut queue, 0, 2), [0, 1]);
        assert_eq!([0, 1].map(|trial| queue.give_up(trial)), stops);
    }
}

/// Numbers that look random, the same ones every time: an LCG with Knuth's constants.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

/// What a sweep sees of its trials in one history.
struct History {
    queue: Queue,
    workers: usize,
    now: Duration,
    failures: Vec<usize>,
    ended: Vec<bool>,
}

impl History {
    fn new(trials: &[Trial], numbers: &mut Numbers) -> History {
        let max_failures = [None, Some(1 + numbers.below(3))][numbers.below(2)];
        let mut queue = Queue::new(&[0, 1], max_failures, true);
        // Others come later, as in a study that settles itself.
        queue.take_on(trials[..1 + numbers.below(trials.len())].iter(), |_| false);
        let (failures, ended) = (vec![0; trials.len()], vec![false; trials.len()]);
        History { queue, workers: 1 + numbers.below(4), now: NOW, failures, ended }
    }

    /// Every trial is in one place; and none is given out that runs, has ended or has used up its attempts.
    fn check(&self) {
        let running = (0..self.workers).flat_map(|worker| self.queue.running(worker));
        let ended = (0..self.ended.len()).filter(|trial| self.ended[*trial]);
        let mut all: Vec<usize> = self.queue.waiting().chain(running).chain(ended).collect();
        all.sort();
        assert_eq!(all, (0..self.queue.trials().len()).collect::<Vec<_>>());
    }

    fn give(&mut self, numbers: &mut Numbers) {
        let idle: Vec<usize> = (0..self.workers).filter(|worker| self.queue.running(*worker).is_empty()).collect();
        let Some(&worker) = idle.get(numbers.below(self.workers)) else { return };
        let Some(Batch { trials, attempt }) = self.queue.give(worker, 1 + numbers.below(5), self.now) else { return };
        assert!(!self.queue.is_stopped() && attempt <= MAX_ATTEMPTS && self.queue.running(worker) == trials);
        let of = |trial: usize| &self.queue.trials()[trial];
        for &trial in &trials[1..] {
            assert!(of(trial).seed == of(trials[0]).seed && of(trial).config.mode != Mode::Exact);
            assert!(fit_together(&of(trial).config, &of(trials[0]).config));
        }
        trials.iter().for_each(|trial| assert!(self.failures[*trial] == attempt - 1 && !self.ended[*trial]));
        assert!(attempt == 1 || trials.len() == 1);
    }

    /// Something happens to a trial that runs.
    fn happen(&mut self, trial: usize, event: usize) {
        match event {
            0 => self.queue.busy(trial, self.now),
            1 => self.queue.put_back(&[trial]),
            2 | 3 => {
                self.failures[trial] += 1;
                if self.queue.fail(trial).is_none() {
                    assert_eq!(self.failures[trial], MAX_ATTEMPTS);
                    self.ended[trial] = true;
                    if self.queue.give_up(trial) {
                        self.queue.stop();
                    }
                }
            }
            _ => {
                self.queue.end(trial);
                self.ended[trial] = true;
            }
        }
    }
}

#[test]
fn whatever_happens_every_trial_ends_once_and_none_is_lost() {
    let mut all = trials(Mode::Fast, "[0, 1]", "optimizer.lr: [0.1, 0.2, 0.3], batch_size: [8]");
    all.extend(trials(Mode::Exact, "[0]", "optimizer.lr: [0.1, 0.2]"));
    for seed in 0..4000 {
        let mut numbers = Numbers(seed);
        let mut history = History::new(&all, &mut numbers);
        let stops = numbers.below(4) == 0;
        for step in 0.. {
            history.give(&mut numbers);
            let worker = numbers.below(history.workers);
            let running = history.queue.running(worker);
            if !running.is_empty() {
                // In the end all goes well, or it would not end.
                let event = if step < 60 { numbers.below(8) } else { 7 };
                history.happen(running[numbers.below(running.len())], event);
            }
            if step == 30 {
                history.queue.take_on(all.iter(), |_| false);
            }
            if stops && step == 40 {
                history.queue.stop();
            }
            history.now += Duration::from_millis(300);
            history.check();
            if step > 30 && history.queue.is_over(NOW) {
                break;
            }
        }
        assert!(history.queue.is_stopped() || history.ended.iter().all(|ended| *ended), "history {seed}");
    }
}

#[test]
fn without_waiting_what_others_run_is_left_to_them() {
    for waits in [true, false] {
        let all = alike();
        let mut queue = Queue::new(&[0], None, waits);
        queue.take_on(all[..2].iter(), |_| false);
        assert_eq!((give(&mut queue, 0, 1), give(&mut queue, 1, 1)), (vec![0], vec![1]));
        queue.busy(0, NOW);
        assert!(!queue.is_over(NOW), "one runs here");
        queue.end(1);
        assert_eq!(queue.is_over(NOW), !waits);
        // Asked some time ago, so it is asked for again first.
        assert!(!queue.is_over(2 * BUSY_WAIT));
    }
}
