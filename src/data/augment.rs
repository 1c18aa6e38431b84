//! Random changes to a training batch, computed for the whole batch at once.
//!
//! All draws come from the CPU's default generator, wherever the images are, each for the whole batch, only for the parts
//! that are on.

use std::f64::consts::PI;
use std::slice::Iter;

use tch::{Device, IndexOp, Kind, Tensor};

use crate::spec::config::Augment;

const SIDE: i64 = 32;
const BILINEAR: i64 = 0;
const BORDER: i64 = 1;

/// What is drawn for a batch of `count` images, each [count] and on `device`: whether each is mirrored, its angle, its two
/// shifts, and where its window and its hole are.
pub fn draw(settings: &Augment, count: i64, device: Device) -> Vec<Tensor> {
    let uniform = || Tensor::rand([count], (Kind::Float, Device::Cpu)).to_device(device);
    let place = |limit: i64| Tensor::randint(limit, [count], (Kind::Int64, Device::Cpu)).to_device(device);
    let mut drawn = vec![];
    if settings.flip {
        drawn.push(uniform());
    }
    if settings.rotation > 0.0 {
        drawn.push(uniform());
    }
    if settings.shift > 0.0 {
        drawn.extend([uniform(), uniform()]);
    }
    if settings.crop > 0 {
        let starts = 2 * settings.crop + 1;
        drawn.extend([place(starts), place(starts)]);
    }
    if settings.cutout > 0 {
        drawn.extend([place(SIDE), place(SIDE)]);
    }
    drawn
}

/// float32 [n, 3, 32, 32] → the same shape, by what [`draw`] drew for them on the images' device.
pub fn augment(images: Tensor, settings: &Augment, drawn: &[Tensor]) -> Tensor {
    let mut drawn = drawn.iter();
    let images = move_and_mirror(images, settings, &mut drawn);
    let images = if settings.crop > 0 { padded_crop(&images, settings.crop, &mut drawn) } else { images };
    if settings.cutout > 0 { cutout(&images, settings.cutout, &mut drawn) } else { images }
}

fn next<'a>(drawn: &mut Iter<'a, Tensor>) -> &'a Tensor {
    drawn.next().expect("drawn for these settings")
}

/// Flip, rotation and shift. One bilinear sampling with repeated edges unless only flips are asked for, which move whole
/// pixels and need none.
fn move_and_mirror(images: Tensor, settings: &Augment, drawn: &mut Iter<Tensor>) -> Tensor {
    let count = images.size()[0];
    let options = (Kind::Float, images.device());
    let flip = settings.flip.then(|| next(drawn).lt(0.5));
    let mut symmetric = |reach: f64| (next(drawn) * 2.0 - 1.0) * reach;
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
fn padded_crop(images: &Tensor, padding: i64, drawn: &mut Iter<Tensor>) -> Tensor {
    let count = images.size()[0];
    let device = images.device();
    let (rows, columns) = (window(next(drawn)), window(next(drawn)));
    let padded = images.constant_pad_nd([padding; 4]);
    let image = Tensor::arange(count, (Kind::Int64, device)).view([-1, 1, 1]);
    // Advanced indices around a slice put the sliced axis last: [n, 32, 32, 3].
    padded
        .permute([0, 2, 3, 1])
        .index(&[Some(image), Some(rows.unsqueeze(2)), Some(columns.unsqueeze(1))])
        .permute([0, 3, 1, 2])
        .contiguous()
}

/// i64 [n, 32]: the positions of windows that start at `starts`, i64 [n].
fn window(starts: &Tensor) -> Tensor {
    starts.unsqueeze(1) + Tensor::arange(SIDE, (Kind::Int64, starts.device())).unsqueeze(0)
}

/// A zero square of `side` around a random pixel, cut off at the edges. DeVries and Taylor 2017.
fn cutout(images: &Tensor, side: i64, drawn: &mut Iter<Tensor>) -> Tensor {
    let mut inside = || {
        let start = next(drawn).unsqueeze(1) - side / 2;
        let position = Tensor::arange(SIDE, (Kind::Int64, images.device())).unsqueeze(0);
        position.ge_tensor(&start).logical_and(&position.lt_tensor(&(&start + side)))
    };
    let rows = inside();
    let columns = inside();
    let hole = rows.unsqueeze(2).logical_and(&columns.unsqueeze(1)).i((.., tch::NewAxis, .., ..));
    images.masked_fill(&hole, 0.0)
}
