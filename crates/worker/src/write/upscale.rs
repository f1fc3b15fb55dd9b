//! Scales the layers of an engine that works at its own size to the size that the job asks for.

use std::io;
use std::ops::ControlFlow;

use engine::{Message, MessageCode, OutputSize, Stage, Step};
use image::RgbaImage;
use layers::{Filter, LayerStack};

/// The share of upscaling in the progress of writing a result.
const SHARE: f32 = 0.5;

/// Progress of upscaling is reported in percent.
const TOTAL: u32 = 100;

/// The layers at the size that the job asks for.
pub(super) struct SizedLayers {
    pub(super) stack: LayerStack,
    /// The picture that the composite of `stack` is compared with, if not the input: the input at the model's size.
    pub(super) reference: Option<RgbaImage>,
    /// The layers at the model's size, stored beside the others.
    pub(super) model: Option<LayerStack>,
    /// The share of writing a result that is done, 0 to 1.
    pub(super) fraction: f32,
}

/// Upscales `stack` to the size of `input` if `wanted` asks for it.
///
/// # Errors
/// The error of `on_step`, or a mismatch of sizes.
pub(super) fn to_size(
    stack: LayerStack,
    input: &RgbaImage,
    wanted: OutputSize,
    notes: &mut Vec<Message>,
    on_step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<SizedLayers> {
    let (width, height) = (stack.width(), stack.height());
    if (width, height) == input.dimensions() {
        if wanted != OutputSize::Native {
            let text = "The engine works at the input's size, so there is no other size of the layers.";
            notes.push(Message::new(MessageCode::OneSize, text));
        }
        return Ok(SizedLayers { stack, reference: None, model: None, fraction: 0.0 });
    }
    if wanted == OutputSize::Model {
        let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(io::Error::other)?;
        return Ok(SizedLayers { stack, reference: Some(reduced), model: None, fraction: 0.0 });
    }
    let mut step_error = None;
    let upscaled = layers::upscale(&stack, input, &mut |share| {
        let step = (share * TOTAL as f32) as u32;
        match on_step(Step { stage: Stage::Lift, step, total: TOTAL, fraction: SHARE * share }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                step_error = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let upscaled = upscaled.map_err(|error| step_error.unwrap_or_else(|| io::Error::other(error)))?;
    let text = format!("The layers were made at {width} x {height} pixels and scaled up to the input's size.");
    notes.push(Message::new(MessageCode::Upscaled, text).with("width", width).with("height", height));
    let model = Some(stack).filter(|_| wanted == OutputSize::Both);
    Ok(SizedLayers { stack: upscaled, reference: None, model, fraction: SHARE })
}
