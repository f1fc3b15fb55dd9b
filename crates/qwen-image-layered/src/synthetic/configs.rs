//! The small files of a checkpoint: configs, scheduler, tokenizer.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::shapes::{DIM_MULT, PATCH, TEMPORAL, Z_DIM};
use super::{Dimensions, unwritable};
use crate::Result;

/// A vocabulary of 1,152 entries: the published one would be megabytes, and noise reads no better with it.
const TOKENIZER: [(&str, &str); 3] = [
    ("vocab.json", include_str!("../../tests/fixtures/text/model/tokenizer/vocab.json")),
    ("merges.txt", include_str!("../../tests/fixtures/text/model/tokenizer/merges.txt")),
    ("tokenizer_config.json", include_str!("../../tests/fixtures/text/model/tokenizer/tokenizer_config.json")),
];
const PROCESSOR: &str = include_str!("../../tests/fixtures/text/model/processor/preprocessor_config.json");
const GENERATION: &str = include_str!("../../tests/fixtures/text/model/text_encoder/generation_config.json");
/// Of `<|image_pad|>` in that vocabulary.
const IMAGE_TOKEN_ID: u32 = 1150;

/// Mean and spread of the published latents.
const LATENTS_MEAN: [f64; Z_DIM] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922,
    -0.9497, 0.2503, -0.2921,
];
const LATENTS_STD: [f64; Z_DIM] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253,
    2.8251, 1.916,
];

/// Writes them below `folder`.
pub fn write(folder: &Path, dimensions: &Dimensions) -> Result<()> {
    let head = dimensions.attention_head_dim;
    let rope = [head / 8, (head - head / 8) / 2, (head - head / 8) / 2];
    let files = [
        ("model_index.json", model_index()),
        ("scheduler/scheduler_config.json", scheduler()),
        ("transformer/config.json", transformer(dimensions, rope)),
        ("text_encoder/config.json", text_encoder(dimensions)),
        ("vae/config.json", vae(dimensions)),
    ];
    for (name, value) in files {
        let text = serde_json::to_string_pretty(&value).map_err(|error| unwritable(folder, error.into()))?;
        put(&folder.join(name), &text)?;
    }
    for (name, text) in TOKENIZER {
        put(&folder.join("tokenizer").join(name), text)?;
    }
    put(&folder.join("processor/preprocessor_config.json"), PROCESSOR)?;
    put(&folder.join("text_encoder/generation_config.json"), GENERATION)
}

fn put(path: &Path, text: &str) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| unwritable(path, error))
}

fn model_index() -> Value {
    json!({
        "_class_name": "QwenImageLayeredPipeline",
        "processor": ["transformers", "Qwen2VLProcessor"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
    })
}

fn scheduler() -> Value {
    json!({
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "base_image_seq_len": 256, "base_shift": 0.5, "invert_sigmas": false, "max_image_seq_len": 8192,
        "max_shift": 0.9, "num_train_timesteps": 1000, "shift": 1.0, "shift_terminal": false,
        "stochastic_sampling": false, "time_shift_type": "linear", "use_beta_sigmas": false,
        "use_dynamic_shifting": true, "use_exponential_sigmas": false, "use_karras_sigmas": false,
    })
}

fn transformer(dimensions: &Dimensions, rope: [usize; 3]) -> Value {
    json!({
        "_class_name": "QwenImageTransformer2DModel",
        "num_layers": dimensions.num_layers, "num_attention_heads": dimensions.num_attention_heads,
        "attention_head_dim": dimensions.attention_head_dim, "in_channels": 4 * Z_DIM, "out_channels": Z_DIM,
        "patch_size": 2, "joint_attention_dim": dimensions.text.hidden_size, "axes_dims_rope": rope,
        "guidance_embeds": false, "use_additional_t_cond": true, "use_layer3d_rope": true, "zero_cond_t": false,
    })
}

fn text_encoder(dimensions: &Dimensions) -> Value {
    let (text, vision) = (&dimensions.text, &dimensions.vision);
    json!({
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "dtype": "bfloat16",
        "image_token_id": IMAGE_TOKEN_ID, "tie_word_embeddings": false,
        "text_config": {
            "hidden_act": "silu", "hidden_size": text.hidden_size, "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers, "num_attention_heads": text.num_attention_heads,
            "num_key_value_heads": text.num_key_value_heads, "rms_norm_eps": 1e-6, "use_sliding_window": false,
            "vocab_size": text.vocab_size, "max_position_embeddings": 128_000, "model_type": "qwen2_5_vl_text",
            "rope_parameters": {"mrope_section": text.mrope_section, "rope_theta": 1e6, "rope_type": "default"},
        },
        "vision_config": {
            "depth": vision.depth, "hidden_act": "silu", "hidden_size": vision.hidden_size, "in_channels": 3,
            "intermediate_size": vision.intermediate_size, "num_heads": vision.num_heads,
            "out_hidden_size": text.hidden_size, "patch_size": PATCH, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "window_size": 112, "tokens_per_second": 4,
            "fullatt_block_indexes": vision.fullatt_block_indexes, "model_type": "qwen2_5_vl",
        },
    })
}

fn vae(dimensions: &Dimensions) -> Value {
    json!({
        "_class_name": "AutoencoderKLQwenImage",
        "base_dim": dimensions.base_dim, "z_dim": Z_DIM, "dim_mult": DIM_MULT, "num_res_blocks": 2,
        "attn_scales": [], "temperal_downsample": TEMPORAL, "input_channels": 4, "dropout": 0.0,
        "latents_mean": LATENTS_MEAN, "latents_std": LATENTS_STD,
    })
}
