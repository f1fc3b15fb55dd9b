use std::path::Path;

use candle_core::DType;

use crate::transformer::TransformerConfig;
use crate::vae::VaeConfig;
use crate::weights::{Checkpoint, ModelFiles, Occupied, Part, Source, read_json};
use crate::{Error, Result};

/// How large the parts of a checkpoint are once they are loaded, in bytes, from its headers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// Each block of the transformer.
    pub blocks: Vec<u64>,
    /// The rest of the transformer.
    pub transformer: u64,
    /// The text model without its token embeddings, which stay in their file.
    pub text: u64,
    /// What captioning needs beyond that: the vision tower and the text model's head.
    pub caption: u64,
    /// The autoencoder.
    pub vae: u64,
    /// The largest compressed matrix of the transformer, widened for a product; 0 if none is compressed.
    pub widened: u64,
    /// The same of the text encoder.
    pub text_widened: u64,
    /// Number of compressed values in all blocks, which each pass widens.
    pub compressed_values: u64,
    /// Whether some of those are in fp8, so that blocks can multiply in it.
    pub float8: bool,
    /// The widths of the parts.
    pub dimensions: Widths,
    /// Bytes of a value that the model computes with.
    pub value: u64,
}

/// The widths that determine the size of activations, in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Of a token in the transformer.
    pub transformer: u64,
    /// Attention heads of the transformer.
    pub heads: u64,
    /// Of a token in the text model.
    pub text: u64,
    /// Between the layers of the text model's MLP.
    pub text_inner: u64,
    /// Number of layers of the text model.
    pub text_layers: u64,
    /// `base_dim` of the autoencoder.
    pub vae: u64,
}

impl Footprint {
    /// Reads configs and headers of `files`; no weights. `dtype` is what the model computes in.
    ///
    /// # Errors
    /// When a file is missing or broken.
    pub fn measure(files: &ModelFiles, dtype: DType) -> Result<Self> {
        let folder = |part: Part| files.folder.join(part.folder());
        let config: TransformerConfig = read_config(&folder(Part::Transformer))?;
        let vae_config: VaeConfig = read_config(&folder(Part::Vae))?;
        let (text_config, _) = crate::text::read_model(&folder(Part::TextEncoder).join("config.json"))?;
        let dimensions = Widths {
            transformer: config.inner_dim() as u64,
            heads: config.num_attention_heads as u64,
            text: text_config.hidden_size as u64,
            text_inner: text_config.intermediate_size as u64,
            text_layers: text_config.num_hidden_layers as u64,
            vae: vae_config.base_dim as u64,
        };
        let text = files.open(Part::TextEncoder)?;
        let (transformer, vae) = (files.open(Part::Transformer)?, files.open(Part::Vae)?);
        Self::of_parts(&transformer, &text, &vae, dimensions, config.num_layers, dtype)
    }

    /// As [`Footprint::measure`], of parts that are open.
    pub(crate) fn of_parts(
        transformer: &Checkpoint,
        text: &Checkpoint,
        vae: &Checkpoint,
        dimensions: Widths,
        num_layers: usize,
        dtype: DType,
    ) -> Result<Self> {
        let mut footprint = Self {
            blocks: vec![0; num_layers],
            transformer: 0,
            text: 0,
            caption: 0,
            vae: 0,
            widened: 0,
            text_widened: 0,
            compressed_values: 0,
            float8: false,
            dimensions,
            value: dtype.size_in_bytes() as u64,
        };
        for name in transformer.names() {
            let Occupied { bytes, widened, compressed_values, float8 } = transformer.occupied(&name, dtype);
            footprint.widened = footprint.widened.max(widened);
            footprint.compressed_values += compressed_values;
            footprint.float8 |= float8 && block_of(&name).is_some();
            match block_of(&name).map(|block| footprint.blocks.get_mut(block)) {
                None => footprint.transformer += bytes,
                Some(Some(block)) => *block += bytes,
                Some(None) => {
                    let reason = format!("tensor `{name}` is of a block that the config does not have; check both");
                    return Err(Error::Checkpoint { path: transformer.path(&name), reason });
                }
            }
        }
        for name in text.names().iter().filter(|name| *name != "model.embed_tokens.weight") {
            let Occupied { bytes, widened, .. } = text.occupied(name, dtype);
            footprint.text_widened = footprint.text_widened.max(widened);
            let caption = name.starts_with("visual.") || name.starts_with("lm_head.");
            *(if caption { &mut footprint.caption } else { &mut footprint.text }) += bytes;
        }
        for name in vae.names() {
            let kernel = vae.shape(&name).filter(|shape| shape.len() == 5).map_or(1, |shape| shape[2] as u64);
            // Temporal convolutions never run, of the others only the last temporal slice counts.
            if !name.contains("time_conv") {
                footprint.vae += vae.occupied(&name, dtype).bytes / kernel;
            }
        }
        Ok(footprint)
    }

    /// Bytes of the blocks after the first `resident`.
    pub fn streamed(&self, resident: usize) -> u64 {
        self.blocks.iter().skip(resident).sum()
    }

    /// Bytes of the largest block.
    pub fn largest_block(&self) -> u64 {
        self.blocks.iter().copied().max().unwrap_or(0)
    }
}

fn read_config<T: serde::de::DeserializeOwned>(folder: &Path) -> Result<T> {
    read_json(&folder.join("config.json"))
}

/// The block that a tensor of the transformer is of.
fn block_of(name: &str) -> Option<usize> {
    name.strip_prefix("transformer_blocks.")?.split('.').next()?.parse().ok()
}
