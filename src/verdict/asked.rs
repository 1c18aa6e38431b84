//! From an experiment and how its trials ended to the trials that it needs by now, and what they say.

use super::End;
use super::looks::{Judgement, Plan, Replicates, judge};
use crate::record::{Outcome, Status};
use crate::spec::config::{Config, Select};
use crate::spec::{Configuration, Experiment, Trial};

/// A trial that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    pub end: End,
    /// The selected epoch's loss and accuracy on the validation images; only of a trial that is done.
    pub val: Option<(f64, f64)>,
}

/// What is known of a trial by its id; None until it has ended.
pub type Known<'a> = &'a dyn Fn(&str) -> Option<Ended>;

/// What an experiment asks for, given what has ended.
pub struct Asked {
    /// In the order of [`Experiment::configurations`].
    pub settings: Vec<Setting>,
    pub judgement: Judgement,
    /// The rule's view of it; its configurations are places in `settings`.
    pub plan: Plan,
}

/// A configuration and the trials that it needs by now.
pub struct Setting {
    /// None unless the experiment tunes.
    pub tuning: Option<Tuning>,
    /// For the comparisons, in the order of the seeds; none while it is being tuned.
    pub trials: Vec<Trial>,
}

/// The values that a configuration has tried.
pub struct Tuning {
    /// By candidate.
    pub trials: Vec<Vec<Trial>>,
    /// Mean of the selection metric on the validation images, by candidate. None where a trial failed, diverged or has not ended.
    pub means: Vec<Option<f64>>,
    pub taken: Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Trials are still to end.
    Open,
    /// This candidate.
    Candidate(usize),
    /// Each candidate had a trial that failed or diverged.
    Nothing,
}

impl Asked {
    /// All trials that are needed, ended or not, each once.
    pub fn trials(&self) -> impl Iterator<Item = &Trial> {
        self.settings.iter().flat_map(|setting| {
            let tried = setting.tuning.iter().flat_map(|tuning| tuning.trials.iter().flatten());
            tried.chain(&setting.trials)
        })
    }
}

/// A pure function of the plan and what is stored: who asks twice, or somewhere else, gets the same.
pub fn ask(experiment: &Experiment, known: Known) -> Asked {
    let configurations = experiment.configurations();
    let tunings: Vec<Option<Tuning>> =
        configurations.iter().map(|configuration| tuning(experiment, configuration, known)).collect();
    let compared: Vec<Option<&Config>> =
        configurations.iter().zip(&tunings).map(|(own, tuning)| taken(own, tuning)).collect();
    let possible = |place: usize| {
        let Configuration { blocks, most_seeds, .. } = &configurations[place];
        let trials = |config| experiment.comparison_trials(config, blocks, *most_seeds);
        compared[place].map_or_else(Vec::new, trials)
    };
    let possible: Vec<Vec<Trial>> = (0..configurations.len()).map(possible).collect();
    let ends = possible.iter().zip(&tunings).map(|(trials, tuning)| {
        let tuning = tuning.as_ref().map(|tuning| (tuning.taken, experiment.seeds.len()));
        ends(tuning, trials.iter().map(|trial| known(&trial.id)))
    });
    let plan = plan(experiment, &configurations);
    let judgement = judge(&plan, &ends.collect::<Vec<_>>());
    let settings = tunings.into_iter().zip(possible).enumerate().map(|(place, (tuning, mut trials))| {
        // Without blocks nothing is compared, and everything is wanted.
        trials.truncate(if experiment.blocks.is_empty() { trials.len() } else { judgement.asked[place] });
        Setting { tuning, trials }
    });
    Asked { settings: settings.collect(), judgement, plan }
}

/// The configuration that is compared, once that is known.
fn taken<'a>(configuration: &Configuration<'a>, tuning: &Option<Tuning>) -> Option<&'a Config> {
    match tuning.as_ref().map(|tuning| tuning.taken) {
        None => Some(configuration.config),
        Some(Taken::Candidate(place)) => Some(&configuration.candidates[place].config),
        Some(Taken::Open | Taken::Nothing) => None,
    }
}

fn plan(experiment: &Experiment, configurations: &[Configuration]) -> Plan {
    let place =
        |config: &Config| configurations.iter().position(|known| known.config == config).expect("one of its own");
    let blocks = experiment.blocks.iter();
    let blocks = blocks.map(|block| block.variants.iter().map(|variant| place(&variant.config)).collect()).collect();
    let settled = experiment.settle.map(|settle| Replicates::Settle { max_seeds: settle.max_seeds });
    let replicates = settled.unwrap_or(Replicates::Fixed);
    Plan { margin: experiment.margin, replicates, blocks }
}

/// How the trials of a configuration ended, as the rule sees them; with its tuning come the seeds that its comparison would have.
pub fn ends(tuning: Option<(Taken, usize)>, ended: impl Iterator<Item = Option<Ended>>) -> Vec<End> {
    match tuning {
        // Nothing can be compared, and why is the same: its trials do not end well.
        Some((Taken::Nothing, seeds)) => vec![End::Diverged; seeds],
        _ => ended.map(|ended| ended.map_or(End::Pending, |ended| ended.end)).collect(),
    }
}

/// The best mean on the validation images is taken, the first of equals.
fn tuning(experiment: &Experiment, configuration: &Configuration, known: Known) -> Option<Tuning> {
    experiment.tune.as_ref()?;
    let trials = experiment.tuning_trials(configuration);
    let ends: Vec<Vec<Option<Ended>>> =
        trials.iter().map(|trials| trials.iter().map(|trial| known(&trial.id)).collect()).collect();
    let select = configuration.config.select;
    let means: Vec<Option<f64>> = ends.iter().map(|ends| mean(ends, select)).collect();
    let better = |best: usize, other: usize| match select {
        Select::ValLoss => means[other] < means[best],
        Select::ValAccuracy => means[other] > means[best],
    };
    let best = (0..means.len()).filter(|place| means[*place].is_some());
    let best = best.reduce(|best, other| if better(best, other) { other } else { best });
    let taken = match best {
        _ if ends.iter().flatten().any(Option::is_none) => Taken::Open,
        Some(best) => Taken::Candidate(best),
        None => Taken::Nothing,
    };
    Some(Tuning { trials, means, taken })
}

fn mean(ends: &[Option<Ended>], select: Select) -> Option<f64> {
    let value = |(loss, accuracy)| match select {
        Select::ValLoss => loss,
        Select::ValAccuracy => accuracy,
    };
    let values: Option<Vec<f64>> = ends.iter().map(|ended| Some(value(ended.as_ref()?.val?))).collect();
    values
        .filter(|values| values.iter().all(|value| value.is_finite()))
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
}

impl Ended {
    /// Of the outcome of a trial, from its counts of test images by true class.
    pub fn new(outcome: &Outcome) -> Ended {
        let Some(scores) = outcome.scores.as_ref().filter(|_| outcome.status == Status::Done) else {
            let end = if outcome.status == Status::Diverged { End::Diverged } else { End::Failed };
            return Ended { end, val: None };
        };
        let supports: Vec<u64> = scores.confusion.iter().map(|row| row.iter().sum()).collect();
        let images: u64 = supports.iter().sum();
        let share = supports.iter().max().copied().unwrap_or_default() as f64 / images as f64;
        let at_chance = super::is_at_chance(scores.test.accuracy, share, images);
        let end = End::Done { accuracy: 100.0 * scores.test.accuracy, at_chance };
        Ended { end, val: Some((scores.val.loss, scores.val.accuracy)) }
    }
}
