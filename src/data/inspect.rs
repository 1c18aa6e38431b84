//! What `runner data info` and `runner data verify` say about a data set that has been read.

use std::fmt;

use serde::Serialize;
use tch::Device;

use super::batches::{Resident, channel_statistics};
use super::cifar::{self, BATCH_NAMES};
use super::class_names;
use super::dataset::{Dataset, Images, records, sha256};
use crate::spec::config::DatasetName;

/// SHA-256 of each official file of the binary layout, which is also that of a batch's records read from any layout.
/// From torchvision-ruby's `CIFAR10`, which takes them from the archive with the SHA-256 in `fetch`.
const OFFICIAL_SHA256: [&str; BATCH_NAMES.len()] = [
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
];

/// Whether a complete and well-formed CIFAR-10 is the official one, to the last bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub source: String,
    pub sha256: String,
    /// The batches whose bytes are not the official ones; none if all is as published.
    pub differing: Vec<&'static str>,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}\n50000 training and 10000 test images, sha256 {}", self.source, self.sha256)?;
        if self.differing.is_empty() {
            return write!(f, "complete, well formed, and the official CIFAR-10");
        }
        write!(f, "complete and well formed, but not the official pixels (differing: {})", self.differing.join(", "))
    }
}

/// Compares a CIFAR-10 that `load` accepted, and no other data set, with the official one. Takes about 0.2 s.
pub fn verify(dataset: &Dataset) -> Verification {
    assert!(dataset.name == DatasetName::Cifar10, "only CIFAR-10 has official files");
    let is_official = |batch: usize| sha256(records(cifar::batch(dataset, batch))) == OFFICIAL_SHA256[batch];
    let differing = (0..BATCH_NAMES.len()).filter(|&batch| !is_official(batch)).map(|batch| BATCH_NAMES[batch]);
    Verification { source: dataset.source.clone(), sha256: dataset.sha256(), differing: differing.collect() }
}

/// A data set in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    pub name: String,
    pub source: String,
    pub sha256: String,
    pub class_names: Vec<String>,
    pub train: SplitInfo,
    pub test: SplitInfo,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitInfo {
    pub images: usize,
    pub images_per_class: Vec<usize>,
    /// Of red, green and blue, of pixels scaled to [0, 1].
    pub mean: [f64; 3],
    /// Population standard deviations, likewise.
    pub standard_deviation: [f64; 3],
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}\nsha256 {}", self.source, self.sha256)?;
        for (part, split) in [("training", &self.train), ("test", &self.test)] {
            let ([red, green, blue], [d_red, d_green, d_blue]) = (split.mean, split.standard_deviation);
            writeln!(f, "{} {part} images", split.images)?;
            writeln!(f, "  mean of red, green, blue       {red:.4} {green:.4} {blue:.4}")?;
            writeln!(f, "  standard deviations            {d_red:.4} {d_green:.4} {d_blue:.4}")?;
        }
        write!(f, "{:<14}{:>9}{:>6}", "class", "training", "test")?;
        for (class, name) in self.class_names.iter().enumerate() {
            let (train, test) = (self.train.images_per_class[class], self.test.images_per_class[class]);
            write!(f, "\n{class} {name:<12}{train:>9}{test:>6}")?;
        }
        Ok(())
    }
}

/// Counts and statistics of `dataset`. Takes about 0.3 s for CIFAR-10.
pub fn info(dataset: &Dataset) -> Info {
    let split = |images: &Images| {
        let (mean, standard_deviation) = channel_statistics(&Resident::new(images, Device::Cpu).images);
        SplitInfo {
            images: images.count(),
            images_per_class: images.class_counts(dataset.name.classes()),
            mean,
            standard_deviation,
        }
    };
    Info {
        name: dataset.name.as_str().to_owned(),
        source: dataset.source.clone(),
        sha256: dataset.sha256(),
        class_names: class_names(&dataset.name),
        train: split(&dataset.train),
        test: split(&dataset.test),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cifar::tests::SAMPLE;
    use crate::data::synthetic;

    #[test]
    fn pixels_other_than_the_official_are_a_distinct_outcome() {
        let verification = verify(&SAMPLE);
        assert_eq!(verification.differing, BATCH_NAMES);
        let text = verification.to_string();
        assert!(text.contains("but not the official pixels") && text.contains(&SAMPLE.sha256()), "{text}");
        let official = Verification { differing: vec![], ..verification };
        assert!(official.to_string().ends_with("the official CIFAR-10"));
    }

    #[test]
    fn statistics_of_a_known_set() {
        let mut image = Images::zeroed(1);
        image.pixels[..512].fill(255);
        image.pixels[1024..2048].fill(51);
        let image = Resident::new(&image, Device::Cpu).images;
        assert_eq!(channel_statistics(&image), ([0.5, 0.2, 0.0], [0.5, 0.0, 0.0]));
    }

    #[test]
    fn info_counts_every_class_and_becomes_json() {
        let info = info(&synthetic::tests::SET);
        assert_eq!(info.train.images_per_class, [500; 10]);
        assert_eq!(info.test.images_per_class, [100; 10]);
        let json = serde_json::to_value(&info).unwrap();
        assert_eq!(json["name"], "synthetic");
        assert_eq!(json["test"]["images"], 1_000);
    }

    #[test]
    fn real_images_have_the_published_statistics() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        if cifar::places::locate(&dir).is_none() {
            return crate::skip::leave_out(&format!("no CIFAR-10 in {}", dir.display()));
        }
        let dataset = crate::data::load(&DatasetName::Cifar10, &dir).unwrap();
        let SplitInfo { mean, standard_deviation, .. } = info(&dataset).train;
        // Commonly cited for the official images; JPEG compression moves them a little.
        let near = |found: [f64; 3], cited: [f64; 3]| found.iter().zip(cited).all(|(x, y)| (x - y).abs() < 0.005);
        assert!(near(mean, [0.4914, 0.4822, 0.4465]), "{mean:?}");
        assert!(near(standard_deviation, [0.2470, 0.2435, 0.2616]), "{standard_deviation:?}");
    }
}
