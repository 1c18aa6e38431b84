//! Convolutions of small images as one matrix product of their windows (im2col). On images of 4x4 or less the CPU's
//! convolutions fill a fraction of their tiles: a 3x3 one of 512 channels on 2x2 takes six times as long in bfloat16.

use tch::Tensor;

/// The widest images that are quicker this way.
const LARGEST_SIDE: i64 = 4;
/// Fewer channels do not pay for the copies: of 64 on 4x4 it takes twice as long.
const FEWEST_CHANNELS: i64 = 256;

/// Whether [`convolve`] is the quicker way on a CPU for images [N, groups·C, H, W] and weight [groups·O, C, k, k].
pub fn pay(images: &Tensor, weight: &Tensor) -> bool {
    let [_, _, height, width] = images.size()[..] else { return false };
    let [_, channels, kernel, _] = weight.size()[..] else { return false };
    kernel > 1 && channels >= FEWEST_CHANNELS && height.max(width) <= LARGEST_SIDE
}

/// `F.conv2d(images, weight, bias, padding=padding, groups=groups)` of images [N, groups·C, H, W], weight
/// [groups·O, C, k, k] and bias [groups·O], images and weight in NHWC order in memory; returns [N, groups·O, H', W'].
pub fn convolve(images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: i64, groups: i64) -> Tensor {
    let [images, weights] = [(images, 1), (weight, 0)].map(|(all, split)| all.chunk(groups, split));
    let biases = bias.map(|bias| bias.chunk(groups, 0)).unwrap_or_default();
    let each = images.iter().zip(&weights).enumerate();
    let outputs: Vec<Tensor> =
        each.map(|(group, (images, weight))| product(images, weight, biases.get(group), padding)).collect();
    Tensor::cat(&outputs, 1)
}

/// [`convolve`] with one operation for all groups, whose windows it all copies: for a GPU, where to start operations costs more.
pub fn convolve_at_once(images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: i64, groups: i64) -> Tensor {
    let (out, input, kernel, _) = weight.size4().expect("[groups * O, C, k, k]");
    let padded = images.constant_pad_nd([padding; 4]);
    // [N, groups·C, H', W', k, k]
    let windows = padded.unfold(2, kernel, 1).unfold(3, kernel, 1);
    let [count, _, height, width, ..] = windows.size()[..] else { unreachable!("six sides") };
    let windows = windows.reshape([count, groups, input, height, width, kernel, kernel]).permute([1, 2, 5, 6, 0, 3, 4]);
    let columns = windows.reshape([groups, input * kernel * kernel, -1]);
    let kernels = weight.reshape([groups, out / groups, -1]);
    let output = match bias {
        Some(bias) => bias.view([groups, -1, 1]).baddbmm(&kernels, &columns, 1.0, 1.0),
        None => kernels.bmm(&columns),
    };
    output.view([out, count, height, width]).permute([1, 0, 2, 3]).contiguous()
}

/// One group of [`convolve`].
fn product(images: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: i64) -> Tensor {
    let (out, kernel) = (weight.size()[0], weight.size()[2]);
    // Not `baddbmm` for all groups: it would leave the gradient of the weight transposed, which is slow to undo.
    let matrix = weight.permute([0, 2, 3, 1]).reshape([out, -1]);
    windows(&images.permute([0, 2, 3, 1]), kernel, padding).linear(&matrix, bias).permute([0, 3, 1, 2])
}

/// [N, H, W, C] → [N, H', W', k·k·C], a window in the order of a kernel in memory.
fn windows(images: &Tensor, kernel: i64, padding: i64) -> Tensor {
    let padded = images.constant_pad_nd([0, 0, padding, padding, padding, padding]);
    let shifted = |x: &Tensor, dimension: i64| {
        let side = x.size()[dimension as usize] - kernel + 1;
        let shifts: Vec<Tensor> = (0..kernel).map(|shift| x.narrow(dimension, shift, side)).collect();
        Tensor::cat(&shifts, -1)
    };
    shifted(&shifted(&padded, 2), 1)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    #[test]
    fn pays_on_small_images_of_many_channels_only() {
        let zeros = |shape: [i64; 4]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let pays =
            |channels, side, kernel| pay(&zeros([2, channels, side, side]), &zeros([4, channels, kernel, kernel]));
        assert!(pays(256, 4, 3) && pays(512, 2, 3));
        assert!(!pays(512, 8, 3) && !pays(512, 2, 1) && !pays(64, 4, 3));
    }
}
