//! The optimizers' options.

use crate::options::{AMOUNT, BELOW_ONE, Key, RATE, Takes, Variant, at_most, key, variant};

pub const OPTIMIZERS: &[Variant] = &[
    variant("sgd", SGD, "torch.optim.SGD", "stochastic gradient descent"),
    variant("adam", ADAM, "torch.optim.Adam", "Kingma and Ba 2015"),
    variant("adamw", ADAMW, "torch.optim.AdamW", "Adam with decoupled weight decay, Loshchilov and Hutter 2019"),
    variant("rmsprop", RMSPROP, "torch.optim.RMSprop", "Hinton 2012"),
    variant("adagrad", ADAGRAD, "torch.optim.Adagrad", "Duchi et al. 2011"),
];

const LR: Key = key("lr", RATE, "learning rate");
const BETAS: Key = key("betas", Takes::List(&BELOW_ONE, 2, 2), "coefficients of the two running means");
const EPS: Key = key("eps", AMOUNT, "added to the denominator");
const WEIGHT_DECAY: Key = key("weight_decay", AMOUNT, "share of the weights in each step");
const AMSGRAD: Key = key("amsgrad", Takes::Flag, "the largest second moment so far");

pub const SGD: &[Key] = &[
    LR.or("0.001"),
    key("momentum", BELOW_ONE, "share of the last step that is kept").or("0"),
    key("dampening", at_most(1.0), "share of the gradient that momentum leaves out").or("0"),
    key("nesterov", Takes::Flag, "Nesterov's momentum").or("false"),
    WEIGHT_DECAY.or("0"),
];

pub const ADAM: &[Key] =
    &[LR.or("0.001"), BETAS.or("[0.9, 0.999]"), EPS.or("1e-8"), WEIGHT_DECAY.or("0"), AMSGRAD.or("false")];

pub const ADAMW: &[Key] =
    &[LR.or("0.001"), BETAS.or("[0.9, 0.999]"), EPS.or("1e-8"), WEIGHT_DECAY.or("0.01"), AMSGRAD.or("false")];

pub const RMSPROP: &[Key] = &[
    LR.or("0.01"),
    key("alpha", BELOW_ONE, "coefficient of the running mean of squares").or("0.99"),
    EPS.or("1e-8"),
    WEIGHT_DECAY.or("0"),
    key("momentum", BELOW_ONE, "share of the last step that is kept").or("0"),
    key("centered", Takes::Flag, "divide by the gradient's variance").or("false"),
];

pub const ADAGRAD: &[Key] = &[
    LR.or("0.01"),
    key("lr_decay", AMOUNT, "how the rate falls with the steps").or("0"),
    WEIGHT_DECAY.or("0"),
    key("initial_accumulator_value", AMOUNT, "where the sum of squares starts").or("0"),
    EPS.or("1e-10"),
];
