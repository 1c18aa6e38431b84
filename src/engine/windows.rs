//! Convolutions of small images as one matrix product of their windows (im2col). On images of 4x4 or less the CPU's
//! convolutions fill a fraction of their tiles: a 3x3 one of 512 channels on 2x2 takes six times as long in bfloat16.

use tch::{Device, Tensor};

/// The widest images that are quicker this way.
const LARGEST_SIDE: i64 = 4;

/// Whether [`convolve`] is the quicker way for images [N, K·C, H, W] and `kernel`.
pub fn pay(images: &Tensor, kernel: i64) -> bool {
    images.device() == Device::Cpu && kernel > 1 && images.size()[2] <= LARGEST_SIDE && images.size()[3] <= LARGEST_SIDE
}

/// `F.conv2d(images, weight, bias, padding=padding, groups=groups)` of images [N, groups·C, H, W], weight
/// [groups·O, C, k, k] and bias [groups·O], images and weight in NHWC order in memory; returns [N, groups·O, H', W'].
pub fn convolve(images: &Tensor, weight: &Tensor, bias: &Tensor, padding: i64, groups: i64) -> Tensor {
    let [images, weights, biases] = [(images, 1), (weight, 0), (bias, 0)].map(|(all, split)| all.chunk(groups, split));
    let each = images.iter().zip(&weights).zip(&biases);
    let outputs: Vec<Tensor> = each.map(|((images, weight), bias)| product(images, weight, bias, padding)).collect();
    Tensor::cat(&outputs, 1)
}

/// One group of [`convolve`].
fn product(images: &Tensor, weight: &Tensor, bias: &Tensor, padding: i64) -> Tensor {
    let (out, kernel) = (weight.size()[0], weight.size()[2]);
    // Not `baddbmm` for all groups: it would leave the gradient of the weight transposed, which is slow to undo.
    let matrix = weight.permute([0, 2, 3, 1]).reshape([out, -1]);
    windows(&images.permute([0, 2, 3, 1]), kernel, padding).linear(&matrix, Some(bias)).permute([0, 3, 1, 2])
}

/// [N, H, W, C] → [N, H', W', k·k·C], a window in the order of a kernel in memory.
fn windows(images: &Tensor, kernel: i64, padding: i64) -> Tensor {
    let padded = images.constant_pad_nd([0, 0, padding, padding, padding, padding]);
    let shifted = |x: &Tensor, dimension: i64| {
        let side = x.size()[dimension as usize] - kernel + 1;
        let shifts: Vec<Tensor> = (0..kernel).map(|shift| x.narrow(dimension, shift, side)).collect();
        Tensor::cat(&shifts, -1)
    };
    shifted(&shifted(&padded, 2), 1)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::native::channels_last;

    /// Images, weight and bias of a grouped convolution, all with gradients.
    fn inputs(groups: i64, side: i64) -> [Tensor; 3] {
        let numbers = |shape: &[i64]| {
            let count: i64 = shape.iter().product();
            Tensor::arange(count, (Kind::Float, Device::Cpu)).sin().view(shape)
        };
        let images = channels_last(&numbers(&[5, groups * 4, side, side]));
        let weight = channels_last(&numbers(&[groups * 6, 4, 3, 3]));
        [images, weight, numbers(&[groups * 6])].map(|tensor| tensor.set_requires_grad(true))
    }

    #[test]
    fn equals_conv2d_and_its_gradients() {
        for (groups, side, padding) in [(1, 2, 1), (1, 4, 1), (3, 4, 1), (2, 4, 0)] {
            let [images, weight, bias] = inputs(groups, side);
            let ours = convolve(&images, &weight, &bias, padding, groups);
            let theirs = images.conv2d(&weight, Some(&bias), [1, 1], [padding, padding], [1, 1], groups);
            let leaves = [&images, &weight, &bias];
            let ours_and_gradients = Tensor::run_backward(&[ours.square().sum(Kind::Float)], &leaves, false, false);
            let expected = Tensor::run_backward(&[theirs.square().sum(Kind::Float)], &leaves, false, false);
            assert_eq!(ours.size(), theirs.size());
            for (got, wanted) in [ours].iter().chain(&ours_and_gradients).zip([theirs].iter().chain(&expected)) {
                let apart = (got - wanted).abs().max().double_value(&[]) / wanted.abs().max().double_value(&[]);
                assert!(apart < 1e-5, "{groups} groups, side {side}, padding {padding}: {apart:e} apart");
            }
        }
    }

    #[test]
    fn pays_on_small_images_only() {
        let images = |side| Tensor::zeros([2, 8, side, side], (Kind::Float, Device::Cpu));
        assert!(pay(&images(4), 3) && pay(&images(2), 3));
        assert!(!pay(&images(8), 3) && !pay(&images(2), 1));
    }
}
