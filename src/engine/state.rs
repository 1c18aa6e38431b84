//! State dicts: tensors under PyTorch's names.

use anyhow::{Result, bail, ensure};
use tch::Tensor;

use crate::native::no_grad;

/// Names as PyTorch gives them, in the order of construction.
pub type State = Vec<(String, Tensor)>;

pub fn find<'a>(state: &'a State, name: &str) -> Option<&'a Tensor> {
    state.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
}

/// Copies `state` into `own`, live tensors that are detached, if it has just their names, shapes and kinds and only finite values.
/// `load_state_dict(state, strict=True)`, without broadcasting.
pub fn load(own: State, state: &State) -> Result<()> {
    for (name, _) in state {
        ensure!(find(&own, name).is_some(), "{name}: this model has no such tensor");
    }
    for (name, mut target) in own {
        let Some(source) = find(state, &name) else {
            bail!("{name}: missing; this model needs it with shape {:?}", target.size());
        };
        let (size, needed) = (source.size(), target.size());
        ensure!(size == needed, "{name}: shape {size:?}, but this model needs {needed:?}");
        let (kind, needed) = (source.kind(), target.kind());
        ensure!(kind == needed, "{name}: {kind:?}, but this model needs {needed:?}");
        ensure!(bool::try_from(source.isfinite().all())?, "{name}: holds a NaN or an infinity");
        no_grad(|| target.copy_(source));
    }
    Ok(())
}

/// One that later steps leave alone.
pub fn copied(state: State) -> State {
    state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}
