//! An import's folder: two files of records, the names of the classes, and `import.json`, which comes last and says what is there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Collected, images};
use crate::data::dataset::{Dataset, IMAGE_BYTES, Images, records, sha256};
use crate::spec::config::{DatasetName, Imported};
use crate::spec::imports::{self, MANIFEST};
use crate::store::files::{
    is_passing, make_folder, pretty, read_if_there, read_limited, remove_scratch, write_atomically,
};
use crate::words::{count, some};

const FORMAT: u32 = 1;
const PARTS: [&str; 2] = ["train.bin", "test.bin"];
const CLASSES: &str = "classes.txt";
const RECORD_BYTES: usize = 1 + IMAGE_BYTES;
/// So many foreign names of a folder are shown.
const NAMED: usize = 3;

/// `import.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    #[serde(flatten)]
    pub imported: Imported,
    /// By class: to train on, and to test.
    pub images_per_class: Vec<(usize, usize)>,
    /// What the images were read from.
    pub source: String,
    pub kind: String,
    /// How training and test images were told apart.
    pub split: String,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
    /// Pictures that could not be read.
    pub unreadable: Vec<LeftOut>,
    /// What was no picture of a class.
    pub passed_over: Vec<LeftOut>,
}

impl Manifest {
    /// What the data set lacks of its source, to follow other words.
    fn lacks(&self) -> String {
        let unread = self.unreadable.len();
        if unread == 0 { String::new() } else { format!("; {} there could not be read", count(unread, "picture")) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub path: String,
    pub reason: String,
}

/// Writes an import, or finds the same one there. Whatever else is there is refused and stays.
pub fn write(folder: &Path, name: &str, source: &Path, collected: Collected) -> Result<Manifest> {
    let Collected { parts, classes, kind, split, unreadable, passed_over } = collected;
    let bytes = |images: &Images| records((&images.labels, &images.pixels)).collect::<Vec<_>>().concat();
    let mut names = classes.join("\n");
    names.push('\n');
    let files = [(PARTS[0], bytes(&parts[0])), (PARTS[1], bytes(&parts[1])), (CLASSES, names.into_bytes())];
    let counts = parts.each_ref().map(|part| part.class_counts(classes.len()));
    let [train, test] = parts.each_ref().map(Images::count);
    let imported = Imported {
        name: name.to_owned(),
        sha256: sha256(files[..2].iter().map(|file| &*file.1)),
        train,
        test,
        classes,
    };
    imports::refusal(&imported).map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))?;
    let manifest = Manifest {
        format: FORMAT,
        imported,
        images_per_class: counts[0].iter().copied().zip(counts[1].iter().copied()).collect(),
        source: std::path::absolute(source).unwrap_or(source.to_owned()).display().to_string(),
        kind,
        split,
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), sha256([&**bytes]))).collect(),
        unreadable,
        passed_over,
    };
    refuse_others(folder, &manifest, &files)?;
    make_folder(folder)?;
    for (name, bytes) in &files {
        write_atomically(&folder.join(name), bytes)?;
    }
    // Last, so that without it an import was not finished.
    write_atomically(&folder.join(MANIFEST), &pretty(&manifest)?)?;
    remove_scratch(folder);
    Ok(manifest)
}

/// The files of the same import may be there, from wherever its pictures were read.
fn refuse_others(folder: &Path, manifest: &Manifest, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_own = |name: &str| name == MANIFEST || files.iter().any(|file| file.0 == name);
    let mut foreign: Vec<String> =
        entries.filter(|name| !is_passing(name)).map(|name| name.display().to_string()).collect();
    foreign.retain(|name| !is_own(name));
    foreign.sort();
    let wanted = "an import takes a folder of its own; name another OUT";
    ensure!(foreign.is_empty(), "{shown}: holds {}; {wanted}", some(&foreign, NAMED));
    if let Some(there) = read_if_there(&folder.join(MANIFEST))? {
        let there: Manifest =
            serde_json::from_slice(&there).with_context(|| format!("{shown}/{MANIFEST}: {wanted}"))?;
        let same = Manifest { source: manifest.source.clone(), ..there };
        ensure!(same == *manifest, "{shown}: holds another import; {wanted}");
    }
    for (name, bytes) in files {
        let there = read_if_there(&folder.join(name))?;
        ensure!(there.is_none_or(|there| there == *bytes), "{shown}/{name}: of another import; {wanted}");
    }
    Ok(())
}

/// The manifest of the import in `folder`.
pub fn read(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let bytes = read_if_there(&path)?.with_context(|| format!("{}: no {MANIFEST} here", folder.display()))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    ensure!(
        manifest.format == FORMAT,
        "{}: of format {}, which a later version of this program made",
        path.display(),
        manifest.format
    );
    Ok(manifest)
}

/// Its images, every file held against its checksum.
pub fn load(folder: &Path) -> Result<Dataset> {
    let manifest = read(folder)?;
    let own = &manifest.imported;
    let names = read_checked(folder, CLASSES, &manifest, imports::MOST_CLASSES as u64 * 4096)?;
    let classes = String::from_utf8(names)?.lines().map(str::to_owned).collect::<Vec<_>>();
    ensure!(classes == own.classes, "{}/{CLASSES}: other classes than in {MANIFEST}", folder.display());
    let part = |name: &str, count: usize| {
        let bytes = read_checked(folder, name, &manifest, (count * RECORD_BYTES) as u64)?;
        let wanted = count * RECORD_BYTES;
        ensure!(bytes.len() == wanted, "{}/{name}: {} bytes instead of {wanted}", folder.display(), bytes.len());
        images(&bytes, 1, 0, own.classes.len()).with_context(|| format!("{}/{name}", folder.display()))
    };
    let (train, test) = (part(PARTS[0], own.train)?, part(PARTS[1], own.test)?);
    let set = Dataset {
        name: DatasetName::Imported(own.clone()),
        train,
        test,
        source: format!("{} (imported from {}{})", folder.display(), manifest.source, manifest.lacks()),
    };
    ensure!(set.sha256() == own.sha256, "{}: its records have not the checksum in {MANIFEST}", folder.display());
    Ok(set)
}

fn read_checked(folder: &Path, name: &str, manifest: &Manifest, limit: u64) -> Result<Vec<u8>> {
    let path = folder.join(name);
    let bytes = read_limited(&path, limit)?;
    if manifest.files.get(name) != Some(&sha256([&*bytes])) {
        bail!(
            "{}: changed since it was imported, or damaged; import the pictures anew into another folder",
            path.display()
        );
    }
    Ok(bytes)
}
