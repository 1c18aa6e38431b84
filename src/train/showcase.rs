//! What a report can show of a finished trial beside its numbers: its surest mistakes and its first kernels.

use tch::{Kind, Tensor};

use crate::engine::State;
use crate::record::{Filters, Mistake, Showcase};

/// Fills a sheet of 5 × 5.
const MISTAKES: usize = 25;

/// Of the network with this state dict, whose answers to the images with these labels (int64 [N]) are `logits` [N, C].
pub fn showcase(state: &State, labels: &Tensor, logits: &Tensor) -> Showcase {
    Showcase { mistakes: surest_mistakes(labels, logits), filters: first_filters(state) }
}

/// Those with the highest probability of the wrong class, highest first, ties in the order of the images.
fn surest_mistakes(labels: &Tensor, logits: &Tensor) -> Vec<Mistake> {
    let (probability, predicted) = logits.softmax(-1, Kind::Float).max_dim(1, false);
    // Logits that overflow make no sure answer, and JSON has no NaN.
    let wrong = predicted.ne_tensor(labels).logical_and(&probability.isfinite()).nonzero().view([-1]);
    let integers = |values: &Tensor| Vec::<i64>::try_from(values).expect("int64 values");
    let chosen = |values: &Tensor| integers(&values.index_select(0, &wrong));
    let probabilities = Vec::<f32>::try_from(probability.index_select(0, &wrong)).expect("float32 values");
    let classes = chosen(labels).into_iter().zip(chosen(&predicted));
    let mistake = |((image, (truth, predicted)), probability): ((i64, (i64, i64)), f32)| Mistake {
        image: image as usize,
        truth: truth as u8,
        predicted: predicted as u8,
        probability,
    };
    let mut mistakes: Vec<Mistake> =
        integers(&wrong).into_iter().zip(classes).zip(probabilities).map(mistake).collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.image.cmp(&b.image)));
    mistakes.truncate(MISTAKES);
    mistakes
}

/// The kernels of the first convolution, if they see the image's three colours: in a network of the user's own there need be none.
fn first_filters(state: &State) -> Filters {
    let kernels = state.iter().map(|(_, tensor)| tensor).find(|tensor| tensor.dim() == 4);
    let Some(kernels) = kernels.filter(|kernels| kernels.size()[1] == 3) else {
        return Filters { shape: vec![], values: vec![] };
    };
    let shape = kernels.size().iter().map(|&side| side as usize).collect();
    // The copy is contiguous: `fast` keeps kernels channels last.
    let values = kernels.detach().contiguous().view([-1]);
    Filters { shape, values: Vec::try_from(values).expect("float32 weights") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Network;
    use tch::Device;

    #[test]
    fn a_network_may_have_no_kernels_of_colours() {
        let shape = |sizes: &[i64]| {
            let numbers = ("a".to_owned(), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
            first_filters(&vec![numbers, ("b".to_owned(), Tensor::zeros(sizes, (Kind::Float, Device::Cpu)))]).shape
        };
        assert_eq!((shape(&[8, 3, 5, 5]), shape(&[6, 1, 3, 3]), shape(&[10, 3])), (vec![8, 3, 5, 5], vec![], vec![]));
    }

    #[test]
    fn overflowing_logits_are_no_mistakes() {
        let state = Network::new(&crate::spec::defaults("lenet5").unwrap()).state();
        let logits = Tensor::full([4, 10], f64::NAN, (Kind::Float, Device::Cpu));
        let _ = logits.get(3).fill_(0.0).narrow(0, 2, 1).fill_(5.0);
        let showcase = showcase(&state, &Tensor::from_slice(&[0_i64, 1, 2, 3]), &logits);
        assert_eq!(
            showcase.mistakes.iter().map(|mistake| (mistake.image, mistake.predicted)).collect::<Vec<_>>(),
            [(3, 2)]
        );
        let text = serde_json::to_string(&showcase).unwrap();
        assert!(serde_json::from_str::<Showcase>(&text).is_ok_and(|back| back == showcase));
    }
}
