use std::path::PathBuf;

use api::Scopes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jobs::{CaptionLanguage, EngineChoice, LayerCount, ParamsError};
use layers::{Format, ShapeMode, TextMode, UnknownFormat, UnknownShapeMode, UnknownTextMode};
use qwen_image_layered::synthetic::{Format as WeightFormat, Size};
use worker::model::{DeviceChoice, LoraFile, Precision, Variant};

/// Turns flat posters into editable layers.
///
/// Without a command it starts the service (see `unflatten serve --help`).
/// Settings are environment variables, or lines in the file .env of the current
/// folder; .env.example lists them all.
#[derive(Debug, Parser)]
#[command(
    name = "unflatten",
    version,
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong arguments or settings, 130 interrupted."
)]
pub(crate) struct Arguments {
    /// The command; none starts the service.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command of `unflatten`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the service: web page, API and worker in one process (default)
    Serve(ServeArguments),
    /// Decompose pictures into layers on this machine
    Decompose(Box<DecomposeArguments>),
    /// Export a folder of layers as one file
    Export(ExportArguments),
    /// Check what this machine can run, what is missing, and how to fix it
    Doctor,
    /// Fetch the weights of Qwen-Image-Layered
    Pull(PullArguments),
    /// Write a model with random weights, to measure speed and memory without the real ones
    SynthCheckpoint(SynthArguments),
    /// Make a token that lets somebody use the service
    Token(TokenArguments),
}

/// Starts the web page, the API and a worker in one process. With REDIS_URL or
/// REDIS_HOST set, other API and worker processes can share the queue;
/// otherwise it is kept in a file.
///
/// Ctrl-C or SIGTERM shuts down gracefully: the running job may finish within
/// SHUTDOWN_GRACE_S, or goes back to the queue. A second one exits at once.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArguments {
    /// Address to listen on; 0.0.0.0 accepts connections from other machines [env: HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on; 0 picks a free one [env: PORT] [default: 8000]
    #[arg(long)]
    pub port: Option<u16>,
}

/// Decomposes pictures into layers. One picture is written to `DIR/layer_0.png`
/// (the background), `layer_1.png`, ..., `metadata.json` and `preview.jpg`; of
/// several, each gets its own folder `DIR/<file name without extension>/`.
///
/// An earlier result in a folder is replaced. A folder with layer files that are
/// not from Unflatten is not touched.
#[derive(Debug, Args)]
pub(crate) struct DecomposeArguments {
    /// PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF pictures
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Number of layers: 1 to 64 (qwen, vertex: 10), or auto [env: DEFAULT_NUM_LAYERS] [default: 4]
    #[arg(short = 'n', long, value_name = "N|auto", value_parser = parse_layers)]
    pub layers: Option<LayerCount>,
    /// Folder for the result [default: <file name without extension>-layers for each picture]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Also write a contact sheet of input, layers and recomposition as PNG; of several
    /// pictures, each gets its own, with the name of its folder appended
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    /// Engine: auto (the best one on this machine), qwen, draft or vertex
    #[arg(long, default_value = "auto", value_parser = parse_engine)]
    pub engine: EngineChoice,
    /// Seed; the same seed gives the same layers [default: random, recorded in metadata.json]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Description of the whole picture, including hidden parts (qwen, vertex)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prompt: String,
    /// Negative prompt (qwen, vertex)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub negative: String,
    /// Denoising steps, 1 to 200 (qwen, vertex) [env: INFERENCE_STEPS] [default: 50]
    #[arg(long)]
    pub steps: Option<u32>,
    /// Scale of classifier-free guidance, 1 to 20; 1 disables it (qwen, vertex) [default: 4]
    #[arg(long)]
    pub guidance: Option<f32>,
    /// Rescale the guided prediction to the norm of the conditional one (qwen) [default: true]
    #[arg(long, value_name = "true|false")]
    pub cfg_normalize: Option<bool>,
    /// Working size of the diffusion model: 640, 1024 or (experimental) another multiple of 32 from 64 to 2048
    /// [env: DEFAULT_RESOLUTION] [default: 640]
    #[arg(long)]
    pub resolution: Option<u32>,

    /// Size of the layers: native (that of the picture), model, or both
    #[arg(long, value_name = "SIZE", default_value_t)]
    pub output_size: jobs::OutputSize,
    /// Words on things such as signs and bottles: keep them there, or lift them like other text (draft)
    #[arg(long, value_name = "keep|lift", default_value_t)]
    pub scene_text: jobs::SceneText,
    /// Language of the caption for a picture without a prompt (qwen)
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub caption_language: Language,
    /// Print one line of JSON per picture instead of text
    #[arg(long)]
    pub json: bool,
    /// Options of the qwen engine.
    #[command(flatten)]
    pub model: ModelArguments,
}

/// Options of the qwen engine, which override settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the qwen engine")]
pub(crate) struct ModelArguments {
    /// Weights: a folder in the published layout, or a pulled repository [env: MODEL_NAME]
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub model: Option<String>,
    /// Variant of the pulled weights: bf16, fp8, q8_0, q5_k_m or q4_k_m [env: MODEL_VARIANT]
    #[arg(long, value_parser = parse_variant)]
    pub variant: Option<Variant>,
    /// Device: auto, cpu, cuda, cuda:N or metal [env: DEVICE] [default: auto]
    #[arg(long, value_parser = parse_device)]
    pub device: Option<DeviceChoice>,
    /// Number format to compute in: bf16 or f32 [env: DTYPE] [default: bf16]
    #[arg(long, value_parser = parse_precision)]
    pub dtype: Option<Precision>,
    /// Share of denoising steps, from the first on, that use guidance: faster, lower quality [env: GUIDED_STEPS_PERCENT] [default: 100]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub guided_steps_percent: Option<u8>,
    /// Reuse most of the previous step while the first block changes by at most this: faster, lower quality
    /// [env: STEP_CACHE_PERCENT] [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub step_cache_percent: Option<u8>,
    /// Compute matrix products of fp8 weights in fp8 (NVIDIA Ada or newer): faster, lower quality [env: FP8_PRODUCTS]
    #[arg(long)]
    pub fp8_products: bool,
    /// How steps are taken: euler, heun (two calls of the model a step), unipc or dpmpp_2m [default: euler]
    #[arg(long, value_name = "NAME", default_value_t, hide_default_value = true)]
    pub sampler: jobs::Sampler,
    /// A LoRA, with its strength (1 if there is none), such as lines.safetensors:0.8; may be repeated
    #[arg(long = "lora", value_name = "FILE[:STRENGTH]", value_parser = parse_lora)]
    pub loras: Vec<LoraFile>,
    /// Initial latents instead of the seed's noise: tensor `latents` of a safetensors file, [1, (layers+1)*h/16*w/16, 64]
    #[arg(long, value_name = "FILE")]
    pub init_latents: Option<PathBuf>,
    /// Write intermediate tensors as safetensors (one picture only)
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
}

/// The language of a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English
    En,
    /// Chinese
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

/// Exports a result of `decompose`, or an unpacked download, as one file.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Folder with metadata.json and the layers
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// zip, psd (Photoshop), ora (Krita, GIMP), pptx (one slide) or svg [default: by the extension of FILE, or zip]
    #[arg(long, value_parser = parse_format)]
    pub format: Option<Format>,
    /// Also add each layer trimmed to its bounding box (zip only)
    #[arg(long)]
    pub trim: bool,
    /// Name the files after the layers, not by their numbers (zip only)
    #[arg(long)]
    pub names: bool,
    /// How pptx and svg have words: live (as text), pixels, or both (text, with the pixels hidden beside it); a psd has type
    /// layers unless it is pixels
    #[arg(long, default_value = "both", value_parser = parse_text_mode)]
    pub text: TextMode,
    /// How pptx, svg and psd have layers that are one flat shape: native (as shapes, where these look like the pixels) or
    /// pixels
    #[arg(long, default_value = "native", value_parser = parse_shape_mode)]
    pub shapes: ShapeMode,
    /// File to write; an existing one is replaced [default: DIR with the extension of the format]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Fetches the weights of MODEL_NAME from HF_ENDPOINT into MODEL_CACHE_DIR and
/// verifies their checksums. Complete files are kept, and interrupted transfers
/// are resumed.
#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// What to fetch
    #[arg(value_enum, default_value_t = PullTarget::Model)]
    pub target: PullTarget,
    /// A LoRA instead, into LORA_DIR: a repository, and the file in it if it has several
    #[arg(long, value_name = "OWNER/NAME[/FILE]", conflicts_with_all = ["target", "variant"])]
    pub lora: Option<String>,
    /// bf16 (as published), or one that needs less memory and loses some detail: fp8, q8_0, q5_k_m or q4_k_m
    #[arg(long, default_value = "bf16", value_parser = parse_variant)]
    pub variant: Variant,
}

/// What `unflatten pull` fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullTarget {
    /// Qwen-Image-Layered, the weights of the qwen engine
    Model,
    /// MobileSAM as its authors publish it, 45 MB, in place of the smaller files that come with the draft engine
    Segment,
}

/// Writes a folder in the published layout with random weights: it needs the
/// same time and memory as the real model, but its layers are noise.
#[derive(Debug, Args)]
pub(crate) struct SynthArguments {
    /// Folder to write; it must be empty or not exist
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// full (as published) or tiny (a few megabytes, for tests)
    #[arg(long, default_value = "full", value_parser = parse_size)]
    pub size: Size,
    /// bf16, fp8, gguf:q8_0, gguf:q6_k, gguf:q5_k_m or gguf:q4_k_m
    #[arg(long, default_value = "bf16", value_parser = parse_weight_format)]
    pub format: WeightFormat,
    /// Write no weight files: the weights are generated in memory when the model is loaded
    #[arg(long)]
    pub in_memory: bool,
}

/// Prints a new random token, and the line for the file of API_TOKENS_FILE that
/// lets the service know it. The line holds a hash, not the token.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// Whose it is: letters, digits, hyphens, dots and underscores
    pub name: String,
    /// What it may do: read, submit, edit and admin (all of it, for the jobs of all), separated by commas
    #[arg(long, value_name = "SCOPES", default_value = "read,submit,edit", value_parser = parse_scopes)]
    pub scopes: Scopes,
    /// A limit of its own, such as priority=high, queued=20, uploads=500 or stored=20GB; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub limit: Vec<String>,
}

/// A path, or a path with a strength behind it; one that exists is taken as it is.
fn parse_lora(text: &str) -> Result<LoraFile, String> {
    let whole = || LoraFile { path: PathBuf::from(text), strength: 1.0 };
    let Some((path, strength)) = text.rsplit_once(':').filter(|_| !whole().path.exists()) else { return Ok(whole()) };
    match strength.parse::<f32>() {
        Ok(strength) if (-10.0..=10.0).contains(&strength) => Ok(LoraFile { path: PathBuf::from(path), strength }),
        Ok(_) => Err("the strength must be a number from -10 to 10".to_owned()),
        Err(_) => Ok(whole()),
    }
}

fn parse_scopes(text: &str) -> Result<Scopes, String> {
    text.parse()
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

fn parse_text_mode(text: &str) -> Result<TextMode, UnknownTextMode> {
    text.parse()
}

fn parse_shape_mode(text: &str) -> Result<ShapeMode, UnknownShapeMode> {
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
