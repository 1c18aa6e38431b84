//! `runner parity`: the same trials in this program and in plain PyTorch, compared to the last bit.
//!
//! `cases` says what is run, `trace` runs it here, `python` runs it there, `bits` finds the first difference, and `output`
//! shows it. Both sides compute at the same time, in the same order.

pub mod bits;
pub mod cases;
pub mod output;
pub mod python;
pub mod trace;

use anyhow::Result;

use crate::data::batches::Resident;
use crate::train::Sets;
use cases::Case;
use output::Row;
use python::{Job, Theirs};

/// Runs `cases` on both sides and hands each row to `each` as it is there. Returns Python's version of torch.
///
/// Uses the default generator, of which a process has one: no two of these, nor other trials, at a time.
pub fn compare_all(job: &Job, cases: &[Case], mut each: impl FnMut(Row) -> Result<()>) -> Result<String> {
    tch::set_num_threads(i32::try_from(job.threads)?);
    let all = Sets::new(job.dataset, job.device);
    let mut theirs = Theirs::start(job, cases)?;
    let mut torch = String::new();
    for case in cases {
        let ours = trace::ours(case, &first_test_images(&all, case.test_images));
        // The inner error is one side's failure in this case.
        let theirs = theirs.next(case)?;
        let compared = ours.and_then(|ours| {
            let theirs = theirs?;
            torch = theirs.torch;
            Ok(bits::compare(&ours, &theirs.trace))
        });
        each(Row::new(case, compared, job.device))?;
    }
    Ok(torch)
}

/// The same images with a shorter test set; nothing is copied.
fn first_test_images(sets: &Sets, count: Option<usize>) -> Sets {
    let first = |set: &Resident, count: Option<usize>| {
        let count = count.map_or(set.labels.size()[0], |count| count as i64);
        Resident { images: set.images.narrow(0, 0, count), labels: set.labels.narrow(0, 0, count) }
    };
    Sets { train: first(&sets.train, None), test: first(&sets.test, count) }
}
