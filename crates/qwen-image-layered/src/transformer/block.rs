use candle_core::{D, Tensor};

use super::TransformerConfig;
use super::rotation::Rotation;
use crate::nn::{AttentionOptions, Linear, add_gated, attention, modulate, rms_norm_rotate};
use crate::weights::Weights;
use crate::{Monitor, Result};

pub const EPS: f64 = 1e-6;

/// Both streams of some passes: the image's tokens and the text's, those of one pass after those of the other. Only
/// attention is between the tokens of a pass; all else is done to each token, and so to all at once.
#[derive(Debug, Clone)]
pub struct Streams {
    /// (1, passes * (frames and condition), dim)
    pub image: Tensor,
    /// (1, text tokens of all passes, dim)
    pub text: Tensor,
}

/// `parts` (1, n, ...) one after the other along n.
pub fn one_after_the_other(mut parts: Vec<Tensor>) -> Result<Tensor> {
    // A single pass needs no copy.
    if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Tensor::cat(&parts, 1)?) }
}

/// Two linear layers with GELU between.
#[derive(Debug, Clone)]
struct Mlp {
    proj: Linear,
    out: Linear,
}

impl Mlp {
    fn load(dim: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            proj: weights.pp("net.0.proj").linear(dim, 4 * dim, true)?,
            out: weights.pp("net.2").linear(4 * dim, dim, true)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.proj.forward_gelu(x)?;
        self.out.forward(&hidden)
    }
}

/// What one stream brings to the joint attention.
#[derive(Debug, Clone)]
struct Projections {
    q: Linear,
    k: Linear,
    v: Linear,
    norm_q: Tensor,
    norm_k: Tensor,
    out: Linear,
}

impl Projections {
    /// `names`: of query, key, value, their two norms, and the output.
    fn load(dim: usize, head_dim: usize, names: [&str; 6], weights: &Weights) -> Result<Self> {
        let linear = |name: &str| weights.pp(name).linear(dim, dim, true);
        let norm = |name: &str| weights.pp(name).get(head_dim, "weight");
        let [q, k, v, norm_q, norm_k, out] = names;
        Ok(Self {
            q: linear(q)?,
            k: linear(k)?,
            v: linear(v)?,
            norm_q: norm(norm_q)?,
            norm_k: norm(norm_k)?,
            out: linear(out)?,
        })
    }

    /// `x` (1, n, dim) -> rotated queries and keys, values: (1, n, h, d) each
    fn forward(&self, x: &Tensor, heads: usize, rotation: &Tensor) -> Result<[Tensor; 3]> {
        let (batch, n, dim) = x.dims3()?;
        let split = |x: Tensor| x.reshape((batch, n, heads, dim / heads));
        Ok([
            rms_norm_rotate(&split(self.q.forward(x)?)?, &self.norm_q, EPS, rotation)?,
            rms_norm_rotate(&split(self.k.forward(x)?)?, &self.norm_k, EPS, rotation)?,
            split(self.v.forward(x)?)?,
        ])
    }
}

/// One stream's own part of a block.
#[derive(Debug, Clone)]
struct Stream {
    /// SiLU before it is taken once for all blocks.
    modulation: Linear,
    attention: Projections,
    mlp: Mlp,
}

/// Of each stream, those of attention and MLP.
pub struct Modulations {
    image: [Modulation; 2],
    text: [Modulation; 2],
}

/// Shift, scale and gate, (1, dim) each.
struct Modulation {
    shift: Tensor,
    scale: Tensor,
    gate: Tensor,
}

impl Stream {
    /// Modulations of attention and MLP.
    fn modulations(&self, conditioning: &Tensor) -> Result<[Modulation; 2]> {
        let parts = self.modulation.forward(conditioning)?.chunk(6, D::Minus1)?;
        let part = |i: usize| Modulation {
            shift: parts[3 * i].clone(),
            scale: parts[3 * i + 1].clone(),
            gate: parts[3 * i + 2].clone(),
        };
        Ok([part(0), part(1)])
    }

    fn feed_forward(&self, x: &Tensor, modulation: &Modulation) -> Result<Tensor> {
        let y = self.mlp.forward(&modulate(x, &modulation.shift, &modulation.scale, EPS)?)?;
        add_gated(x, &modulation.gate, &y)
    }
}

/// A dual-stream block: own weights for image and text, joint attention.
#[derive(Debug, Clone)]
pub struct Block {
    image: Stream,
    text: Stream,
    heads: usize,
    scale: f32,
}

impl Block {
    pub fn load(config: &TransformerConfig, weights: &Weights) -> Result<Self> {
        let (dim, head_dim) = (config.inner_dim(), config.attention_head_dim);
        let attn = weights.pp("attn");
        let stream = |prefix: &str, names: [&str; 6]| -> Result<Stream> {
            Ok(Stream {
                modulation: weights.pp(format!("{prefix}_mod.1")).linear(dim, 6 * dim, true)?,
                attention: Projections::load(dim, head_dim, names, &attn)?,
                mlp: Mlp::load(dim, &weights.pp(format!("{prefix}_mlp")))?,
            })
        };
        let text_names = ["add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k", "to_add_out"];
        Ok(Self {
            image: stream("img", ["to_q", "to_k", "to_v", "norm_q", "norm_k", "to_out.0"])?,
            text: stream("txt", text_names)?,
            heads: config.num_attention_heads,
            scale: 1.0 / (head_dim as f32).sqrt(),
        })
    }

    /// Shifts, scales and gates for the noise level; `conditioning` (1, dim) is its embedding after SiLU.
    pub fn modulations(&self, conditioning: &Tensor) -> Result<Modulations> {
        Ok(Modulations { image: self.image.modulations(conditioning)?, text: self.text.modulations(conditioning)? })
    }

    /// `rotation` is that of the passes in `x`.
    pub fn forward(
        &self,
        x: Streams,
        modulations: &Modulations,
        rotation: &Rotation,
        monitor: &Monitor,
    ) -> Result<Streams> {
        let ([image1, image2], [text1, text2]) = (&modulations.image, &modulations.text);
        let [image_out, text_out] = self.joint_attention(&x, [image1, text1], rotation, monitor)?;
        let image = add_gated(&x.image, &image1.gate, &image_out)?;
        let text = add_gated(&x.text, &text1.gate, &text_out)?;
        drop((x, image_out, text_out));
        monitor.check()?;
        Ok(Streams { image: self.image.feed_forward(&image, image2)?, text: self.text.feed_forward(&text, text2)? })
    }

    fn joint_attention(
        &self,
        x: &Streams,
        [image, text]: [&Modulation; 2],
        rotation: &Rotation,
        monitor: &Monitor,
    ) -> Result<[Tensor; 2]> {
        let normed = modulate(&x.text, &text.shift, &text.scale, EPS)?;
        let of_text = self.text.attention.forward(&normed, self.heads, &rotation.text)?;
        let normed = modulate(&x.image, &image.shift, &image.scale, EPS)?;
        let of_image = self.image.attention.forward(&normed, self.heads, &rotation.image)?;
        drop(normed);
        monitor.check()?;
        let passes = rotation.words.len();
        let n = x.image.dim(1)? / passes;
        let mut separate = Some((of_text, of_image));
        let (mut of_text, mut of_image, mut start) = (Vec::new(), Vec::new(), 0);
        for (pass, &words) in rotation.words.iter().enumerate() {
            let Some((text, image)) = &separate else { break };
            let join = |i: usize| {
                Tensor::cat(&[text[i].narrow(1, start, words)?, image[i].narrow(1, pass * n, n)?], 1)?.transpose(1, 2)
            };
            let (q, k, v) = (join(0)?, join(1)?, join(2)?); // (1, h, words + n, d)
            if pass + 1 == passes {
                separate = None;
            }
            let options = AttentionOptions { scale: self.scale, causal: false };
            let y = attention(&q, &k, &v, options, monitor)?;
            drop((q, k, v));
            let y = y.transpose(1, 2)?.flatten_from(2)?; // (1, words + n, dim)
            of_text.push(y.narrow(1, 0, words)?);
            of_image.push(y.narrow(1, words, n)?);
            start += words;
        }
        monitor.check()?;
        let text = self.text.attention.out.forward(&one_after_the_other(of_text)?)?;
        let image = self.image.attention.out.forward(&one_after_the_other(of_image)?)?;
        Ok([image, text])
    }
}
