//! Layers of an engine that works at a size of its own, in the size that the job asks for.

use std::io;
use std::ops::ControlFlow;

use engine::{Message, MessageCode, OutputSize, Stage, Step};
use image::RgbaImage;
use layers::{Filter, LayerStack};

/// Share of the way to a result that upscaling has, where layers are upscaled.
const SHARE: f32 = 0.5;

/// Progress of upscaling is told in percent.
const TOTAL: u32 = 100;

/// The layers in the size that was asked for.
pub(super) struct Sized {
    pub(super) stack: LayerStack,
    /// What the composite of `stack` is compared with, where that is not the input: the input in the model's size.
    pub(super) reference: Option<RgbaImage>,
    /// The layers in the model's size, to be kept beside the others.
    pub(super) model: Option<LayerStack>,
    /// How much of the way to a result is done, 0 to 1.
    pub(super) fraction: f32,
}

/// Upscales `stack` to the size of `input` where `wanted` says so.
///
/// # Errors
/// When `on_step` says so, and when sizes do not fit.
pub(super) fn to_size(
    stack: LayerStack,
    input: &RgbaImage,
    wanted: OutputSize,
    notes: &mut Vec<Message>,
    on_step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<Sized> {
    let (width, height) = (stack.width(), stack.height());
    if (width, height) == input.dimensions() {
        if wanted != OutputSize::Native {
            let text = "The engine works at the input's own size: there is no other size of the layers.";
            notes.push(Message::new(MessageCode::OneSize, text));
        }
        return Ok(Sized { stack, reference: None, model: None, fraction: 0.0 });
    }
    if wanted == OutputSize::Model {
        let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(io::Error::other)?;
        return Ok(Sized { stack, reference: Some(reduced), model: None, fraction: 0.0 });
    }
    let mut refused = None;
    let upscaled = layers::upscale(&stack, input, &mut |share| {
        let step = (share * TOTAL as f32) as u32;
        match on_step(Step { stage: Stage::Lift, step, total: TOTAL, fraction: SHARE * share }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let upscaled = upscaled.map_err(|error| refused.unwrap_or_else(|| io::Error::other(error)))?;
    let text = format!("The layers were made at {width} x {height} pixels and lifted to the input's size.");
    notes.push(Message::new(MessageCode::Upscaled, text).with("width", width).with("height", height));
    let model = Some(stack).filter(|_| wanted == OutputSize::Both);
    Ok(Sized { stack: upscaled, reference: None, model, fraction: SHARE })
}
