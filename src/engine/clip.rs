//! Gradient clipping before a step, as `torch.nn.utils` computes it.

use tch::Tensor;

use crate::spec::config::Clip;

/// `clip_grad_norm_`'s guard against a zero norm.
const NORM_EPSILON: f64 = 1e-6;

pub fn clip(gradients: &mut [Tensor], rule: Clip) {
    match rule {
        Clip::None => {}
        Clip::Norm(largest) => {
            let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
            let total = Tensor::stack(&norms, 0).norm();
            let factor = ((total + NORM_EPSILON).reciprocal() * largest).clamp_max(1.0);
            gradients.iter_mut().for_each(|gradient| drop(gradient.g_mul_(&factor)));
        }
        Clip::Value(largest) => gradients.iter_mut().for_each(|gradient| drop(gradient.clamp_(-largest, largest))),
    }
}
