//! Files in good order, or good as far as a reader gets within a few microseconds.

use std::io::Write;

use crate::damage::RECORD_BYTES;
use crate::table::{self, PLAIN};
use flate2::write::GzEncoder;
use flate2::{Compression as Level, Crc};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use runner::data::cifar::Layout;
use runner::engine::{Network, State};
use runner::spec::{defaults, trial_id};
use runner::store::Identity;
use runner::train::checkpoint;
use tar::{EntryType, Header};
use tch::{Device, Kind, Tensor};

pub const YAML_WORDS: [&str; 51] = [
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\"",
    "'",
    "*",
    "&",
    "!",
    "|",
    ">",
    "?",
    "\t",
    "#",
    ",",
    "%",
    "---",
    "é",
    "\u{feff}",
    "&a",
    "*a",
    "<<",
    "!!int",
    "~",
    "null",
    "no",
    ".nan",
    "1e999",
    "0",
    "-1",
    "0,1",
    "1e-3",
    "99999999999999999999",
    "../x",
    "grid",
    "random",
    "uniform",
    "{}",
    "none",
    "name",
    "adam",
    "seeds",
    "exclude",
    "include",
    "zip",
    "base",
    "optimizer.lr",
];

/// The repository's own experiments, and one with all that a block can have.
pub fn experiments() -> Vec<Vec<u8>> {
    const BLOCKS: &str = "schema: 1\nname: t\nseeds: [0, 1]\ndata: {dataset: synthetic, train: 1000, val: 500, scale: standardize}\n\
        select: {metric: val_accuracy, goal: max}\ntargets: [0.3, 0.5]\nbase:\n  model: {name: leaky_cnn, channels: [8, 8], dense: []}\n  \
        activation: {name: leaky_relu, slope: 0.2}\n  optimizer: {name: sgd, lr: 0.01, momentum: 0.9}\n  epochs: 35\n  \
        schedule: {name: staged, stages: [{epochs: 20, lr: 3e-4}, {epochs: 15, lr: 1e-4}]}\n  regularization: {l1: 1e-5, on: conv}\n  \
        augment: {flip: true, rotation: 15, shift: 0.1, crop: 4, cutout: 8}\n  label_smoothing: 0.1\n  clip: {norm: 1}\n  \
        early_stopping: {patience: 3, min_delta: 0.001}\nblocks:\n  - id: a\n    title: \"A title\"\n    mode: grid\n    \
        base: {augment.flip: false}\n    axes: {epochs: [30, 35], init: [keras]}\n    \
        zip: [{batch_size: [4, 8], optimizer.lr: [0.1, 1e-2]}]\n    exclude: [{epochs: 30, batch_size: 4}]\n    \
        include: [{clip: {value: 1}}]\n  - {id: b, axes: {activation: [tanh, relu], data.train: [100]}}\n  \
        - {id: c, mode: random, samples: 9, axes: {optimizer: [&o {name: sgd, lr: 0.1}, {<<: *o, momentum: 0.5}], optimizer.lr: {log: [1e-4, 0.1]}, batch_size: {int: [4, 64]}}}\n";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    // A round means the same on every machine.
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).chain([BLOCKS.as_bytes().to_vec()]).collect()
}

/// 9,900 combinations of numbers as long as numbers may be.
pub fn largest_grid() -> Vec<u8> {
    let list = |count: usize| (1..=count).map(|i| format!("0.{i:062}")).collect::<Vec<_>>().join(", ");
    let others =
        ["optimizer.weight_decay", "optimizer.dampening", "regularization.l1", "regularization.l2", "augment.shift"];
    let others: String = others.iter().map(|key| format!(", {key}: [0.{:062}]", 1)).collect();
    let axes = format!("optimizer.lr: [{}], label_smoothing: [{}]{others}", list(99), list(100));
    let base = "base: {model: lenet5, optimizer: {name: sgd, momentum: 0.9}}";
    format!("schema: 1\nname: t\n{base}\nblocks: [{{id: a, mode: grid, axes: {{{axes}}}}}]\n").into_bytes()
}

/// As many tensors as a header may list.
pub fn largest_header() -> Vec<u8> {
    const BYTES: usize = 16 << 20;
    let mut header = String::from("{");
    for number in 0.. {
        let entry = format!(r#""{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},"#);
        if header.len() + entry.len() > BYTES {
            break;
        }
        header += &entry;
    }
    header.pop();
    header.push('}');
    let blanks = vec![b' '; BYTES - header.len()];
    [&(BYTES as u64).to_le_bytes(), header.as_bytes(), &blanks].concat()
}

/// One of ours, and one as PyTorch's users save it.
pub fn checkpoints() -> Vec<Vec<u8>> {
    let tensor = |count: i64, kind| Tensor::arange(count, (kind, Device::Cpu)).view([-1, 2]);
    let ours: State = vec![
        ("model.conv1.weight".to_owned(), tensor(8, Kind::Float)),
        ("model.bn1.num_batches_tracked".to_owned(), Tensor::from(7i64)),
        ("generator".to_owned(), tensor(16, Kind::Uint8)),
    ];
    let ours = checkpoint::encode(&ours, &serde_json::json!({"format": 2, "history": [{"epoch": 3}]})).unwrap();
    let header = br#"{"__metadata__":{"format":"pt"},"fc1.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"fc1.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}"#;
    let theirs = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 16]].concat();
    vec![ours, theirs]
}

/// The smallest LeNet-5, as a trial stores it.
pub fn network() -> Vec<u8> {
    let mut config = defaults("lenet5").unwrap();
    config.model =
        serde_json::from_value(serde_json::json!({"name": "lenet5", "channels": [1, 1], "dense": [2]})).unwrap();
    let state = Network::new(&config).state();
    checkpoint::encode(&state, &Identity { id: trial_id(&config, 0), seed: 0, config }).unwrap()
}

/// The first records of a binary batch.
pub fn records(count: usize) -> Vec<u8> {
    (0..RECORD_BYTES).map(|byte| (byte % 256) as u8).collect::<Vec<_>>().repeat(count)
}

/// The beginnings of official batches, as Python 2's cPickle wrote them, with their entries in two orders, and of what
/// Python 3 writes.
pub fn pickles() -> Vec<Vec<u8>> {
    let begin = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03".to_vec();
    let files = b"U\x09filenamesq\x0c]q\x0d(U\x05a.pngq\x0er\x0f\x00\x00\x00U\x05b.pnge".to_vec();
    let few = labels(3);
    let all = (0..10).fold(b"U\x06labelsq\x04]q\x05".to_vec(), |list, _| [list, run(1_000)].concat());
    vec![
        [begin.clone(), pixels(), files.clone(), few.clone(), b"u.".to_vec()].concat(),
        [begin.clone(), few, pixels(), files.clone()].concat(),
        [begin, files, all, pixels()].concat(),
        [PYTHON_3_BEGIN, b"\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01M\x10'M\x00\x0c\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89B\x05\0\0\0abcde\x94t\x94bu."].concat(),
        [PYTHON_3_BEGIN, b"\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96\x05\0\0\0\0\0\0\0abcde\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94"].concat(),
    ]
}

const PYTHON_3_BEGIN: &[u8] = b"\x80\x04\x95\x07\x01\0\0\0\0\0\0}\x94(\x8c\x04data\x94\x8c";

fn labels(count: u8) -> Vec<u8> {
    [b"U\x06labelsq\x04]q\x05".to_vec(), run(count.into())].concat()
}

/// Labels of a list, between MARK and APPENDS.
fn run(count: usize) -> Vec<u8> {
    let labels = (0..count).flat_map(|label| [b'K', (label % 10) as u8]);
    std::iter::once(b'(').chain(labels).chain([b'e']).collect()
}

fn pixels() -> Vec<u8> {
    let mut bytes = b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T".to_vec();
    bytes.extend(200u32.to_le_bytes());
    bytes.extend([7; 200]);
    bytes.extend(b"tb");
    bytes
}

/// Archives with a batch that ends early, with links and a long name, and in an older form.
pub fn archives() -> Vec<Vec<u8>> {
    let (binary, python) = (Layout::Binary.folder(), Layout::Python.folder());
    let batch = format!("{binary}/data_batch_1.bin");
    let mut cut_short = builder(&[(&format!("{binary}/readme.html"), EntryType::Regular, 600)]);
    let mut header = header(&batch, EntryType::Regular, 30_730_000);
    header.set_cksum();
    cut_short.splice(2 * 512 + 512.., [&header.as_bytes()[..], &[5; 600]].concat());
    vec![
        cut_short,
        builder(&[
            ("././@LongLink", EntryType::GNULongName, 200),
            ("pax", EntryType::XHeader, 30),
            (&format!("{binary}/batches.meta.txt"), EntryType::Symlink, 0),
            (&format!("{python}/data_batch_2"), EntryType::Regular, 500),
        ]),
        builder(&[(&format!("{python}/readme.html"), EntryType::Directory, 0), (&batch, EntryType::Link, 0)]),
    ]
}

fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_entry_type(kind);
    header
}

fn builder(members: &[(&str, EntryType, usize)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(vec![]);
    for &(name, kind, size) in members {
        let mut header = header(name, kind, size as u64);
        header.set_cksum();
        builder.append(&header, &vec![b'5'; size][..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same without compression, which would take most of a round's time. RFC 1951 and 1952.
pub fn stored_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = bytes.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        packed.push(blocks.peek().is_none().into());
        packed.extend([length.to_le_bytes(), (!length).to_le_bytes()].as_flattened());
        packed.extend(block);
    }
    if bytes.is_empty() {
        packed.extend(b"\x01\0\0\xff\xff");
    }
    let mut crc = Crc::new();
    crc.update(bytes);
    packed.extend([crc.sum().to_le_bytes(), (bytes.len() as u32).to_le_bytes()].as_flattened());
    packed
}

/// TIFFs of every colour model, compression and predictor, and a JPEG and a TIFF with JPEGs in it.
pub fn pictures() -> Vec<Vec<u8>> {
    use table::Colour::{BlackIsZero, Cmyk, Palette, Rgb, WhiteIsZero, YCbCr};
    use table::Compression::{Deflate, Lzw, PackBits};
    let kinds = [
        table::Kind { colour: Palette, bits: 4, ..PLAIN },
        table::Kind { colour: Cmyk, big_endian: true, tiled: true, compression: Lzw, ..PLAIN },
        table::Kind { colour: YCbCr, subsampling: (2, 2), compression: PackBits, ..PLAIN },
        table::Kind { colour: WhiteIsZero, bits: 12, reversed_bits: true, ..PLAIN },
        table::Kind {
            colour: BlackIsZero,
            bits: 32,
            format: table::Format::Float,
            predictor: 3,
            compression: Deflate,
            ..PLAIN
        },
        table::Kind { colour: Rgb, bits: 16, extra: Some(vec![0, 1]), predictor: 2, compression: Lzw, ..PLAIN },
        table::Kind { colour: Rgb, extra: Some(vec![2]), planar: true, big_tiff: true, ..PLAIN },
    ];
    let mut random = crate::common::Random(6);
    let mut files: Vec<Vec<u8>> = kinds.iter().map(|kind| table::picture(kind, &mut random).file).collect();
    let mut jpeg = vec![];
    let pixels: Vec<u8> = (0..3 * 40 * 30).map(|_| random.below(256) as u8).collect();
    JpegEncoder::new(&mut jpeg).encode(&pixels, 40, 30, ExtendedColorType::Rgb8).unwrap();
    files.push(table::one_strip(7, 6, &[8; 3], (40, 30), &jpeg));
    files.push(table::one_strip(4, 0, &[1], (table::WIDTH as u32, 18), &table::fax(|x, y| (x * y) % 5 < 2)));
    files.push(jpeg);
    files
}
