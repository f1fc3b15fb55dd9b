//! Checkpoints of random weights at the published widths, as files: nothing has to be downloaded.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::bf16;
use serde_json::{Map, Value, json};

type Shapes = Vec<(String, Vec<usize>)>;
type Outcome = Result<(), Box<dyn std::error::Error>>;

pub(crate) const BLOCK_DIM: usize = 3072;
pub(crate) const TEXT_DIM: usize = 3584;
/// Layers of the text encoder that are timed; the published one has 28 equal ones.
pub(crate) const TEXT_LAYERS: usize = 2;

/// Writes config and weights of `part` below `folder`.
pub(crate) fn write(folder: &Path, part: &str) -> Outcome {
    match part {
        "vae" => {
            let numbers = |value: f64| vec![value; 16];
            let config = json!({
                "base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [],
                "temperal_downsample": [false, true, true], "input_channels": 4,
                "latents_mean": numbers(0.0), "latents_std": numbers(1.0),
            });
            model(&folder.join("vae"), "diffusion_pytorch_model.safetensors", &config, &vae())
        }
        "block" => {
            let config = json!({
                "num_layers": 1, "num_attention_heads": 24, "attention_head_dim": 128, "in_channels": 64,
                "out_channels": 16, "patch_size": 2, "joint_attention_dim": TEXT_DIM, "axes_dims_rope": [16, 56, 56],
                "guidance_embeds": false, "use_additional_t_cond": true, "use_layer3d_rope": true,
                "zero_cond_t": false,
            });
            model(&folder.join("transformer"), "diffusion_pytorch_model.safetensors", &config, &block())
        }
        _ => text(folder),
    }
}

/// Beside the weights, the tokenizer and the config that the tests have, the latter widened.
fn text(folder: &Path) -> Outcome {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/text/model");
    for part in ["tokenizer", "processor"] {
        std::fs::create_dir_all(folder.join(part))?;
        for file in std::fs::read_dir(small.join(part))? {
            let file = file?;
            std::fs::copy(file.path(), folder.join(part).join(file.file_name()))?;
        }
    }
    let mut config: Value = serde_json::from_slice(&std::fs::read(small.join("text_encoder/config.json"))?)?;
    let sizes = &mut config["text_config"];
    for (name, value) in [
        ("hidden_size", TEXT_DIM),
        ("intermediate_size", 18_944),
        ("num_hidden_layers", TEXT_LAYERS),
        ("num_attention_heads", 28),
        ("num_key_value_heads", 4),
    ] {
        sizes[name] = value.into();
    }
    sizes["layer_types"] = json!(vec!["full_attention"; TEXT_LAYERS]);
    sizes["rope_parameters"]["mrope_section"] = json!([16, 24, 24]);
    let words = sizes["vocab_size"].as_u64().ok_or("the fixture's config has no vocab_size")? as usize;
    model(&folder.join("text_encoder"), "model.safetensors", &config, &text_model(words))
}

fn model(folder: &Path, name: &str, config: &Value, shapes: &Shapes) -> Outcome {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("config.json"), config.to_string())?;
    let (mut header, mut end) = (Map::new(), 0);
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}));
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join(name))?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1_u64;
    for (name, shape) in shapes {
        let one_dimension = shape.iter().filter(|&&size| size > 1).count() == 1;
        let (centre, spread) = match one_dimension {
            true => (if name.ends_with("bias") { 0.0 } else { 1.0 }, 0.1),
            // Keeps the variance.
            false => (0.0, (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt()),
        };
        for _ in 0..shape.iter().product() {
            // Knuth's linear congruential generator: the values only have to differ.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            file.write_all(&bf16::from_f32(centre + spread * uniform).to_le_bytes())?;
        }
    }
    file.flush()?;
    Ok(())
}

/// Adds a layer's weight and bias.
fn add(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.push((format!("{name}.weight"), weight.to_vec()));
    shapes.push((format!("{name}.bias"), vec![weight[0]]));
}

fn block() -> Shapes {
    const D: usize = BLOCK_DIM;
    let mut shapes = vec![("txt_norm.weight".to_owned(), vec![TEXT_DIM])];
    add(&mut shapes, "img_in", &[D, 64]);
    add(&mut shapes, "txt_in", &[D, TEXT_DIM]);
    add(&mut shapes, "time_text_embed.timestep_embedder.linear_1", &[D, 256]);
    add(&mut shapes, "time_text_embed.timestep_embedder.linear_2", &[D, D]);
    shapes.push(("time_text_embed.addition_t_embedding.weight".to_owned(), vec![2, D]));
    add(&mut shapes, "norm_out.linear", &[2 * D, D]);
    add(&mut shapes, "proj_out", &[64, D]);
    let at = |name: &str| format!("transformer_blocks.0.{name}");
    for name in ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"] {
        add(&mut shapes, &at(&format!("attn.{name}")), &[D, D]);
    }
    for name in ["norm_q", "norm_k", "norm_added_q", "norm_added_k"] {
        shapes.push((at(&format!("attn.{name}.weight")), vec![128]));
    }
    for stream in ["img", "txt"] {
        add(&mut shapes, &at(&format!("{stream}_mod.1")), &[6 * D, D]);
        add(&mut shapes, &at(&format!("{stream}_mlp.net.0.proj")), &[4 * D, D]);
        add(&mut shapes, &at(&format!("{stream}_mlp.net.2")), &[D, 4 * D]);
    }
    shapes
}

/// The text model without the vision tower.
fn text_model(words: usize) -> Shapes {
    const D: usize = TEXT_DIM;
    let mut shapes =
        vec![("model.embed_tokens.weight".to_owned(), vec![words, D]), ("model.norm.weight".to_owned(), vec![D])];
    for layer in 0..TEXT_LAYERS {
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        for (name, size) in [("q_proj", D), ("k_proj", 512), ("v_proj", 512)] {
            add(&mut shapes, &at(&format!("self_attn.{name}")), &[size, D]);
        }
        for (name, shape) in [
            ("self_attn.o_proj", vec![D, D]),
            ("mlp.gate_proj", vec![18_944, D]),
            ("mlp.up_proj", vec![18_944, D]),
            ("mlp.down_proj", vec![D, 18_944]),
            ("input_layernorm", vec![D]),
            ("post_attention_layernorm", vec![D]),
        ] {
            shapes.push((at(&format!("{name}.weight")), shape));
        }
    }
    shapes
}

fn vae() -> Shapes {
    let mut shapes = Vec::new();
    add(&mut shapes, "quant_conv", &[32, 32, 1, 1, 1]);
    add(&mut shapes, "post_quant_conv", &[16, 16, 1, 1, 1]);
    for (side, first, last, top) in [("encoder", 4, 32, 96), ("decoder", 16, 4, 384)] {
        add(&mut shapes, &format!("{side}.conv_in"), &[top, first, 3, 3, 3]);
        let bottom = if side == "encoder" { 384 } else { 96 };
        shapes.push((format!("{side}.norm_out.gamma"), vec![bottom, 1, 1, 1]));
        add(&mut shapes, &format!("{side}.conv_out"), &[last, bottom, 3, 3, 3]);
        for i in 0..2 {
            residual(&mut shapes, &format!("{side}.mid_block.resnets.{i}"), 384, 384);
        }
        let attention = format!("{side}.mid_block.attentions.0");
        shapes.push((format!("{attention}.norm.gamma"), vec![384, 1, 1]));
        add(&mut shapes, &format!("{attention}.to_qkv"), &[1152, 384, 1, 1]);
        add(&mut shapes, &format!("{attention}.proj"), &[384, 384, 1, 1]);
    }
    let (mut dim, mut index) = (96, 0);
    for (level, size) in [96, 192, 384, 384].into_iter().enumerate() {
        for _ in 0..2 {
            residual(&mut shapes, &format!("encoder.down_blocks.{index}"), dim, size);
            (dim, index) = (size, index + 1);
        }
        if level < 3 {
            add(&mut shapes, &format!("encoder.down_blocks.{index}.resample.1"), &[dim, dim, 3, 3]);
            index += 1;
        }
    }
    for (level, size) in [384, 384, 192, 96].into_iter().enumerate() {
        let at = format!("decoder.up_blocks.{level}");
        for i in 0..3 {
            residual(&mut shapes, &format!("{at}.resnets.{i}"), dim, size);
            dim = size;
        }
        if level < 3 {
            add(&mut shapes, &format!("{at}.upsamplers.0.resample.1"), &[dim / 2, dim, 3, 3]);
            dim /= 2;
        }
    }
    shapes
}

fn residual(shapes: &mut Shapes, name: &str, from: usize, to: usize) {
    shapes.push((format!("{name}.norm1.gamma"), vec![from, 1, 1, 1]));
    shapes.push((format!("{name}.norm2.gamma"), vec![to, 1, 1, 1]));
    add(shapes, &format!("{name}.conv1"), &[to, from, 3, 3, 3]);
    add(shapes, &format!("{name}.conv2"), &[to, to, 3, 3, 3]);
    if from != to {
        add(shapes, &format!("{name}.conv_shortcut"), &[to, from, 1, 1, 1]);
    }
}
