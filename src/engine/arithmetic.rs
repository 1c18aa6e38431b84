//! What computes a group of trials, whichever operations it does that in.

use anyhow::Result;
use tch::{Device, Reduction, Tensor};

use super::state::State;

/// PyTorch's default `ignore_index`, which no label equals.
pub const IGNORE_INDEX: i64 = -100;

/// The networks of K trials, the members, with what their optimizers remember. Members are counted from 0.
pub trait Arithmetic {
    /// One optimizer step of every member, each at its own learning rate.
    fn step(&mut self, batch: &Batch, rates: &[f64]) -> Measures;

    /// float32 [N, 3, 32, 32] → logits [K, N, 10], in evaluation mode.
    fn logits(&self, images: &Tensor) -> Tensor;

    /// A member's state dict, which shares memory with the network.
    fn state(&self, member: usize) -> State;

    /// Takes over a member's state dict if it fits; [`Arithmetic::refresh`] makes it count.
    fn write(&mut self, member: usize, state: &State) -> Result<()>;

    fn refresh(&mut self) {}

    /// Steps that the optimizer has taken, and what it remembers of a member.
    fn memory(&self, member: usize) -> (u64, State);

    /// Takes back what [`Arithmetic::memory`] gave.
    fn remember(&mut self, member: usize, steps: u64, state: &State) -> Result<()>;

    /// Gives every member a fresh optimizer.
    fn restart(&mut self);
}

/// float32 [K, N]: the cross-entropy of each member's logits [K, N, 10] with labels, int64 [N].
pub fn entropies(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    let (members, count, _) = logits.size3().expect("[K, N, 10]");
    let flat = logits.reshape([members * count, -1]);
    let labels = labels.repeat([members]);
    let all = flat.cross_entropy_loss::<Tensor>(&labels, None, Reduction::None, IGNORE_INDEX, smoothing);
    all.view([members, count])
}

/// What a step learns from.
pub struct Batch<'a> {
    /// Where the tensors that [`Batch::images`] makes are.
    pub device: Device,
    /// All that differs from batch to batch.
    pub input: Vec<Tensor>,
    /// Makes the images, float32 [N, 3, 32, 32], and their labels, int64 [N], of such input by tensor operations alone.
    pub images: &'a dyn Fn(&[Tensor]) -> (Tensor, Tensor),
}

/// What one step says of each member.
pub enum Measures {
    Read(Vec<Measured>),
    /// float32 [K, 3] on a GPU, which may still be computing it: to read it is to wait for that.
    Unread(Tensor),
}

/// What one step says of one member, before it moved.
#[derive(Clone, Copy)]
pub struct Measured {
    /// The batch's cross-entropy with label smoothing, without penalties.
    pub loss: f32,
    pub penalty: f32,
    /// Right answers.
    pub correct: i64,
}

impl Measured {
    /// Of a row of [`Measures::Unread`].
    fn new(row: &[f32]) -> Measured {
        Measured { loss: row[0], penalty: row[1], correct: row[2] as i64 }
    }
}

/// Reads all that has not been read of these steps at once, and returns each one's members.
pub fn read(steps: Vec<Measures>) -> Vec<Vec<Measured>> {
    let unread: Vec<&Tensor> = steps.iter().filter_map(Measures::unread).collect();
    let rows = if unread.is_empty() { vec![] } else { floats(&Tensor::cat(&unread, 0)) };
    let mut rows = rows.chunks_exact(3).map(Measured::new);
    let members = |step| match step {
        Measures::Read(members) => members,
        Measures::Unread(rows_of_step) => rows.by_ref().take(rows_of_step.size()[0] as usize).collect(),
    };
    steps.into_iter().map(members).collect()
}

impl Measures {
    pub fn unread(&self) -> Option<&Tensor> {
        match self {
            Measures::Read(_) => None,
            Measures::Unread(rows) => Some(rows),
        }
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.view([-1])).expect("float32")
}
