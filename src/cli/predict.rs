//! `runner predict`: the most probable classes of pictures.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tch::Device;

use super::common::{DataFolder, say};
use crate::inference::load::load;
use crate::inference::predict;
use crate::{exit, host};

const PREDICT_HELP: &str = "\
A network sees the middle square of a picture at 32×32 pixels, turned as its EXIF data say and on white where it is
transparent; of an animation it sees the first frame. A picture may take 512 MiB of memory, which 20,000×20,000 grey
pixels do not reach.

A TIFF or BigTIFF may have grey, RGB or CMYK samples of 1 to 32 or 64 bits, or floating-point ones of 16, 32 or 64 bits in
0 to 1; a palette of up to 16 bits; YCbCr of 8; opacity; strips, tiles or planes; and no compression, LZW, Deflate, PackBits,
JPEG or fax group 4. What else there is (signed samples, Lab colours, Zstandard, ...) is refused by name.

A folder stands for the files in it, in the order of their names, without its subfolders and names that begin with a dot.
With a folder among the arguments the output is CSV (commas, quotes where a name needs them), one line a picture under
  image,first,first_probability,second,second_probability,third,third_probability
with probabilities in 0 to 1, the highest first.

A picture that cannot be read, or a folder without any, is named on standard error and does not stop the others; the exit
code is then 1.";

#[derive(Args)]
#[command(after_help = PREDICT_HELP)]
pub struct PredictArguments {
    /// A trial folder or a safetensors file
    #[arg(value_name = "TRIAL_DIR|CHECKPOINT")]
    checkpoint: PathBuf,
    /// PNG, JPEG, GIF, BMP, WebP or TIFF of any size, or folders of them
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Whose base configuration describes the network, for a state dict that PyTorch saved
    #[arg(long, value_name = "EXPERIMENT.yaml")]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
    /// Print JSON: a list with one object a picture, its three classes in `top`, or why it could not be read in `error`
    #[arg(long)]
    json: bool,
}

/// Text for single images, CSV as soon as a folder is among them. A picture that cannot be read does not stop the others.
pub fn run(arguments: &PredictArguments) -> Result<i32> {
    let PredictArguments { checkpoint, images, experiment, folder, json } = arguments;
    let loaded = load(checkpoint, experiment.as_deref(), Device::Cpu)?;
    // A single small picture gives several threads nothing to do but wait for one another.
    tch::set_num_threads(1);
    let scaling = loaded.scaling(&folder.path(), Device::Cpu)?;
    let csv = images.iter().any(|path| path.is_dir());
    let mut code = exit::DONE;
    if csv && !*json {
        say(predict::CSV_HEADER)?;
    }
    let mut objects = vec![];
    for path in predict::files(images)? {
        match predict::predict(&loaded, &scaling, &path) {
            Ok(prediction) if *json => objects.push(serde_json::to_value(prediction)?),
            Ok(prediction) => say(if csv { prediction.csv_row()? } else { prediction.to_string() })?,
            Err(error) => {
                let error = format!("{error:#}");
                host::print(&format!("error: {error}"));
                objects.push(serde_json::json!({"image": path.display().to_string(), "error": error}));
                code = exit::FAILED;
            }
        }
    }
    if *json {
        say(serde_json::to_string_pretty(&objects)?)?;
    }
    Ok(code)
}
