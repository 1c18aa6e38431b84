//! `runner export`: a stored network as PyTorch's own: a state dict, and a class that needs nothing of this program.

use std::fmt::Write;

use anyhow::Result;
use serde_json::json;

use super::load::Loaded;
use crate::data::batches::Scaling;
use crate::data::class_names;
use crate::networks::{Activation, BatchNorm, Conv, Layer, Model, TableRow, Weights, Window};
use crate::train::checkpoint;

const INDENT: &str = "        ";

/// The files of a network called `name`.
pub fn files(loaded: &Loaded, scaling: &Scaling, name: &str) -> Result<[(String, Vec<u8>); 2]> {
    let (weights, class) = (format!("{name}.safetensors"), class(&loaded.config.model));
    let state = checkpoint::plain(&loaded.network.state())?;
    let text = module(loaded, scaling, name, class);
    Ok([(weights, state), (format!("{name}.py"), text.into_bytes())])
}

/// What the network's class is called.
fn class(model: &Model) -> &'static str {
    match model {
        Model::BuiltIn(built_in) => built_in.network.variant.pytorch,
        Model::Own(_) => "Network",
    }
}

/// The Python file.
fn module(loaded: &Loaded, scaling: &Scaling, name: &str, class: &str) -> String {
    let Loaded { id, seed, config, .. } = loaded;
    let trial = id.as_ref().map_or(String::new(), |id| format!(", trial {id}, seed {}", seed.unwrap_or_default()));
    let mut code = Code { dropout: config.regularization.dropout, ..Code::default() };
    let table = config.table();
    let mut modules = table.rows.iter().filter(|row| row.holds_tensors());
    code.through(&config.layers(), "x", &mut modules);
    let classes =
        class_names(&config.data.dataset).iter().map(|name| json!(name).to_string()).collect::<Vec<_>>().join(", ");
    let scale = match scaling.statistics() {
        None => "images.float() / 255".to_owned(),
        Some((mean, deviation)) => format!("(images.float() / 255 - {}) / {}", column(&mean), column(&deviation)),
    };
    TEMPLATE
        .replace("{title}", &format!("{name}{trial}: {} parameters", table.parameters()))
        .replace("{put}", if code.modules.contains("put(self, ") { PUT } else { "" })
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

/// For modules in others.
const PUT: &str = r#"def put(module, name, layer):
    """Makes the groups that are before a dot in the layer's name where they are not there."""
    *groups, last = name.split(".")
    for group in groups:
        if group not in dict(module.named_children()):
            module.add_module(group, nn.Module())
        module = module.get_submodule(group)
    module.add_module(last, layer)


"#;

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

/// `nn.Conv2d(3, 32, 3, padding=1)`
fn construct(layer: &Layer, TableRow { weights, output: shape, .. }: &TableRow) -> String {
    let unless = |is_default: bool, text: String| if is_default { String::new() } else { text };
    match (layer, weights) {
        (&Layer::Conv(Conv { stride, padding, groups, .. }), Weights::Conv { input, output, kernel, bias }) => format!(
            "nn.Conv2d({}, {output}, {kernel}{}{}{}{})",
            input * groups,
            unless(stride == 1, format!(", stride={stride}")),
            unless(padding == 0, format!(", padding={padding}")),
            unless(groups == 1, format!(", groups={groups}")),
            unless(*bias, ", bias=False".to_owned())
        ),
        (_, Weights::Dense { input, output, bias }) => {
            format!("nn.Linear({input}, {output}{})", unless(*bias, ", bias=False".to_owned()))
        }
        (Layer::BatchNorm(BatchNorm { eps, momentum, .. }), Weights::BatchNorm { channels }) => {
            let sides = if shape.len() == 1 { 1 } else { 2 };
            format!("nn.BatchNorm{sides}d({channels}, eps={eps:?}, momentum={momentum:?})")
        }
        _ => unreachable!("the table has a row for every layer with weights"),
    }
}

/// `2`, or all three numbers.
fn sides(&Window { kernel, stride, padding }: &Window) -> String {
    if stride == kernel && padding == 0 { kernel.to_string() } else { format!("{kernel}, {stride}, {padding}") }
}

/// What constructs the modules, and what calls them.
#[derive(Default)]
struct Code {
    /// The configured one.
    dropout: f64,
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
            Layer::Conv(_) | Layer::Dense(_) | Layer::BatchNorm(_) => self.call(x, layer, modules),
            Layer::Act(None) => self.line(&format!("{x} = self.act({x})")),
            Layer::Act(Some(own)) => self.line(&format!("{x} = {}({x})", activation(*own))),
            Layer::AvgPool(window) => self.line(&format!("{x} = F.avg_pool2d({x}, {})", sides(window))),
            Layer::MaxPool(window) => self.line(&format!("{x} = F.max_pool2d({x}, {})", sides(window))),
            Layer::GlobalAvgPool => self.line(&format!("{x} = F.adaptive_avg_pool2d({x}, 1)")),
            Layer::AdaptiveAvgPool { out } => self.line(&format!("{x} = F.adaptive_avg_pool2d({x}, {out})")),
            Layer::Flatten => self.line(&format!("{x} = torch.flatten({x}, 1)")),
            Layer::Dropout(own) => {
                let p = own.unwrap_or(self.dropout);
                if p > 0.0 {
                    self.line(&format!("{x} = F.dropout({x}, {p}, self.training)"));
                }
            }
            Layer::Residual { main, shortcut } => {
                self.sums += 1;
                let before = format!("before_{}", self.sums);
                self.line(&format!("{before} = {x}"));
                self.through(main, x, modules);
                self.through(shortcut, &before, modules);
                self.line(&format!("{x} = {x} + {before}"));
            }
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

    fn call<'t>(&mut self, x: &str, layer: &Layer, modules: &mut impl Iterator<Item = &'t TableRow>) {
        let row = modules.next().expect("the table has a row for every layer with weights");
        let (name, made) = (&row.name, construct(layer, row));
        let (line, module) = match name.contains('.') {
            true => (format!("put(self, {name:?}, {made})"), format!("get_submodule({name:?})")),
            false => (format!("self.{name} = {made}"), name.clone()),
        };
        writeln!(self.modules, "{INDENT}{line}").expect("writing to a string succeeds");
        self.line(&format!("{x} = self.{module}({x})"));
    }

    fn line(&mut self, line: &str) {
        writeln!(self.forward, "{INDENT}{line}").expect("writing to a string succeeds");
    }
}
