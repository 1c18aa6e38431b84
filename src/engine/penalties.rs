//! L1 and L2 terms of the training loss: for one network as PyTorch's autograd takes them, for a pack by their formulas.

use tch::{Kind, Tensor};

use super::network::Network;
use super::packed_memory::blocks;
use super::packed_network::PackedNetwork;
use crate::native::add_scaled;
use crate::spec::config::Regularization;

/// `loss` with the terms of `rule` for the kernels of `network`, and these alone.
pub fn penalized(loss: &Tensor, network: &Network, rule: Regularization) -> (Tensor, f32) {
    if rule.l1 == 0.0 && rule.l2 == 0.0 {
        return (loss.shallow_clone(), 0.0);
    }
    let kernels = network.kernels(rule.on);
    let sum = |term: fn(&Tensor) -> Tensor| {
        let first = term(kernels[0]).sum(Kind::Float);
        kernels[1..].iter().fold(first, |sum, kernel| sum + term(kernel).sum(Kind::Float))
    };
    let mut terms = vec![];
    if rule.l1 > 0.0 {
        terms.push(sum(Tensor::abs) * rule.l1);
    }
    if rule.l2 > 0.0 {
        terms.push(sum(Tensor::square) * rule.l2);
    }
    let total = terms.iter().fold(loss.shallow_clone(), |total, term| total + term);
    let penalty = terms.into_iter().reduce(|left, right| left + right).expect("a penalty is on");
    (total, penalty.double_value(&[]) as f32)
}

/// Factors of the L1 and L2 terms, float32 [K, P], 0 where none applies; none where no member has that term.
pub struct Penalties {
    l1: Option<Tensor>,
    l2: Option<Tensor>,
}

impl Penalties {
    /// Of the members with these `rules`; none where no member has one.
    pub fn new(rules: &[Regularization], network: &PackedNetwork) -> Option<Penalties> {
        if rules.iter().all(|rule| rule.l1 == 0.0 && rule.l2 == 0.0) {
            return None;
        }
        // The kernels are shared by all members that have a penalty.
        let mask = network.mask(rules[0].on);
        let factors = |of: fn(&Regularization) -> f64| {
            let values: Vec<f64> = rules.iter().map(of).collect();
            let column = Tensor::from_slice(&values).to_kind(Kind::Float).to_device(mask.device()).view([-1, 1]);
            values.iter().any(|value| *value > 0.0).then(|| column * &mask)
        };
        Some(Penalties { l1: factors(|rule| rule.l1), l2: factors(|rule| rule.l2) })
    }

    /// Adds the terms' gradient at `parameters` to `gradient`; their values, [K].
    pub fn add(&self, gradient: &Tensor, parameters: &Tensor) -> Tensor {
        let mut values = parameters.new_zeros([parameters.size()[0]], (Kind::Float, parameters.device()));
        let mut accumulate = |value: Tensor| drop(values.g_add_(&value.sum_dim_intlist(1, false, Kind::Float)));
        for (start, width) in blocks(parameters) {
            let block = |tensor: &Tensor| tensor.narrow(1, start, width);
            let (mut gradient, parameters) = (block(gradient), block(parameters));
            if let Some(factors) = &self.l1 {
                let weighted = parameters.sign() * block(factors);
                accumulate(&weighted * &parameters);
                add_scaled(&mut gradient, &weighted, 1.0);
            }
            if let Some(factors) = &self.l2 {
                let weighted = &parameters * block(factors);
                accumulate(&weighted * &parameters);
                add_scaled(&mut gradient, &weighted, 2.0);
            }
        }
        values
    }
}
