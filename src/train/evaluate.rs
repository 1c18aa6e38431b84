//! Loss, accuracy and confusion matrix of a network on a set of images, in evaluation mode.

use tch::{Device, IndexOp, Reduction, Tensor};

use crate::data::batches::{Resident, Scaling};
use crate::engine::{Network, PackedNetwork};
use crate::native::no_grad;
use crate::record::CLASSES;
use crate::record::{Confusion, SplitScore};

/// Images a forward pass when no gradients are needed; divides 5,000 and 10,000.
const EVALUATION_BATCH: i64 = 500;

/// PyTorch's `ignore_index` default, which no label equals.
pub const IGNORE_INDEX: i64 = -100;

/// The images at `index` (i64) in that order. The loss is the mean over images of the plain cross-entropy, summed in
/// float64 over batches of [`EVALUATION_BATCH`]; `after_batch` sees the logits [N, 10] of each.
pub fn evaluate(
    network: &Network,
    set: &Resident,
    scaling: &Scaling,
    index: &Tensor,
    after_batch: &mut dyn FnMut(&Tensor),
) -> (SplitScore, Confusion) {
    let mut tally = Tally::default();
    let forward = |images: &Tensor| network.forward(images, false);
    for_each_batch(forward, EVALUATION_BATCH, set, scaling, index, |labels, logits| {
        tally.add(labels, logits);
        after_batch(logits);
    });
    tally.score()
}

/// [`evaluate`] for each member of a pack, with logits [K, N, 10].
pub fn evaluate_members(
    network: &PackedNetwork,
    set: &Resident,
    scaling: &Scaling,
    index: &Tensor,
    after_batch: &mut dyn FnMut(&Tensor),
) -> Vec<(SplitScore, Confusion)> {
    let mut tallies: Vec<Tally> = vec![];
    let forward = |images: &Tensor| network.forward(images, false);
    // On the CPU as much at a time as of one network: larger tensors do not stay in its caches.
    let share = if set.images.device() == Device::Cpu { network.members() } else { 1 };
    let batch = EVALUATION_BATCH / share;
    for_each_batch(forward, batch, set, scaling, index, |labels, logits| {
        tallies.resize_with(logits.size()[0] as usize, Tally::default);
        (0..).zip(&mut tallies).for_each(|(member, tally)| tally.add(labels, &logits.get(member)));
        after_batch(logits);
    });
    tallies.iter().map(Tally::score).collect()
}

/// Calls `see` with the labels and `forward`'s logits of each `batch` of the images at `index`.
fn for_each_batch(
    forward: impl Fn(&Tensor) -> Tensor,
    batch: i64,
    set: &Resident,
    scaling: &Scaling,
    index: &Tensor,
    mut see: impl FnMut(&Tensor, &Tensor),
) {
    no_grad(|| {
        for batch in index.split(batch, 0) {
            let (images, labels) = set.select(&batch);
            see(&labels, &forward(&scaling.apply(&images)));
        }
    });
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
