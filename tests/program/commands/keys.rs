//! `runner keys`.

use std::process::Command;

use runner::parity::python;

use crate::common::skip::skip;
use crate::common::{BAD_INPUT, DONE, Lab};

/// Looks for every name that is given, such as `StepLR(step_size=)`, in PyTorch.
const LOOK: &str = r#"
import inspect, json, re, sys, torch
places = [{"torch": torch, "nn": torch.nn}] + [vars(place) for place in (
    torch.optim.lr_scheduler, torch.nn.utils, torch.utils.data)]
names = {row["pytorch"] for row in json.load(open(sys.argv[1])) if row["pytorch"]}
for name in sorted(names):
    path, option = re.fullmatch(r"([\w.]+)(?:\((\w+)=?\))?", name).groups()
    first, *rest = path.split(".")
    found = next((place[first] for place in places if first in place), None)
    for part in rest:
        found = getattr(found, part, None)
    if found is None or option and option not in inspect.signature(found).parameters:
        sys.exit(f"PyTorch has no {name}")
print(len(names), "names")
"#;

#[test]
fn pytorch_knows_every_name_that_is_said_to_be_its_own() {
    let python = match python::find() {
        Ok(python) => python,
        Err(error) => return skip(&format!("{error:#}")),
    };
    let lab = Lab::new("");
    std::fs::write(lab.path("keys.json"), lab.run("keys --json").expect(DONE).out).unwrap();
    let mut look = Command::new(python);
    look.args(["-c", LOOK, "keys.json"]);
    let said = lab.start_command(lab.settle(look)).end().expect(DONE).out;
    assert!(said.split(' ').next().unwrap().parse::<usize>().unwrap() > 50, "{said}");
}

#[test]
fn an_unknown_key_is_answered_with_the_closest() {
    let lab = Lab::new("");
    lab.run("keys optimiser").expect(BAD_INPUT).saying(&["there is no key `optimiser`; did you mean `optimizer`?"]);
    let said = lab.run("keys zzz").expect(BAD_INPUT).err;
    assert_eq!(said, "error: there is no key `zzz`; `runner keys` lists all\n");
    let below = lab.run("keys clip").expect(DONE).out;
    assert!(below.starts_with("clip ") && below.contains("\nclip.norm ") && below.contains("PyTorch: clip_grad_norm_"));
}
