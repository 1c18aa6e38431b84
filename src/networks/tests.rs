use serde_json::json;

use super::*;

fn network(json: serde_json::Value) -> Table {
    let model: Model = serde_json::from_value(json).unwrap();
    table(&model.layers(None, 10), 0.0)
}

/// The counts that the five published systems state.
#[test]
fn parameter_counts_are_the_published_ones() {
    let parameters = |json| network(json).parameters();
    assert_eq!(parameters(json!({"name": "lenet5", "channels": [6, 16], "dense": [120, 84]})), 62_006);
    assert_eq!(parameters(json!({"name": "lenet5_dropout", "channels": [6, 16], "dense": [120, 84]})), 62_006);
    assert_eq!(parameters(json!({"name": "keras_cnn", "channels": [32, 64, 128], "dense": [128]})), 504_266);
    // 3·32·9+32, 32·64·9+64, 4096·128+128 and 128·10+10.
    let leaky_cnn = json!({"name": "leaky_cnn", "channels": [32, 64], "convs_per_block": 1, "dense": [128]});
    assert_eq!(parameters(leaky_cnn), 545_098);
}

#[test]
fn resnet_costs_322_million_multiply_adds_an_image() {
    // As PyTorch counts `model.parameters()`: BatchNorm's running statistics are none.
    let widths = json!({"name": "resnet", "channels": [64, 128, 256, 512, 512], "dense": [1024, 1024, 256]});
    let resnet = network(widths);
    assert_eq!((resnet.parameters(), resnet.multiply_adds() / 1_000_000), (16_998_986, 322));
}

#[test]
fn names_count_each_kind_in_construction_order() {
    let table = network(json!({"name": "resnet", "channels": [4, 8, 8, 8, 8], "dense": [16]}));
    let names: Vec<&str> = table.rows.iter().filter(|row| row.holds_tensors()).map(|row| row.name.as_str()).collect();
    assert_eq!(&names[..9], ["conv1", "conv2", "skip1", "bn1", "conv3", "conv4", "skip2", "skip3", "bn2"]);
    assert_eq!(&names[names.len() - 2..], ["fc1", "fc2"]);
}

#[test]
fn a_resnets_shortcuts_pool_averages_whatever_the_pooling() {
    let widths = json!({"name": "resnet", "channels": [4, 8, 8, 8, 8], "dense": [16]});
    let model: Model = serde_json::from_value(widths).unwrap();
    let pools = |pool| {
        let rows = table(&model.layers(Some(pool), 10), 0.0).rows;
        let count = |kind: &str| rows.iter().filter(|row| row.operation.starts_with(kind)).count();
        (count("average pooling"), count("max pooling"))
    };
    assert_eq!((pools(Pool::Max), pools(Pool::Avg)), ((4, 5), (9, 0)));
}

#[test]
fn a_stored_network_that_is_none_is_refused_with_its_reason() {
    let error = |json| serde_json::from_value::<Model>(json).unwrap_err().to_string();
    let unknown = error(json!({"name": "lenet6", "channels": [6], "dense": []}));
    assert_eq!(unknown, "there is no network `lenet6`; valid: lenet5, lenet5_dropout, keras_cnn, leaky_cnn, resnet");
    assert_eq!(error(json!({"name": "lenet5", "channels": [6]})), "missing field `dense`");
}

#[test]
fn a_network_is_stored_as_it_always_was() {
    for text in [
        r#"{"name":"lenet5","channels":[6,16],"dense":[120,84]}"#,
        r#"{"name":"leaky_cnn","channels":[32,64],"convs_per_block":2,"dense":[]}"#,
    ] {
        let model: Model = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&model).unwrap(), text);
    }
}
