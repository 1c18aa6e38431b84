use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Common, EPS, LR, Members, Rule, WEIGHT_DECAY};
use crate::native::{add_product, add_quotient, add_scaled};
use crate::options::{BELOW_ONE, Key, Takes, Variant, key, variant};

pub const VARIANT: Variant = variant("rmsprop", KEYS, "torch.optim.RMSprop", "Hinton 2012");

const KEYS: &[Key] = &[
    LR.or("0.01"),
    key("alpha", BELOW_ONE, "coefficient of the running mean of squares").or("0.99"),
    EPS.or("1e-8"),
    WEIGHT_DECAY.or("0"),
    key("momentum", BELOW_ONE, "share of the last step that is kept").or("0"),
    key("centered", Takes::Flag, "divide by the gradient's variance").or("false"),
];

/// `torch.optim.rmsprop._single_tensor_rmsprop`. Hinton 2012; centered: Graves 2013.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rmsprop {
    pub lr: f64,
    pub alpha: f64,
    pub eps: f64,
    pub weight_decay: f64,
    pub momentum: f64,
    pub centered: bool,
}

impl Rule for Rmsprop {
    fn common(&self) -> Common {
        Common { lr: self.lr, momentum: self.momentum, weight_decay: self.weight_decay }
    }

    fn memory(&self) -> &'static [&'static str] {
        &["square_avg", "momentum_buffer", "grad_avg"]
    }

    fn shared(&self) -> Rmsprop {
        Rmsprop { lr: 0.0, momentum: 0.0, weight_decay: 0.0, ..*self }
    }

    fn exact(&self, parameter: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], lr: f64, _step: u64) {
        self.remember(&gradient, memory);
        let mut average = if self.centered {
            let mut variance = memory[0].copy();
            add_product(&mut variance, &memory[2], &memory[2], -1.0);
            variance.sqrt_()
        } else {
            memory[0].sqrt()
        };
        let average = average.g_add_scalar_(self.eps);
        if self.momentum > 0.0 {
            let _ = memory[1].g_mul_scalar_(self.momentum);
            add_quotient(&mut memory[1], &gradient, &average, 1.0);
            add_scaled(parameter, &memory[1], -lr);
        } else {
            add_quotient(parameter, &gradient, &average, -lr);
        }
    }

    fn packed(&self, parameters: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], members: &Members) {
        self.remember(&gradient, memory);
        let average = if self.centered { (&memory[0] - memory[2].square()).sqrt_() } else { memory[0].sqrt() };
        let mut change = gradient / (average + self.eps);
        if !members.no_momentum {
            let _ = memory[1].g_mul_(members.momentum).g_add_(&change);
            change = memory[1].shallow_clone();
        }
        let _ = parameters.g_sub_(&(change * members.rate));
    }
}

impl Rmsprop {
    /// Moves the average of the squared gradient and, if centered, of the gradient.
    fn remember(&self, gradient: &Tensor, memory: &mut [Tensor]) {
        let _ = memory[0].g_mul_scalar_(self.alpha);
        add_product(&mut memory[0], gradient, gradient, 1.0 - self.alpha);
        if self.centered {
            let _ = memory[2].lerp_(gradient, 1.0 - self.alpha);
        }
    }
}
