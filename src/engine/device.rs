//! Which device a user's word means, and what a device is called in results.

use anyhow::{Result, bail};
use tch::{Cuda, Device};

use crate::{host, native};

/// `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes the first GPU that libtorch can use, else the CPU.
pub fn parse(text: &str) -> Result<Device> {
    if text == "cpu" {
        return Ok(Device::Cpu);
    }
    let gpus = count_gpus();
    let index = match text {
        "auto" => return Ok(Device::cuda_if_available()),
        "cuda" => 0,
        _ => match text.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => index,
            None => bail!("{text}: no such device; valid: auto, cpu, cuda, cuda:N"),
        },
    };
    match gpus {
        0 => bail!("{text}: libtorch sees no GPU here; valid: auto, cpu"),
        _ if index as i64 >= gpus => bail!("{text}: libtorch sees {gpus} GPU(s) here: cuda:0 to cuda:{}", gpus - 1),
        _ => Ok(Device::Cuda(index)),
    }
}

/// One word of [`parse`], or several with commas between them, for trials spread over them.
pub fn parse_list(text: &str) -> Result<Vec<Device>> {
    text.split(',').map(|word| parse(word.trim())).collect()
}

/// How many GPUs libtorch can use.
pub fn count_gpus() -> i64 {
    let is_loaded = native::load_gpu_support().is_ok();
    if is_loaded && Cuda::is_available() { Cuda::device_count() } else { 0 }
}

/// What computes on a device, as in results: the GPU and the machine's processor, or that alone.
pub fn processor(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("{}, {}", native::gpu_name(index), host::processor()),
        _ => host::processor(),
    }
}

/// `cpu` or `cuda:N`, as in results.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}
