use super::adam::{AMSGRAD, BETAS};
use super::{Adam, EPS, LR, WEIGHT_DECAY};
use crate::options::{Key, Variant, variant};

pub const VARIANT: Variant =
    variant("adamw", KEYS, "torch.optim.AdamW", "Adam with decoupled weight decay, Loshchilov and Hutter 2019");

const KEYS: &[Key] =
    &[LR.or("0.001"), BETAS.or("[0.9, 0.999]"), EPS.or("1e-8"), WEIGHT_DECAY.or("0.01"), AMSGRAD.or("false")];

/// Adam, whose file has the steps, with a weight decay that shrinks the parameters themselves. `torch.optim.AdamW`; Loshchilov and Hutter 2019.
pub type Adamw = Adam<true>;
