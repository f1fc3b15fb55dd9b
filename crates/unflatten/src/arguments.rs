use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jobs::{CaptionLanguage, EngineChoice, LayerCount, ParamsError};
use layers::{Format, UnknownFormat};
use qwen_image_layered::synthetic::{Format as WeightFormat, Size};
use worker::model::{DeviceChoice, Precision, Variant};

/// Turns a flat poster into editable layers.
///
/// Without a command it starts the service (see `unflatten serve --help`).
/// Every setting is an environment variable, or a line in the file .env of the
/// current folder; .env.example lists them all.
#[derive(Debug, Parser)]
#[command(
    name = "unflatten",
    version,
    after_help = "Exit codes: 0 done, 1 it did not work, 2 it was asked wrongly, 130 interrupted."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the service: page, API and a worker in one process (the default)
    Serve(ServeArguments),
    /// Turn pictures into layers, here and now
    Decompose(Box<DecomposeArguments>),
    /// Pack a folder of layers into one file
    Export(ExportArguments),
    /// Say what this machine can run, what is missing, and how to get it
    Doctor,
    /// Fetch the weights of Qwen-Image-Layered
    Pull(PullArguments),
    /// Write a model of random weights, to measure speed and memory without the real ones
    SynthCheckpoint(SynthArguments),
}

/// Starts the page, the API and a worker in one process. With REDIS_URL or
/// REDIS_HOST set, other API and worker processes can share the queue;
/// otherwise it is kept in a file.
///
/// Ctrl-C or SIGTERM drains: the running job may finish within
/// SHUTDOWN_GRACE_S, or goes back to the queue. A second one quits at once.
#[derive(Debug, Default, Args)]
pub struct ServeArguments {
    /// Address to listen on; 0.0.0.0 lets other machines in [env: HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port of the page and the API; 0 takes any free one [env: PORT] [default: 8000]
    #[arg(long)]
    pub port: Option<u16>,
}

/// Turns pictures into layers. One picture gives `DIR/layer_0.png` (the
/// background), `layer_1.png`, ..., `metadata.json` and `preview.jpg`; several
/// give `DIR/<file name without ending>/` each.
///
/// A folder that holds an earlier result gets the new one in its place; a folder
/// with layer files of something else is left alone.
#[derive(Debug, Args)]
pub struct DecomposeArguments {
    /// PNG, JPEG, WebP, GIF, BMP or TIFF pictures
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// How many layers: 1 to 10, or auto [env: DEFAULT_NUM_LAYERS] [default: 4]
    #[arg(short = 'n', long, value_name = "N|auto", value_parser = parse_layers)]
    pub layers: Option<LayerCount>,
    /// Folder for the result [default: <file name without ending>-layers for each picture]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Also draw input, layers and recomposition into one PNG; of several pictures each
    /// gets its own, with the name of its folder added
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    /// Which engine is to do it: auto takes the best that this machine has
    #[arg(long, default_value = "auto", value_parser = parse_engine)]
    pub engine: EngineChoice,
    /// The same seed gives the same layers [default: drawn, and written to metadata.json]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Describes the whole picture, hidden parts included (qwen, vertex)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prompt: String,
    /// What the picture is not (qwen, vertex)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub negative: String,
    /// Denoising steps, 1 to 200 (qwen, vertex) [env: INFERENCE_STEPS] [default: 50]
    #[arg(long)]
    pub steps: Option<u32>,
    /// Scale of classifier-free guidance, 1 to 20; 1 switches it off (qwen, vertex) [default: 4]
    #[arg(long)]
    pub guidance: Option<f32>,
    /// Rescale the guided prediction to the norm of the conditional one (qwen) [default: true]
    #[arg(long, value_name = "true|false")]
    pub cfg_normalize: Option<bool>,
    /// Working size of the diffusion model: 640, 1024 or (experimental) another multiple of 32 from 64 to 2048
    /// [env: DEFAULT_RESOLUTION] [default: 640]
    #[arg(long)]
    pub resolution: Option<u32>,

    /// Size of the layers: that of the picture (native), of the model, or both
    #[arg(long, value_name = "SIZE", default_value_t)]
    pub output_size: jobs::OutputSize,
    /// Language in which a picture without a prompt is described (qwen)
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub caption_language: Language,
    /// Print one line of JSON for each picture instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the qwen engine")]
pub struct ModelArguments {
    /// Weights: a folder in the published layout, or a repository that was pulled [env: MODEL_NAME]
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub model: Option<String>,
    /// Which of the pulled weights: bf16, fp8, q8_0, q5_k_m or q4_k_m [env: MODEL_VARIANT]
    #[arg(long, value_parser = parse_variant)]
    pub variant: Option<Variant>,
    /// What to run on: auto, cpu, cuda, cuda:N or metal [env: DEVICE] [default: auto]
    #[arg(long, value_parser = parse_device)]
    pub device: Option<DeviceChoice>,
    /// What to compute in: bf16 or f32 [env: DTYPE] [default: bf16]
    #[arg(long, value_parser = parse_precision)]
    pub dtype: Option<Precision>,
    /// Guide only the first steps, this share of them: faster, costs quality [env: GUIDED_STEPS_PERCENT] [default: 100]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub guided_steps_percent: Option<u8>,
    /// Take most of a step from the one before while its first block changes by no more than this: faster, costs
    /// quality [env: STEP_CACHE_PERCENT] [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub step_cache_percent: Option<u8>,
    /// Multiply fp8 weights in fp8, on NVIDIA GPUs from Ada on: faster, costs quality [env: FP8_PRODUCTS]
    #[arg(long)]
    pub fp8_products: bool,
    /// Start from the tensor `latents` of this safetensors file, [1, (layers+1)*h/16*w/16, 64], not from the seed's noise
    #[arg(long, value_name = "FILE")]
    pub init_latents: Option<PathBuf>,
    /// Write what the model computed on the way as safetensors (one picture only)
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    En,
    Zh,
}

impl From<Language> for CaptionLanguage {
    fn from(language: Language) -> Self {
        match language {
            Language::En => Self::En,
            Language::Zh => Self::Zh,
        }
    }
}

/// Packs a result that `decompose` wrote, or that was unpacked from a download, into one file.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Folder with metadata.json and the layers
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// zip, psd (Photoshop), ora (Krita, GIMP), pptx (one slide) or svg [default: what FILE ends with, or zip]
    #[arg(long, value_parser = parse_format)]
    pub format: Option<Format>,
    /// Also put each layer trimmed to its box into a zip
    #[arg(long)]
    pub trim: bool,
    /// File to write; one that is there is replaced [default: DIR with the format's ending]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Fetches the weights of MODEL_NAME from HF_ENDPOINT into MODEL_CACHE_DIR and
/// checks them. What is there already is kept; a transfer that was interrupted
/// goes on where it stopped.
#[derive(Debug, Args)]
pub struct PullArguments {
    /// bf16 (as published), or a smaller one that needs less memory and loses some detail: fp8, q8_0, q5_k_m, q4_k_m
    #[arg(long, default_value = "bf16", value_parser = parse_variant)]
    pub variant: Variant,
}

/// Writes a folder in the published layout whose weights are noise: it runs as
/// the real model does, in the same time and memory, and draws nothing.
#[derive(Debug, Args)]
pub struct SynthArguments {
    /// Folder to write; it must not exist, or be empty
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// full (as published) or tiny (a few megabytes, to try things out)
    #[arg(long, default_value = "full", value_parser = parse_size)]
    pub size: Size,
    /// bf16, fp8, gguf:q8_0, gguf:q6_k, gguf:q5_k_m or gguf:q4_k_m
    #[arg(long, default_value = "bf16", value_parser = parse_weight_format)]
    pub format: WeightFormat,
    /// Write no weights: they are made up in memory whenever the model is loaded
    #[arg(long)]
    pub in_memory: bool,
}

fn parse_size(text: &str) -> Result<Size, String> {
    text.parse()
}

fn parse_weight_format(text: &str) -> Result<WeightFormat, String> {
    text.parse()
}

fn parse_format(text: &str) -> Result<Format, UnknownFormat> {
    text.parse()
}

fn parse_layers(text: &str) -> Result<LayerCount, ParamsError> {
    text.parse()
}

fn parse_variant(text: &str) -> Result<Variant, String> {
    text.parse()
}

fn parse_device(text: &str) -> Result<DeviceChoice, String> {
    text.parse()
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    text.parse()
}

fn parse_engine(text: &str) -> Result<EngineChoice, ParamsError> {
    text.parse()
}
