//! A folder of class folders with pictures in them, as torchvision's `ImageFolder` reads it, with `train` and `test` around
//! them or a split that is drawn here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::{Collected, LeftOut, Progress, planes};
use crate::data::dataset::{IMAGE_BYTES, Images, sha256};
use crate::host::cores;
use crate::pictures::{MAX_FILE_BYTES, small_square};
use crate::spec::imports::MOST_CLASSES;
use crate::store::files::read_limited;
use crate::words::some;

const PARTS: [&str; 2] = ["train", "test"];
const SIDE: u32 = 32;
/// A link may lead back to a folder around it.
const DEEPEST: usize = 32;
const NAMED: usize = 3;

/// Whether training and test images have folders of their own.
pub fn has_parts(source: &Path) -> bool {
    PARTS.iter().all(|part| source.join(part).is_dir())
}

/// A picture file of a class, and its part if the source says that.
struct Picture {
    path: PathBuf,
    class: usize,
    part: Option<usize>,
}

pub fn collect(source: &Path, share: f64, seed: u64, progress: &(dyn Fn(Progress) + Sync)) -> Result<Collected> {
    ensure!(share > 0.0 && share < 1.0, "--test {share}: a share above 0 and below 1");
    let mut found = Listing::default();
    let split = if has_parts(source) {
        found.take_parts(source)?;
        "train/ and test/".to_owned()
    } else {
        refuse_half(source)?;
        found.take_classes(source, None)?;
        format!("{share} of each class to test, drawn by seed {seed}")
    };
    let Listing { classes, pictures, passed_over } = found;
    progress(Progress::Pictures(pictures.len()));
    let read = read_all(&pictures, progress);
    let (mut whole, mut unreadable) = (vec![], vec![]);
    for (picture, read) in pictures.into_iter().zip(read) {
        match read {
            Ok(pixels) => whole.push((picture, pixels)),
            Err(error) => unreadable.push(left_out(source, &picture.path, &format!("{error:#}"))),
        }
    }
    let parts = divide(whole, source, &classes, |picture| key(source, seed, &picture.path), share)?;
    Ok(Collected { parts, classes, kind: "class folders".to_owned(), split, unreadable, passed_over })
}

/// One of the two folders alone would silently become a class.
fn refuse_half(source: &Path) -> Result<()> {
    for (part, other) in [(PARTS[0], PARTS[1]), (PARTS[1], PARTS[0])] {
        let has_folders = fs::read_dir(source.join(part))
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())));
        ensure!(
            !has_folders,
            "{}: {part}/ without {other}/; name {part}/ itself to have the test images drawn from it, or call the folder of the \
             others {other}/",
            source.display()
        );
    }
    Ok(())
}

/// What a source holds.
#[derive(Default)]
struct Listing {
    classes: Vec<String>,
    pictures: Vec<Picture>,
    passed_over: Vec<LeftOut>,
}

impl Listing {
    fn take_parts(&mut self, source: &Path) -> Result<()> {
        for entry in sorted(source)? {
            let is_part = PARTS.iter().any(|part| entry.file_name().is_some_and(|name| name == *part));
            if !is_part {
                self.passed_over.push(left_out(source, &entry, "beside train/ and test/, which alone are taken"));
            }
        }
        PARTS.iter().enumerate().try_for_each(|(part, name)| self.take_classes(&source.join(name), Some(part)))
    }

    /// The class folders of `folder`, the training part's first: it decides which classes there are.
    fn take_classes(&mut self, folder: &Path, part: Option<usize>) -> Result<()> {
        let root = if part.is_some() { folder.parent().unwrap_or(folder) } else { folder };
        for path in sorted(folder)? {
            if let Some(reason) = no_class(&path) {
                self.passed_over.push(left_out(root, &path, reason));
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_str();
            let name = name.with_context(|| format!("{}: its name is not text", path.display()))?.to_owned();
            let class = match (self.classes.iter().position(|class| *class == name), part) {
                (Some(class), _) => class,
                (None, Some(1)) => bail!("{}: there is no class of this name in train/", path.display()),
                (None, _) => {
                    self.classes.push(name);
                    self.classes.len() - 1
                }
            };
            self.take_pictures(root, &path, (class, part), 0)?;
        }
        let count = self.classes.len();
        ensure!(
            (2..=MOST_CLASSES).contains(&count),
            "{}: {count} class folders, and 2 to {MOST_CLASSES} are wanted; a class is a folder of pictures, named after it{}",
            folder.display(),
            if count == 0 { self.instead() } else { String::new() }
        );
        Ok(())
    }

    fn instead(&self) -> String {
        let names: Vec<String> = self.passed_over.iter().map(|left| left.path.clone()).collect();
        if names.is_empty() { String::new() } else { format!("; it holds {}", some(&names, NAMED)) }
    }

    /// Those in the folders below, too.
    fn take_pictures(
        &mut self,
        root: &Path,
        folder: &Path,
        (class, part): (usize, Option<usize>),
        depth: usize,
    ) -> Result<()> {
        ensure!(depth < DEEPEST, "{}: more than {DEEPEST} folders deep; does a link lead back?", folder.display());
        for path in sorted(folder)? {
            if is_hidden(&path) {
                self.passed_over.push(left_out(root, &path, HIDDEN));
            } else if path.is_dir() {
                self.take_pictures(root, &path, (class, part), depth + 1)?;
            } else {
                self.pictures.push(Picture { path, class, part });
            }
        }
        Ok(())
    }
}

const HIDDEN: &str = "its name begins with a dot";

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn no_class(path: &Path) -> Option<&'static str> {
    match () {
        () if is_hidden(path) => Some(HIDDEN),
        () if !path.is_dir() => Some("not in the folder of a class"),
        () => None,
    }
}

fn left_out(root: &Path, path: &Path, reason: &str) -> LeftOut {
    let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
    // Errors of reading begin with the file's name.
    let reason = reason.replace(&format!("{}: ", path.display()), "");
    LeftOut { path: shown, reason }
}

/// By the bytes of their names, on every machine alike.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(about)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().with_context(about)?;
    paths.sort();
    Ok(paths)
}

/// The pixels of each, in their order, by as many threads as there are cores.
fn read_all(pictures: &[Picture], progress: &(dyn Fn(Progress) + Sync)) -> Vec<Result<Vec<u8>>> {
    let read: Vec<Mutex<Result<Vec<u8>>>> = pictures.iter().map(|_| Mutex::new(Err(anyhow!("not read")))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((picture, place)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            pictures.get(number).zip(read.get(number))
        } {
            let pixels = read_one(&picture.path);
            *place.lock().expect("only this thread has it") = pixels;
            progress(Progress::One);
        }
    };
    let threads = cores();
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    read.into_iter().map(|place| place.into_inner().expect("no thread panicked")).collect()
}

fn read_one(path: &Path) -> Result<Vec<u8>> {
    // A pipe would never end.
    ensure!(path.metadata().with_context(|| format!("cannot read {}", path.display()))?.is_file(), "not a plain file");
    small_square(&read_limited(path, MAX_FILE_BYTES)?, SIDE)
}

/// Whatever else is in a class, a picture comes at the same place: by the digest of seed and path.
fn key(source: &Path, seed: u64, path: &Path) -> String {
    let inside = path.strip_prefix(source).unwrap_or(path);
    sha256([seed.to_string().as_bytes(), b" ", inside.as_os_str().as_encoded_bytes()])
}

/// The pictures of each part, class after class. Where the source does not say, a share of each class is taken to test.
fn divide(
    whole: Vec<(Picture, Vec<u8>)>,
    source: &Path,
    classes: &[String],
    key: impl Fn(&Picture) -> String,
    share: f64,
) -> Result<[Images; 2]> {
    let mut parts = [(); 2].map(|()| Images { pixels: vec![], labels: vec![] });
    for (class, name) in classes.iter().enumerate() {
        let own: Vec<&(Picture, Vec<u8>)> = whole.iter().filter(|(picture, _)| picture.class == class).collect();
        ensure!(
            own.iter().any(|(picture, _)| picture.part != Some(1)),
            "{}: not one picture to train on of class {name} that can be read; remove its folder, or put pictures into it",
            source.display()
        );
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by_cached_key(|&place| key(&own[place].0));
        let mut drawn = vec![0; own.len()];
        order[..test_count(own.len(), share)].iter().for_each(|&place| drawn[place] = 1);
        for ((picture, pixels), drawn) in own.into_iter().zip(drawn) {
            let part = picture.part.unwrap_or(drawn);
            parts[part].labels.push(class as u8);
            parts[part].pixels.extend(planes(pixels));
        }
    }
    debug_assert!(parts.iter().all(|part| part.pixels.len() == part.count() * IMAGE_BYTES));
    Ok(parts)
}

/// Of `count` pictures; of at least two, one is left for each part.
fn test_count(count: usize, share: f64) -> usize {
    if count < 2 { 0 } else { ((share * count as f64).round() as usize).clamp(1, count - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_get_pictures_of_a_class_of_two() {
        assert_eq!([0, 1, 2, 3, 10, 143].map(|count| test_count(count, 0.2)), [0, 0, 1, 1, 2, 29]);
        assert_eq!([2, 3].map(|count| test_count(count, 0.9)), [1, 2]);
    }
}
