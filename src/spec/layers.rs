//! The layers of a user's own network: their table, how they are read, and whether each fits what the ones before it make.

use std::ops::Bound::Included;

use serde_json::{Value as Json, json};

use super::advice::example;
use super::error::{Result, all};
use super::fields::{default, typed};
use super::keys::ACTIVATIONS;
use super::layer_names::TakenNames;
use super::slot::Slot;
use super::yaml::Value;
use crate::networks::{INPUT_SHAPE, Layer, Names, shape_text};
use crate::options::*;

/// Of one list.
pub const MAX_LAYERS: usize = 500;
const WIDTH: Takes = Takes::Integer(1, 4096);
const SIDE: Takes = Takes::Integer(1, 32);
const PADDING: Key = key("padding", Takes::Integer(0, 16), "zeros around; at most half the kernel").or("0");
const NAME: Key = key("name", Takes::Text, "in the state dict").own("its kind, numbered");
const BIAS: Key = key("bias", Takes::Flag, "whether a number is added to each output").or("true");

/// What a layer can be. One that needs nothing may be written as its name alone.
pub const LAYERS: &[Key] = &[
    key("conv", Takes::Object(CONV), "square convolution").torch("nn.Conv2d"),
    key("batch_norm", Takes::Object(BATCH_NORM), "of images, and after flatten of numbers")
        .or("{}")
        .torch("nn.BatchNorm2d"),
    key("act", Takes::Named(ACTIVATIONS), "an activation").own("the configured one"),
    key("max_pool", Takes::Short(POOL), "largest of each window").torch("nn.MaxPool2d"),
    key("avg_pool", Takes::Short(POOL), "mean of each window").torch("nn.AvgPool2d"),
    key("global_avg_pool", Takes::Object(&[]), "mean of each channel").or("{}").torch("nn.AdaptiveAvgPool2d"),
    key("adaptive_avg_pool", Takes::Short(&[ADAPTIVE_OUT]), "means that make a side").torch("nn.AdaptiveAvgPool2d"),
    key("flatten", Takes::Object(&[]), "an image as a row of numbers").or("{}").torch("nn.Flatten"),
    key("dense", Takes::Short(DENSE), "fully connected, after flatten").torch("nn.Linear"),
    key("dropout", BELOW_ONE, "probability").own("regularization.dropout").torch("nn.Dropout"),
    key("residual", Takes::Object(RESIDUAL), "sum of two ways"),
];

const CONV: &[Key] = &[
    key("out", WIDTH, "channels").torch("out_channels"),
    key("kernel", SIDE, "its side").torch("kernel_size"),
    key("stride", SIDE, "pixels from window to window").or("1"),
    key("padding", Takes::IntegerOr("same", 0, 32), "zeros around; same keeps the sides as they are").or("0"),
    key("groups", WIDTH, "channels are split into so many").or("1"),
    BIAS,
    NAME,
];
const BATCH_NORM: &[Key] = &[
    key("eps", RATE, "added to the variance").or("1e-5"),
    key("momentum", Takes::Number((Included(0.0), Included(1.0))), "of the running statistics").or("0.1"),
    NAME,
];
const POOL: &[Key] = &[
    key("kernel", SIDE, "side of a window").torch("kernel_size"),
    key("stride", SIDE, "pixels from window to window").own("the kernel"),
    PADDING,
];
const ADAPTIVE_OUT: Key = key("out", SIDE, "the side").torch("output_size");
const DENSE: &[Key] = &[
    key("out", Takes::IntegerOr("classes", 1, 4096), "numbers; classes is as many as the data set has")
        .torch("out_features"),
    BIAS,
    NAME,
];
const RESIDUAL: &[Key] = &[
    key("main", Takes::Layers(1), "one way"),
    key("shortcut", Takes::Layers(0), "the other; where it is empty, what comes in").or("[]"),
];

/// The layers in `slot`, as JSON with every default, if they make the classes' numbers of an image.
pub fn read(slot: &Slot, classes: usize) -> Result<Json> {
    let mut json = list(slot, 1)?;
    fill_in_classes(&mut json, classes);
    let layers: Vec<Layer> = typed(json.clone());
    let mut walk = Walk::default();
    let shape = walk.through(&layers, slot, INPUT_SHAPE.to_vec())?;
    if shape != [classes as i64] {
        let problem =
            format!("the last layer gives {}; `{{dense: classes}}` gives the {classes} classes", shape_text(&shape));
        return Err(slot.error(problem));
    }
    Ok(json)
}

/// What `{dense: classes}` stands for, in layers and in what they hold.
fn fill_in_classes(layers: &mut Json, classes: usize) {
    match layers {
        Json::Array(layers) => layers.iter_mut().for_each(|layer| fill_in_classes(layer, classes)),
        Json::Object(fields) => fields.iter_mut().for_each(|(name, value)| match name.as_str() {
            "dense" if value["out"].is_null() => value["out"] = classes.into(),
            _ => fill_in_classes(value, classes),
        }),
        _ => {}
    }
}

fn list(slot: &Slot, shortest: usize) -> Result<Json> {
    all(slot.list_of(shortest..=MAX_LAYERS)?.iter().map(layer))
}

/// `flatten`, `{dense: 128}`, `{conv: {out: 32, kernel: 3}}`
fn layer(slot: &Slot) -> Result<Json> {
    let (name, value) = match &slot.node.value {
        Value::Map(entries) => match entries.as_slice() {
            [(key, node)] => (key.name.as_str(), Some(Slot::new(format!("{}.{}", slot.path, key.name), node))),
            _ => return Err(slot.error(format!("expected one layer, found {} keys", entries.len()))),
        },
        _ => (slot.text()?, None),
    };
    let Some(key) = LAYERS.iter().find(|key| key.name == name) else {
        return Err(slot.no_such(name, &LAYERS.iter().map(|key| key.name).collect::<Vec<_>>()));
    };
    let json = match value.filter(|value| !matches!(value.node.plain(), Some("" | "null"))) {
        Some(value) if name == "residual" => return residual(&value),
        Some(value) => value.value(key.takes)?,
        None if matches!(key.default, Fallback::Required) => {
            return Err(slot.error(format!("{name} needs its options, such as `{{{name}: {}}}`", example(key.takes))));
        }
        None => default(key),
    };
    let json = if json == json!({}) { Json::Null } else { completed(name, json, slot)? };
    Ok(json!({name: json}))
}

fn residual(slot: &Slot) -> Result<Json> {
    let mut fields = slot.object()?;
    let main = fields.need("main").and_then(|way| list(&way, 1));
    let shortcut = fields.get("shortcut").map_or_else(|| Ok(json!([])), |way| list(&way, 0));
    let known = fields.finish().map(|()| Json::Null);
    let [main, shortcut, _]: [Json; 3] =
        all::<_, Vec<Json>>([main, shortcut, known])?.try_into().expect("three were read");
    Ok(json!({"residual": {"main": main, "shortcut": shortcut}}))
}

/// With what follows from the layer's other options.
fn completed(name: &str, mut json: Json, slot: &Slot) -> Result<Json> {
    match name {
        "conv" if json["padding"].is_null() => {
            let (kernel, stride) = (&json["kernel"], &json["stride"]);
            let kernel = kernel.as_i64().filter(|kernel| kernel % 2 == 1 && *stride == 1);
            let problem = "`padding: same` goes with an odd kernel and stride 1; write the padding as a number";
            json["padding"] = (kernel.ok_or_else(|| slot.error(problem))? / 2).into();
        }
        "max_pool" | "avg_pool" => {
            if json["stride"].is_null() {
                json["stride"] = json["kernel"].clone();
            }
            if 2 * json["padding"].as_i64().unwrap_or_default() > json["kernel"].as_i64().unwrap_or_default() {
                return Err(slot.error("a pooling's padding is at most half its kernel"));
            }
        }
        _ => {}
    }
    Ok(json)
}

/// Follows the shape of an image through layers and the nodes that they were read from.
#[derive(Default)]
struct Walk {
    names: Names,
    taken: TakenNames,
}

impl Walk {
    fn through(&mut self, layers: &[Layer], list: &Slot, input: Vec<i64>) -> Result<Vec<i64>> {
        let slots = list.list()?;
        layers.iter().zip(&slots).try_fold(input, |shape, (layer, slot)| self.step(layer, slot, shape))
    }

    fn step(&mut self, layer: &Layer, slot: &Slot, input: Vec<i64>) -> Result<Vec<i64>> {
        if let Layer::Residual { main, shortcut } = layer {
            return self.residual([main, shortcut], slot, input);
        }
        let name = self.names.next(layer);
        if layer.holds_tensors() {
            self.taken.take(&name, &slot.path).map_err(|problem| slot.error(problem))?;
        }
        layer.output(&input).map_err(|problem| slot.error(problem))
    }

    fn residual(&mut self, [main, shortcut]: [&[Layer]; 2], slot: &Slot, input: Vec<i64>) -> Result<Vec<i64>> {
        let ways = slot.node.field("residual");
        let mut way = |layers: &[Layer], name: &str| match ways.and_then(|ways| ways.field(name)) {
            Some(node) => {
                self.through(layers, &Slot::new(format!("{}.residual.{name}", slot.path), node), input.clone())
            }
            None => Ok(input.clone()),
        };
        let (main, shortcut) = (way(main, "main")?, way(shortcut, "shortcut")?);
        if main == shortcut {
            return Ok(main);
        }
        let [main, shortcut] = [main, shortcut].map(|shape| shape_text(&shape));
        Err(slot.error(format!("its main way gives {main} and its shortcut {shortcut}, which cannot be added")))
    }
}
