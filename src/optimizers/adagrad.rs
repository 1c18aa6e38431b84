use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Common, EPS, LR, Members, Rule, WEIGHT_DECAY};
use crate::native::{add_product, add_quotient};
use crate::options::{AMOUNT, Key, Variant, key, variant};

pub const VARIANT: Variant = variant("adagrad", KEYS, "torch.optim.Adagrad", "Duchi et al. 2011");

const KEYS: &[Key] = &[
    LR.or("0.01"),
    key("lr_decay", AMOUNT, "how the rate falls with the steps").or("0"),
    WEIGHT_DECAY.or("0"),
    key("initial_accumulator_value", AMOUNT, "where the sum of squares starts").or("0"),
    EPS.or("1e-10"),
];

/// `torch.optim.adagrad._single_tensor_adagrad`. Duchi et al. 2011.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adagrad {
    pub lr: f64,
    pub lr_decay: f64,
    pub weight_decay: f64,
    pub initial_accumulator_value: f64,
    pub eps: f64,
}

impl Rule for Adagrad {
    fn common(&self) -> Common {
        Common { lr: self.lr, momentum: 0.0, weight_decay: self.weight_decay }
    }

    fn memory(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn initial(&self) -> f64 {
        self.initial_accumulator_value
    }

    fn shared(&self) -> Adagrad {
        Adagrad { lr: 0.0, weight_decay: 0.0, ..*self }
    }

    fn exact(&self, parameter: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], lr: f64, step: u64) {
        let [rate, _] = self.rates(lr, step);
        add_product(&mut memory[0], &gradient, &gradient, 1.0);
        add_quotient(parameter, &gradient, &memory[0].sqrt().g_add_scalar_(self.eps), -rate);
    }

    fn rates(&self, lr: f64, step: u64) -> [f64; 2] {
        [lr / (1.0 + (step - 1) as f64 * self.lr_decay), 1.0]
    }

    fn packed(&self, parameters: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], members: &Members) {
        add_product(&mut memory[0], &gradient, &gradient, 1.0);
        let _ = parameters.g_sub_(&(gradient / (memory[0].sqrt() + self.eps)).g_mul_(members.rate));
    }
}
