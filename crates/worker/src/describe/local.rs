//! Describes layers with the qwen engine's text encoder, one at a time.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use engine::{Analysis, EngineError, Output, ProgressSink, Stage, Step, Stopped};
use image::RgbaImage;
use qwen_image_layered::{Error, Pipeline, Progress};

use super::{
    LAYER_SIDE, LayerAnswer, WHOLE_SIDE, WholeAnswer,
    answer::{LAYER_QUESTION, WHOLE_QUESTION, json_in},
    assemble, not_described, thumbnail,
};

/// Maximum length of an answer in tokens.
const MAX_TOKENS: usize = 256;

/// The analyzer of `ANALYZER=local`.
pub(crate) struct LocalAnalyzer<'a> {
    pub(crate) pipeline: &'a mut Pipeline,
    /// The name of the model.
    pub(crate) model: &'a str,
    /// Time limit for all layers together.
    pub(crate) limit: Duration,
}

/// Why there is no analysis.
enum NoAnalysis {
    Stopped,
    Because(String),
}

impl LocalAnalyzer<'_> {
    /// Adds an analysis to the output, or a note that says why there is none.
    ///
    /// # Errors
    /// Only when the job is stopped.
    pub(crate) fn describe(
        &mut self,
        input: &RgbaImage,
        output: &mut Output,
        progress: &mut dyn ProgressSink,
    ) -> Result<(), EngineError> {
        match self.analyze(input, output, progress) {
            Ok(analysis) => output.analysis = Some(analysis),
            Err(NoAnalysis::Stopped) => return Err(Stopped.into()),
            Err(NoAnalysis::Because(why)) => output.notes.push(not_described(&why)),
        }
        Ok(())
    }

    fn analyze(
        &mut self,
        input: &RgbaImage,
        output: &Output,
        progress: &mut dyn ProgressSink,
    ) -> Result<Analysis, NoAnalysis> {
        let started = Instant::now();
        let layers = output.stack.layers();
        let total = u32::try_from(layers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut answers = Vec::new();
        let mut understood = 0;
        for (index, layer) in layers.iter().enumerate() {
            let whole = layer.on_canvas(output.stack.width(), output.stack.height());
            let picture = thumbnail(&whole, LAYER_SIDE).map_err(NoAnalysis::Because)?;
            let place = (u32::try_from(index).unwrap_or(u32::MAX), total);
            let text = self.ask(&opaque(&picture), LAYER_QUESTION, place, started, progress)?;
            let answer = json_in::<LayerAnswer>(&text);
            understood += u32::from(answer.is_some());
            answers.push(LayerAnswer { index: None, ..answer.unwrap_or_default() });
        }
        let sheet =
            layers::contact_sheet(input, &output.stack).map_err(|error| NoAnalysis::Because(error.to_string()))?;
        let sheet = thumbnail(&sheet, WHOLE_SIDE).map_err(NoAnalysis::Because)?;
        let text = self.ask(&opaque(&sheet), WHOLE_QUESTION, (total - 1, total), started, progress)?;
        let whole = json_in::<WholeAnswer>(&text);
        if understood == 0 && whole.is_none() {
            return Err(NoAnalysis::Because("the model's answers contained no JSON".to_owned()));
        }
        let (layers, verdict, recommendation) = assemble(&output.stack, answers, whole.unwrap_or_default());
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
    ) -> Result<String, NoAnalysis> {
        let reported = Step { stage: Stage::Describe, step, total, fraction: 1.0 };
        let mut stopped = false;
        let mut report = |_: Progress| {
            stopped = progress.step(reported).is_err();
            if stopped || started.elapsed() > self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = self.pipeline.ask(picture, question, MAX_TOKENS, &mut report);
        match answer {
            Ok(text) => Ok(text),
            Err(_) if stopped => Err(NoAnalysis::Stopped),
            Err(Error::Stopped) => Err(NoAnalysis::Because(format!(
                "the model took longer than {} s; raise ANALYZER_TIMEOUT_S, or run the model on a GPU",
                self.limit.as_secs()
            ))),
            Err(error) => Err(NoAnalysis::Because(error.to_string())),
        }
    }
}

fn opaque(picture: &image::RgbImage) -> RgbaImage {
    image::DynamicImage::ImageRgb8(picture.clone()).into_rgba8()
}
