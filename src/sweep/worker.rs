//! A worker: runs the trials that its sweep sends, one after another or several at once, and reports events.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel as queue};
use std::time::Instant;

use anyhow::{Result, anyhow};
use nix::sys::resource::{UsageWho, getrusage};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use tch::Device;

use super::channel::{self, send};
use super::message::{Event, Job};
use super::reporter::Reporter;
use super::workers::restore_name;
use crate::data::batches::Resident;
use crate::data::shared;
use crate::engine::{cannot_record, device, fit_together};
use crate::host::{panic_text, start_thread};
use crate::native;
use crate::record::{Epoch, Outcome, Status, total};
use crate::spec::config::{Config, DatasetName};
use crate::store::files::is_refused;
use crate::store::manifest::Manifest;
use crate::store::{Identity, Kept, Store, is_lost};
use crate::train::checkpoint;
use crate::train::pack_size::best_size;
use crate::train::{self, Ended, Observer, Sets};

/// How a worker is set up, for all its trials.
pub struct Worker {
    pub store: Store,
    pub data: PathBuf,
    pub device: Device,
    pub threads: usize,
    /// Where the images are that the sweep has read already.
    pub images: Option<PathBuf>,
}

impl Worker {
    /// Serves jobs from standard input until it ends, SIGTERM comes or a trial is interrupted.
    pub fn serve(&self) -> Result<()> {
        channel::take_standard_output()?;
        restore_name();
        tch::set_num_threads(self.threads as i32);
        let stop = Arc::new(AtomicBool::new(false));
        flag::register(SIGTERM, stop.clone())?;
        // A terminal's Ctrl-C and its end reach the whole group; the sweep decides what becomes of it. A file that would grow
        // beyond its limit is an error.
        for signal in [SIGINT, SIGHUP, SIGXFSZ] {
            flag::register(signal, Arc::default())?;
        }
        let jobs = match read_jobs(stop.clone()) {
            Ok(jobs) => jobs,
            Err(error) => {
                send(0, Event::CannotStart(format!("{error:#}")));
                return Ok(());
            }
        };
        let mut cache = Cache::default();
        while let Ok(job) = jobs.recv() {
            self.run(&job, &mut cache, &stop);
            if stop.load(Ordering::Relaxed) || cannot_record() {
                break;
            }
        }
        Ok(())
    }

    /// Runs what it can of the job and says what became of each trial.
    fn run(&self, job: &Job, cache: &mut Cache, stop: &AtomicBool) {
        let mut taken = vec![];
        for (index, trial) in job.trials.iter().enumerate() {
            let claimed = self.store.claim(trial);
            let reporter = claimed.map(|claim| claim.map(|claim| Reporter::new(index, claim, job.trace, stop)));
            match reporter.and_then(Option::transpose) {
                Ok(Some(reporter)) => taken.push(reporter),
                // Another sweep runs it.
                Ok(None) => send(index, Event::Busy),
                Err(error) if is_refused(&error) => send(index, Event::Refused(format!("{error:#}"))),
                Err(error) => send(index, failed(&error)),
            }
        }
        let mut unanswered: Vec<usize> = taken.iter().map(|reporter| reporter.index).collect();
        let trained = catch_unwind(AssertUnwindSafe(|| self.train(job, taken, &mut unanswered, cache)));
        if let Err(error) = trained.unwrap_or_else(|panic| Err(anyhow!(panic_text(&*panic).to_owned()))) {
            let became = || if cannot_record() { Event::CannotRecord } else { failed(&error) };
            unanswered.into_iter().for_each(|index| send(index, became()));
        }
    }

    /// Takes out of `unanswered` whose end the sweep has heard of.
    fn train(&self, job: &Job, mut taken: Vec<Reporter>, unanswered: &mut Vec<usize>, cache: &mut Cache) -> Result<()> {
        let Some(first) = taken.first() else { return Ok(()) };
        channel::print_to(first.log())?;
        let dataset = &job.trials[first.index].config.data.dataset;
        let sets = match cache.sets.take() {
            Some(sets) => sets,
            None => self.read(dataset)?,
        };
        let sets = cache.sets.insert(sets);
        release_those_elsewhere(&mut taken);
        let size = self.best_size(job, &taken, sets, &mut cache.sizes)?;
        release(taken.split_off(size));
        unanswered.retain(|index| taken.iter().any(|reporter| reporter.index == *index));
        self.begin(job, &mut taken);
        let ended = self.compute(job, &mut taken, sets)?;
        for (reporter, ended) in taken.into_iter().zip(ended) {
            let index = reporter.index;
            let stored = self.store_outcome(reporter, &job.trials[index], job.attempt, ended);
            unanswered.retain(|place| *place != index);
            send(index, stored.unwrap_or_else(|error| failed(&error)));
        }
        Ok(())
    }

    /// How many of `taken` are computed quickest a trial.
    fn best_size(
        &self,
        job: &Job,
        taken: &[Reporter],
        sets: &Sets,
        sizes: &mut Vec<(Config, usize, usize)>,
    ) -> Result<usize> {
        let configs: Vec<&Config> = taken.iter().map(|taken| &job.trials[taken.index].config).collect();
        let offered = configs.len();
        let is_known =
            |(config, from, _): &&(Config, usize, usize)| *from >= offered && fit_together(config, configs[0]);
        match sizes.iter().find(is_known) {
            _ if offered == 1 => return Ok(1),
            Some((_, _, best)) => return Ok((*best).min(offered)),
            None => {}
        }
        let began = Instant::now();
        let best = best_size(&configs, job.trials[0].seed, sets, self.device)?;
        let seconds = began.elapsed().as_secs_f64();
        println!("measured in {seconds:.1} s: of {offered} trials {best} together are quickest");
        sizes.push((configs[0].clone(), offered, best));
        Ok(best)
    }

    fn begin(&self, job: &Job, taken: &mut [Reporter]) {
        let (version, threads) = (native::libtorch_version(), self.threads);
        let ids: Vec<&str> = taken.iter().map(|taken| job.trials[taken.index].id.as_str()).collect();
        let together = match ids[..] {
            [_] => String::new(),
            _ => format!("; computed together: {} (what libraries print is in the first one's log)", ids.join(" ")),
        };
        let about = format!("attempt {}, libtorch {version}, {threads} thread(s){together}", job.attempt);
        taken.iter_mut().for_each(|taken| taken.begin(&about));
    }

    /// How each of `taken` ended, in their order.
    fn compute(&self, job: &Job, taken: &mut [Reporter], sets: &Sets) -> Result<Vec<Ended>> {
        let configs: Vec<&Config> = taken.iter().map(|taken| &job.trials[taken.index].config).collect();
        let resume: Option<Vec<Vec<u8>>> = taken.iter_mut().map(|taken| taken.start.resume.take()).collect();
        let seed = job.trials[0].seed;
        let mut observers: Vec<&mut dyn Observer> = taken.iter_mut().map(|taken| taken as _).collect();
        train::run(&configs, seed, sets, self.device, resume.as_deref(), &mut observers)
    }

    /// Reads the images that all trials have.
    fn read(&self, name: &DatasetName) -> Result<Sets> {
        if let Some(images) = &self.images {
            let [train, test] = shared::map(images)?.map(|images| Resident::mapped(images, self.device));
            return Ok(Sets { train, test });
        }
        let set = crate::data::load(name, &self.data)?;
        // The sweep has looked at these files before, but maybe days ago.
        if let Some(manifest) = Manifest::load(&self.store)? {
            manifest.check_data(name.as_str(), &set.sha256(), &set.source, &self.store)?;
        }
        Ok(Sets::new(&set, self.device))
    }

    fn store_outcome(&self, mut reporter: Reporter, trial: &Identity, attempts: usize, ended: Ended) -> Result<Event> {
        let (status, error, scores, kept, history) = match ended {
            Ended::Interrupted => return Ok(Event::Interrupted),
            Ended::Done { scores, showcase, predictions, best, history } => {
                let best = checkpoint::encode(&best, trial)?;
                (Status::Done, None, Some(*scores), Some(Kept { best, showcase, predictions }), history)
            }
            Ended::Diverged { reason, history } => (Status::Diverged, Some(reason), None, None, history),
        };
        let outcome = Outcome {
            status,
            attempts,
            error,
            epochs: history.len(),
            scores,
            seconds: total(history.iter().map(|epoch| epoch.seconds)),
            images_per_second: images_per_second(&trial.config, &history),
            peak_bytes: peak_bytes(),
            parameters: trial.config.table().parameters() as u64,
            libtorch: native::libtorch_version().to_owned(),
            device: device::name(self.device),
            threads: self.threads,
            processor: device::processor(self.device),
            git: env!("RUNNER_GIT").to_owned(),
        };
        let storing = reporter.storing.as_secs_f64();
        reporter.say(&format!("{status:?} after {} epochs; checkpoints took {storing:.1} s", outcome.epochs));
        reporter.into_claim()?.finish(&outcome, &history, kept.as_ref())?;
        Ok(Event::Ended(Box::new(outcome)))
    }
}

/// What a worker keeps from one job to the next.
#[derive(Default)]
struct Cache {
    sets: Option<Sets>,
    /// Measured: of a configuration, from how many that fit together how many are computed quickest.
    sizes: Vec<(Config, usize, usize)>,
}

/// Gives back the trials whose checkpoints are at another step than the first one's, or in another order of images.
fn release_those_elsewhere(taken: &mut Vec<Reporter>) {
    let reached = taken[0].start.reached;
    release(taken.extract_if(.., |taken| taken.start.reached != reached).collect());
}

/// Gives trials back, whose locks must be free when the sweep hears of it.
fn release(trials: Vec<Reporter>) {
    for trial in trials {
        let index = trial.index;
        drop(trial);
        send(index, Event::Released);
    }
}

fn failed(error: &anyhow::Error) -> Event {
    if is_lost(error) { Event::Busy } else { Event::Failed(format!("{error:#}")) }
}

/// Reads jobs in the background, so that the end of input (the sweep is gone) stops a trial under way.
fn read_jobs(stop: Arc<AtomicBool>) -> Result<Receiver<Job>> {
    let (sender, jobs) = queue();
    start_thread(move || {
        for line in std::io::stdin().lock().lines() {
            let job = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            if job.is_none_or(|job: Job| sender.send(job.with_weights()).is_err()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(jobs)
}

fn images_per_second(config: &Config, history: &[Epoch]) -> f64 {
    let seconds = total(history.iter().map(|epoch| epoch.train_seconds));
    let images = history.len() * config.data.training_images();
    if seconds > 0.0 { images as f64 / seconds } else { 0.0 }
}

/// The largest resident memory of this process so far.
fn peak_bytes() -> u64 {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss() as u64 * unit)
}
