//! `text_encoder/config.json`, `generation_config.json` and the processor's config.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::weights::read_json;
use crate::{Error, Result, sizes};

/// The text model; fields as in transformers' `Qwen2_5_VLTextConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    /// Rotary pairs of a head that follow the temporal, row and column position.
    pub mrope_section: [usize; 3],
    pub tie_word_embeddings: bool,
    pub image_token_id: u32,
}

impl TextConfig {
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// The vision tower; fields as in transformers' `Qwen2_5_VLVisionConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VisionConfig {
    pub depth: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_heads: usize,
    #[serde(alias = "in_chans")]
    pub in_channels: usize,
    pub patch_size: usize,
    pub spatial_merge_size: usize,
    pub temporal_patch_size: usize,
    /// Side of an attention window in pixels.
    pub window_size: usize,
    pub out_hidden_size: usize,
    pub fullatt_block_indexes: Vec<usize>,
    rope_parameters: Option<VisionRope>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct VisionRope {
    rope_theta: f32,
}

impl VisionConfig {
    /// Base of the rotary frequencies; published configs leave the architecture's number out.
    pub fn rope_theta(&self) -> f32 {
        self.rope_parameters.as_ref().map_or(10_000.0, |rope| rope.rope_theta)
    }
}

/// Pixels that no processor enlarges a picture to.
const MOST_PIXELS: usize = 1 << 26;

/// How a caption is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationConfig {
    pub repetition_penalty: f32,
    pub eos_token_ids: Vec<u32>,
}

/// How a picture is prepared for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorConfig {
    /// Least and most pixels after resizing.
    pub min_pixels: usize,
    pub max_pixels: usize,
    pub patch_size: usize,
    pub merge_size: usize,
    pub temporal_patch_size: usize,
    pub rescale_factor: f64,
    pub image_mean: [f32; 3],
    pub image_std: [f32; 3],
}

/// A JSON object of a file, whose missing or wrong fields become errors with the file's name.
struct Fields<'a> {
    path: &'a Path,
    /// Where to look for a field, best place first.
    places: Vec<&'a Value>,
}

impl<'a> Fields<'a> {
    fn find(&self, names: &[&str]) -> Option<&'a Value> {
        let in_place = |place: &&'a Value| names.iter().find_map(|name| place.get(name).filter(|v| !v.is_null()));
        self.places.iter().find_map(in_place)
    }

    fn optional<T: DeserializeOwned>(&self, names: &[&str]) -> Result<Option<T>> {
        let Some(value) = self.find(names) else { return Ok(None) };
        let wrong = |error| self.broken(format!("field `{}` is unusable: {error}", names[0]));
        serde_json::from_value(value.clone()).map(Some).map_err(wrong)
    }

    fn required<T: DeserializeOwned>(&self, names: &[&str]) -> Result<T> {
        let missing =
            || self.broken(format!("field `{}` is missing; take the config that belongs to the model", names[0]));
        self.optional(names)?.ok_or_else(missing)
    }

    /// Refuses a value of `name` other than `expected`, where it is given.
    fn only(&self, name: &str, expected: &Value) -> Result<()> {
        match self.find(&[name]) {
            Some(found) if found != expected => Err(self.broken(format!(
                "field `{name}` is {found}, only {expected} is supported; this is not Qwen2.5-VL as Qwen-Image-Layered uses it"
            ))),
            _ => Ok(()),
        }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.to_owned(), reason }
    }
}

/// Reads `text_encoder/config.json`, of any generation of transformers.
///
/// # Errors
/// When a field that decides the result is missing or has a value that is not supported.
pub fn read_model(path: &Path) -> Result<(TextConfig, VisionConfig)> {
    let root: Value = read_json(path)?;
    Ok((text_config(path, &root)?, vision_config(path, &root)?))
}

fn text_config(path: &Path, root: &Value) -> Result<TextConfig> {
    // Old files are flat, newer ones nest the text model, some have both.
    let nested = root.get("text_config").filter(|value| value.is_object());
    let fields = Fields { path, places: nested.into_iter().chain([root]).collect() };
    fields.only("hidden_act", &Value::from("silu"))?;
    fields.only("use_sliding_window", &Value::from(false))?;
    let rope_places = fields.places.iter().flat_map(|place| [place.get("rope_parameters"), place.get("rope_scaling")]);
    let rope = Fields { path, places: rope_places.flatten().chain(fields.places.iter().copied()).collect() };
    let kind: Option<String> = rope.optional(&["rope_type", "type"])?;
    if let Some(kind) = kind.filter(|kind| kind != "default" && kind != "mrope") {
        return Err(
            fields.broken(format!("rope type `{kind}` is not supported, only `default`; use Qwen2.5-VL's config"))
        );
    }
    let config = TextConfig {
        vocab_size: fields.required(&["vocab_size"])?,
        hidden_size: fields.required(&["hidden_size"])?,
        intermediate_size: fields.required(&["intermediate_size"])?,
        num_hidden_layers: fields.required(&["num_hidden_layers"])?,
        num_attention_heads: fields.required(&["num_attention_heads"])?,
        num_key_value_heads: fields.required(&["num_key_value_heads"])?,
        rms_norm_eps: fields.required(&["rms_norm_eps"])?,
        rope_theta: rope.required(&["rope_theta"])?,
        mrope_section: rope.required(&["mrope_section"])?,
        tie_word_embeddings: fields.optional(&["tie_word_embeddings"])?.unwrap_or(false),
        image_token_id: Fields { path, places: vec![root] }.required(&["image_token_id"])?,
    };
    sizes::check(
        path,
        [
            ("vocab_size", config.vocab_size, 1 << 24),
            ("hidden_size", config.hidden_size, 1 << 16),
            ("intermediate_size", config.intermediate_size, 1 << 20),
            ("num_hidden_layers", config.num_hidden_layers, 1000),
            ("num_attention_heads", config.num_attention_heads, 1000),
            ("num_key_value_heads", config.num_key_value_heads, 1000),
        ],
    )?;
    if !(config.rope_theta > 0.0 && config.rms_norm_eps >= 0.0) {
        return Err(fields.broken("`rope_theta` has to be above 0 and `rms_norm_eps` not below; check the file".into()));
    }
    let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
    let divides = |a: usize, b: usize| b != 0 && a.is_multiple_of(b);
    if !divides(config.hidden_size, heads) || !divides(heads, kv_heads) {
        return Err(fields.broken(
            "`hidden_size`, `num_attention_heads` and `num_key_value_heads` do not divide; take the config that \
                 belongs to the weights"
                .into(),
        ));
    }
    let pairs = config.mrope_section.iter().fold(0_usize, |sum, &section| sum.saturating_add(section));
    if pairs.saturating_mul(2) != config.head_dim() {
        let head = config.head_dim();
        return Err(
            fields.broken(format!("`mrope_section` does not add up to half of a head of {head}; check the file"))
        );
    }
    Ok(config)
}

fn vision_config(path: &Path, root: &Value) -> Result<VisionConfig> {
    let missing = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let value = root.get("vision_config").ok_or_else(|| missing("field `vision_config` is missing".into()))?;
    let fields = Fields { path, places: vec![value] };
    fields.only("hidden_act", &Value::from("silu"))?;
    let mut known = value.clone();
    // Published files name the channels in both ways at once.
    if let Some(object) = known.as_object_mut().filter(|object| object.contains_key("in_channels")) {
        object.remove("in_chans");
    }
    let config: VisionConfig = serde_json::from_value(known)
        .map_err(|error| missing(format!("`vision_config`: {error}; take the config that belongs to the model")))?;
    sizes::check(
        path,
        [
            ("vision_config.depth", config.depth, 1000),
            ("vision_config.hidden_size", config.hidden_size, 1 << 16),
            ("vision_config.intermediate_size", config.intermediate_size, 1 << 20),
            ("vision_config.num_heads", config.num_heads, 1000),
            ("vision_config.in_channels", config.in_channels, 16),
            ("vision_config.patch_size", config.patch_size, 1 << 10),
            ("vision_config.spatial_merge_size", config.spatial_merge_size, 64),
            ("vision_config.temporal_patch_size", config.temporal_patch_size, 64),
            ("vision_config.window_size", config.window_size, 1 << 16),
            ("vision_config.out_hidden_size", config.out_hidden_size, 1 << 16),
        ],
    )?;
    let window = config.spatial_merge_size * config.patch_size;
    if config.window_size < window || !config.hidden_size.is_multiple_of(config.num_heads * 4) {
        return Err(missing(
            "`vision_config`: sizes do not divide; take the config that belongs to the weights".into(),
        ));
    }
    if let Some(index) = config.fullatt_block_indexes.iter().find(|&&index| index >= config.depth) {
        let depth = config.depth;
        return Err(missing(format!("`fullatt_block_indexes` names block {index} of {depth}; check the file")));
    }
    Ok(config)
}

/// Reads `generation_config.json`; without one the published model's values hold.
///
/// # Errors
/// When the file is there but broken.
pub fn read_generation(path: &Path) -> Result<GenerationConfig> {
    if !path.is_file() {
        return Ok(GenerationConfig { repetition_penalty: 1.05, eos_token_ids: vec![151_645, 151_643] });
    }
    let root: Value = read_json(path)?;
    let fields = Fields { path, places: vec![&root] };
    let eos_token_ids = match fields.find(&["eos_token_id"]) {
        Some(Value::Array(_)) => fields.required(&["eos_token_id"])?,
        Some(_) => vec![fields.required(&["eos_token_id"])?],
        None => Vec::new(),
    };
    // A file without the field means "no penalty" to transformers.
    let repetition_penalty = fields.optional(&["repetition_penalty"])?.unwrap_or(1.0);
    Ok(GenerationConfig { repetition_penalty, eos_token_ids })
}

/// Reads the picture part of the processor's config in `folder`.
///
/// # Errors
/// When there is none, it asks for something that the reference does not do, or it cuts other patches than `vision` takes.
pub fn read_processor(folder: &Path, vision: &VisionConfig) -> Result<ProcessorConfig> {
    let candidates = ["preprocessor_config.json", "processor_config.json"].map(|name| folder.join(name));
    let path: &PathBuf = candidates.iter().find(|path| path.is_file()).unwrap_or(&candidates[0]);
    let root: Value = read_json(path)?;
    let root = root.get("image_processor").filter(|value| value.is_object()).unwrap_or(&root);
    let fields = Fields { path, places: vec![root] };
    for name in ["do_resize", "do_rescale", "do_normalize", "do_convert_rgb"] {
        fields.only(name, &Value::from(true))?;
    }
    fields.only("resample", &Value::from(3))?;
    let size = root.get("size").filter(|value| value.is_object());
    // The direct fields win over `size`, as in the reference.
    let pixels = Fields { path, places: [Some(root), size].into_iter().flatten().collect() };
    let config = ProcessorConfig {
        min_pixels: pixels.required(&["min_pixels", "shortest_edge"])?,
        max_pixels: pixels.required(&["max_pixels", "longest_edge"])?,
        patch_size: fields.required(&["patch_size"])?,
        merge_size: fields.required(&["merge_size"])?,
        temporal_patch_size: fields.required(&["temporal_patch_size"])?,
        rescale_factor: fields.optional(&["rescale_factor"])?.unwrap_or(1.0 / 255.0),
        image_mean: fields.required(&["image_mean"])?,
        image_std: fields.required(&["image_std"])?,
    };
    let sizes = [config.patch_size, config.merge_size, config.temporal_patch_size, config.max_pixels];
    if sizes.contains(&0) || config.rescale_factor <= 0.0 || config.image_std.iter().any(|&s| s <= 0.0) {
        return Err(fields.broken("sizes, `rescale_factor` and `image_std` have to be above 0; check the file".into()));
    }
    if config.min_pixels > config.max_pixels || config.min_pixels > MOST_PIXELS {
        let (least, most) = (config.min_pixels, config.max_pixels);
        return Err(fields.broken(format!("a picture of {least} to {most} pixels is impossible; check the file")));
    }
    let cut = (config.patch_size, config.merge_size, config.temporal_patch_size);
    let taken = (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size);
    if cut != taken {
        return Err(fields.broken(format!(
            "patches are cut as (patch, merge, temporal) {cut:?}, the vision tower takes {taken:?}; they do not belong \
             together"
        )));
    }
    Ok(config)
}
