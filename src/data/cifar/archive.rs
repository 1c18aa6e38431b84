//! Reads CIFAR-10 straight from either official archive, or one that somebody packed again, without unpacking it.
//!
//! Nothing an archive says becomes a path: only members with the official file names are read, into memory set aside for
//! them beforehand, so links, `../` and absolute names have nothing to act on.

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result, ensure};
use flate2::bufread::GzDecoder;
use tar::{Archive, EntryType};

use super::assembly::{Assembly, CIFAR_100};
use super::layout::Layout;
use crate::data::dataset::Dataset;

/// Both official archives unpack to less than 187 MB; a gzip bomb is cut off here.
const MAX_UNPACKED_BYTES: u64 = 200_000_000;
/// Both official archives have nine members.
const MAX_MEMBERS: usize = 1_000;

/// Reads a gzipped tar archive with the files of either official archive, in any order and in any folder; `source` names
/// it in errors. Refuses one in which a batch is missing, there twice, damaged, or no plain file; that unpacks to too much, is
/// cut short or fails gzip's checksum; or whose class counts are not CIFAR-10's.
pub fn read(reader: impl Read, source: &str) -> Result<Dataset> {
    let unpacked = Gzip(Some(GzDecoder::new(BufReader::with_capacity(1 << 16, reader)))).take(MAX_UNPACKED_BYTES);
    let mut archive = Archive::new(unpacked);
    let mut assembly = Assembly::default();
    let of_cifar_100 = read_members(&mut archive, &mut assembly, source)?;

    // Reading on to the end makes gzip check its checksum.
    let mut unpacked = archive.into_inner();
    std::io::copy(&mut unpacked, &mut std::io::sink()).with_context(|| source.to_owned())?;
    ensure!(unpacked.limit() > 0, "{source}: unpacks to more than {MAX_UNPACKED_BYTES} bytes");
    ensure!(!(of_cifar_100 && assembly.is_empty()), "{source}: {CIFAR_100}");
    assembly.finish(format!("{source} (archive)"))
}

/// What a gzip file unpacks to: all of its members, one after another. As for gzip itself, zeros behind them are padding.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let mut rest = self.0.take().expect("just read from").into_inner();
            self.0 = skip_zeros(&mut rest)?.then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}

/// Whether anything else comes after the zeros.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let found = zeros < buffer.len();
        reader.consume(zeros);
        if found || zeros == 0 {
            return Ok(found);
        }
    }
}

/// Reads the batches, and says whether a member has CIFAR-100's folder.
fn read_members(archive: &mut Archive<impl Read>, assembly: &mut Assembly, source: &str) -> Result<bool> {
    let mut of_cifar_100 = false;
    // `raw` keeps the tar crate from gathering long names and sparse maps for us: official members have neither.
    let members = archive.entries().with_context(|| source.to_owned())?.raw(true);
    for (number, member) in members.enumerate() {
        ensure!(number < MAX_MEMBERS, "{source}: more than {MAX_MEMBERS} members");
        let member = member.with_context(|| format!("{source}: not a gzipped tar archive, or cut short"))?;
        of_cifar_100 |= member.path_bytes().windows(10).any(|part| part == b"cifar-100-");
        let Some((layout, batch)) = batch_of(&member.path_bytes()) else { continue };
        let kind = member.header().entry_type();
        // What tar programs store beside a file, under its name: its owner's name, its exact dates.
        if kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            continue;
        }
        let file = format!("{source}: {}", layout.file(batch));
        ensure!(kind == EntryType::Regular, "{file}: a link or other special member");
        let size = member.size();
        layout.read_batch(member, size, assembly.slot(batch, file)?)?;
    }
    Ok(of_cifar_100)
}

/// Which batch a member is by its file's name, in whatever folder; none if its path leads out of the archive.
fn batch_of(path: &[u8]) -> Option<(Layout, usize)> {
    let mut parts = path.split(|&byte| byte == b'/');
    if path.starts_with(b"/") || parts.clone().any(|part| part == b"..") {
        return None;
    }
    Layout::of_file(parts.next_back()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cifar::BATCH_NAMES;
    use crate::data::cifar::python::tests::python;
    use crate::data::cifar::tests::{SAMPLE, binary};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use std::sync::LazyLock;
    use tar::{Builder, Header};

    type Gzipped = Builder<GzEncoder<Vec<u8>>>;

    fn builder() -> Gzipped {
        Builder::new(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    /// Names go in as bytes, since the tar crate refuses to write the ones that matter here.
    fn add(archive: &mut Gzipped, name: &str, kind: EntryType, bytes: &[u8]) {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(kind);
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }

    fn add_batches(archive: &mut Gzipped, layout: Layout) {
        for batch in [0, 2, 3, 5, 4, 1] {
            let name = format!("{}/{}", layout.folder(), layout.file(batch));
            let bytes = if layout == Layout::Binary { binary(batch) } else { python(batch) };
            add(archive, &name, EntryType::Regular, &bytes);
        }
    }

    fn finish(archive: Gzipped) -> Vec<u8> {
        archive.into_inner().unwrap().finish().unwrap()
    }

    static BINARY: LazyLock<Vec<u8>> = LazyLock::new(|| sample_archive(Layout::Binary));

    fn sample_archive(layout: Layout) -> Vec<u8> {
        let mut archive = builder();
        add_batches(&mut archive, layout);
        finish(archive)
    }

    fn error(bytes: &[u8]) -> String {
        format!("{:#}", read(bytes, "a.tar.gz").unwrap_err())
    }

    #[test]
    fn both_archives_hold_the_same_images() {
        for bytes in [&BINARY, &sample_archive(Layout::Python)] {
            let read = read(&**bytes, "a.tar.gz").unwrap();
            assert!(read.train == SAMPLE.train && read.test == SAMPLE.test);
            assert_eq!(read.source, "a.tar.gz (archive)");
        }
    }

    /// The six batches under names that start with `folder`, between what tar programs store beside them.
    fn packed_in(folder: &str, layout: Layout) -> Gzipped {
        let mut archive = builder();
        for batch in 0..BATCH_NAMES.len() {
            let name = layout.file(batch);
            add(&mut archive, &format!("{folder}PaxHeader/{name}"), EntryType::XHeader, b"20 comment=whatever\n");
            add(&mut archive, &format!("{folder}._{name}"), EntryType::Regular, b"of a Mac");
            let bytes = if layout == Layout::Binary { binary(batch) } else { python(batch) };
            add(&mut archive, &format!("{folder}{name}"), EntryType::Regular, &bytes);
        }
        archive
    }

    #[test]
    fn archives_that_people_packed_themselves_are_read() {
        for (folder, layout) in [
            ("./cifar-10-batches-bin/", Layout::Binary),
            ("", Layout::Python),
            ("./", Layout::Binary),
            ("data/cifar10/", Layout::Python),
        ] {
            let read = read(&*finish(packed_in(folder, layout)), "a.tar.gz").unwrap();
            assert!(read.train == SAMPLE.train && read.test == SAMPLE.test, "{folder}");
        }
    }

    #[test]
    fn an_archive_gzipped_in_several_members_is_read_to_its_end() {
        let mut archive = Builder::new(vec![]);
        for batch in 0..BATCH_NAMES.len() {
            let mut header = Header::new_ustar();
            header.set_size(binary(batch).len() as u64);
            archive.append_data(&mut header, Layout::Binary.file(batch), &*binary(batch)).unwrap();
        }
        let gzipped = |bytes: &[u8]| {
            let mut gzip = GzEncoder::new(vec![], Compression::fast());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let plain = archive.into_inner().unwrap();
        let members: Vec<Vec<u8>> = plain.chunks(plain.len() / 5).chain([&[][..]]).map(gzipped).collect();
        let mut whole = members.concat();
        assert!(read(&*whole, "a.tar.gz").unwrap().test == SAMPLE.test);
        whole.extend([0; 1000]);
        assert!(read(&*whole, "a.tar.gz").unwrap().test == SAMPLE.test, "zeros behind the end are padding");
        let mut damaged = members.clone();
        let checksum = damaged[1].len() - 8;
        damaged[1][checksum] ^= 1;
        assert!(error(&damaged.concat()).contains("checksum"), "{}", error(&damaged.concat()));
        assert!(error(&members[..3].concat()).contains("cannot be read"));
    }

    #[test]
    fn an_archive_of_cifar_100_is_called_that() {
        let mut archive = builder();
        ["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"]
            .iter()
            .for_each(|name| add(&mut archive, name, EntryType::Regular, b"x"));
        let error = error(&finish(archive));
        assert!(error.contains("CIFAR-100") && error.contains("the 10 of CIFAR-10"), "{error}");
    }

    #[test]
    fn foreign_members_are_passed_over_and_links_refused() {
        let mut archive = builder();
        let traps = ["../../escape", "/etc/passwd", "cifar-10-batches-bin/../data_batch_1.bin", "/data_batch_1.bin"];
        traps.iter().for_each(|name| add(&mut archive, name, EntryType::Regular, b"x"));
        add(&mut archive, "cifar-10-batches-bin/readme.html", EntryType::Symlink, b"");
        add_batches(&mut archive, Layout::Binary);
        assert!(read(&*finish(archive), "a.tar.gz").is_ok());
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::GNUSparse, EntryType::Fifo] {
            let mut archive = builder();
            add(&mut archive, "cifar-10-batches-bin/data_batch_1.bin", kind, b"");
            assert_eq!(error(&finish(archive)), "a.tar.gz: data_batch_1.bin: a link or other special member");
        }
    }

    #[test]
    fn missing_and_repeated_members_are_named() {
        assert_eq!(error(&finish(builder())), "a.tar.gz (archive): data_batch_1 is missing");
        let mut archive = builder();
        for name in ["cifar-10-batches-bin/test_batch.bin", "cifar-10-batches-py/test_batch"] {
            add(&mut archive, name, EntryType::Regular, &binary(5));
        }
        assert_eq!(error(&finish(archive)), "a.tar.gz: test_batch: this batch is there twice");
    }

    #[test]
    fn damage_anywhere_is_found() {
        let whole = &*BINARY;
        assert!(error(b"plain text, no archive").contains("not a gzipped tar archive"));
        for length in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
            error(&whole[..length]);
        }
        let mut altered = whole.clone();
        let checksum = altered.len() - 8;
        altered[checksum] ^= 1;
        assert!(error(&altered).contains("checksum"), "{}", error(&altered));
    }

    #[test]
    fn a_gzip_bomb_is_cut_off() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..=MAX_UNPACKED_BYTES >> 20).for_each(|_| gzip.write_all(&zeros).unwrap());
        assert!(error(&gzip.finish().unwrap()).contains("unpacks to more than"));
    }
}
