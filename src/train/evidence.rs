//! What the logits of the test images say beyond loss and first choices: each image's class, and how far the network's
//! probabilities can be believed. In float64, for the scores are kept for good.

use tch::{Kind, Tensor};

use crate::record::Evidence;

/// True classes among so many most probable ones count as found.
const TOP: usize = 3;
/// Bins of the expected calibration error.
const BINS: usize = 15;

/// The class with the highest of each image's `logits` [N, C], as the confusion matrix has it.
pub fn predictions(logits: &Tensor) -> Vec<u8> {
    Vec::try_from(logits.argmax(1, false).to_kind(Kind::Uint8)).expect("bytes [N]")
}

/// Of the images with these `labels` (int64 [N]), whose answers are `logits` [N, C]. Calibration is NaN where a logit is not
/// finite.
pub fn evidence(labels: &Tensor, logits: &Tensor) -> Evidence {
    let truths = Vec::<i64>::try_from(labels).expect("int64 [N]");
    let rows = Vec::<f64>::try_from(logits.to_kind(Kind::Double).flatten(0, -1)).expect("float64 [N * C]");
    let classes = logits.size()[1] as usize;
    let (mut found, mut brier, mut bins) = (0, 0.0, [0.0; BINS]);
    for ((row, truth), predicted) in rows.chunks_exact(classes).zip(truths).zip(predictions(logits)) {
        let probabilities = softmax(row);
        found += usize::from(rank(row, truth as usize) < TOP);
        brier += (0..).zip(&probabilities).map(|(class, p)| (p - f64::from(class == truth)).powi(2)).sum::<f64>();
        let confidence = probabilities[usize::from(predicted)];
        bins[bin(confidence)] += f64::from(i64::from(predicted) == truth) - confidence;
    }
    let images = rows.len() as f64 / classes as f64;
    Evidence {
        top3_accuracy: found as f64 / images,
        ece: bins.iter().map(|difference| difference.abs()).sum::<f64>() / images,
        brier: brier / images,
    }
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// How many classes come before `truth`: those with a higher logit, of equal ones the first. What is no number comes before
/// all and is never found.
fn rank(logits: &[f64], truth: usize) -> usize {
    let before = |(class, logit): (usize, &f64)| match logit.partial_cmp(&logits[truth]) {
        Some(order) => order.is_gt() || (order.is_eq() && class < truth),
        None => true,
    };
    logits.iter().enumerate().filter(|&entry| before(entry)).count()
}

/// Bins are open below and closed above.
fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// NumPy 2.4.6: `logits.argmax(1)`
    const PREDICTED: [u8; 40] = [
        7, 2, 1, 0, 7, 1, 0, 7, 3, 7, 8, 1, 3, 0, 2, 3, 2, 6, 3, 9, 2, 5, 8, 7, 2, 1, 0, 7, 1, 0, 7, 3, 7, 8, 1, 3, 0,
        2, 3, 2,
    ];
    /// NumPy 2.4.6, float64: the share of rows whose label is among the first three of `argsort(-logits, kind="stable")`; the
    /// sum over the bins of `linspace(0, 1, 16)` of `inside.mean() * abs(right[inside].mean() - confidence[inside].mean())`;
    /// `((softmax - one_hot) ** 2).sum(1).mean()`
    const GOLDEN: Evidence = Evidence { top3_accuracy: 0.65, ece: 0.2089041499678148, brier: 0.7852944555184302 };

    /// Labels and logits of 40 images: logit c of image i is ((7 i + 3 c + i c²) mod 23) / 4, twice as much for every third
    /// image; its label is i² mod 10, but for every other one what is predicted.
    fn case() -> (Tensor, Tensor) {
        let logit = |i: usize, c: usize| {
            let value = ((7 * i + 3 * c + i * c * c) % 23) as f32 / 4.0;
            if i.is_multiple_of(3) { 2.0 * value } else { value }
        };
        let logits: Vec<f32> = (0..40).flat_map(|i| (0..10).map(move |c| logit(i, c))).collect();
        let label = |i: usize| if i.is_multiple_of(2) { PREDICTED[i].into() } else { (i * i % 10) as i64 };
        let labels: Vec<i64> = (0..40).map(label).collect();
        (Tensor::from_slice(&labels), Tensor::from_slice(&logits).view([40, 10]))
    }

    #[test]
    fn numbers_are_numpys() {
        let (labels, logits) = case();
        let found = evidence(&labels, &logits);
        assert_eq!((predictions(&logits), found.top3_accuracy), (PREDICTED.to_vec(), GOLDEN.top3_accuracy));
        for (ours, golden) in [(found.ece, GOLDEN.ece), (found.brier, GOLDEN.brier)] {
            assert!((ours - golden).abs() < 1e-14, "{ours} is not {golden}");
        }
    }

    #[test]
    fn a_sure_network_is_judged_by_its_answers() {
        let logits = Tensor::from_slice(&[0.0f32, 50.0]).repeat([5]).view([1, 10]).repeat([4, 1]);
        let sure = |labels: &[i64]| {
            let logits = logits.shallow_clone();
            let _ = logits.narrow(1, 1, 1).fill_(900.0);
            evidence(&Tensor::from_slice(labels), &logits)
        };
        assert_eq!(sure(&[1, 1, 1, 1]), Evidence { top3_accuracy: 1.0, ece: 0.0, brier: 0.0 });
        assert_eq!(sure(&[0, 0, 0, 0]), Evidence { top3_accuracy: 0.0, ece: 1.0, brier: 2.0 });
        // Equal logits: the first classes come first, as with argmax.
        assert_eq!(sure(&[3, 5, 1, 7]).top3_accuracy, 0.75);
    }

    #[test]
    fn logits_that_are_no_numbers_find_nothing_and_have_no_calibration() {
        let logits = Tensor::full([2, 10], f64::NAN, (Kind::Float, Device::Cpu));
        let found = evidence(&Tensor::from_slice(&[0i64, 9]), &logits);
        assert!(found.top3_accuracy == 0.0 && found.ece.is_nan() && found.brier.is_nan(), "{found:?}");
        let text = serde_json::to_string(&found).unwrap();
        assert!(serde_json::from_str::<Evidence>(&text).unwrap().brier.is_nan(), "{text}");
    }
}
