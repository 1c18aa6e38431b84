//! Random damage to every file that the program reads: anything may be refused, nothing may panic, hang or take much
//! memory. `RUNNER_FUZZ_ROUNDS=1000000 cargo test --release --test fuzz` makes it long.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use runner::data::cifar::{Assembly, Layout};
use runner::data::{archive, python};
use runner::spec::{Experiment, Overrides};
use runner::train::checkpoint;
use tch::{Device, Kind, Tensor};

const DEFAULT_ROUNDS: usize = 2_000;
/// No input here is worth more; only a hang takes so long.
const LONGEST: Duration = Duration::from_secs(20);
const MOST_BYTES: usize = 512 << 20;

/// Counts what Rust code holds at a time.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(memory.size(), Relaxed) + memory.size(), Relaxed);
        unsafe { System.alloc(memory) }
    }

    unsafe fn alloc_zeroed(&self, memory: Memory) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(memory.size(), Relaxed) + memory.size(), Relaxed);
        unsafe { System.alloc_zeroed(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        HELD.fetch_sub(memory.size(), Relaxed);
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Targets run one after another, so that the peak is one target's.
static ALONE: Mutex<()> = Mutex::new(());

/// Feeds damaged copies of `seeds` to `target`.
fn fuzz(name: &str, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let rounds = std::env::var("RUNNER_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_ROUNDS);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    PEAK.store(HELD.load(Relaxed), Relaxed);
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    for _ in 0..rounds {
        let input = damaged(&seeds[random.below(seeds.len())], &mut random);
        let began = Instant::now();
        target(&input);
        slowest = slowest.max(began.elapsed());
        assert!(slowest < LONGEST, "{name}: {slowest:?} for {input:?}");
    }
    let peak = PEAK.load(Relaxed);
    println!("{name}: {rounds} inputs in {:.0?}, slowest {slowest:.0?}, peak {} MiB", started.elapsed(), peak >> 20);
    assert!(peak < MOST_BYTES, "{name}: {peak} bytes held at a time");
}

/// SplitMix64. Steele et al. 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// One to five edits: bits flipped, bytes or numbers replaced, pieces removed, repeated or put elsewhere, the end cut off.
fn damaged(seed: &[u8], random: &mut Random) -> Vec<u8> {
    const NUMBERS: [u64; 8] = [0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, i64::MAX as u64, u64::MAX];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        let piece = bytes[at..at + length].to_vec();
        let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => drop(bytes.splice(at..at + length.min(8), number[..length.min(8)].iter().copied())),
            3 => drop(bytes.drain(at..at + length)),
            4 => drop(bytes.splice(at..at, piece)),
            5 => {
                let to = random.below(bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            _ => bytes.truncate(at.max(seed.len() / 8)),
        }
    }
    bytes
}

#[test]
fn experiment_files() {
    let mut seeds = vec![];
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments")).unwrap() {
        seeds.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    fuzz("experiment file", &seeds, |bytes| {
        let _ = Experiment::parse("fuzz", &String::from_utf8_lossy(bytes), &Overrides::default());
    });
}

#[test]
fn checkpoints() {
    let tensor = |count: i64| Tensor::arange(count, (Kind::Float, Device::Cpu)).view([-1, 2]);
    let state = vec![("model.conv1.weight".to_owned(), tensor(8)), ("best.fc1.bias".to_owned(), tensor(2))];
    let whole = checkpoint::encode(&state, &serde_json::json!({"format": 1, "epoch": 3})).unwrap();
    fuzz("checkpoint", &[whole], |bytes| {
        let _ = checkpoint::decode(bytes);
        let _ = checkpoint::description::<serde_json::Value>(bytes);
    });
}

#[test]
fn binary_batches() {
    let record: Vec<u8> = (0..3073).map(|byte| (byte % 10) as u8).collect();
    fuzz("binary batch", &[record.repeat(3)], |bytes| {
        let mut assembly = Assembly::new();
        let slot = assembly.slot(0, "fuzz".to_owned()).unwrap();
        // The reader is told the size that a whole file has, and then finds less.
        let _ = Layout::Binary.read_batch(bytes, 30_730_000, slot);
    });
}

#[test]
fn python_batches() {
    fuzz(
        "python batch",
        &[pickle_head(), b"\x80\x02}q\x01(U\x04dataq\x02U\x06labelsq\x03]q\x04(K\x01eu.".to_vec()],
        |bytes| {
            let mut assembly = Assembly::new();
            let _ = python::parse(bytes, assembly.slot(0, "fuzz".to_owned()).unwrap());
        },
    );
}

/// The beginning of an official batch, as Python 2's cPickle wrote it.
fn pickle_head() -> Vec<u8> {
    let mut bytes =
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(".to_vec();
    bytes.extend((0..100).flat_map(|label| [b'K', label % 10]));
    bytes.extend(
        b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
    );
    bytes.extend(b"(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    bytes.extend(30_720_000u32.to_le_bytes());
    bytes.extend([7; 200]);
    bytes
}

#[test]
fn archives() {
    let mut builder = tar::Builder::new(vec![]);
    for name in ["cifar-10-batches-bin/data_batch_1.bin", "cifar-10-batches-bin/readme.html"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(600);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, &[5u8; 600][..]).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    fuzz("archive, packed", &[packed(&plain)], |bytes| drop(archive::read(bytes, "fuzz")));
    // Damage before packing gets past gzip's checksum and into the tar reader.
    fuzz("archive, unpacked", &[plain], |bytes| drop(archive::read(&packed(bytes)[..], "fuzz")));
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
