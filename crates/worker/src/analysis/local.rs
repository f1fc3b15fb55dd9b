//! The qwen engine's own text encoder looks at the layers, one at a time.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use image::RgbaImage;
use jobs::Analysis;
use qwen_image_layered::{Error, Pipeline, Progress};

use super::{
    LAYER_QUESTION, LAYER_SIDE, LayerAnswer, WHOLE_QUESTION, WHOLE_SIDE, WholeAnswer, assemble, excuse, json_in, shown,
};
use crate::engine::{Decomposition, EngineError, ProgressSink, Step, Stopped};

/// The most tokens of an answer.
const MAX_TOKENS: usize = 256;

/// What a model is to say, and how long it may take.
pub(crate) struct LocalAnalyzer<'a> {
    pub(crate) pipeline: &'a mut Pipeline,
    /// What the model is called.
    pub(crate) model: &'a str,
    /// For all layers together.
    pub(crate) limit: Duration,
}

/// Why there is no analysis.
enum Ended {
    Stopped,
    Excuse(String),
}

impl LocalAnalyzer<'_> {
    /// Adds an analysis to what was made, or a note that says why there is none.
    ///
    /// # Errors
    /// Only when the job is to end.
    pub(crate) fn look(
        &mut self,
        input: &RgbaImage,
        made: &mut Decomposition,
        progress: &mut dyn ProgressSink,
    ) -> Result<(), EngineError> {
        match self.analysis(input, made, progress) {
            Ok(analysis) => made.analysis = Some(analysis),
            Err(Ended::Stopped) => return Err(Stopped.into()),
            Err(Ended::Excuse(why)) => made.notes.push(excuse(&why)),
        }
        Ok(())
    }

    fn analysis(
        &mut self,
        input: &RgbaImage,
        made: &Decomposition,
        progress: &mut dyn ProgressSink,
    ) -> Result<Analysis, Ended> {
        let started = Instant::now();
        let layers = made.stack.layers();
        let total = u32::try_from(layers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut answers = Vec::new();
        let mut understood = 0;
        for (index, layer) in layers.iter().enumerate() {
            let picture = shown(&layer.pixels, LAYER_SIDE).map_err(Ended::Excuse)?;
            let place = (u32::try_from(index).unwrap_or(u32::MAX), total);
            let text = self.ask(&opaque(&picture), LAYER_QUESTION, place, started, progress)?;
            let answer = json_in::<LayerAnswer>(&text);
            understood += u32::from(answer.is_some());
            answers.push(LayerAnswer { index: None, ..answer.unwrap_or_default() });
        }
        let sheet = layers::contact_sheet(input, &made.stack).map_err(|error| Ended::Excuse(error.to_string()))?;
        let sheet = shown(&sheet, WHOLE_SIDE).map_err(Ended::Excuse)?;
        let text = self.ask(&opaque(&sheet), WHOLE_QUESTION, (total - 1, total), started, progress)?;
        let whole = json_in::<WholeAnswer>(&text);
        if understood == 0 && whole.is_none() {
            return Err(Ended::Excuse("the model's answers held no JSON".to_owned()));
        }
        let (layers, verdict, recommendation) = assemble(&made.stack, answers, whole.unwrap_or_default());
        Ok(Analysis {
            analyzer: "local".to_owned(),
            model: self.model.to_owned(),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            layers,
            verdict,
            recommendation,
        })
    }

    fn ask(
        &mut self,
        picture: &RgbaImage,
        question: &str,
        (step, total): (u32, u32),
        started: Instant,
        progress: &mut dyn ProgressSink,
    ) -> Result<String, Ended> {
        let shown = Step { stage: "describe", step, total, fraction: 1.0 };
        let mut stopped = false;
        let mut report = |_: Progress| {
            stopped = progress.step(shown).is_err();
            if stopped || started.elapsed() > self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = self.pipeline.ask(picture, question, MAX_TOKENS, &mut report);
        match answer {
            Ok(text) => Ok(text),
            Err(_) if stopped => Err(Ended::Stopped),
            Err(Error::Stopped) => Err(Ended::Excuse(format!(
                "it took longer than {} s; raise ANALYZER_TIMEOUT_S, or run the model on a GPU",
                self.limit.as_secs()
            ))),
            Err(error) => Err(Ended::Excuse(error.to_string())),
        }
    }
}

fn opaque(picture: &image::RgbImage) -> RgbaImage {
    image::DynamicImage::ImageRgb8(picture.clone()).into_rgba8()
}
