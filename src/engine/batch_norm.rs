//! `nn.BatchNorm2d` and `nn.BatchNorm1d` with their running statistics.

use tch::{Device, Kind, Tensor};

use crate::networks::BatchNorm;

/// The statistics of one layer, [C]; of all members of a pack, [K·C].
pub struct Running {
    pub mean: Tensor,
    pub var: Tensor,
    /// Batches that they have seen: int64, without a dimension.
    pub batches: Tensor,
}

impl Running {
    pub fn new(channels: i64, device: Device) -> Running {
        let options = (Kind::Float, device);
        Running {
            mean: Tensor::zeros([channels], options),
            var: Tensor::ones([channels], options),
            batches: Tensor::zeros([] as [i64; 0], (Kind::Int64, device)),
        }
    }

    pub fn move_to(&mut self, device: Device) {
        for tensor in [&mut self.mean, &mut self.var, &mut self.batches] {
            *tensor = tensor.to_device(device);
        }
    }

    /// `x` [N, C, ...] normalized by the batch's statistics, which are tracked, or outside training by the running ones.
    pub fn normalize(&self, x: &Tensor, [weight, bias]: [&Tensor; 2], norm: &BatchNorm, train: bool) -> Tensor {
        if train {
            let _ = self.batches.shallow_clone().g_add_scalar_(1);
        }
        let (mean, var) = (Some(&self.mean), Some(&self.var));
        x.batch_norm(Some(weight), Some(bias), mean, var, train, norm.momentum, norm.eps, true)
    }
}
