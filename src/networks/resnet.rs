//! Five stages, each fed by the stage before and by the pooled input image.

use super::layer::{ACT, Layer, conv_padded, keras_batch_norm, shortcut, tiles};
use super::network::{Architecture, BuiltIn, Halve, Pool, channels, hidden, with_dense};
use crate::options::{Key, variant};

pub const NETWORK: Architecture = Architecture {
    variant: variant("resnet", SIZES, "ResNet", "five residual stages, each also fed by the pooled input image"),
    activation: "relu",
    pool: Pool::Max,
    dropout: 0.3,
    hidden: layers,
};

const CONVS_PER_STAGE: [usize; 5] = [2, 2, 3, 3, 3];
const SIZES: &[Key] = &[channels(5, 5, "[64, 128, 256, 512, 512]"), hidden("[1024, 1024, 256]")];

/// The shortcuts take averages, whatever the pooling.
fn layers(model: &BuiltIn, pool: Halve) -> Vec<Layer> {
    let mut layers = vec![];
    for (stage, (&out, convs)) in model.channels.iter().zip(CONVS_PER_STAGE).enumerate() {
        let main: Vec<Layer> = (0..convs).flat_map(|_| [conv_padded(out, 3), ACT]).collect();
        let (from_input, from_previous) = match stage {
            0 => (vec![shortcut(out)], vec![]),
            _ => (vec![Layer::AvgPool(tiles(1 << stage)), shortcut(out)], vec![shortcut(out)]),
        };
        layers.extend([Layer::Sum { main, from_input, from_previous }, keras_batch_norm(), pool(2)]);
    }
    with_dense(layers, model)
}
