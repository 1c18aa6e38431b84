//! An activation and the pooling after it in one pass over memory. The C++ side is `pooling.cpp`.

use std::ffi::{c_char, c_int};

use tch::Tensor;
use torch_sys::C_tensor;

use super::returned;

unsafe extern "C" {
    fn runner_activate_and_pool(
        input: *const C_tensor,
        curve: c_int,
        slopes: *const C_tensor,
        largest: c_int,
        side: i64,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// The activations that have a kernel, as `torch.nn.functional` defines them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    Tanh,
    Relu,
    LeakyRelu,
    Sigmoid,
    Elu,
    /// Falls before it rises.
    Silu,
}

impl Curve {
    /// Whether there is a kernel for both: the largest input gives the largest output of a curve that never falls.
    pub fn has(self, pooling: Pooling) -> bool {
        self != Curve::Silu || pooling == Pooling::Average
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pooling {
    Average,
    Largest,
}

/// `F.avg_pool2d(curve(input), side)` or `F.max_pool2d(curve(input), side)`, with gradients, on one thread. `input` is float32
/// or bfloat16 [N, C, H, W] on a CPU; `slopes`, float32 [K], are what LeakyReLU multiplies negative numbers by, each that of C / K
/// channels. Returns [N, C, H / side, W / side] of the same kind; both lie in memory as NHWC. Differs from libtorch's by rounding: what
/// is computed between two numbers in bfloat16 is float32.
pub fn activate_and_pool(input: &Tensor, curve: Curve, slopes: &Tensor, pooling: Pooling, side: i64) -> Tensor {
    assert!(curve.has(pooling), "no such kernel");
    let (curve, largest) = (curve as c_int, (pooling == Pooling::Largest).into());
    returned(|out| unsafe { runner_activate_and_pool(input.as_ptr(), curve, slopes.as_ptr(), largest, side, out) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Reduction};

    use super::*;

    const CURVES: [Curve; 6] = [Curve::Tanh, Curve::Relu, Curve::LeakyRelu, Curve::Sigmoid, Curve::Elu, Curve::Silu];
    /// With the side of a window.
    const SHAPES: [([i64; 4], i64); 4] = [([3, 6, 8, 8], 2), ([2, 32, 5, 7], 2), ([2, 4, 9, 7], 3), ([1, 2, 1, 4], 1)];

    fn kernels() -> impl Iterator<Item = (Curve, Pooling)> {
        let both = |curve| [(curve, Pooling::Average), (curve, Pooling::Largest)];
        CURVES.into_iter().flat_map(both).filter(|(curve, pooling)| curve.has(*pooling))
    }

    /// float64, from a fixed sequence: some large, some small, some equal to their neighbours, as white pictures make them.
    fn input(shape: &[i64]) -> Tensor {
        let count: i64 = shape.iter().product();
        let at = Tensor::arange(count, (Kind::Double, Device::Cpu));
        let waves = (&at * 0.37).sin() * 4.0 + (&at * 1.91).cos().pow_tensor_scalar(9.0) * 30.0;
        let equal = at.remainder(50.0).lt(20.0).to_kind(Kind::Double);
        let other: Tensor = 1.0 - &equal;
        (waves * other + equal * 0.5).view(shape)
    }

    fn slopes_of_channels(slopes: &Tensor, channels: i64) -> Tensor {
        slopes.repeat_interleave_self_int(channels / slopes.size()[0], 0, None).view([1, -1, 1, 1])
    }

    /// By libtorch.
    fn separately(x: &Tensor, curve: Curve, slopes: &Tensor, pooling: Pooling, side: i64) -> Tensor {
        let y = match curve {
            Curve::Tanh => x.tanh(),
            Curve::Relu => x.relu(),
            Curve::LeakyRelu => {
                let slopes = slopes_of_channels(slopes, x.size()[1]).to_kind(x.kind());
                x.where_self(&x.gt(0.0), &(x * slopes))
            }
            Curve::Sigmoid => x.sigmoid(),
            Curve::Elu => x.elu(),
            Curve::Silu => x.silu(),
        };
        match pooling {
            Pooling::Average => y.avg_pool2d([side, side], [side, side], [0, 0], false, true, None),
            Pooling::Largest => y.max_pool2d([side, side], [side, side], [0, 0], [1, 1], false),
        }
    }

    /// The output and the gradient of a sum that weights every number of it differently.
    fn with_gradient(x: &Tensor, pool: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
        let x = x.detach().set_requires_grad(true);
        let y = pool(&x);
        let weights = (Tensor::arange(y.numel() as i64, (Kind::Double, Device::Cpu)) * 0.7).cos().view_as(&y);
        let gradient = Tensor::run_backward(&[(&y * weights.to_kind(y.kind())).sum(y.kind())], &[&x], false, false);
        (y.detach(), gradient[0].shallow_clone())
    }

    fn error(found: &Tensor, right: &Tensor) -> f64 {
        found.to_kind(Kind::Double).l1_loss(right, Reduction::None).max().double_value(&[])
            / right.abs().max().double_value(&[])
    }

    #[test]
    fn equals_libtorchs_two_steps_for_every_activation_pooling_and_shape() {
        let slopes = Tensor::from_slice(&[0.3f32, 0.01]);
        for (curve, pooling) in kernels() {
            for (shape, side) in SHAPES {
                let x = input(&shape);
                let right = with_gradient(&x, |x| separately(x, curve, &slopes, pooling, side));
                let single = x.to_kind(Kind::Float);
                let found = with_gradient(&single, |x| activate_and_pool(x, curve, &slopes, pooling, side));
                let errors = (error(&found.0, &right.0), error(&found.1, &right.1));
                assert!(errors.0 < 1e-6 && errors.1 < 1e-6, "{curve:?} {pooling:?} {shape:?}: {errors:?}");
            }
        }
    }

    /// Half a unit in the last place of bfloat16's 8 bits, of the result and of the weights that its gradient is given.
    #[test]
    fn bfloat16_is_rounded_once() {
        let slopes = Tensor::from_slice(&[0.25f32, 0.0625]);
        for (curve, pooling) in kernels() {
            for (shape, side) in SHAPES {
                let x = input(&shape).to_kind(Kind::BFloat16);
                let own = |x: &Tensor| activate_and_pool(x, curve, &slopes, pooling, side);
                let (found, gradient) = with_gradient(&x, own);
                let (right, right_gradient) = with_gradient(&x.to_kind(Kind::Float), own);
                assert_eq!((found.kind(), gradient.kind()), (Kind::BFloat16, Kind::BFloat16));
                assert!(found == right.to_kind(Kind::BFloat16), "{curve:?} {pooling:?} {shape:?}");
                let error = error(&gradient, &right_gradient.to_kind(Kind::Double));
                assert!(error < 1.0 / 128.0, "{curve:?} {pooling:?} {shape:?}: {error}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let slopes = Tensor::from_slice(&[0.1f32]);
        for at in 0..4 {
            let mut numbers = [0.5f32; 4];
            numbers[at] = f32::NAN;
            let x = Tensor::from_slice(&numbers).view([1, 1, 2, 2]);
            for (curve, pooling) in kernels() {
                for kind in [Kind::Float, Kind::BFloat16] {
                    let y = activate_and_pool(&x.to_kind(kind), curve, &slopes, pooling, 2);
                    assert!(y.double_value(&[0, 0, 0, 0]).is_nan(), "{curve:?} {pooling:?} {kind:?} {at}");
                }
            }
        }
    }

    #[test]
    fn the_largest_and_smallest_numbers_give_what_libtorch_gives() {
        let slopes = Tensor::from_slice(&[0.1f32]);
        let x = Tensor::from_slice(&[-1e30f32, 1e30, -200.0, 200.0, -88.5, 88.5, 1e-30, -1e-30]).view([1, 1, 2, 4]);
        for curve in CURVES {
            let one = |x: &Tensor| activate_and_pool(x, curve, &slopes, Pooling::Average, 1);
            let (found, right) =
                (with_gradient(&x, one), with_gradient(&x, |x| separately(x, curve, &slopes, Pooling::Average, 1)));
            for (found, right) in [(&found.0, &right.0), (&found.1, &right.1)] {
                assert!(found.allclose(right, 1e-6, 1e-30, false), "{curve:?}: {found} {right}");
            }
        }
    }
}
