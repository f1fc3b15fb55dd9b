//! `unflatten synth-checkpoint`: writes a model with random weights.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use qwen_image_layered::synthetic::Synthetic;
use service::{ByteSize, Failure};
use worker::free_disk_bytes;

use crate::arguments::SynthArguments;

/// Bytes of configs, headers and file system overhead.
const OVERHEAD_BYTES: u64 = 64 << 20;

/// Runs the command.
///
/// # Errors
/// When the folder is not empty, too small or cannot be written.
pub(crate) fn synth(arguments: &SynthArguments) -> Result<ExitCode, Failure> {
    let SynthArguments { dir, size, format, in_memory } = arguments;
    let synthetic = Synthetic { size: *size, format: *format };
    let failed = |error: qwen_image_layered::Error| Failure::Failed(error.to_string());
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Failure::BadUse(format!("{} is not empty; name a new folder", dir.display())));
            }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::Failed(format!("{} cannot be read: {error}", dir.display())));
        }
        Err(_) => {}
    }
    if *in_memory {
        synthetic.write_without_weights(dir).map_err(failed)?;
        println!("{}: a {size} model in {format}, with weights that are generated at load time", dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    let needed = synthetic.bytes() + OVERHEAD_BYTES;
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    if let Some(free) = free_disk_bytes(&place).filter(|&free| free < needed) {
        return Err(Failure::Failed(format!(
            "a {size} model in {format} needs {}, but {} are free at {}; free some space, choose a smaller --format or \
             another folder, or use --in-memory",
            ByteSize(needed),
            ByteSize(free),
            dir.display()
        )));
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    let bar = ProgressBar::new(synthetic.bytes());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let written = synthetic.write(dir, &mut |done, _| {
        bar.set_position(done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    written.map_err(failed)?;
    println!("{}: a {size} model in {format}, {}", dir.display(), ByteSize(synthetic.bytes()));
    Ok(ExitCode::SUCCESS)
}
