//! The five networks, each declared as a list of layers that reads like its description.

mod layer;

pub use layer::{Layer, Table, TableRow, Weights, table};

use crate::record::CLASSES;
use crate::spec::config::{Config, Model, Pool};
use layer::{act, avg_pool, batch_norm, conv, conv_padded, dense, dropout, flatten, max_pool, shortcut, sum};

/// Channels and sides of an image.
pub const INPUT_SHAPE: [i64; 3] = [3, 32, 32];

/// How a network halves its images' sides.
type Halve = fn(i64) -> Layer;

/// [N, 3, 32, 32] → logits [N, 10].
pub fn layers(config: &Config) -> Vec<Layer> {
    // After every hidden dense layer.
    let p = config.regularization.dropout;
    let pool: Halve = match config.pooling() {
        Pool::Avg => avg_pool,
        Pool::Max => max_pool,
    };
    match &config.model {
        Model::Lenet5 { channels, dense } | Model::Lenet5Dropout { channels, dense } => lenet(channels, pool, dense, p),
        Model::KerasCnn { channels, dense } => keras_cnn(channels, pool, dense, p),
        Model::LeakyCnn { channels, convs_per_block, dense } => leaky_cnn(channels, *convs_per_block, pool, dense, p),
        Model::Resnet { channels, dense } => resnet(channels, pool, dense, p),
    }
}

/// The layer table of the network that `config` describes.
pub fn table_of(config: &Config) -> Table {
    table(&layers(config), INPUT_SHAPE)
}

/// LeCun et al. 1998, on three colour planes; with max pooling and dropout it is `lenet5_dropout`.
fn lenet(channels: &[i64], pool: Halve, hidden: &[i64], p: f64) -> Vec<Layer> {
    let mut layers = vec![];
    for &out in channels {
        layers.extend([conv(out, 5), act(), pool(2)]);
    }
    with_classifier(layers, hidden, p)
}

/// The convolutional network of the Keras tutorials, with one more convolution.
fn keras_cnn(channels: &[i64], pool: Halve, hidden: &[i64], p: f64) -> Vec<Layer> {
    let mut layers = vec![conv(channels[0], 3), act(), pool(2)];
    for &out in &channels[1..] {
        layers.extend([conv(out, 3), act()]);
    }
    layers.push(pool(2));
    with_classifier(layers, hidden, p)
}

fn leaky_cnn(channels: &[i64], convs_per_block: i64, pool: Halve, hidden: &[i64], p: f64) -> Vec<Layer> {
    let mut layers = vec![];
    for &out in channels {
        for _ in 0..convs_per_block {
            layers.extend([conv_padded(out, 3), act()]);
        }
        layers.push(pool(2));
    }
    with_classifier(layers, hidden, p)
}

/// Five stages, each fed by the stage before and by the pooled input image.
fn resnet(channels: &[i64], pool: Halve, hidden: &[i64], p: f64) -> Vec<Layer> {
    const CONVS_PER_STAGE: [usize; 5] = [2, 2, 3, 3, 3];
    let mut layers = vec![];
    for (stage, (&out, convs)) in channels.iter().zip(CONVS_PER_STAGE).enumerate() {
        let main: Vec<Layer> = (0..convs).flat_map(|_| [conv_padded(out, 3), act()]).collect();
        let from_input = match stage {
            0 => vec![shortcut(out)],
            _ => vec![avg_pool(1 << stage), shortcut(out)],
        };
        let from_previous = if stage == 0 { vec![] } else { vec![shortcut(out)] };
        layers.extend([sum(main, from_input, from_previous), batch_norm(), pool(2)]);
    }
    with_classifier(layers, hidden, p)
}

fn with_classifier(mut layers: Vec<Layer>, hidden: &[i64], p: f64) -> Vec<Layer> {
    layers.push(flatten());
    for &width in hidden {
        layers.extend([dense(width), act(), dropout(p)]);
    }
    layers.push(dense(CLASSES as i64));
    layers
}
