//! What NVIDIA's driver says of this machine's GPUs, whether libtorch can use them or not.

use std::fmt;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde::Serialize;

/// What the libtorch that this program is made for needs: its CUDA 13.0 wheels (NVIDIA's table "CUDA Toolkit and Corresponding
/// Driver Versions"; PyTorch 2.11's list of architectures).
const DRIVER: u32 = 580;
const CAPABILITY: (i32, i32) = (7, 5);

#[derive(Clone, Debug, Serialize)]
pub struct Driver {
    /// Such as `580.159.04`.
    pub version: String,
    pub gpus: Vec<Gpu>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Gpu {
    pub name: String,
    /// Major and minor.
    pub compute_capability: (i32, i32),
    pub bytes: u64,
    pub free_bytes: u64,
}

/// Says so where there is no driver.
pub fn driver() -> Result<Driver, String> {
    let found = || -> Result<Driver, NvmlError> {
        let nvml = Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init()?;
        let gpus = (0..nvml.device_count()?).map(|index| gpu(&nvml.device_by_index(index)?));
        Ok(Driver { version: nvml.sys_driver_version()?, gpus: gpus.collect::<Result<_, _>>()? })
    };
    found().map_err(|error| error.to_string())
}

fn gpu(device: &Device) -> Result<Gpu, NvmlError> {
    let (capability, memory) = (device.cuda_compute_capability()?, device.memory_info()?);
    Ok(Gpu {
        name: device.name()?,
        compute_capability: (capability.major, capability.minor),
        bytes: memory.total,
        free_bytes: memory.free,
    })
}

impl Driver {
    /// What keeps libtorch from using a GPU that is there.
    pub fn lacks(&self) -> Option<String> {
        let other_wheels = "Python's torch 2.11.0 for CUDA 12.6 (cu126) runs there; LIBTORCH names its folder";
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < DRIVER) {
            return Some(format!("CUDA 13.0 needs the driver {DRIVER} or newer; {other_wheels}"));
        }
        let is_old = |gpu: &Gpu| gpu.compute_capability < CAPABILITY;
        let (major, minor) = CAPABILITY;
        let lack = format!("CUDA 13.0 needs the compute capability {major}.{minor} or higher; {other_wheels}");
        (!self.gpus.is_empty() && self.gpus.iter().all(is_old)).then_some(lack)
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (major, minor) = self.compute_capability;
        let gibibytes = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        let (free, all) = (gibibytes(self.free_bytes), gibibytes(self.bytes));
        write!(f, "{}, compute capability {major}.{minor}, {free:.1} of {all:.1} GiB free", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(version: &str, capabilities: &[(i32, i32)]) -> Driver {
        let gpu = |&compute_capability| Gpu { name: "one".into(), compute_capability, bytes: 1, free_bytes: 1 };
        Driver { version: version.into(), gpus: capabilities.iter().map(gpu).collect() }
    }

    #[test]
    fn what_libtorch_cannot_use_is_said_with_a_way_on() {
        assert_eq!(driver("580.159.04", &[(9, 0)]).lacks(), None);
        assert_eq!(driver("590.1", &[(7, 0), (7, 5)]).lacks(), None);
        assert!(driver("575.57.08", &[(9, 0)]).lacks().unwrap().contains("driver 580"));
        assert!(driver("580.1", &[(7, 0)]).lacks().unwrap().contains("7.5 or higher"));
    }
}
