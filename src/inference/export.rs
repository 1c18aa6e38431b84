//! `runner export`: a stored network as PyTorch's own: a state dict, and a class that needs nothing of this program.

use std::fmt::Write;

use anyhow::Result;
use serde_json::json;

use super::load::Loaded;
use crate::data::batches::Scaling;
use crate::data::class_names;
use crate::networks::{Layer, TableRow, Weights};
use crate::spec::config::Activation;
use crate::train::checkpoint;

const INDENT: &str = "        ";

/// The files of a network called `name`.
pub fn files(loaded: &Loaded, scaling: &Scaling, name: &str) -> Result<[(String, Vec<u8>); 2]> {
    let (weights, class) = (format!("{name}.safetensors"), loaded.config.model.network.variant.pytorch);
    let state = checkpoint::plain(&loaded.network.state())?;
    let text = module(loaded, scaling, name, class);
    Ok([(weights, state), (format!("{name}.py"), text.into_bytes())])
}

/// The Python file.
fn module(loaded: &Loaded, scaling: &Scaling, name: &str, class: &str) -> String {
    let Loaded { id, seed, config, .. } = loaded;
    let trial = id.as_ref().map_or(String::new(), |id| format!(", trial {id}, seed {}", seed.unwrap_or_default()));
    let mut code = Code::default();
    let table = config.table();
    let mut modules = table.rows.iter().filter(|row| !row.name.is_empty());
    code.through(&config.layers(), "x", &mut modules);
    let classes =
        class_names(&config.data.dataset).iter().map(|name| json!(name).to_string()).collect::<Vec<_>>().join(", ");
    let scale = match scaling.statistics() {
        None => "images.float() / 255".to_owned(),
        Some((mean, deviation)) => format!("(images.float() / 255 - {}) / {}", column(&mean), column(&deviation)),
    };
    TEMPLATE
        .replace("{title}", &format!("{name}{trial}: {} parameters", table.parameters()))
        .replace("{class}", class)
        .replace("{name}", name)
        .replace("{scale}", &scale)
        .replace("{activation}", &activation(config.activation))
        .replace("{modules}", code.modules.trim_end())
        .replace("{forward}", code.forward.trim_end())
        // Last, for a class may be called like one of these.
        .replace("{classes}", &classes)
}

/// Every float32 as the shortest text that reads back as itself.
fn column(values: &[f32; 3]) -> String {
    format!("torch.tensor({values:?}).view(1, 3, 1, 1)")
}

const TEMPLATE: &str = include_str!("export.py.txt");

fn activation(activation: Activation) -> String {
    match activation {
        Activation::Tanh => "nn.Tanh()".to_owned(),
        Activation::Relu => "nn.ReLU()".to_owned(),
        Activation::LeakyRelu { slope } => format!("nn.LeakyReLU({slope})"),
        Activation::Sigmoid => "nn.Sigmoid()".to_owned(),
        Activation::Elu => "nn.ELU()".to_owned(),
        Activation::Gelu => "nn.GELU()".to_owned(),
        Activation::Silu => "nn.SiLU()".to_owned(),
    }
}

/// What constructs the modules, and what calls them.
#[derive(Default)]
struct Code {
    modules: String,
    forward: String,
    /// So many sums have been written, each with variables of its own.
    sums: usize,
}

impl Code {
    /// Lines that put the variable `x` through `layers`; `modules` are those that are next in the order of construction.
    fn through<'t>(&mut self, layers: &[Layer], x: &str, modules: &mut impl Iterator<Item = &'t TableRow>) {
        layers.iter().for_each(|layer| self.step(layer, x, modules));
    }

    fn step<'t>(&mut self, layer: &Layer, x: &str, modules: &mut impl Iterator<Item = &'t TableRow>) {
        match layer {
            Layer::Conv { padding, .. } => self.call(x, modules, *padding),
            Layer::Dense(_) | Layer::BatchNorm => self.call(x, modules, 0),
            Layer::Act => self.line(&format!("{x} = self.act({x})")),
            Layer::AvgPool(side) => self.line(&format!("{x} = F.avg_pool2d({x}, {side})")),
            Layer::MaxPool(side) => self.line(&format!("{x} = F.max_pool2d({x}, {side})")),
            Layer::Flatten => self.line(&format!("{x} = torch.flatten({x}, 1)")),
            Layer::Dropout(p) if *p > 0.0 => self.line(&format!("{x} = F.dropout({x}, {p}, self.training)")),
            Layer::Dropout(_) => {}
            Layer::Sum { main, from_input, from_previous } => {
                self.sums += 1;
                let [from_image, before] = ["image", "before"].map(|kind| format!("from_{kind}_{}", self.sums));
                let has_previous = !from_previous.is_empty();
                if has_previous {
                    self.line(&format!("{before} = {x}"));
                }
                self.through(main, x, modules);
                self.line(&format!("{from_image} = image"));
                self.through(from_input, &from_image, modules);
                self.through(from_previous, &before, modules);
                let rest = if has_previous { format!("({from_image} + {before})") } else { from_image };
                self.line(&format!("{x} = {x} + {rest}"));
            }
        }
    }

    fn call<'t>(&mut self, x: &str, modules: &mut impl Iterator<Item = &'t TableRow>, padding: i64) {
        let TableRow { name, weights, .. } = modules.next().expect("the table has a row for every layer with weights");
        let padding = if padding > 0 { format!(", padding={padding}") } else { String::new() };
        let made = match weights {
            Weights::Conv { input, output, kernel } => format!("nn.Conv2d({input}, {output}, {kernel}{padding})"),
            Weights::Dense { input, output } => format!("nn.Linear({input}, {output})"),
            Weights::BatchNorm { channels } => format!("nn.BatchNorm2d({channels}, eps=1e-3, momentum=0.01)"),
            Weights::None => unreachable!("a layer without weights has no name"),
        };
        writeln!(self.modules, "{INDENT}self.{name} = {made}").expect("writing to a string succeeds");
        self.line(&format!("{x} = self.{name}({x})"));
    }

    fn line(&mut self, line: &str) {
        writeln!(self.forward, "{INDENT}{line}").expect("writing to a string succeeds");
    }
}
