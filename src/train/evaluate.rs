//! Loss, accuracy and confusion matrix of a network on a set of images, in evaluation mode.

use tch::{IndexOp, Reduction, Tensor, no_grad};

use super::record::{Confusion, SplitScore};
use crate::data::CLASSES;
use crate::data::batches::{Resident, Scaling};
use crate::models::Network;

/// Images a forward pass when no gradients are needed; divides 5,000 and 10,000.
pub const EVALUATION_BATCH: i64 = 500;

/// PyTorch's `ignore_index` default, which no label equals.
pub const IGNORE_INDEX: i64 = -100;

/// The images at `index` (i64) in that order. The loss is the mean over images of the plain cross-entropy, summed in
/// float64 over batches of [`EVALUATION_BATCH`].
pub fn evaluate(network: &Network, set: &Resident, scaling: &Scaling, index: &Tensor) -> (SplitScore, Confusion) {
    let mut loss_sum = 0.0;
    let mut confusion = Confusion::default();
    no_grad(|| {
        for batch in index.split(EVALUATION_BATCH, 0) {
            let (images, labels) = set.select(&batch);
            let logits = network.forward(&scaling.apply(&images), false);
            let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, IGNORE_INDEX, 0.0);
            loss_sum += loss.double_value(&[]) * batch.size()[0] as f64;
            count(&mut confusion, &labels, &logits.argmax(1, false));
        }
    });
    let images = index.size()[0] as f64;
    let correct: u64 = (0..CLASSES).map(|class| confusion[class][class]).sum();
    (SplitScore { loss: loss_sum / images, accuracy: correct as f64 / images }, confusion)
}

fn count(confusion: &mut Confusion, labels: &Tensor, predictions: &Tensor) {
    let classes = CLASSES as i64;
    let cells = (labels * classes + predictions).bincount::<Tensor>(None, classes * classes);
    for (cell, value) in (0..).zip(Vec::<i64>::try_from(cells.i(..)).expect("bincount gives int64")) {
        let cell: usize = cell;
        confusion[cell / CLASSES][cell % CLASSES] += value as u64;
    }
}
