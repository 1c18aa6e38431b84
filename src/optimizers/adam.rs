use std::hint::black_box;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Common, EPS, LR, Members, Rule, WEIGHT_DECAY};
use crate::native::{self, add_product, add_quotient};
use crate::options::{BELOW_ONE, FLOAT32_MAX, Key, Takes, Variant, key, variant};

pub const VARIANT: Variant = variant("adam", KEYS, "torch.optim.Adam", "Kingma and Ba 2015");

const KEYS: &[Key] =
    &[LR.or("0.001"), BETAS.or("[0.9, 0.999]"), EPS.or("1e-8"), WEIGHT_DECAY.or("0"), AMSGRAD.or("false")];

pub(super) const BETAS: Key = key("betas", Takes::List(&BELOW_ONE, 2, 2), "coefficients of the two running means");
pub(super) const AMSGRAD: Key = key("amsgrad", Takes::Flag, "the largest second moment so far");

/// `torch.optim.adam._single_tensor_adam`. Kingma and Ba 2015; AMSGrad: Reddi et al. 2018; decoupled: see [`super::Adamw`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam<const DECOUPLED: bool = false> {
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    pub weight_decay: f64,
    pub amsgrad: bool,
}

impl<const DECOUPLED: bool> Rule for Adam<DECOUPLED> {
    fn common(&self) -> Common {
        Common { lr: self.lr, momentum: 0.0, weight_decay: self.weight_decay }
    }

    fn objection(&self, highest_rate: f64) -> Option<(&'static str, String)> {
        let [beta, _] = self.betas;
        let first = highest_rate / (1.0 - beta);
        let problem =
            || format!("its first step is its rate / (1 - {beta}) = {first:e}, but float32 ends at {FLOAT32_MAX:e}");
        (first > FLOAT32_MAX).then(|| ("", problem()))
    }

    fn is_decoupled(&self) -> bool {
        DECOUPLED
    }

    fn memory(&self) -> &'static [&'static str] {
        if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
    }

    fn shared(&self) -> Self {
        Adam { lr: 0.0, weight_decay: 0.0, ..*self }
    }

    fn exact(&self, parameter: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], lr: f64, step: u64) {
        let [beta1, beta2] = self.betas;
        if DECOUPLED && self.weight_decay != 0.0 {
            let _ = parameter.g_mul_scalar_(1.0 - lr * self.weight_decay);
        }
        let square = self.remember(&gradient, memory);
        let correction1 = 1.0 - beta1.powf(step as f64);
        let correction2 = 1.0 - beta2.powf(step as f64);
        // Python computes `** 0.5` with pow; black_box keeps the compiler from making a square root of it.
        let scale = correction2.powf(black_box(0.5));
        let denominator = square.sqrt().g_div_scalar_(scale).g_add_scalar_(self.eps);
        add_quotient(parameter, &memory[0], &denominator, -(lr / correction1));
    }

    /// With the first correction in the rate; the second number is the root of the other one.
    fn rates(&self, lr: f64, step: u64) -> [f64; 2] {
        let [left1, left2] = self.betas.map(|beta| 1.0 - beta.powf(step as f64));
        [lr / left1, left2.sqrt()]
    }

    fn packed(&self, parameters: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], members: &Members) {
        if DECOUPLED && !members.no_weight_decay {
            let _ = parameters.g_mul_(members.kept);
        }
        let square = self.remember(&gradient, memory);
        let denominator = square.sqrt().g_div_(members.second).g_add_scalar_(self.eps);
        let _ = parameters.g_sub_(&((&memory[0] / denominator).g_mul_(members.rate)));
    }

    fn fused(&self, lr: f64, weight_decay: f64, step: u64) -> Option<native::Adam> {
        let Adam { betas, eps, .. } = *self;
        Some(native::Adam { step, lr, betas, eps, weight_decay, decoupled: DECOUPLED })
    }
}

impl<const DECOUPLED: bool> Adam<DECOUPLED> {
    /// Moves the averages of the gradient and of its square; returns the latter or, with amsgrad, the largest so far.
    fn remember(&self, gradient: &Tensor, memory: &mut [Tensor]) -> Tensor {
        let [beta1, beta2] = self.betas;
        let _ = memory[0].lerp_(gradient, 1.0 - beta1);
        let _ = memory[1].g_mul_scalar_(beta2);
        add_product(&mut memory[1], gradient, gradient, 1.0 - beta2);
        if !self.amsgrad {
            return memory[1].shallow_clone();
        }
        let largest = memory[2].maximum(&memory[1]);
        memory[2].copy_(&largest);
        largest
    }
}
