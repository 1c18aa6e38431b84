//! Random changes to a training batch, computed for the whole batch at once.
//!
//! All draws come from the CPU's default generator, wherever the images are, each for the whole batch, only for the parts
//! that are on, in the order of the code below.

use std::f64::consts::PI;

use tch::{Device, IndexOp, Kind, Tensor};

use crate::spec::config::Augment;

const SIDE: i64 = 32;
const BILINEAR: i64 = 0;
const BORDER: i64 = 1;

/// float32 [n, 3, 32, 32] → the same shape.
pub fn augment(images: Tensor, settings: &Augment) -> Tensor {
    let images = move_and_mirror(images, settings);
    let images = if settings.crop > 0 { padded_crop(&images, settings.crop) } else { images };
    if settings.cutout > 0 { cutout(&images, settings.cutout) } else { images }
}

/// Flip, rotation and shift. One bilinear sampling with repeated edges unless only flips are asked for, which move whole
/// pixels and need none.
fn move_and_mirror(images: Tensor, settings: &Augment) -> Tensor {
    let count = images.size()[0];
    let options = (Kind::Float, images.device());
    let draw = || Tensor::rand([count], (Kind::Float, Device::Cpu)).to_device(images.device());
    let symmetric = |reach: f64| (draw() * 2.0 - 1.0) * reach;
    let flip = settings.flip.then(|| draw().lt(0.5));
    let angle = (settings.rotation > 0.0).then(|| symmetric(settings.rotation * (PI / 180.0)));
    let shift = (settings.shift > 0.0).then(|| {
        let reach = 2.0 * settings.shift; // in the grid's units the side is 2
        let dx = symmetric(reach);
        (dx, symmetric(reach))
    });
    if angle.is_none() && shift.is_none() {
        return match flip {
            Some(flip) => images.flip([3]).where_self(&flip.view([-1, 1, 1, 1]), &images),
            None => images,
        };
    }
    let zeros = || Tensor::zeros([count], options);
    let mirror = flip.map_or_else(|| Tensor::ones([count], options), |flip| flip.to_kind(Kind::Float) * -2.0 + 1.0);
    let (cos, sin) = match angle {
        Some(angle) => (angle.cos(), angle.sin()),
        None => (Tensor::ones([count], options), zeros()),
    };
    let (dx, dy) = shift.unwrap_or_else(|| (zeros(), zeros()));
    let rows = [&cos * &mirror, -&sin, dx, &sin * &mirror, cos, dy];
    let theta = Tensor::stack(&rows, 1).view([count, 2, 3]);
    let grid = Tensor::affine_grid_generator(&theta, images.size(), false);
    images.grid_sampler(&grid, BILINEAR, BORDER, false)
}

/// Zero padding on each side, then a 32×32 window at a random place.
fn padded_crop(images: &Tensor, padding: i64) -> Tensor {
    let count = images.size()[0];
    let device = images.device();
    let rows = window(2 * padding + 1, count, device);
    let columns = window(2 * padding + 1, count, device);
    let padded = images.constant_pad_nd([padding; 4]);
    let image = Tensor::arange(count, (Kind::Int64, device)).view([-1, 1, 1]);
    // Advanced indices around a slice put the sliced axis last: [n, 32, 32, 3].
    padded
        .permute([0, 2, 3, 1])
        .index(&[Some(image), Some(rows.unsqueeze(2)), Some(columns.unsqueeze(1))])
        .permute([0, 3, 1, 2])
        .contiguous()
}

/// i64 [n, 32]: the positions of a window that starts at a random place below `starts`.
fn window(starts: i64, count: i64, device: Device) -> Tensor {
    random_places(starts, count, device).unsqueeze(1) + Tensor::arange(SIDE, (Kind::Int64, device)).unsqueeze(0)
}

/// i64 [n] below `limit`.
fn random_places(limit: i64, count: i64, device: Device) -> Tensor {
    Tensor::randint(limit, [count], (Kind::Int64, Device::Cpu)).to_device(device)
}

/// A zero square of `side` around a random pixel, cut off at the edges. DeVries and Taylor 2017.
fn cutout(images: &Tensor, side: i64) -> Tensor {
    let count = images.size()[0];
    let device = images.device();
    let inside = || {
        let start = random_places(SIDE, count, device).unsqueeze(1) - side / 2;
        let position = Tensor::arange(SIDE, (Kind::Int64, device)).unsqueeze(0);
        position.ge_tensor(&start).logical_and(&position.lt_tensor(&(&start + side)))
    };
    let rows = inside();
    let columns = inside();
    let hole = rows.unsqueeze(2).logical_and(&columns.unsqueeze(1)).i((.., tch::NewAxis, .., ..));
    images.masked_fill(&hole, 0.0)
}
