//! Which trials a sweep has to see to: those that the experiment asks for, given how others have ended.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::looks;
use crate::publish::study::{ask_with, grows, stored_outcomes};
use crate::record::Outcome;
use crate::spec::{Experiment, Trial};
use crate::store::Store;
use crate::store::files::is_refused;
use crate::verdict::asked::Asked;

pub struct Needs<'a> {
    pub experiment: &'a Experiment,
    /// The experiment's trials that may run here, by id.
    may_run: HashSet<String>,
    /// Every trial that has ended, by id.
    pub outcomes: HashMap<String, Outcome>,
    pub asked: Asked,
    /// Stored trials that are not for this user to read, and why.
    pub refused: Vec<String>,
}

impl<'a> Needs<'a> {
    /// From what is stored. Of the experiment's trials only `trials` may run.
    pub fn read(experiment: &'a Experiment, trials: &[Trial], store: &Store) -> Result<Needs<'a>> {
        let mut may_run: HashSet<String> = trials.iter().map(|trial| trial.id.clone()).collect();
        let mut refused = vec![];
        let outcomes = stored_outcomes(experiment, store, |id, error| match is_refused(&error) {
            true if may_run.remove(id) => {
                refused.push(format!("{error:#}"));
                Ok(())
            }
            false if may_run.contains(id) => Err(error),
            _ => Ok(()),
        })?;
        let asked = ask_with(experiment, &outcomes);
        Ok(Needs { experiment, may_run, outcomes, asked, refused })
    }

    /// What is needed by now and may run here, ended or not. It grows where seeds are added or values tried first.
    pub fn trials(&self) -> impl Iterator<Item = &Trial> {
        self.asked.trials().filter(|trial| self.may_run.contains(&trial.id))
    }

    /// The most trials that may run at once.
    pub fn most_at_once(&self) -> usize {
        let waiting = self.trials().filter(|trial| !self.outcomes.contains_key(&trial.id));
        let waiting = waiting.map(|trial| &trial.id).collect::<HashSet<_>>().len();
        if grows(self.experiment) && waiting > 0 { self.may_run.len() } else { waiting }
    }

    /// A trial has ended, here or elsewhere: what the study says now may need others. Lines that say what it says.
    pub fn learn(&mut self, id: &str, outcome: Outcome) -> Vec<String> {
        self.outcomes.insert(id.to_owned(), outcome);
        if !grows(self.experiment) {
            return vec![];
        }
        let before = std::mem::replace(&mut self.asked, ask_with(self.experiment, &self.outcomes));
        looks::describe(self.experiment, &before.judgement, &self.asked)
    }
}
