//! Images as tensors: the split, the order of batches and the scaling, with PyTorch's random streams.

use tch::{Device, IndexOp, Kind, Tensor};

use super::dataset::Images;
use super::shared::MappedImages;
use crate::native::randperm;
use crate::spec::config::{Data, Scale};

/// Images [N, 3, 32, 32] u8 and labels [N] i64, resident on one device.
pub struct Resident {
    pub images: Tensor,
    pub labels: Tensor,
}

impl Resident {
    pub fn new(images: &Images, device: Device) -> Resident {
        let pixels = Tensor::from_slice(&images.pixels).view([-1, 3, 32, 32]).to_device(device);
        let labels = Tensor::from_slice(&images.labels).to_kind(Kind::Int64).to_device(device);
        Resident { images: pixels, labels }
    }

    /// Over mapped images, which the CPU needs no copy of.
    pub fn mapped(images: MappedImages, device: Device) -> Resident {
        let (size, strides) = ([images.labels.len() as i64, 3, 32, 32], [3072, 1024, 32, 1]);
        // SAFETY: the memory holds as many bytes as the shape says, and stays until the process ends. Nothing writes to it.
        let pixels = unsafe { Tensor::from_blob(images.pixels.as_ptr(), &size, &strides, Kind::Uint8, Device::Cpu) };
        let labels = Tensor::from_slice(images.labels).to_kind(Kind::Int64).to_device(device);
        Resident { images: pixels.to_device(device), labels }
    }

    /// Every image's index, i64 [N].
    pub fn all(&self) -> Tensor {
        Tensor::arange(self.labels.size()[0], (Kind::Int64, Device::Cpu))
    }

    /// The images at `index` (i64), in that order: u8 [n, 3, 32, 32] and i64 [n].
    pub fn select(&self, index: &Tensor) -> (Tensor, Tensor) {
        let index = index.to_device(self.images.device());
        (self.images.index_select(0, &index), self.labels.index_select(0, &index))
    }
}

/// Indices into the training part: i64 [train] and i64 [val].
pub struct Split {
    pub train: Tensor,
    pub val: Tensor,
}

impl Split {
    /// `random_split(set, [count - val, val], generator=torch.Generator().manual_seed(split_seed))`, then the first
    /// `train` of the first part.
    pub fn new(data: &Data, count: usize) -> Split {
        let (count, val) = (count as i64, data.val as i64);
        let order = randperm(data.split_seed, count);
        let train = data.train.map_or(count - val, |train| train as i64);
        Split { train: order.narrow(0, 0, train), val: order.narrow(0, count - val, val) }
    }
}

/// What `iter(DataLoader(set, shuffle=False))` does to the default generator: it draws a seed for workers there are not.
pub fn draw_base_seed() {
    let _ = random_int64();
}

/// What `iter(DataLoader(set, shuffle=True))` draws from the default generator: the workers' base seed, then the seed of
/// the sampler, whose `randperm` is the epoch's order.
pub fn draw_order_seed() -> u64 {
    draw_base_seed();
    random_int64() as u64
}

/// `torch.empty((), dtype=torch.int64).random_().item()`
fn random_int64() -> i64 {
    Tensor::empty([] as [i64; 0], (Kind::Int64, Device::Cpu)).random_().int64_value(&[])
}

/// Turns bytes into the floats a network sees.
pub struct Scaling {
    /// None for [0, 1]; else float32 [1, 3, 1, 1] mean and standard deviation of x / 255.
    normalization: Option<(Tensor, Tensor)>,
}

impl Scaling {
    /// `standardize` uses the statistics of the images of `set` at `trained_on` (i64).
    pub fn new(scale: Scale, set: &Resident, trained_on: &Tensor) -> Scaling {
        let device = set.images.device();
        let by_statistics = || Scaling::by(channel_statistics(&set.select(trained_on).0), device);
        Scaling::fixed(scale, device).unwrap_or_else(by_statistics)
    }

    /// None for `standardize`, which needs the training images.
    pub fn fixed(scale: Scale, device: Device) -> Option<Scaling> {
        match scale {
            Scale::Unit => Some(Scaling { normalization: None }),
            Scale::Symmetric => Some(Scaling::by(([0.5; 3], [0.5; 3]), device)),
            Scale::Standardize => None,
        }
    }

    /// What is subtracted from x / 255 and what that is divided by; None where nothing is.
    pub fn statistics(&self) -> Option<([f32; 3], [f32; 3])> {
        let values = |column: &Tensor| [0, 1, 2].map(|channel| column.double_value(&[0, channel, 0, 0]) as f32);
        self.normalization.as_ref().map(|(mean, deviation)| (values(mean), values(deviation)))
    }

    fn by((mean, deviation): ([f64; 3], [f64; 3]), device: Device) -> Scaling {
        let column =
            |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).view([1, 3, 1, 1]).to_device(device);
        Scaling { normalization: Some((column(mean), column(deviation))) }
    }

    /// u8 [n, 3, 32, 32] → float32 of the same shape.
    pub fn apply(&self, images: &Tensor) -> Tensor {
        let unit = images.to_kind(Kind::Float).g_div_scalar_(255.0);
        match &self.normalization {
            None => unit,
            Some((mean, deviation)) => (unit - mean) / deviation,
        }
    }
}

/// Means and population standard deviations of the channels of images, u8 [N, 3, 32, 32], over 255.
pub(super) fn channel_statistics(images: &Tensor) -> ([f64; 3], [f64; 3]) {
    let statistics = [0, 1, 2].map(|channel| {
        let counts = images.i((.., channel)).flatten(0, -1).bincount::<Tensor>(None, 256);
        let counts = Vec::<i64>::try_from(counts).expect("int64 [256]");
        let sum = |power| (0_u64..).zip(&counts).map(|(byte, &count)| byte.pow(power) * count as u64).sum::<u64>();
        let [count, sum, squares] = [sum(0), sum(1), sum(2)].map(|sum| sum as f64);
        // Only these few operations round, so the order of the images does not matter.
        let mean = sum / count;
        (mean / 255.0, (squares / count - mean * mean).sqrt() / 255.0)
    });
    (statistics.map(|(mean, _)| mean), statistics.map(|(_, deviation)| deviation))
}
