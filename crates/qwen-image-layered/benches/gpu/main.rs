//! The whole measurement of a GPU in one run, on random weights of the published sizes:
//!
//!     cargo xtask bench gpu [weights] [parity] [kernels] [plans] [peer] [shortcuts]
//!         [--device cuda:0|cpu] [--size full|tiny] [--steps 50] [--minutes 9] [--weights DIR]
//!
//! `weights`: writes the checkpoints into DIR, where they are not there yet: 79 GB, on a machine with much memory best
//! below /dev/shm. Without DIR they are made up whenever they are read, which takes longer than copying them.
//! `parity`: all of the reference's tiny runs on the device, in f32 and bf16. `kernels`: time of what a block is made
//! of, its part of a step, and the share of the device's arithmetic and memory that it reaches. `plans`: for each plan
//! load time, seconds a step, a whole job after warm-up, and the peak of the device's memory beside the plan's
//! estimate; plans for smaller cards run under a hard cap, as the rest of the memory is taken first. `peer`: diffusers
//! on torch with the same sizes, eager and compiled, run by the Python of `UNFLATTEN_PYTHON`. `shortcuts`: the tiny
//! model with speed that costs quality: passes that are left out, and how far the layers are from the exact ones. Parts that the minutes no
//! longer suffice for are left out, and said to be. Everything is printed as lines of JSON; the exit code says whether
//! anything failed. `--size tiny --device cpu` tries it out anywhere.

mod kernels;
mod parity;
mod plans;
mod shortcuts;
mod watch;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use candle_core::Device;
use qwen_image_layered::gpu;
use qwen_image_layered::plan::{DeviceInfo, Kind};
use qwen_image_layered::synthetic::Size;
use serde_json::{Value, json};

pub type Outcome = Result<(), Box<dyn Error>>;

pub struct Options {
    pub device: Device,
    /// `None`: the CPU.
    pub gpu: Option<usize>,
    pub size: Size,
    pub steps: usize,
    /// Where the weights are; `None`: made up.
    pub weights: Option<PathBuf>,
    end: Instant,
}

const PARTS: [&str; 6] = ["weights", "parity", "kernels", "plans", "peer", "shortcuts"];

/// Layers of all jobs, and tokens of the prompt that kernels are measured with.
pub const LAYERS: usize = 4;
pub const WORDS: usize = 64;
/// Of the kernels and of the other program.
pub const RESOLUTION: u32 = 640;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("bench-gpu: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut parts, mut device, mut size) = (Vec::new(), "cuda:0".to_owned(), Size::Full);
    let (mut steps, mut weights, mut minutes) = (50, None, 9.0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bench" => {} // from cargo
            "--device" => device = next()?,
            "--size" => size = next()?.parse()?,
            "--steps" => steps = next()?.parse()?,
            "--weights" => weights = Some(PathBuf::from(next()?)),
            "--minutes" => minutes = next()?.parse()?,
            part if PARTS.contains(&part) => parts.push(word),
            _ => return Err(format!("`{word}` is not known; see the head of benches/gpu/main.rs").into()),
        }
    }
    let gpu = match device.as_str() {
        "cpu" => None,
        _ => Some(device.strip_prefix("cuda:").ok_or("a device is cpu or cuda:N")?.parse::<usize>()?),
    };
    let device = match gpu {
        Some(number) => {
            say("device", json!({ "gpu": gpu::probe(number)?.to_string() }));
            Device::new_cuda(number)?
        }
        None => Device::Cpu,
    };
    let end = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let options = Options { device, gpu, size, steps, weights, end };
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let mut code = ExitCode::SUCCESS;
    // What says most comes first: the time may be over before the end.
    for part in PARTS.into_iter().filter(|part| wanted(part)) {
        if options.left() < Duration::from_secs(20) {
            say(part, json!({ "left_out": "the time is over" }));
            continue;
        }
        let done = match part {
            "weights" => plans::write_weights(&options),
            "parity" => parity::run(&options),
            "kernels" => kernels::run(&options),
            "plans" => plans::run(&options),
            "shortcuts" => shortcuts::run(&options),
            _ => peer(&options),
        };
        if let Err(error) = done {
            say(part, json!({ "failed": error.to_string() }));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

impl Options {
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The device as it is now, with no more than `limit` bytes.
    pub fn card(&self, limit: Option<u64>) -> Result<DeviceInfo, Box<dyn Error>> {
        // What the plans of the cases put there fits into any machine with such a card.
        let host_free = 1 << 40;
        let free = |free: u64| limit.map_or(free, |limit| free.min(limit));
        Ok(match self.gpu {
            Some(number) => {
                let gpu = gpu::probe(number)?;
                DeviceInfo {
                    kind: Kind::Cuda { capability: gpu.capability },
                    free: free(gpu.free),
                    total: gpu.total,
                    name: gpu.name,
                    host_free,
                    fused_attention: cfg!(feature = "flash-attn"),
                }
            }
            None => DeviceInfo {
                name: "this computer".to_owned(),
                kind: Kind::Cpu,
                free: free(host_free),
                total: host_free,
                host_free,
                fused_attention: true,
            },
        })
    }
}

/// One line of the report.
pub fn say(part: &str, mut value: Value) {
    value["part"] = part.into();
    println!("{value}");
}

/// diffusers on the same device, in a process of its own.
fn peer(options: &Options) -> Outcome {
    let Some(python) = std::env::var_os("UNFLATTEN_PYTHON") else {
        say("peer", json!({ "left_out": "UNFLATTEN_PYTHON names no Python with torch and diffusers" }));
        return Ok(());
    };
    let script = std::env::var("UNFLATTEN_GPU_REFERENCE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/reference/gpu.py").to_owned());
    if !Path::new(&script).is_file() {
        return Err(format!("{script} is not there; name it with UNFLATTEN_GPU_REFERENCE").into());
    }
    let device = options.gpu.map_or("cpu".to_owned(), |number| format!("cuda:{number}"));
    let status = Command::new(python)
        .args([script.as_str(), "--device", device.as_str(), "--size", &options.size.to_string()])
        .args(["--resolution", &RESOLUTION.to_string()])
        .args(["--seconds", &options.left().as_secs().to_string()])
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("the reference failed: {status}").into()) }
}
