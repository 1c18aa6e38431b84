//! The optimizers of `torch.optim`, one file each: its settings, what it remembers of past gradients, and its step twice. `exact`
//! is PyTorch 2.11.0's own order of operations on one tensor (foreach and single-tensor agree on the CPU; libtorch's C++
//! optimizers take other steps and differ from Python in the last bits). `packed` is the same formula over a matrix of
//! parameters with a row a trial, whose last bits are its own.

mod adagrad;
mod adam;
mod adamw;
mod rmsprop;
mod sgd;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::native::{self, add_scaled};
use crate::options::{AMOUNT, Key, RATE, Variant, key};

const LR: Key = key("lr", RATE, "learning rate");
const EPS: Key = key("eps", AMOUNT, "added to the denominator");
const WEIGHT_DECAY: Key = key("weight_decay", AMOUNT, "share of the weights in each step");

/// One optimizer with its settings.
pub trait Rule {
    fn common(&self) -> Common;

    /// Why its settings cannot be computed with rates up to `highest_rate`: the key that is to blame (`.nesterov`, or none) and
    /// the problem.
    fn objection(&self, _highest_rate: f64) -> Option<(&'static str, String)> {
        None
    }

    /// Whether weight decay shrinks the parameters themselves and stays out of the gradient. Loshchilov and Hutter 2019.
    fn is_decoupled(&self) -> bool {
        false
    }

    /// PyTorch's names of the tensors kept for each parameter.
    fn memory(&self) -> &'static [&'static str];

    /// What these tensors are full of before the first step.
    fn initial(&self) -> f64 {
        0.0
    }

    /// What is left of the settings once those are taken out that trials may differ in which are computed together.
    fn shared(&self) -> Self
    where
        Self: Sized;

    /// Moves `parameter` by `gradient`, which has the weight decay in it unless that is decoupled, at rate `lr`. `step` is counted from 1.
    fn exact(&self, parameter: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], lr: f64, step: u64);

    /// `lr` with what the number of the step makes of it, and a second number of that kind.
    fn rates(&self, lr: f64, _step: u64) -> [f64; 2] {
        [lr, 1.0]
    }

    /// [`Rule::exact`] for columns of the parameters [K, P] of a pack, with a gradient and memory of that shape. After the first
    /// step the operations are always the same ones.
    fn packed(&self, parameters: &mut Tensor, gradient: Tensor, memory: &mut [Tensor], members: &Members);

    /// The numbers of a step in libtorch's own loop, where it has one.
    fn fused(&self, _lr: f64, _weight_decay: f64, _step: u64) -> Option<native::Adam> {
        None
    }
}

/// What every optimizer has, be it 0.
pub struct Common {
    /// As configured; a schedule moves it.
    pub lr: f64,
    pub momentum: f64,
    /// PyTorch's `weight_decay`.
    pub weight_decay: f64,
}

/// What the members of a pack have of their own in a step.
pub struct Members<'a> {
    /// float32 [K, 1], as the next: what [`Rule::rates`] gives.
    pub rate: &'a Tensor,
    pub second: &'a Tensor,
    pub momentum: &'a Tensor,
    /// No member has momentum.
    pub no_momentum: bool,
    /// What a decoupled weight decay leaves of a parameter.
    pub kept: &'a Tensor,
    /// No member has weight decay.
    pub no_weight_decay: bool,
    pub is_first_step: bool,
}

/// The enum of all optimizers, by the files that have them.
macro_rules! optimizers {
    ($($file:ident::$Name:ident),* $(,)?) => {
        $(pub use $file::$Name;)*

        /// As the table of keys has them.
        pub const VARIANTS: &[Variant] = &[$($file::VARIANT),*];

        /// `torch.optim`'s optimizers with their options and defaults. No number is larger than float32's largest.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        pub enum Optimizer {
            $($Name($Name)),*
        }

        impl Optimizer {
            pub fn rule(&self) -> &dyn Rule {
                match self {
                    $(Optimizer::$Name(rule) => rule),*
                }
            }

            /// See [`Rule::shared`].
            pub fn shared(&self) -> Optimizer {
                match self {
                    $(Optimizer::$Name(rule) => Optimizer::$Name(rule.shared())),*
                }
            }
        }
    };
}

optimizers! {
    sgd::Sgd,
    adam::Adam,
    adamw::Adamw,
    rmsprop::Rmsprop,
    adagrad::Adagrad,
}

/// One step of `rule` on `parameter`, with its weight decay in the gradient unless the rule decouples it.
pub fn step(rule: &dyn Rule, parameter: &mut Tensor, gradient: &Tensor, memory: &mut [Tensor], lr: f64, step: u64) {
    let Common { weight_decay, .. } = rule.common();
    let mut gradient = gradient.shallow_clone();
    if weight_decay != 0.0 && !rule.is_decoupled() {
        gradient = gradient.copy();
        add_scaled(&mut gradient, parameter, weight_decay);
    }
    rule.exact(parameter, gradient, memory, lr, step);
}
