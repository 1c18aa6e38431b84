//! Loss, accuracy and confusion matrix of networks on a set of images, in evaluation mode.

use tch::{Device, IndexOp, Reduction, Tensor};

use crate::data::batches::{Resident, Scaling};
use crate::engine::{IGNORE_INDEX, Network};
use crate::native::no_grad;
use crate::record::{CLASSES, Confusion, SplitScore};

/// Images a forward pass when no gradients are needed; divides 5,000 and 10,000.
const EVALUATION_BATCH: i64 = 500;

/// The scores of K networks on the images at `index` (i64) in that order; `forward` gives their logits [K, N, 10] for images
/// [N, 3, 32, 32]. The loss is the mean over images of the plain cross-entropy, summed in float64 over batches; `after_batch` sees
/// the logits of each.
pub fn evaluate(
    forward: &dyn Fn(&Tensor) -> Tensor,
    members: usize,
    set: &Resident,
    scaling: &Scaling,
    index: &Tensor,
    after_batch: &mut dyn FnMut(&Tensor),
) -> Vec<(SplitScore, Confusion)> {
    let mut tallies: Vec<Tally> = (0..members).map(|_| Tally::default()).collect();
    // On a CPU as much at a time as of one network: larger tensors do not stay in its caches.
    let share = if set.images.device() == Device::Cpu { members as i64 } else { 1 };
    no_grad(|| {
        for batch in index.split(EVALUATION_BATCH / share, 0) {
            let (images, labels) = set.select(&batch);
            let logits = forward(&scaling.apply(&images));
            (0..).zip(&mut tallies).for_each(|(member, tally)| tally.add(&labels, &logits.get(member)));
            after_batch(&logits);
        }
    });
    tallies.iter().map(Tally::score).collect()
}

/// [`evaluate`] of one network.
pub fn evaluate_one(network: &Network, set: &Resident, scaling: &Scaling, index: &Tensor) -> (SplitScore, Confusion) {
    let forward = |images: &Tensor| network.forward(images, false).unsqueeze(0);
    evaluate(&forward, 1, set, scaling, index, &mut |_| {}).remove(0)
}

/// What batches of one network add up to.
#[derive(Default)]
struct Tally {
    loss_sum: f64,
    confusion: Confusion,
}

impl Tally {
    /// Logits [N, 10].
    fn add(&mut self, labels: &Tensor, logits: &Tensor) {
        let loss = logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, IGNORE_INDEX, 0.0);
        self.loss_sum += loss.double_value(&[]) * labels.size()[0] as f64;
        let classes = CLASSES as i64;
        let cells = (labels * classes + logits.argmax(1, false)).bincount::<Tensor>(None, classes * classes);
        let counts = Vec::<i64>::try_from(cells.i(..)).expect("bincount gives int64");
        for (cell, count) in self.confusion.as_flattened_mut().iter_mut().zip(counts) {
            *cell += count as u64;
        }
    }

    fn score(&self) -> (SplitScore, Confusion) {
        let images = self.confusion.as_flattened().iter().sum::<u64>() as f64;
        let correct: u64 = (0..CLASSES).map(|class| self.confusion[class][class]).sum();
        (SplitScore { loss: self.loss_sum / images, accuracy: correct as f64 / images }, self.confusion)
    }
}
