//! What the predicted class of every test image says of settings: which images all seeds get wrong, what the seeds decide
//! together, and how far two settings differ beyond the choice of the test images. Pure functions of stored predictions.
//!
//! The intervals over images are those of the bootstrap: of the means over as many images drawn with replacement, the middle
//! 95 %. No such samples are drawn. An image adds one of few values to a mean, so the distribution of the sum of `n` draws is
//! found as it is, by repeated squaring: that of 2k draws is the convolution of that of k with itself. It is what ever more
//! samples would come to, the same on every machine, and takes milliseconds.

use super::statistics::SIGNIFICANCE;
use super::study::StoredTrial;

/// Tails of a distribution that no percentile reaches.
const NEGLIGIBLE: f64 = 1e-20;

/// One setting over its seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SettingEvidence {
    /// Trials with predictions.
    pub trials: usize,
    /// Trials without: of older versions, or not done.
    pub left_out: usize,
    /// Share of images that every trial gets wrong.
    pub always_wrong: f64,
    /// Of the class that most trials predict; of several, the first one.
    pub majority_accuracy: f64,
}

/// Two settings, by pairs of trials with the same seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairEvidence {
    /// Test accuracy of the setting minus that of the base, in the mean over the pairs.
    pub difference: Estimate,
    /// Share of images for which the two trials of a pair predict different classes, in the mean over the pairs.
    pub disagreement: Estimate,
}

/// A mean over images with its 95 % percentile interval over them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub interval: (f64, f64),
}

/// None where no trial has predictions. `labels` are the true classes of the test images.
pub fn setting(trials: &[&StoredTrial], labels: &[u8]) -> Option<SettingEvidence> {
    let predicted: Vec<&[u8]> = trials.iter().filter_map(|trial| predictions(trial, labels)).collect();
    if predicted.is_empty() || labels.is_empty() {
        return None;
    }
    let (mut always_wrong, mut right) = (0, 0);
    let mut votes = [0_usize; 1 << u8::BITS];
    for (image, &truth) in labels.iter().enumerate() {
        votes.fill(0);
        predicted.iter().for_each(|predicted| votes[usize::from(predicted[image])] += 1);
        always_wrong += usize::from(votes[usize::from(truth)] == 0);
        // Of equal ones, max_by_key takes the last.
        let most_voted = (0..votes.len()).rev().max_by_key(|&class| votes[class]);
        right += usize::from(most_voted == Some(usize::from(truth)));
    }
    Some(SettingEvidence {
        trials: predicted.len(),
        left_out: trials.len() - predicted.len(),
        always_wrong: always_wrong as f64 / labels.len() as f64,
        majority_accuracy: right as f64 / labels.len() as f64,
    })
}

/// None where no seed has predictions of both settings.
pub fn pair(base: &[&StoredTrial], setting: &[&StoredTrial], labels: &[u8]) -> Option<PairEvidence> {
    let both = setting.iter().filter_map(|trial| {
        let partner = base.iter().find(|other| other.seed == trial.seed)?;
        Some((predictions(partner, labels)?, predictions(trial, labels)?))
    });
    let pairs: Vec<(&[u8], &[u8])> = both.collect();
    if pairs.is_empty() || labels.is_empty() {
        return None;
    }
    let count = |of: &dyn Fn(u8, u8, u8) -> usize| -> Vec<usize> {
        let of_image = |(image, &truth): (usize, &u8)| {
            pairs.iter().map(|(base, setting)| of(base[image], setting[image], truth)).sum()
        };
        labels.iter().enumerate().map(of_image).collect()
    };
    // One more a pair than the difference, so that none is negative.
    let gains = count(&|base, setting, truth| 1 + usize::from(setting == truth) - usize::from(base == truth));
    let disagreements = count(&|base, setting, _| usize::from(base != setting));
    let Estimate { value, interval: (low, high) } = estimate(&gains, pairs.len());
    Some(PairEvidence {
        difference: Estimate { value: value - 1.0, interval: (low - 1.0, high - 1.0) },
        disagreement: estimate(&disagreements, pairs.len()),
    })
}

/// The trial's, if it has them and they are of these images.
fn predictions<'a>(trial: &'a StoredTrial, labels: &[u8]) -> Option<&'a [u8]> {
    trial.predictions.as_deref().filter(|predictions| predictions.len() == labels.len())
}

/// The mean of `values`, one an image, each the sum over so many pairs.
fn estimate(values: &[usize], pairs: usize) -> Estimate {
    let mean = |sum: usize| sum as f64 / (values.len() * pairs) as f64;
    let sums = Sums::of_one(values).draws(values.len());
    let tail = SIGNIFICANCE / 2.0;
    Estimate {
        value: mean(values.iter().sum()),
        interval: (mean(sums.percentile(tail)), mean(sums.percentile(1.0 - tail))),
    }
}

/// How probable each sum of some draws is.
#[derive(Clone)]
struct Sums {
    lowest: usize,
    /// Of `lowest`, of `lowest + 1` and so on.
    probabilities: Vec<f64>,
}

impl Sums {
    /// One draw among `values`.
    fn of_one(values: &[usize]) -> Sums {
        let mut counts = vec![0_usize; values.iter().max().map_or(0, |highest| highest + 1)];
        values.iter().for_each(|&value| counts[value] += 1);
        let probabilities = counts.into_iter().map(|count| count as f64 / values.len() as f64).collect();
        Sums { lowest: 0, probabilities }
    }

    /// So many independent draws.
    fn draws(self, mut draws: usize) -> Sums {
        let (mut sums, mut power) = (Sums { lowest: 0, probabilities: vec![1.0] }, self);
        while draws > 0 {
            if draws % 2 == 1 {
                sums = sums.plus(&power);
            }
            draws /= 2;
            if draws > 0 {
                power = power.plus(&power);
            }
        }
        sums
    }

    fn plus(&self, other: &Sums) -> Sums {
        let mut probabilities = vec![0.0; self.probabilities.len() + other.probabilities.len() - 1];
        for (place, first) in self.probabilities.iter().enumerate() {
            let sums = &mut probabilities[place..];
            sums.iter_mut().zip(&other.probabilities).for_each(|(sum, second)| *sum += first * second);
        }
        let skipped = probabilities.iter().take_while(|p| **p < NEGLIGIBLE).count();
        let kept = probabilities.iter().rposition(|p| *p >= NEGLIGIBLE).map_or(0, |last| last + 1);
        Sums { lowest: self.lowest + other.lowest + skipped, probabilities: probabilities[skipped..kept].to_vec() }
    }

    /// The lowest sum that, with all below it, has at least this probability.
    fn percentile(&self, share: f64) -> usize {
        let mut below = 0.0;
        let reached = |p: &f64| {
            below += p;
            below >= share
        };
        let last = self.probabilities.len() - 1;
        self.lowest + self.probabilities.iter().position(reached).unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    fn trial(seed: u64, predictions: Option<&[u8]>) -> StoredTrial {
        let predictions = predictions.map(<[u8]>::to_vec);
        StoredTrial { predictions, ..example::trial("block", "setting", seed, 0.5, 1) }
    }

    const LABELS: [u8; 5] = [0, 1, 2, 3, 4];

    #[test]
    fn a_setting_is_what_its_seeds_decide_together() {
        let trials = [
            trial(0, Some(&[0, 1, 9, 9, 2])),
            trial(1, Some(&[0, 1, 2, 8, 4])),
            trial(2, Some(&[0, 7, 9, 3, 5])),
            trial(3, None),
            // Of other images.
            trial(4, Some(&[0, 1])),
        ];
        let trials: Vec<&StoredTrial> = trials.iter().collect();
        // Of the last image the votes are 2, 4 and 5: the first of equals is wrong. Of the fourth they are 9, 8 and 3.
        let expected = SettingEvidence { trials: 3, left_out: 2, always_wrong: 0.0, majority_accuracy: 3.0 / 5.0 };
        assert_eq!(setting(&trials, &LABELS), Some(expected));
        let first = setting(&trials[..1], &LABELS).unwrap();
        assert_eq!((first.always_wrong, first.majority_accuracy), (0.6, 0.4));
        assert_eq!(setting(&trials[3..], &LABELS), None);
    }

    #[test]
    fn two_settings_are_compared_seed_by_seed() {
        let base = [trial(2, Some(&[0, 1, 9, 9, 9])), trial(0, Some(&[0, 9, 9, 9, 9])), trial(5, None)];
        let other = [trial(0, Some(&[0, 1, 2, 8, 9])), trial(1, Some(&LABELS)), trial(2, Some(&[0, 1, 2, 9, 9]))];
        let found = pair(&base.each_ref(), &other.each_ref(), &LABELS).unwrap();
        // Right: 2 and 1 of 5 before, 3 and 3 now. Other classes: the third image, and the second to fourth.
        let close = |ours: f64, expected: f64| assert!((ours - expected).abs() < 1e-15, "{ours} is not {expected}");
        close(found.difference.value, 0.3);
        close(found.disagreement.value, 0.4);
        let back = pair(&other.each_ref(), &base.each_ref(), &LABELS).unwrap();
        let (low, high) = found.difference.interval;
        close(back.difference.interval.0, -high);
        close(back.difference.interval.1, -low);
        assert_eq!(pair(&base[..1].iter().collect::<Vec<_>>(), &other[..2].iter().collect::<Vec<_>>(), &LABELS), None);
    }

    /// Every sample with replacement that there is, and the percentiles of their sums.
    fn by_enumeration(values: &[usize]) -> (usize, usize) {
        let count = values.len();
        let sum = |sample: usize| (0..count).map(|draw| values[sample / count.pow(draw as u32) % count]).sum();
        let mut sums: Vec<usize> = (0..count.pow(count as u32)).map(sum).collect();
        sums.sort_unstable();
        let percentile = |share: f64| sums[(share * sums.len() as f64).ceil() as usize - 1];
        (percentile(0.025), percentile(0.975))
    }

    #[test]
    fn the_distribution_is_that_of_all_samples() {
        for values in [&[0, 1, 1, 4, 2, 0][..], &[3, 3, 3], &[0, 0, 0, 0, 6, 1, 1], &[5], &[0, 0]] {
            let sums = Sums::of_one(values).draws(values.len());
            assert_eq!((sums.percentile(0.025), sums.percentile(0.975)), by_enumeration(values), "{values:?}");
        }
    }

    /// SciPy 1.17.1: `binom.ppf([0.025, 0.975], 10_000, share)`
    #[test]
    fn of_ten_thousand_images_the_distribution_is_binomial() {
        for (ones, low, high) in [(1, 0, 3), (37, 26, 49), (3000, 2910, 3090), (9990, 9983, 9996)] {
            let values: Vec<usize> = (0..10_000).map(|image| usize::from(image < ones)).collect();
            let sums = Sums::of_one(&values).draws(10_000);
            assert_eq!((sums.percentile(0.025), sums.percentile(0.975)), (low, high), "{ones}");
        }
    }
}
