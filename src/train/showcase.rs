//! What a report can show of a finished trial beside its numbers: its surest mistakes and its first kernels.

use tch::{Kind, Tensor};

use super::evaluate::{EVALUATION_BATCH, for_each_batch};
use super::record::{Filters, Mistake, Showcase};
use crate::data::batches::{Resident, Scaling};
use crate::models::Network;

/// Fills a sheet of 5 × 5.
const MISTAKES: usize = 25;

/// Of the current weights, on the images of `test`.
pub fn showcase(network: &Network, test: &Resident, scaling: &Scaling) -> Showcase {
    Showcase { mistakes: surest_mistakes(network, test, scaling), filters: first_filters(network) }
}

/// Those with the highest probability of the wrong class, highest first, ties in the order of the images.
fn surest_mistakes(network: &Network, test: &Resident, scaling: &Scaling) -> Vec<Mistake> {
    let mut mistakes = vec![];
    let forward = |images: &Tensor| network.forward(images, false);
    for_each_batch(forward, EVALUATION_BATCH, test, scaling, &test.all(), |index, labels, logits| {
        let (probability, predicted) = logits.softmax(-1, Kind::Float).max_dim(1, false);
        // Logits that overflow make no sure answer, and JSON has no NaN.
        let wrong = predicted.ne_tensor(labels).logical_and(&probability.isfinite()).nonzero().view([-1]);
        let integers = |values: &Tensor| Vec::<i64>::try_from(values.index_select(0, &wrong)).expect("int64 values");
        let probabilities = Vec::<f32>::try_from(probability.index_select(0, &wrong)).expect("float32 values");
        let classes = integers(labels).into_iter().zip(integers(&predicted));
        for ((image, (truth, predicted)), probability) in integers(index).into_iter().zip(classes).zip(probabilities) {
            mistakes.push(Mistake {
                image: image as usize,
                truth: truth as u8,
                predicted: predicted as u8,
                probability,
            });
        }
        mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.image.cmp(&b.image)));
        mistakes.truncate(MISTAKES);
    });
    mistakes
}

/// Every network's state begins with the kernels of its first convolution.
fn first_filters(network: &Network) -> Filters {
    let (_, kernels) = network.state().into_iter().next().expect("a network has weights");
    let shape = kernels.size().iter().map(|&side| side as usize).collect();
    // The copy is contiguous: `fast` keeps kernels channels last.
    let values = kernels.detach().contiguous().view([-1]);
    Filters { shape, values: Vec::try_from(values).expect("float32 weights") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use crate::spec::config::{DatasetName, Scale};
    use crate::train::trial::declared;
    use tch::Device;

    #[test]
    fn overflowing_logits_are_no_mistakes() {
        let config = crate::spec::defaults("lenet5").unwrap();
        let network = declared(&config);
        tch::no_grad(|| network.state().iter_mut().for_each(|(_, weight)| drop(weight.fill_(3e38))));
        let set = data::load(DatasetName::Synthetic, "".as_ref()).unwrap();
        let test = Resident::new(&set.test, Device::Cpu);
        let showcase = showcase(&network, &test, &Scaling::fixed(Scale::Unit, Device::Cpu));
        let text = serde_json::to_string(&showcase).unwrap();
        assert!(serde_json::from_str::<Showcase>(&text).is_ok_and(|back| back == showcase));
    }
}
