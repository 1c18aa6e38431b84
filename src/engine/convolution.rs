//! The ways to compute one convolution of a pack, and which of them is the quickest. On a CPU that is known beforehand; a GPU's
//! depends on the shape and the number of members so much that it is measured: cuDNN has slow kernels for some groups in NHWC.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tch::{Cuda, Device, Kind, Tensor};

use super::windows;

/// A layer's shape apart from its tensors' sizes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub stride: i64,
    pub padding: i64,
    /// Of all members.
    pub groups: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// libtorch's convolution of images in NHWC order in memory.
    ChannelsLast,
    /// Of images in NCHW order.
    ChannelsFirst,
    /// A matrix product of all windows.
    Windows,
}

use Algorithm::{ChannelsFirst, ChannelsLast, Windows};

/// Runs of a candidate that count, after one that does not: cuDNN then chooses among its kernels.
const RUNS: usize = 3;

impl Algorithm {
    /// The quickest on a CPU for images [N, groups·C, H, W] and weight [groups·O, C, k, k].
    pub fn on_cpu(images: &Tensor, weight: &Tensor, stride: i64) -> Algorithm {
        if stride == 1 && windows::pay(images, weight) { Windows } else { ChannelsLast }
    }

    /// `F.conv2d(images, weight, bias, stride, padding, groups=groups)` of images [N, groups·C, H, W], weight
    /// [groups·O, C, k, k], in NHWC order in memory, and bias [groups·O]; returns [N, groups·O, H', W'].
    pub fn convolve(self, images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: Shape) -> Tensor {
        let Shape { stride, padding, groups } = shape;
        let library = |images: &Tensor, weight: &Tensor| {
            images.conv2d(weight, bias, [stride, stride], [padding, padding], [1, 1], groups)
        };
        match self {
            ChannelsLast => library(images, weight),
            ChannelsFirst => library(&images.contiguous(), &weight.contiguous()),
            Windows if images.device() == Device::Cpu => windows::convolve(images, weight, bias, padding, groups),
            Windows => windows::convolve_at_once(images, weight, bias, padding, groups),
        }
    }

    /// The one that computes a training step of this layer in the least time, measured once a process, which has one mode. Leaves
    /// the default generator alone.
    pub fn quickest(images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: Shape) -> Algorithm {
        type Sizes = ([Vec<i64>; 2], Shape);
        thread_local!(static KNOWN: RefCell<HashMap<Sizes, Algorithm>> = RefCell::default());
        let sizes = ([images.size(), weight.size()], shape);
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&sizes).copied()) {
            return known;
        }
        let best = Algorithm::measured(images, weight, bias, shape);
        KNOWN.with_borrow_mut(|known| known.insert(sizes, best));
        best
    }

    fn measured(images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: Shape) -> Algorithm {
        let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(tensor.requires_grad());
        let leaves: Vec<Tensor> = [Some(images), Some(weight), bias].into_iter().flatten().map(leaf).collect();
        let (mut best, mut least, mut said) = (ChannelsLast, f64::INFINITY, String::new());
        let fitting =
            [ChannelsFirst, ChannelsLast, Windows].into_iter().filter(|way| *way != Windows || shape.stride == 1);
        for algorithm in fitting {
            // What does not fit into memory panics.
            let measured = catch_unwind(AssertUnwindSafe(|| algorithm.seconds(&leaves, shape, least)));
            let Ok(seconds) = measured else { continue };
            said += &format!(", {algorithm:?} {:.3} ms", 1e3 * seconds);
            if seconds < least {
                (best, least) = (algorithm, seconds);
            }
        }
        eprintln!("convolution of images {:?} with kernels {:?}{said}", images.size(), weight.size());
        best
    }

    /// Of forward and backward: the quickest seen, or the first one's where that is far from the `least` of others.
    fn seconds(self, leaves: &[Tensor], shape: Shape, least: f64) -> f64 {
        let (images, weight, bias) = (&leaves[0], &leaves[1], leaves.get(2));
        let wanted: Vec<&Tensor> = leaves.iter().filter(|leaf| leaf.requires_grad()).collect();
        let run = || {
            let start = Instant::now();
            let output = self.convolve(images, weight, bias, shape);
            if !wanted.is_empty() {
                Tensor::run_backward(&[output.sum(Kind::Float)], &wanted, false, false);
            }
            if let Device::Cuda(gpu) = images.device() {
                Cuda::synchronize(gpu as i64);
            }
            start.elapsed().as_secs_f64()
        };
        run();
        let first = run();
        if first > 3.0 * least { first } else { (1..RUNS).map(|_| run()).fold(first, f64::min) }
    }
}

#[cfg(test)]
mod tests {
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

    type Way = fn(&Tensor, &Tensor, Option<&Tensor>, i64, i64) -> Tensor;

    #[test]
    fn every_way_equals_conv2d_and_its_gradients() {
        let ways: [Way; 4] = [
            windows::convolve,
            windows::convolve_at_once,
            |x, w, b, padding, groups| ChannelsFirst.convolve(x, w, b, Shape { stride: 1, padding, groups }),
            |x, w, b, padding, groups| ChannelsLast.convolve(x, w, b, Shape { stride: 1, padding, groups }),
        ];
        for (groups, side, padding) in [(1, 2, 1), (1, 4, 1), (3, 4, 1), (2, 4, 0)] {
            let [images, weight, bias] = inputs(groups, side);
            let leaves = [&images, &weight, &bias];
            let theirs = images.conv2d(&weight, Some(&bias), [1, 1], [padding, padding], [1, 1], groups);
            let expected = Tensor::run_backward(&[theirs.square().sum(Kind::Float)], &leaves, false, false);
            for (number, way) in ways.iter().enumerate() {
                let ours = way(&images, &weight, Some(&bias), padding, groups);
                let gradients = Tensor::run_backward(&[ours.square().sum(Kind::Float)], &leaves, false, false);
                assert_eq!(ours.size(), theirs.size());
                for (got, wanted) in [ours].iter().chain(&gradients).zip([&theirs].into_iter().chain(&expected)) {
                    let apart = (got - wanted).abs().max().double_value(&[]) / wanted.abs().max().double_value(&[]);
                    assert!(
                        apart < 1e-5,
                        "way {number}, {groups} groups, side {side}, padding {padding}: {apart:e} apart"
                    );
                }
            }
        }
    }

    #[test]
    fn one_of_them_is_the_quickest() {
        let [images, weight, bias] = inputs(3, 4);
        let chosen = Algorithm::quickest(&images, &weight, Some(&bias), Shape { stride: 1, padding: 1, groups: 3 });
        assert!([ChannelsFirst, ChannelsLast, Windows].contains(&chosen));
    }
}
