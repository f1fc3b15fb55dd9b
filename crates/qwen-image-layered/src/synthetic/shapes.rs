//! Names and shapes of every tensor, as published.

use super::Size;

/// Names and shapes, outermost dimension first.
pub type Shapes = Vec<(String, Vec<usize>)>;

/// The sizes that determine the shapes. The fields are those of the configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimensions {
    /// Blocks of the transformer.
    pub num_layers: usize,
    /// Attention heads of the transformer.
    pub num_attention_heads: usize,
    /// Width of such a head.
    pub attention_head_dim: usize,
    /// The text model.
    pub text: TextDimensions,
    /// The vision tower.
    pub vision: VisionDimensions,
    /// `base_dim` of the autoencoder.
    pub base_dim: usize,
}

/// The sizes of the text model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of config.json of Qwen2.5-VL")]
pub struct TextDimensions {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub mrope_section: [usize; 3],
    pub vocab_size: usize,
}

/// The sizes of the vision tower.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of config.json of Qwen2.5-VL")]
pub struct VisionDimensions {
    pub depth: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_heads: usize,
    pub fullatt_block_indexes: Vec<usize>,
}

/// Channels of a latent.
pub const Z_DIM: usize = 16;
/// Width of a level of the autoencoder in multiples of `base_dim`.
pub const DIM_MULT: [usize; 4] = [1, 2, 4, 4];
const NUM_RES_BLOCKS: usize = 2;
/// After which levels of the encoder the video network halves time, too.
pub const TEMPORAL: [bool; 3] = [false, true, true];
pub const PATCH: usize = 14;
const TIME_CHANNELS: usize = 256;

impl Dimensions {
    /// The sizes of a model.
    pub fn of(size: Size) -> Self {
        match size {
            Size::Full => Self {
                num_layers: 60,
                num_attention_heads: 24,
                attention_head_dim: 128,
                text: TextDimensions {
                    hidden_size: 3584,
                    intermediate_size: 18_944,
                    num_hidden_layers: 28,
                    num_attention_heads: 28,
                    num_key_value_heads: 4,
                    mrope_section: [16, 24, 24],
                    vocab_size: 152_064,
                },
                vision: VisionDimensions {
                    depth: 32,
                    hidden_size: 1280,
                    intermediate_size: 3420,
                    num_heads: 16,
                    fullatt_block_indexes: vec![7, 15, 23, 31],
                },
                base_dim: 96,
            },
            Size::Tiny => Self {
                num_layers: 3,
                num_attention_heads: 2,
                attention_head_dim: 128,
                text: TextDimensions {
                    hidden_size: 256,
                    intermediate_size: 512,
                    num_hidden_layers: 2,
                    num_attention_heads: 4,
                    num_key_value_heads: 2,
                    mrope_section: [8, 12, 12],
                    vocab_size: 1152,
                },
                vision: VisionDimensions {
                    depth: 2,
                    hidden_size: 64,
                    intermediate_size: 96,
                    num_heads: 2,
                    fullatt_block_indexes: vec![1],
                },
                base_dim: 8,
            },
        }
    }

    /// Width of the transformer.
    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// The tensors of the transformer.
    pub fn transformer(&self) -> Shapes {
        let (d, head) = (self.inner_dim(), self.attention_head_dim);
        let mut shapes = vec![("txt_norm.weight".to_owned(), vec![self.text.hidden_size])];
        add(&mut shapes, "img_in", &[d, 4 * Z_DIM]);
        add(&mut shapes, "txt_in", &[d, self.text.hidden_size]);
        add(&mut shapes, "time_text_embed.timestep_embedder.linear_1", &[d, TIME_CHANNELS]);
        add(&mut shapes, "time_text_embed.timestep_embedder.linear_2", &[d, d]);
        shapes.push(("time_text_embed.addition_t_embedding.weight".to_owned(), vec![2, d]));
        add(&mut shapes, "norm_out.linear", &[2 * d, d]);
        add(&mut shapes, "proj_out", &[4 * Z_DIM, d]);
        for block in 0..self.num_layers {
            let at = |name: &str| format!("transformer_blocks.{block}.{name}");
            for name in ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"] {
                add(&mut shapes, &at(&format!("attn.{name}")), &[d, d]);
            }
            for name in ["norm_q", "norm_k", "norm_added_q", "norm_added_k"] {
                shapes.push((at(&format!("attn.{name}.weight")), vec![head]));
            }
            for stream in ["img", "txt"] {
                add(&mut shapes, &at(&format!("{stream}_mod.1")), &[6 * d, d]);
                add(&mut shapes, &at(&format!("{stream}_mlp.net.0.proj")), &[4 * d, d]);
                add(&mut shapes, &at(&format!("{stream}_mlp.net.2")), &[d, 4 * d]);
            }
        }
        shapes
    }

    /// The tensors of the text encoder.
    pub fn text_encoder(&self) -> Shapes {
        let TextDimensions { hidden_size: d, intermediate_size: inner, vocab_size, .. } = self.text;
        let kv = d / self.text.num_attention_heads * self.text.num_key_value_heads;
        let mut shapes = vec![
            ("model.embed_tokens.weight".to_owned(), vec![vocab_size, d]),
            ("model.norm.weight".to_owned(), vec![d]),
            ("lm_head.weight".to_owned(), vec![vocab_size, d]),
        ];
        for layer in 0..self.text.num_hidden_layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}");
            for (name, size) in [("q_proj", d), ("k_proj", kv), ("v_proj", kv)] {
                add(&mut shapes, &at(&format!("self_attn.{name}")), &[size, d]);
            }
            for (name, shape) in [
                ("self_attn.o_proj", vec![d, d]),
                ("mlp.gate_proj", vec![inner, d]),
                ("mlp.up_proj", vec![inner, d]),
                ("mlp.down_proj", vec![d, inner]),
                ("input_layernorm", vec![d]),
                ("post_attention_layernorm", vec![d]),
            ] {
                shapes.push((at(&format!("{name}.weight")), shape));
            }
        }
        self.vision_tower(&mut shapes);
        shapes
    }

    fn vision_tower(&self, shapes: &mut Shapes) {
        let (d, inner) = (self.vision.hidden_size, self.vision.intermediate_size);
        shapes.push(("visual.patch_embed.proj.weight".to_owned(), vec![d, 3, 2, PATCH, PATCH]));
        for block in 0..self.vision.depth {
            let at = |name: &str| format!("visual.blocks.{block}.{name}");
            for name in ["norm1.weight", "norm2.weight"] {
                shapes.push((at(name), vec![d]));
            }
            for (name, shape) in [
                ("attn.qkv", [3 * d, d]),
                ("attn.proj", [d, d]),
                ("mlp.gate_proj", [inner, d]),
                ("mlp.up_proj", [inner, d]),
                ("mlp.down_proj", [d, inner]),
            ] {
                add(shapes, &at(name), &shape);
            }
        }
        shapes.push(("visual.merger.ln_q.weight".to_owned(), vec![d]));
        add(shapes, "visual.merger.mlp.0", &[4 * d, 4 * d]);
        add(shapes, "visual.merger.mlp.2", &[self.text.hidden_size, 4 * d]);
    }

    /// The tensors of the autoencoder.
    pub fn vae(&self) -> Shapes {
        let mut shapes = Vec::new();
        let width = |level: usize| self.base_dim * DIM_MULT[level];
        let (first, top) = (width(0), width(3));
        add(&mut shapes, "quant_conv", &[2 * Z_DIM, 2 * Z_DIM, 1, 1, 1]);
        add(&mut shapes, "post_quant_conv", &[Z_DIM, Z_DIM, 1, 1, 1]);
        for (side, channels, last, start, end) in
            [("encoder", 4, 2 * Z_DIM, first, top), ("decoder", Z_DIM, 4, top, first)]
        {
            add(&mut shapes, &format!("{side}.conv_in"), &[start, channels, 3, 3, 3]);
            shapes.push((format!("{side}.norm_out.gamma"), vec![end, 1, 1, 1]));
            add(&mut shapes, &format!("{side}.conv_out"), &[last, end, 3, 3, 3]);
            for i in 0..2 {
                residual(&mut shapes, &format!("{side}.mid_block.resnets.{i}"), top, top);
            }
            let attention = format!("{side}.mid_block.attentions.0");
            shapes.push((format!("{attention}.norm.gamma"), vec![top, 1, 1]));
            add(&mut shapes, &format!("{attention}.to_qkv"), &[3 * top, top, 1, 1]);
            add(&mut shapes, &format!("{attention}.proj"), &[top, top, 1, 1]);
        }
        let (mut dim, mut index) = (first, 0);
        for level in 0..4 {
            for _ in 0..NUM_RES_BLOCKS {
                residual(&mut shapes, &format!("encoder.down_blocks.{index}"), dim, width(level));
                (dim, index) = (width(level), index + 1);
            }
            if let Some(&temporal) = TEMPORAL.get(level) {
                let at = format!("encoder.down_blocks.{index}");
                add(&mut shapes, &format!("{at}.resample.1"), &[dim, dim, 3, 3]);
                if temporal {
                    add(&mut shapes, &format!("{at}.time_conv"), &[dim, dim, 3, 1, 1]);
                }
                index += 1;
            }
        }
        for (level, &temporal) in TEMPORAL.iter().rev().chain([&false]).enumerate() {
            let at = format!("decoder.up_blocks.{level}");
            for i in 0..=NUM_RES_BLOCKS {
                residual(&mut shapes, &format!("{at}.resnets.{i}"), dim, width(3 - level));
                dim = width(3 - level);
            }
            if level < 3 {
                add(&mut shapes, &format!("{at}.upsamplers.0.resample.1"), &[dim / 2, dim, 3, 3]);
                if temporal {
                    add(&mut shapes, &format!("{at}.upsamplers.0.time_conv"), &[2 * dim, dim, 3, 1, 1]);
                }
                dim /= 2;
            }
        }
        shapes
    }
}

/// Adds a layer's weight and bias.
fn add(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.push((format!("{name}.weight"), weight.to_vec()));
    shapes.push((format!("{name}.bias"), vec![weight[0]]));
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
