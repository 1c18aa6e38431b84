//! Random damage to every file that the program reads: anything may be refused, nothing may panic, hang or take much
//! memory. `RUNNER_FUZZ_ROUNDS=1000000 cargo test --release --test fuzz -- --nocapture` makes it long and shows why inputs
//! were refused; `RUNNER_FUZZ_FIRST=N RUNNER_FUZZ_ROUNDS=1` repeats the round that a failure names.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // Other tests use the rest.
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod memory;
mod seeds;
#[allow(dead_code)]
#[path = "../program/pictures/table/mod.rs"]
mod table;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use damage::Random;
use memory::Peak;
use runner::data::cifar::{Assembly, Layout};
use runner::data::cifar::{archive, python};
use runner::inference::load;
use runner::pictures::small_square;
use runner::spec::{Experiment, Overrides};
use runner::train::checkpoint;

const DEFAULT_ROUNDS: u64 = 2_000;
/// Of the processor. No input here is worth more; only a hang takes so long.
const LONGEST: Duration = Duration::from_secs(20);
const MOST_BYTES: usize = 512 << 20;
/// A picture's pixels may take 512 MiB, and what they are unpacked from as much again.
const MOST_BYTES_OF_PICTURES: usize = 1100 << 20;
/// Kinds of outcomes that are shown.
const SHOWN: usize = 16;

/// Feeds damaged copies of `seeds` to `target`: most of them with edits that keep the `format`, some with edits of any bytes.
fn fuzz(
    name: &str,
    seeds: &[Vec<u8>],
    format: impl Fn(&mut Vec<u8>, &mut Random),
    target: impl Fn(&[u8]) -> Result<()>,
) {
    fuzz_within(MOST_BYTES, name, seeds, format, target);
}

fn fuzz_within(
    most_bytes: usize,
    name: &str,
    seeds: &[Vec<u8>],
    format: impl Fn(&mut Vec<u8>, &mut Random),
    target: impl Fn(&[u8]) -> Result<()>,
) {
    let _alone = alone();
    let (first, rounds) = (setting("RUNNER_FUZZ_FIRST", 0), setting("RUNNER_FUZZ_ROUNDS", DEFAULT_ROUNDS));
    let (mut outcomes, mut slowest) = (HashMap::new(), Duration::ZERO);
    let (peak, started) = (Peak::start(), Instant::now());
    let round = AtomicU64::new(first);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(name, &round));
        let _end = End { name, round: &round };
        for number in first..first + rounds {
            round.store(number, Relaxed);
            let mut random = Random::new(number);
            let mut input = random.of(seeds).clone();
            let edits = random.below(8);
            if edits < 6 {
                format(&mut input, &mut random);
            }
            if edits >= 5 {
                damage::bytes(&mut input, &mut random);
            }
            let began = processor_time();
            let outcome = target(&input).map_or_else(|error| kind(&format!("{error:#}")), |()| "accepted".to_owned());
            slowest = slowest.max(processor_time() - began);
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
    });
    let (held, resident) = (peak.held(), peak.resident());
    println!(
        "{name}: {rounds} inputs in {:.0?}, slowest {slowest:.0?}, at most {} MiB held, {} MiB resident",
        started.elapsed(),
        held >> 20,
        resident >> 20
    );
    show(outcomes, rounds);
    assert!(held.max(resident) < most_bytes, "{name}: {held} bytes held at a time, {resident} resident");
}

/// Targets run one after another, so that the peak is one target's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Ends the process when a round takes too long.
fn watch(name: &str, round: &AtomicU64) {
    let (mut seen, mut since) = (round.load(Relaxed), processor_time());
    while seen != ENDED {
        std::thread::sleep(Duration::from_millis(10));
        if round.load(Relaxed) != seen {
            (seen, since) = (round.load(Relaxed), processor_time());
        }
        if processor_time() - since > LONGEST {
            eprintln!("{name}: round {seen} takes longer than {LONGEST:?}");
            std::process::abort();
        }
    }
}

/// What this process has computed so far; other programs' work does not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// In place of a round.
const ENDED: u64 = u64::MAX;

/// Lets the watch go home and names the round of a panic.
struct End<'a> {
    name: &'a str,
    round: &'a AtomicU64,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let round = self.round.swap(ENDED, Relaxed);
        if std::thread::panicking() {
            eprintln!("{}: round {round} panicked", self.name);
        }
    }
}

/// The end of an error's message without its numbers, what it quotes and what would have been right.
fn kind(message: &str) -> String {
    let message = message.split("; ").next().unwrap_or_default();
    let end = message.rsplit(": ").next().unwrap_or_default();
    let mut kind = String::new();
    let mut quoted = None;
    for c in end.chars().take(80) {
        match quoted {
            Some(quote) if c == quote => quoted = None,
            Some(_) => continue,
            None if matches!(c, '`' | '\'' | '"') => quoted = Some(c),
            None => {}
        }
        if !c.is_ascii_digit() {
            kind.push(c);
        } else if !kind.ends_with('#') {
            kind.push('#');
        }
    }
    kind
}

/// The commonest outcomes with their shares.
fn show(outcomes: HashMap<String, u64>, rounds: u64) {
    let mut outcomes: Vec<(String, u64)> = outcomes.into_iter().collect();
    outcomes.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), kind.clone()));
    for (kind, count) in outcomes.iter().take(SHOWN) {
        println!("    {:6.2} %  {kind}", 100.0 * *count as f64 / rounds as f64);
    }
    if outcomes.len() > SHOWN {
        let rest: u64 = outcomes[SHOWN..].iter().map(|(_, count)| count).sum();
        println!("    {:6.2} %  {} other kinds", 100.0 * rest as f64 / rounds as f64, outcomes.len() - SHOWN);
    }
}

/// What makes readers take most, each just within its limit.
#[test]
fn the_largest_inputs_stay_small_in_memory() {
    let _alone = alone();
    let read_archive = |bytes: &[u8]| archive::read(bytes, "bomb").map(drop);
    let read_experiment =
        |bytes: &[u8]| Ok(Experiment::parse("bomb", str::from_utf8(bytes)?, &Overrides::default()).map(drop)?);
    let read_checkpoint = |bytes: &[u8]| checkpoint::decode(bytes)?.state().map(drop);
    type Reader<'a> = &'a dyn Fn(&[u8]) -> Result<()>;
    let inputs: [(&str, Vec<u8>, Reader); 4] = [
        ("a gzip bomb", seeds::gzip(&vec![0; 210_000_000]), &read_archive),
        ("as many values as a file may have", "- a\n".repeat(99_999).into_bytes(), &read_experiment),
        ("as many labels as an experiment may have", seeds::largest_grid(), &read_experiment),
        ("a header of 16 MiB", seeds::largest_header(), &read_checkpoint),
    ];
    for (name, bytes, read) in inputs {
        let peak = Peak::start();
        let outcome = read(&bytes).map_or_else(|error| format!("{error:#}"), |()| "accepted".to_owned());
        let (held, resident) = (peak.held(), peak.resident());
        println!("{name}: {} MiB held, {} MiB resident: {outcome}", held >> 20, resident >> 20);
        assert!(held.max(resident) < MOST_BYTES, "{name}: {held} bytes held at a time, {resident} resident");
    }
}

#[test]
fn experiment_files() {
    let words = |text: &mut Vec<u8>, random: &mut Random| damage::words(text, &seeds::YAML_WORDS, random);
    fuzz("experiment file", &seeds::experiments(), words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let experiment = Experiment::parse("fuzz", &text, &Overrides::default())?;
        experiment.trials();
        Ok(())
    });
}

#[test]
fn checkpoints() {
    fuzz("checkpoint", &seeds::checkpoints(), damage::safetensors, |bytes| {
        let file = checkpoint::decode(bytes)?;
        file.description::<serde_json::Value>()?;
        file.state().map(drop)
    });
}

#[test]
fn networks() {
    fuzz("stored network", &[seeds::network()], damage::safetensors, |bytes| load::read(bytes, None).map(drop));
}

#[test]
fn binary_batches() {
    fuzz(
        "binary batch",
        &[seeds::records(3)],
        |batch, random| damage::labels(batch, random),
        |bytes| {
            let mut assembly = Assembly::default();
            let slot = assembly.slot(0, "fuzz".to_owned())?;
            // The reader is told the size that a whole file has, and then finds less.
            Layout::Binary.read_batch(bytes, 30_730_000, slot)
        },
    );
}

#[test]
fn python_batches() {
    fuzz("python batch", &seeds::pickles(), damage::pickle, |bytes| {
        python::read_batch(bytes, bytes.len() as u64, Assembly::default().slot(0, "fuzz".to_owned())?)
    });
}

#[test]
fn pictures() {
    let numbers = |file: &mut Vec<u8>, random: &mut Random| damage::directory(file, random);
    let read = |bytes: &[u8]| small_square(bytes, 32).map(drop);
    fuzz_within(MOST_BYTES_OF_PICTURES, "picture", &seeds::pictures(), numbers, read);
}

#[test]
fn packed_archives() {
    let packed: Vec<Vec<u8>> = seeds::archives().iter().map(|archive| seeds::gzip(archive)).collect();
    fuzz("archive, packed", &packed, damage::bytes, |bytes| archive::read(bytes, "fuzz").map(drop));
}

#[test]
fn unpacked_archives() {
    // Damage before packing gets past gzip's checksum and into the tar reader.
    fuzz(
        "archive, unpacked",
        &seeds::archives(),
        |archive, random| damage::tar(archive, random),
        |bytes| archive::read(&seeds::stored_gzip(bytes)[..], "fuzz").map(drop),
    );
}
