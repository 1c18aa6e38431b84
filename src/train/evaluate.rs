//! Loss, accuracy and confusion matrix of networks on a set of images, in evaluation mode.

use tch::{Device, Kind, Reduction, Tensor};

use crate::data::batches::{Resident, Scaling};
use crate::engine::{IGNORE_INDEX, Network, entropies};
use crate::native::no_grad;
use crate::record::{CLASSES, Confusion, SplitScore};
use crate::spec::config::{Config, Mode};

/// Images a forward pass when no gradients are needed; divides 5,000 and 10,000.
const EVALUATION_BATCH: i64 = 500;
/// Of the largest tensor between two layers of all networks, on a GPU: half a GiB.
const NUMBERS_A_LAYER: i64 = 1 << 27;
const MOST_ON_A_GPU: i64 = 5_000;
const CELLS: i64 = (CLASSES * CLASSES) as i64;

/// How many images a forward pass takes of `members` networks of this configuration on `device`.
pub fn images_per_pass(config: &Config, members: usize, device: Device) -> i64 {
    if config.mode == Mode::Exact {
        return EVALUATION_BATCH;
    }
    if device == Device::Cpu {
        // As much at a time as of one network: larger tensors do not stay in its caches.
        return (EVALUATION_BATCH / members as i64).max(1);
    }
    config.table().images_within(NUMBERS_A_LAYER, members).clamp(1, MOST_ON_A_GPU)
}

/// The scores of networks on the images at `index` (i64) in that order, `batch` at a time; `forward` gives their logits [K, N, 10]
/// for images [N, 3, 32, 32]. The loss is the mean over images of the plain cross-entropy, summed in float64 over batches;
/// `after_batch` sees the logits of each.
pub fn evaluate(
    forward: &dyn Fn(&Tensor) -> Tensor,
    batch: i64,
    set: &Resident,
    scaling: &Scaling,
    index: &Tensor,
    after_batch: &mut dyn FnMut(&Tensor),
) -> Vec<(SplitScore, Confusion)> {
    let mut tally = None;
    no_grad(|| {
        for batch in index.split(batch, 0) {
            let (images, labels) = set.select(&batch);
            let logits = forward(&scaling.apply(&images));
            tally.get_or_insert_with(|| Tally::new(logits.size()[0], logits.device())).add(&labels, &logits);
            after_batch(&logits);
        }
    });
    tally.expect("at least one image").scores()
}

/// [`evaluate`] of one network.
pub fn evaluate_one(network: &Network, set: &Resident, scaling: &Scaling, index: &Tensor) -> (SplitScore, Confusion) {
    let forward = |images: &Tensor| network.forward(images, false).unsqueeze(0);
    evaluate(&forward, EVALUATION_BATCH, set, scaling, index, &mut |_| {}).remove(0)
}

/// What batches of K networks add up to, on their device: to read of each batch would be to wait for it.
struct Tally {
    /// float64 [K]
    loss_sums: Tensor,
    /// int64 [K · 100]
    confusions: Tensor,
    /// int64 [K, 1]: where each one's cells begin.
    starts: Tensor,
}

impl Tally {
    fn new(members: i64, device: Device) -> Tally {
        Tally {
            loss_sums: Tensor::zeros([members], (Kind::Double, device)),
            confusions: Tensor::zeros([members * CELLS], (Kind::Int64, device)),
            starts: Tensor::arange(members, (Kind::Int64, device)).unsqueeze(1) * CELLS,
        }
    }

    /// Logits [K, N, 10].
    fn add(&mut self, labels: &Tensor, logits: &Tensor) {
        self.loss_sums += losses(labels, logits).to_kind(Kind::Double) * labels.size()[0] as f64;
        let cells = (labels * CLASSES as i64 + logits.argmax(2, false) + &self.starts).view([-1]);
        let _ = self.confusions.scatter_add_(0, &cells, &cells.ones_like());
    }

    fn scores(&self) -> Vec<(SplitScore, Confusion)> {
        let loss_sums = Vec::<f64>::try_from(&self.loss_sums).expect("float64 [K]");
        let counts = Vec::<i64>::try_from(&self.confusions).expect("int64 [K * 100]");
        loss_sums.into_iter().zip(counts.chunks_exact(CELLS as usize)).map(|(sum, counts)| score(sum, counts)).collect()
    }
}

/// float32 [K]: the mean over the images of each network's cross-entropy.
fn losses(labels: &Tensor, logits: &Tensor) -> Tensor {
    if logits.size()[0] == 1 {
        // PyTorch's own order of additions.
        let only = logits.get(0);
        return only.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, IGNORE_INDEX, 0.0).view([1]);
    }
    entropies(logits, labels, 0.0).mean_dim(1, false, Kind::Float)
}

fn score(loss_sum: f64, counts: &[i64]) -> (SplitScore, Confusion) {
    let mut confusion = Confusion::default();
    for (cell, &count) in confusion.as_flattened_mut().iter_mut().zip(counts) {
        *cell = count as u64;
    }
    let images = counts.iter().sum::<i64>() as f64;
    let correct: u64 = (0..CLASSES).map(|class| confusion[class][class]).sum();
    (SplitScore { loss: loss_sum / images, accuracy: correct as f64 / images }, confusion)
}
