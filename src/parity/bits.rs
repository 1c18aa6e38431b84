//! Two traces of one trial, compared to the last bit. Nothing here knows which side is which.

use tch::{Kind, Tensor};

use super::trace::{EPOCH_COLUMNS, EpochNumbers, Trace};
use crate::engine::{State, find};
use crate::record::Scores;

/// How far two traces agree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Steps that both sides took.
    pub steps: usize,
    /// The first thing that differs, in the order in which a trial computes; None where every bit is the same. Steps and epochs
    /// are counted from 1; a step's `lr` and `loss` are of before it, its `weights` of after it.
    pub first: Option<String>,
    /// Largest absolute difference of a step's loss, and of a weight or buffer at the end.
    pub loss_gap: f64,
    pub weight_gap: f64,
    /// Whether both sides went as far and have the same things to compare, so that the gaps say how close they are.
    pub as_far: bool,
}

pub fn compare(ours: &Trace, theirs: &Trace) -> Comparison {
    let first = first_difference(&ours.initial, &theirs.initial)
        .map(|name| format!("initial weights: {name}"))
        .or_else(|| steps(ours, theirs))
        .or_else(|| epochs(&ours.history, &theirs.history))
        .or_else(|| (ours.diverged != theirs.diverged).then(|| "only one diverged".to_owned()))
        .or_else(|| optional_states(&ours.last, &theirs.last).map(|name| format!("last weights: {name}")))
        .or_else(|| optional_states(&ours.best, &theirs.best).map(|name| format!("selected weights: {name}")))
        .or_else(|| scores(ours.scores.as_ref(), theirs.scores.as_ref()).map(|what| format!("selected epoch: {what}")));
    Comparison {
        steps: ours.steps.len().min(theirs.steps.len()),
        first,
        loss_gap: loss_gap(ours, theirs),
        weight_gap: weight_gap(&ours.last, &theirs.last),
        as_far: as_far(ours) == as_far(theirs),
    }
}

fn as_far(trace: &Trace) -> (usize, usize, bool, bool, bool) {
    (trace.steps.len(), trace.history.len(), trace.diverged, trace.last.is_some(), trace.best.is_some())
}

fn steps(ours: &Trace, theirs: &Trace) -> Option<String> {
    for (step, (ours, theirs)) in (1..).zip(ours.steps.iter().zip(&theirs.steps)) {
        let what = match () {
            _ if !same(ours.lr, theirs.lr) => "lr",
            _ if !same(ours.loss.into(), theirs.loss.into()) => "loss",
            _ if ours.weights.as_ref().zip(theirs.weights.as_ref()).is_some_and(|(a, b)| a != b) => "weights",
            _ => continue,
        };
        return Some(format!("step {step}: {what}"));
    }
    let (ours, theirs) = (ours.steps.len(), theirs.steps.len());
    (ours != theirs).then(|| format!("{ours} steps against {theirs}"))
}

fn epochs(ours: &[EpochNumbers], theirs: &[EpochNumbers]) -> Option<String> {
    for (epoch, (ours, theirs)) in (1..).zip(ours.iter().zip(theirs)) {
        let mut numbers = EPOCH_COLUMNS.into_iter().zip(ours.iter().zip(theirs));
        if let Some((what, _)) = numbers.find(|(_, (ours, theirs))| !same(**ours, **theirs)) {
            return Some(format!("epoch {epoch}: {what}"));
        }
    }
    (ours.len() != theirs.len()).then(|| format!("{} epochs against {}", ours.len(), theirs.len()))
}

/// A trial that was cut short may have scores on one side only: Python gives those of the epochs so far.
fn scores(ours: Option<&Scores>, theirs: Option<&Scores>) -> Option<&'static str> {
    let (ours, theirs) = ours.zip(theirs)?;
    let differs = |left: f64, right: f64| !same(left, right);
    [
        ("its number", ours.best_epoch != theirs.best_epoch),
        ("train_loss", differs(ours.train.loss, theirs.train.loss)),
        ("train_accuracy", differs(ours.train.accuracy, theirs.train.accuracy)),
        ("val_loss", differs(ours.val.loss, theirs.val.loss)),
        ("val_accuracy", differs(ours.val.accuracy, theirs.val.accuracy)),
        ("test_loss", differs(ours.test.loss, theirs.test.loss)),
        ("test_accuracy", differs(ours.test.accuracy, theirs.test.accuracy)),
        ("confusion matrix", ours.confusion != theirs.confusion),
    ]
    .into_iter()
    .find_map(|(what, differs)| differs.then_some(what))
}

/// The same bits. A NaN is a NaN: its sign and payload do not survive being written as a decimal.
fn same(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

fn optional_states(ours: &Option<State>, theirs: &Option<State>) -> Option<String> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => first_difference(ours, theirs),
        (None, None) => None,
        _ => Some("on one side only".to_owned()),
    }
}

/// The first name whose tensor is not the same bits on both sides, or is on one side only.
pub fn first_difference(ours: &State, theirs: &State) -> Option<String> {
    let same = |(name, tensor): &&(String, Tensor)| find(theirs, name).is_some_and(|other| same_bits(tensor, other));
    let differing = ours.iter().find(|entry| !same(entry));
    let stray = || theirs.iter().find(|(name, _)| find(ours, name).is_none());
    differing.or_else(stray).map(|(name, _)| name.clone())
}

/// Unlike `==`, tells 0.0 from -0.0 and takes a NaN for itself.
pub fn same_bits(left: &Tensor, right: &Tensor) -> bool {
    let bits = |tensor: &Tensor| match tensor.kind() {
        Kind::Float => tensor.contiguous().view_dtype(Kind::Int),
        _ => tensor.shallow_clone(),
    };
    left.kind() == right.kind() && left.size() == right.size() && bits(left).equal(&bits(right))
}

fn loss_gap(ours: &Trace, theirs: &Trace) -> f64 {
    let pairs = ours.steps.iter().zip(&theirs.steps).map(|(ours, theirs)| (ours.loss.into(), theirs.loss.into()));
    pairs.map(|(ours, theirs)| gap(ours, theirs)).fold(0.0, f64::max)
}

/// Infinite where only one side is a number.
fn gap(ours: f64, theirs: f64) -> f64 {
    match (ours - theirs).abs() {
        _ if same(ours, theirs) => 0.0,
        gap if gap.is_nan() => f64::INFINITY,
        gap => gap,
    }
}

fn weight_gap(ours: &Option<State>, theirs: &Option<State>) -> f64 {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return 0.0 };
    let gap = |(name, tensor): &(String, Tensor)| {
        let other = find(theirs, name).filter(|other| other.size() == tensor.size() && tensor.numel() > 0)?;
        match (tensor.to_kind(Kind::Double) - other).abs().max().double_value(&[]) {
            gap if gap.is_nan() && !same_bits(tensor, other) => Some(f64::INFINITY),
            gap => Some(gap),
        }
    };
    ours.iter().filter_map(gap).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::trace::StepTrace;

    fn trace(losses: &[f32]) -> Trace {
        let step = |&loss: &f32| StepTrace { lr: 0.1, loss, weights: None };
        let weights = || vec![("fc1.bias".to_owned(), Tensor::from_slice(&[1.0f32, 0.0]))];
        Trace {
            initial: weights(),
            steps: losses.iter().map(step).collect(),
            history: vec![],
            diverged: false,
            last: Some(weights()),
            best: None,
            scores: None,
        }
    }

    #[test]
    fn equal_traces_are_identical() {
        let (ours, theirs) = (trace(&[2.0, f32::NAN]), trace(&[2.0, f32::NAN]));
        let identical = Comparison { steps: 2, first: None, loss_gap: 0.0, weight_gap: 0.0, as_far: true };
        assert_eq!(compare(&ours, &theirs), identical);
    }

    #[test]
    fn one_bit_of_a_loss_is_found() {
        let comparison = compare(&trace(&[2.0, 1.0]), &trace(&[2.0, f32::from_bits(1.0f32.to_bits() + 1)]));
        assert_eq!(comparison.first.as_deref(), Some("step 2: loss"));
        assert_eq!(comparison.loss_gap, f64::from(f32::EPSILON));
    }

    #[test]
    fn the_sign_of_zero_is_found() {
        let mut theirs = trace(&[2.0]);
        theirs.last = Some(vec![("fc1.bias".to_owned(), Tensor::from_slice(&[1.0f32, -0.0]))]);
        let comparison = compare(&trace(&[2.0]), &theirs);
        assert_eq!(comparison.first.as_deref(), Some("last weights: fc1.bias"));
        assert_eq!(comparison.weight_gap, 0.0);
    }

    #[test]
    fn what_is_no_number_on_one_side_is_not_close() {
        assert_eq!(compare(&trace(&[2.0]), &trace(&[f32::NAN])).loss_gap, f64::INFINITY);
        let mut theirs = trace(&[2.0]);
        theirs.last = Some(vec![("fc1.bias".to_owned(), Tensor::from_slice(&[f32::NAN, 0.0]))]);
        assert_eq!(compare(&trace(&[2.0]), &theirs).weight_gap, f64::INFINITY);
        theirs.last = None;
        assert!(!compare(&trace(&[2.0]), &theirs).as_far);
        assert!(!compare(&trace(&[2.0]), &trace(&[2.0, 1.0])).as_far);
    }

    #[test]
    fn missing_and_further_things_are_found() {
        assert_eq!(compare(&trace(&[2.0]), &trace(&[2.0, 1.0])).first.as_deref(), Some("1 steps against 2"));
        let mut theirs = trace(&[2.0]);
        theirs.initial.push(("fc2.bias".to_owned(), Tensor::from_slice(&[1.0f32])));
        assert_eq!(compare(&trace(&[2.0]), &theirs).first.as_deref(), Some("initial weights: fc2.bias"));
    }
}
