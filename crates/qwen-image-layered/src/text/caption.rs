//! Greedy captioning: the vision tower's embeddings inside a fixed prompt.

use candle_core::Tensor;
use candle_transformers::generation::{LogitsProcessor, Sampling};
use candle_transformers::utils::apply_repeat_penalty;
use image::RgbaImage;

use super::config::{GenerationConfig, ProcessorConfig};
use super::language_model::{Cache, LanguageModel, Position};
use super::picture;
use super::template::IMAGE_TOKEN;
use super::tokenizer::TextTokenizer;
use super::vision::VisionTower;
use crate::nn::Linear;
use crate::{Error, Monitor, Result, Stage, finite};

/// What captioning needs beyond the text model.
pub struct Captioner {
    pub vision: VisionTower,
    pub lm_head: Linear,
    pub processor: ProcessorConfig,
    pub generation: GenerationConfig,
    pub merge_size: usize,
}

impl Captioner {
    /// The continuation of `text`, which holds one image token that stands for `picture`, in at most `max_tokens` tokens;
    /// see [`super::TextEncoder::caption`].
    pub fn answer(
        &self,
        (model, tokenizer): (&LanguageModel, &TextTokenizer),
        picture: &RgbaImage,
        (text, max_tokens): (&str, usize),
        monitor: &Monitor,
    ) -> Result<String> {
        monitor.step(Stage::Caption, 0, max_tokens)?;
        let patches = picture::cut(picture, &self.processor)?;
        let grid = (patches.rows / self.merge_size, patches.columns / self.merge_size);
        let image_token = tokenizer.id(IMAGE_TOKEN)?;
        let before = tokenizer.encode(text)?;
        let prompt = Prompt::new(&before, image_token, grid)?;
        let embedded = self.vision.forward(&patches, monitor)?;
        let x = prompt.embed(model, &embedded)?;
        let generated = self.generate(model, (&prompt, &x), max_tokens, monitor)?;
        monitor.step(Stage::Caption, max_tokens, max_tokens)?;
        // The characters that Python's `strip` removes.
        let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
        Ok(tokenizer.decode(&generated)?.trim_matches(is_space).to_owned())
    }

    fn generate(
        &self,
        model: &LanguageModel,
        (prompt, x): (&Prompt, &Tensor),
        max_tokens: usize,
        monitor: &Monitor,
    ) -> Result<Vec<u32>> {
        // Greedy, so the seed has no effect.
        let mut sampler = LogitsProcessor::from_sampling(0, Sampling::ArgMax);
        let mut cache = Cache::default();
        let mut hidden = model.forward(x, &prompt.positions, Some(&mut cache), monitor)?;
        let mut seen = prompt.ids.clone();
        let mut generated = Vec::new();
        while generated.len() < max_tokens {
            let last = hidden.narrow(0, hidden.dim(0)? - 1, 1)?;
            let logits = self.lm_head.forward(&last)?.flatten_all()?;
            finite::check(&logits, "text encoder")?;
            let logits = apply_repeat_penalty(&logits, self.generation.repetition_penalty, &seen)?;
            let next = sampler.sample(&logits)?;
            generated.push(next);
            if self.generation.eos_token_ids.contains(&next) || generated.len() == max_tokens {
                break;
            }
            monitor.step(Stage::Caption, generated.len(), max_tokens)?;
            seen.push(next);
            let position = [prompt.next_position + generated.len() as u32 - 1; 3];
            hidden = model.forward(&model.embed(&[next])?, &[position], Some(&mut cache), monitor)?;
        }
        Ok(generated)
    }
}

/// The caption prompt with the image token repeated for each embedding.
struct Prompt {
    ids: Vec<u32>,
    positions: Vec<Position>,
    /// Position of the first of the image's embeddings.
    image_start: usize,
    image_tokens: usize,
    /// Position of the first generated token.
    next_position: u32,
}

impl Prompt {
    /// Positions as in `get_rope_index`: those of image tokens count rows and columns,
    /// and the text continues after the larger of both.
    fn new(text: &[u32], image_token: u32, (rows, columns): (usize, usize)) -> Result<Self> {
        let missing =
            || Error::Input("the caption prompt lost its image token; the tokenizer is another model's".into());
        let image_start = text.iter().position(|&id| id == image_token).ok_or_else(missing)?;
        let image_tokens = rows * columns;
        let (before, after) = (&text[..image_start], &text[image_start + 1..]);
        let ids = [before, &vec![image_token; image_tokens], after].concat();
        let start = image_start as u32;
        let mut positions: Vec<Position> = (0..start).map(|n| [n; 3]).collect();
        positions
            .extend((0..image_tokens).map(|n| [start, start + (n / columns) as u32, start + (n % columns) as u32]));
        let resume = start + rows.max(columns) as u32;
        let next_position = resume + after.len() as u32;
        positions.extend((resume..next_position).map(|n| [n; 3]));
        Ok(Self { ids, positions, image_start, image_tokens, next_position })
    }

    /// Token embeddings with the image's own in their place.
    fn embed(&self, model: &LanguageModel, image: &Tensor) -> Result<Tensor> {
        let before = model.embed(&self.ids[..self.image_start])?;
        let after = model.embed(&self.ids[self.image_start + self.image_tokens..])?;
        Ok(Tensor::cat(&[&before, &image.to_dtype(before.dtype())?, &after], 0)?)
    }
}
