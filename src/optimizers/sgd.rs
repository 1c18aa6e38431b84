use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Common, LR, Members, Rule, WEIGHT_DECAY};
use crate::native::{add_product, add_scaled};
use crate::options::{BELOW_ONE, Key, Takes, Variant, at_most, key, variant};

pub const VARIANT: Variant = variant("sgd", KEYS, "torch.optim.SGD", "stochastic gradient descent");

const KEYS: &[Key] = &[
    LR.or("0.001"),
    key("momentum", BELOW_ONE, "share of the last step that is kept").or("0"),
    key("dampening", at_most(1.0), "share of the gradient that momentum leaves out").or("0"),
    key("nesterov", Takes::Flag, "Nesterov's momentum").or("false"),
    WEIGHT_DECAY.or("0"),
];

/// `torch.optim.sgd._single_tensor_sgd`. Sutskever et al. 2013 for Nesterov's form, which needs momentum > 0 and dampening 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
}

impl Rule for Sgd {
    fn common(&self) -> Common {
        Common { lr: self.lr, momentum: self.momentum, weight_decay: self.weight_decay }
    }

    fn objection(&self, _: f64) -> Option<(&'static str, String)> {
        let Sgd { momentum, dampening, nesterov, .. } = *self;
        if nesterov && !(momentum > 0.0 && dampening == 0.0) {
            return Some((".nesterov", "needs a momentum above 0 and dampening 0".to_owned()));
        }
        let idle = momentum == 0.0 && dampening > 0.0;
        idle.then(|| (".dampening", "does nothing without momentum".to_owned()))
    }

    fn memory(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    /// A momentum of 0 has no dampening, whatever it is set to.
    fn shared(&self) -> Sgd {
        let momentum = if self.dampening == 0.0 { 0.0 } else { self.momentum };
        Sgd { lr: 0.0, weight_decay: 0.0, momentum, ..*self }
    }

    fn exact(&self, parameter: &mut Tensor, mut gradient: Tensor, memory: &mut [Tensor], lr: f64, step: u64) {
        if let [buffer] = memory {
            if step == 1 {
                buffer.copy_(&gradient);
            } else {
                let _ = buffer.g_mul_scalar_(self.momentum);
                add_scaled(buffer, &gradient, 1.0 - self.dampening);
            }
            if self.nesterov {
                gradient = gradient.copy();
                add_scaled(&mut gradient, buffer, self.momentum);
            } else {
                gradient = buffer.shallow_clone();
            }
        }
        add_scaled(parameter, &gradient, -lr);
    }

    fn packed(&self, parameters: &mut Tensor, mut gradient: Tensor, memory: &mut [Tensor], members: &Members) {
        if let [buffer] = memory {
            if members.is_first_step {
                buffer.copy_(&gradient);
            } else {
                let _ = buffer.g_mul_(members.momentum);
                add_scaled(buffer, &gradient, 1.0 - self.dampening);
            }
            gradient = if self.nesterov { gradient + &*buffer * members.momentum } else { buffer.shallow_clone() };
        }
        add_product(parameters, &gradient, members.rate, -1.0);
    }
}
