//! Layers on their canvas: the one place that knows where the pixels of a layer lie.

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack};

/// The pixel of a layer at a place of the canvas; clear beside the layer.
pub(crate) fn pixel(layer: &Layer, x: u32, y: u32) -> Rgba<u8> {
    let inside = x.checked_sub(layer.x).zip(y.checked_sub(layer.y));
    inside.and_then(|(x, y)| layer.pixels.get_pixel_checked(x, y)).copied().unwrap_or(Rgba([0; 4]))
}

/// Opacity of a layer for every pixel of the canvas, row by row.
pub(crate) fn opacity(layer: &Layer, width: u32, height: u32) -> Vec<u8> {
    (0..height).flat_map(|y| (0..width).map(move |x| pixel(layer, x, y)[3])).collect()
}

/// Whether a union of both may stand for a thing: they are of one group.
pub(crate) fn are_of_one_group(a: &Layer, b: &Layer) -> bool {
    a.kind == b.kind && a.group == b.group
}

/// A layer alone, as large as the canvas.
pub(crate) fn alone(layer: &Layer, width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| pixel(layer, x, y))
}

/// The composite of all layers but the text.
pub(crate) fn without_text(stack: &LayerStack) -> RgbaImage {
    RgbaImage::from_fn(stack.width(), stack.height(), |x, y| {
        // Premultiplied, rounded once.
        let mut sum = [0.0_f32; 4];
        for layer in stack.layers().iter().filter(|layer| layer.kind != Kind::Text) {
            let [r, g, b, a] = pixel(layer, x, y).0.map(f32::from);
            let opacity = a / 255.0;
            for (below, above) in sum.iter_mut().zip([r * opacity, g * opacity, b * opacity, a]) {
                *below = above + *below * (1.0 - opacity);
            }
        }
        let opacity = (sum[3] / 255.0).max(1e-6);
        let [r, g, b, a] = sum;
        Rgba([r / opacity, g / opacity, b / opacity, a].map(|value| value.round().clamp(0.0, 255.0) as u8))
    })
}
