//! Prompt encoding and captioning with Qwen2.5-VL.

mod caption;
mod config;
mod language_model;
mod layers;
mod picture;
mod resample;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;
mod vision;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;

use crate::weights::{ModelFiles, Part, Weights};
use crate::{Error, Monitor, Result, finite};

use caption::Captioner;
pub(crate) use config::read_model;
use config::{TextConfig, VisionConfig};
use language_model::LanguageModel;
use template::{IMAGE_TOKEN, MAX_CAPTION_TOKENS, TEMPLATE_TOKENS};
use tokenizer::TextTokenizer;
use vision::VisionTower;

/// In which language a caption is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese.
    Chinese,
}

/// The text side of the pipeline: tokenizer, text model and, for captions, the vision tower.
pub struct TextEncoder {
    tokenizer: TextTokenizer,
    model: LanguageModel,
    /// Absent when the files hold no vision tower.
    captioner: Option<Captioner>,
}

impl TextEncoder {
    /// Loads the text side of `files`, to compute in `dtype` on `device`.
    ///
    /// # Errors
    /// When a file is missing or broken, or config and weights do not fit.
    pub fn load(files: &ModelFiles, dtype: DType, device: &Device) -> Result<Self> {
        let folder = files.folder.join("text_encoder");
        let (text, vision) = config::read_model(&folder.join("config.json"))?;
        let tokenizer = TextTokenizer::load(&[files.folder.join("tokenizer"), files.folder.join("processor")])?;
        check_image_token(&tokenizer, &text)?;
        let checkpoint = files.open(Part::TextEncoder)?;
        let weights = Weights::new(std::sync::Arc::new(checkpoint), dtype, device);
        let model = LanguageModel::load(&text, &weights.pp("model"))?;
        let captioner = load_captioner(files, (&text, &vision), &weights)?;
        weights.finish()?;
        Ok(Self { tokenizer, model, captioner })
    }

    /// Values per token of an encoded prompt.
    pub fn width(&self) -> usize {
        self.model.width()
    }

    /// Whether the files hold what [`TextEncoder::caption`] needs.
    pub fn can_caption(&self) -> bool {
        self.captioner.is_some()
    }

    /// Encodes `prompt` inside the pipeline's template: (1, n, hidden), the
    /// template's 34 leading positions dropped, at most `max_tokens` (512) of the rest.
    ///
    /// # Errors
    /// When the prompt cannot be tokenised, on a device failure, or on [`crate::Error::Stopped`].
    pub fn encode(&self, prompt: &str, max_tokens: usize, monitor: &Monitor) -> Result<Tensor> {
        let ids = self.tokenizer.encode(&template::prompt_text(prompt))?;
        // Attention is causal: tokens that are cut off do not change the others and need not be computed.
        let count = ids.len().min(TEMPLATE_TOKENS + max_tokens);
        if count <= TEMPLATE_TOKENS {
            return Err(Error::Input("the prompt came out empty; the tokenizer is another model's".to_owned()));
        }
        let positions: Vec<_> = (0..count as u32).map(|n| [n; 3]).collect();
        let hidden = self.model.forward(&self.model.embed(&ids[..count])?, &positions, None, monitor)?;
        finite::check(&hidden, "text encoder")?;
        Ok(hidden.narrow(0, TEMPLATE_TOKENS, count - TEMPLATE_TOKENS)?.unsqueeze(0)?.contiguous()?)
    }

    /// Describes `picture` (already at the pipeline's size, straight alpha, opaque for
    /// RGB inputs) as the reference does: greedy, at most 512 tokens, stripped.
    /// Reports `Stage::Caption` per token.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`].
    pub fn caption(&self, picture: &RgbaImage, language: Language, monitor: &Monitor) -> Result<String> {
        self.answer(picture, template::caption_text(language), MAX_CAPTION_TOKENS, monitor)
    }

    /// Answers `question` about `picture`, as [`TextEncoder::caption`] describes it.
    ///
    /// # Errors
    /// As [`TextEncoder::caption`].
    pub fn ask(&self, picture: &RgbaImage, question: &str, max_tokens: usize, monitor: &Monitor) -> Result<String> {
        self.answer(picture, &template::question_text(question), max_tokens, monitor)
    }

    fn answer(&self, picture: &RgbaImage, text: &str, max_tokens: usize, monitor: &Monitor) -> Result<String> {
        let absent =
            "this text encoder has no vision tower, so it cannot caption: give a prompt, or the vision file (mmproj)";
        let captioner = self.captioner.as_ref().ok_or_else(|| Error::Input(absent.to_owned()))?;
        captioner.answer((&self.model, &self.tokenizer), picture, (text, max_tokens), monitor)
    }
}

fn check_image_token(tokenizer: &TextTokenizer, config: &TextConfig) -> Result<()> {
    let found = tokenizer.id(IMAGE_TOKEN)?;
    if found != config.image_token_id {
        return Err(Error::Input(format!(
            "the tokenizer has `{IMAGE_TOKEN}` at {found}, the text encoder's config at {}; they do not belong together",
            config.image_token_id
        )));
    }
    Ok(())
}

/// The captioning side, where the checkpoint has a vision tower.
fn load_captioner(
    files: &ModelFiles,
    (text, vision): (&TextConfig, &VisionConfig),
    weights: &Weights,
) -> Result<Option<Captioner>> {
    let tied = text.tie_word_embeddings && !weights.contains("lm_head.weight");
    let head = weights.pp(if tied { "model.embed_tokens" } else { "lm_head" });
    let has_head = tied || weights.contains("lm_head.weight");
    let complete = has_head && weights.contains("visual.patch_embed.proj.weight");
    // The published folder has to be complete. Other packagings may hold only the text model, which can still encode
    // prompts; parts of the captioning side are of no use without the rest.
    if !complete && files.text_model.is_some() {
        weights.pp("visual").skip();
        weights.pp("lm_head").skip();
        return Ok(None);
    }
    if vision.out_hidden_size != text.hidden_size {
        return Err(Error::Input(format!(
            "the vision tower returns {} values per token, the text model takes {}; config.json is inconsistent",
            vision.out_hidden_size, text.hidden_size
        )));
    }
    let processor = config::read_processor(&files.folder.join("processor"), vision)?;
    Ok(Some(Captioner {
        vision: VisionTower::load(vision, &weights.pp("visual"))?,
        lm_head: head.linear(text.hidden_size, text.vocab_size, false)?,
        processor,
        generation: config::read_generation(&files.folder.join("text_encoder").join("generation_config.json"))?,
        merge_size: vision.spatial_merge_size,
    }))
}
