//! `--data`, which most commands have.

use std::path::PathBuf;

use clap::Args;

use crate::data;

#[derive(Args)]
pub struct DataFolder {
    /// Where CIFAR-10 lies: a folder with either layout or either official archive [default: $RUNNER_DATA, else data/]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DataFolder {
    /// The folder that is meant where none is named, too.
    pub fn path(&self) -> PathBuf {
        data::directory(self.data.as_deref())
    }
}
