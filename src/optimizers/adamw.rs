use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Adam, Common, Members, Rule, LR, EPS, WEIGHT_DECAY};
use super::adam::{AMSGRAD, BETAS};
use crate::native;
use crate::options::{Key, Variant, variant};

pub const VARIANT: Variant = variant("adamw", KEYS, "torch.optim.AdamW", "Adam with decoupled weight decay, Loshchilov and Hutter 2019");

const KEYS: &[Key] = &[LR.or("0.001"), BETAS.or("[0.9, 0.999]"), EPS.or("1e-8"), WEIGHT_DECAY.or("0.01"), AMSGRAD.or("false")];

/// Adam with decoupled weight decay, 0.01 where none is given. `torch.optim.AdamW`; Loshchilov and Hutter 2019.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Adamw(pub Adam);

impl Rule for Adamw {
    fn common(&self) -> Common {
        self.0.common()
    }

    fn objection(&self, highest_rate: f64) -> Option<(&'static str, String)> {
        self.0.objection(highest_rate)
    }

    fn is_decoupled(&self) -> bool {
        true
    }

    fn memory(&self) -> &'static [&'static str] {
        self.0.memory()
    }

    fn shared(&self) -> Adamw {
        Adamw(self.0.shared())
    }

    fn exact(&self, parameter: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], lr: f64, step: u64) {
        self.0.exact(parameter, gradient, memory, lr, step);
    }

    fn rates(&self, lr: f64, step: u64) -> [f64; 2] {
        self.0.rates(lr, step)
    }

    fn packed(&self, parameters: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], members: &Members) {
        self.0.packed(parameters, gradient, memory, members);
    }

    fn fused(&self, lr: f64, weight_decay: f64, step: u64) -> Option<native::Adam> {
        Some(native::Adam { decoupled: true, ..self.0.fused(lr, weight_decay, step)? })
    }
}
