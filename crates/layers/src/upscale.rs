use std::ops::ControlFlow;

use image::RgbaImage;
use rayon::prelude::*;

use crate::{Filter, Layer, LayerStack, ResizeError, resize, solve_exact};

mod column;
mod edges;
#[cfg(test)]
mod tests;

use column::{Member, fit_alphas};
use edges::{Edges, Place};

/// Rows that are fitted between two progress reports: some hundredths of a second.
const STRIP: usize = 64;

/// Why a stack was not upscaled.
#[derive(Debug, thiserror::Error)]
pub enum UpscaleError {
    /// The input has no pixel.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// The progress function asked to stop.
    #[error("stopped on request")]
    Stopped,
}

/// Brings a stack of an engine's working size to the size of its input, so
/// that its composite ([`crate::flatten`]) is `input` within 1/255.
///
/// `stack` holds layers that an engine made of a reduced `input`; its shape may
/// differ a little, as model buckets do. Every layer comes out as large as `input`:
///
/// - **Alpha** is enlarged and, within two small pixels of an edge, fitted to
///   the input. With the layer's colour `F` beside the edge, what is below it
///   `B`, the share `T` that the layers above let through and the enlarged alpha
///   `a_0`, it becomes the one with the least `|C(a) - I|^2 + l (a - a_0)^2`,
///   where `dC/da = T (F - B)`. That is the compositing equation solved for
///   alpha with known colours (Smith and Blinn, "Blue Screen Matting", 1996),
///   held to the engine's alpha where colours say little: `l` grows with how
///   much they vary there. Hard edges of `a_0` are steepened first, soft ones
///   stay soft.
/// - **Colours** are the input's wherever a layer is what one sees, and the
///   engine's where it is hidden; [`solve_exact`] makes the sum right. Edge
///   pixels take their colour from inside the layer, so that no rim of the old
///   background shows on a new one.
///
/// Names, kinds, texts, groups and labels stay, and lines move with their letters. Beyond the result this holds at most 13 bytes
/// per pixel of the input, and 11 bytes per small pixel of each layer.
///
/// `progress` gets the share of the work that is done, 0 to 1, and stops it by returning `Break`.
///
/// # Errors
/// When the input has no pixel, or `progress` broke.
pub fn upscale(
    stack: &LayerStack,
    input: &RgbaImage,
    progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
) -> Result<LayerStack, UpscaleError> {
    let mut report = |share: f32| if progress(share).is_break() { Err(UpscaleError::Stopped) } else { Ok(()) };
    let (width, height) = input.dimensions();
    // If the engine's size is larger, its edges are finer than the input's and only
    // have to be reduced.
    let (small_width, small_height) = (stack.width().min(width), stack.height().min(height));
    let small = resized(stack, small_width, small_height, |share| report(0.1 * share))?;
    let mut large = resized(&small, width, height, |share| report(0.1 + 0.3 * share))?;
    if (small_width, small_height) != (width, height) {
        let small_input = resize(input, small_width, small_height, Filter::Area)?;
        let scale = (width as f32 / small_width as f32).max(height as f32 / small_height as f32);
        let edges = Edges::new(&small, &small_input, scale);
        refine(&edges, &mut large, input, |share| report(0.4 + 0.4 * share))?;
    }
    report(0.8)?;
    let upscaled = solve_exact(large, input).expect("the stack has the input's size");
    report(1.0)?;
    Ok(upscaled)
}

fn resized(
    stack: &LayerStack,
    width: u32,
    height: u32,
    mut report: impl FnMut(f32) -> Result<(), UpscaleError>,
) -> Result<LayerStack, UpscaleError> {
    let (across, down) = (width as f32 / stack.width() as f32, height as f32 / stack.height() as f32);
    let mut layers = Vec::new();
    for (index, layer) in stack.layers().iter().enumerate() {
        report(index as f32 / stack.layers().len() as f32)?;
        let whole = layer.on_canvas(stack.width(), stack.height());
        let pixels = resize(&whole, width, height, Filter::Lanczos3)?;
        let Layer { name, kind, text, group, label, .. } = layer;
        let (name, text, label) = (name.clone(), text.clone(), label.clone());
        let lines = layer.lines.iter().map(|line| line.clone().scaled(across, down)).collect();
        layers.push(Layer { text, lines, group: *group, label, ..Layer::new(name, *kind, pixels) });
    }
    let mismatch = |error: crate::StackError| ResizeError { width, height, reason: error.to_string() };
    Ok(LayerStack::new(width, height, layers).map_err(mismatch)?)
}

/// Fits every pixel near an edge of some layer to `input`.
fn refine(
    edges: &Edges,
    large: &mut LayerStack,
    input: &RgbaImage,
    mut report: impl FnMut(f32) -> Result<(), UpscaleError>,
) -> Result<(), UpscaleError> {
    let row_length = input.width() as usize * 4;
    let mut rows: Vec<Vec<&mut [u8]>> = (0..input.height()).map(|_| Vec::new()).collect();
    // All as large as the canvas: `resized` has made them.
    for layer in large.layers_mut() {
        for (rows, row) in rows.iter_mut().zip(layer.pixels.chunks_exact_mut(row_length)) {
            rows.push(row);
        }
    }
    let strips = rows.chunks_mut(STRIP).zip(input.as_raw().chunks(STRIP * row_length));
    for (strip, (rows, wanted)) in strips.enumerate() {
        let first = strip * STRIP;
        report(first as f32 / input.height() as f32)?;
        let wanted = wanted.par_chunks_exact(row_length);
        rows.par_iter_mut().zip(wanted).enumerate().for_each_init(Vec::new, |column, (y, (layers, wanted))| {
            for (x, wanted) in wanted.as_chunks::<4>().0.iter().enumerate() {
                let place = edges.place(x, first + y, (input.width(), input.height()));
                if edges.any(place) {
                    refine_pixel(edges, place, layers, x * 4, *wanted, column);
                }
            }
        });
    }
    Ok(())
}

fn refine_pixel(
    edges: &Edges,
    place: Place,
    layers: &mut [&mut [u8]],
    at: usize,
    wanted: [u8; 4],
    column: &mut Vec<Member>,
) {
    column.clear();
    for (index, row) in layers.iter().enumerate() {
        let pixel = [row[at], row[at + 1], row[at + 2], row[at + 3]];
        column.push(edges.member(index, place, pixel));
    }
    fit_alphas(column, wanted);
    for (member, row) in column.iter().zip(layers) {
        if member.is_edge() {
            row[at..at + 4].copy_from_slice(&member.pixel());
        }
    }
}
