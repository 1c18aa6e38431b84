//! What layers of a user's own network may be called: what PyTorch can call them, each name once.

use std::collections::{HashMap, HashSet};

use crate::words::shorten;

const MAX_NAME: usize = 64;

/// What `nn.Module` has itself, what an exported network has, and Python's own words.
const TAKEN: &str = "act add_module and apply as assert async await bfloat16 break buffers call_super_init children class \
    compile continue cpu cuda def del double dump_patches elif else eval except extra_repr finally float for forward from \
    get_buffer get_extra_state get_parameter get_submodule global half if import in ipu is lambda load_state_dict modules \
    mtia named_buffers named_children named_modules named_parameters nonlocal not or parameters pass raise \
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook \
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module \
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ return set_extra_state \
    set_submodule share_memory state_dict T_destination to to_empty train training try type while with xpu yield zero_grad";

/// Whether a module can be called so: `conv1`, or in others `layer1.0.conv1`.
fn is_python_name(name: &str) -> bool {
    let is_free = |part: &str| {
        let is_word = part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        is_word && !TAKEN.split_whitespace().any(|taken| taken == part)
    };
    let is_index = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let mut parts = name.split('.');
    name.len() <= MAX_NAME && parts.next().is_some_and(is_free) && parts.all(|part| is_free(part) || is_index(part))
}

/// The names of the layers so far.
#[derive(Default)]
pub struct TakenNames {
    /// Which layer has a name.
    owners: HashMap<String, String>,
    /// All groups so far, and those of the last name: `layer1` and `layer1.0` of `layer1.0.conv1`.
    groups: HashSet<String>,
    open: HashSet<String>,
}

impl TakenNames {
    /// Gives `name` to the layer at `place` of the file, or says why it cannot have it.
    pub fn take(&mut self, name: &str, place: &str) -> Result<(), String> {
        if !is_python_name(name) {
            return Err(format!(
                "`{}` cannot be a name there: a letter first, then letters, digits and _, and no word of Python's or of its \
                 modules; `layer1.0.conv1` puts it into others",
                shorten(name)
            ));
        }
        if let Some(owner) = self.owners.insert(name.to_owned(), place.to_owned()) {
            return Err(format!("it is called `{name}`, as {owner} is already; give one of them another `name`"));
        }
        let groups: HashSet<String> = name.match_indices('.').map(|(end, _)| name[..end].to_owned()).collect();
        let is_both = groups.iter().find(|group| self.owners.contains_key(*group));
        if let Some(both) = is_both.map(String::as_str).or(self.groups.contains(name).then_some(name)) {
            return Err(format!("`{both}` would be a layer and a group of layers; give one of them another `name`"));
        }
        // PyTorch has the parameters of a group one after another, whichever is computed first.
        if let Some(group) = groups.iter().find(|group| self.groups.contains(*group) && !self.open.contains(*group)) {
            return Err(format!(
                "`{name}` stands apart from the other layers of `{group}`; a group's layers follow each other"
            ));
        }
        self.groups.extend(groups.iter().cloned());
        self.open = groups;
        Ok(())
    }
}
