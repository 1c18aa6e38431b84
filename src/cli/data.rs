//! `runner data`: CIFAR-10 fetched, checked or described; images of the user's own made a data set.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::common::{DataFolder, say, say_json_or};
use crate::data::import::{self, Labels, LeftOut, Manifest, Options, Progress};
use crate::data::{self, Dataset};
use crate::spec::config::DatasetName;
use crate::spec::imports::MANIFEST;
use crate::words::{count, grouped};
use crate::{exit, host};

const IMPORT_HELP: &str = "\
SOURCE is one of
  a folder of class folders with pictures in them, at any depth, as torchvision's ImageFolder takes it; in folders called train
    and test, or as it is: then --test of each class, drawn by --seed, are for testing, at least one picture of two
  CIFAR-100's folder cifar-100-binary, or the folder around it
  a folder with the four IDX files of MNIST, Fashion-MNIST or their kin, packed (.gz) or not

Pictures are seen as `runner predict` sees them: the middle square at 32x32 pixels in red, green and blue, turned as EXIF data say,
on white where transparent; grey ones have three equal channels. 2 to 256 classes, and as many pictures as memory holds (3 KB each).

OUT gets train.bin and test.bin in the layout of CIFAR-10's binary files (a byte for the label, 3072 for the image), classes.txt with
the names in the order of the labels, and import.json with counts, checksums, and every file that was left out with its reason.
Whatever else is there is refused; the same import may be repeated.

A picture that cannot be read is named on standard error and does not stop the others; the exit code is then 1.

Experiments name the set by `data: {dataset: NAME}` or --dataset NAME, where --data (or $RUNNER_DATA, or data/) is OUT or the folder
around it. `val` images of the training part, a tenth where nothing else is written, validate. A trial's id has the checksum and the
names of the classes in it, so that trials of different imports never meet.";

#[derive(Subcommand)]
pub enum DataCommand {
    /// Download the official archive with resume and checksum
    Fetch(DataFolder),
    /// Read everything and compare it with the official checksums, or an import's own
    Verify(DataFolder),
    /// Counts, classes, channel statistics and checksum of CIFAR-10 or of an import
    Info {
        #[command(flatten)]
        folder: DataFolder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a data set of your own pictures, CIFAR-100, MNIST or Fashion-MNIST
    Import(ImportArguments),
}

#[derive(Args)]
#[command(after_help = IMPORT_HELP)]
pub struct ImportArguments {
    /// Where the images are
    source: PathBuf,
    /// A folder of its own for the data set
    out: PathBuf,
    /// What experiments call it [default: the name of OUT]
    #[arg(long)]
    name: Option<String>,
    /// Share of each class to test, where SOURCE has no test images of its own [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    test: Option<f64>,
    /// Draws them [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Of CIFAR-100 [default: fine]
    #[arg(long, value_enum)]
    labels: Option<Labels>,
    /// Names of the classes of IDX files, one a line [default: 0 to 9, or Fashion-MNIST's in a folder called after it]
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
}

pub fn run(command: &DataCommand) -> Result<i32> {
    match command {
        DataCommand::Fetch(folder) => say(format!("CIFAR-10 is in {}", data::fetch::fetch(&folder.path())?.source))?,
        DataCommand::Verify(folder) => match import::load_here(&folder.path()) {
            Some(set) => verify_import(&set?)?,
            None => say(data::inspect::verify(&cifar(folder)?))?,
        },
        DataCommand::Info { folder, json } => {
            let set = import::load_here(&folder.path()).unwrap_or_else(|| cifar(folder))?;
            let info = data::inspect::info(&set);
            say_json_or(*json, &info, &info)?
        }
        DataCommand::Import(arguments) => return run_import(arguments),
    }
    Ok(exit::DONE)
}

fn cifar(folder: &DataFolder) -> Result<Dataset> {
    data::load(&DatasetName::Cifar10, &folder.path())
}

fn verify_import(set: &Dataset) -> Result<()> {
    let (train, test) = (set.train.count(), set.test.count());
    say(format!(
        "{}\n{train} training and {test} test images, sha256 {}\ncomplete, well formed, and as it was imported",
        set.source,
        set.sha256()
    ))
}

fn run_import(arguments: &ImportArguments) -> Result<i32> {
    let ImportArguments { source, out, name, test, seed, labels, classes } = arguments;
    let options = Options { name: name.clone(), test: *test, seed: *seed, labels: *labels, classes: classes.clone() };
    // Standard error; nothing where that is no terminal.
    let bar = ProgressBar::new(0);
    let progress = |progress: Progress| match progress {
        Progress::Pictures(count) => bar.set_length(count as u64),
        Progress::One => bar.inc(1),
    };
    let manifest = import::import(source, out, &options, &progress)?;
    bar.finish_and_clear();
    warn(&manifest, out);
    say(summary(&manifest, out))?;
    Ok(if manifest.unreadable.is_empty() { exit::DONE } else { exit::FAILED })
}

/// So many of each kind are named; all are in the manifest.
const NAMED: usize = 20;
/// A class with fewer images is told.
const FEW: usize = 10;

/// Names what was left out, and classes with hardly any image.
fn warn(manifest: &Manifest, out: &Path) {
    let all = |left_out: &[LeftOut], what: &str| {
        for LeftOut { path, reason } in left_out.iter().take(NAMED) {
            host::print(&format!("{what}: {path}: {reason}"));
        }
        let more = left_out.len().saturating_sub(NAMED);
        if more > 0 {
            host::print(&format!("{what}: {more} more, all in {}", out.join(MANIFEST).display()));
        }
    };
    all(&manifest.unreadable, "not read");
    all(&manifest.passed_over, "passed over");
    let classes = manifest.imported.classes.iter().zip(&manifest.images_per_class);
    let few: Vec<_> = classes.filter(|(_, (train, test))| train + test < FEW || *test == 0).collect();
    for (name, (train, test)) in few.iter().take(NAMED) {
        let to_train_on = count(*train, "image");
        host::print(&format!("warning: class {name} has {to_train_on} to train on and {test} to test"));
    }
    if few.len() > NAMED {
        host::print(&format!("warning: {} more classes have as few", few.len() - NAMED));
    }
}

fn summary(manifest: &Manifest, out: &Path) -> String {
    let own = &manifest.imported;
    let (train, test) = (grouped(own.train as i64), grouped(own.test as i64));
    let mut lines = vec![
        format!("{}: {train} images to train on and {test} to test, in {} classes", out.display(), own.classes.len()),
        format!("{}; split: {}; sha256 {}", manifest.kind, manifest.split, own.sha256),
    ];
    let (unreadable, passed_over) = (manifest.unreadable.len(), manifest.passed_over.len());
    if unreadable + passed_over > 0 {
        lines.push(format!("left out: {} not read, {passed_over} passed over", count(unreadable, "picture")));
    }
    lines.push(format!("`data: {{dataset: {}}}` takes it, with --data {}", own.name, out.display()));
    lines.join("\n")
}
