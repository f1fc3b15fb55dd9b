use image::{Rgba, RgbaImage};

use crate::composite::{blend, premultiply, straight};
use crate::{Kind, Layer, LayerStack, Rect, SizeMismatch};

/// Changes the layers as little as it can so that their composite
/// ([`crate::flatten`]) is `input` within 1/255 in every premultiplied channel
/// of every pixel.
///
/// Pixels that fit already stay as they are. Elsewhere, the first of these
/// that fits is taken:
///
/// 1. Colours only. With the share of layer `i` in the composite
///    `w_i = a_i prod_{j > i} (1 - a_j)` and the residual `r`, the smallest
///    change (least squares) is `r w_i / sum w^2`; what a channel cannot take
///    is spread over the others.
/// 2. The layer with the largest share gets the alpha and the colour that are missing.
/// 3. That layer alone is what one sees: the layers above become transparent there.
///
/// A stack without layers gets one that holds the input.
///
/// # Errors
/// When the input is not as large as the canvas.
pub fn solve_exact(stack: LayerStack, input: &RgbaImage) -> Result<LayerStack, SizeMismatch> {
    solve(stack, input, 1)
}

/// [`solve_exact`] that also takes away differences of 1/255 wherever a change
/// of colours can. For stacks that become part of another one, whose own
/// rounding comes on top.
///
/// # Errors
/// When the input is not as large as the canvas.
pub fn solve_closely(stack: LayerStack, input: &RgbaImage) -> Result<LayerStack, SizeMismatch> {
    solve(stack, input, 0)
}

fn solve(stack: LayerStack, input: &RgbaImage, tolerance: u8) -> Result<LayerStack, SizeMismatch> {
    let (width, height) = (stack.width(), stack.height());
    if input.dimensions() != (width, height) {
        return Err(SizeMismatch { a: (width, height), b: input.dimensions() });
    }
    let mut layers = stack.into_layers();
    if layers.is_empty() {
        layers.push(Layer::new("", Kind::Background, input.clone()));
    }
    let mut column = Vec::with_capacity(layers.len());
    for y in 0..height {
        // The lowest layer takes what no other has.
        let reach = |(index, layer): (usize, &Layer)| (index == 0 || !layer.row(y).is_empty()).then_some(index);
        let row: Vec<usize> = layers.iter().enumerate().filter_map(reach).collect();
        for x in 0..width {
            let wanted = input.get_pixel(x, y).0;
            column.clear();
            column.extend(row.iter().map(|index| layers[*index].pixel_at(x, y).0));
            if fits(&column, wanted, tolerance) {
                continue;
            }
            solve_pixel(&mut column, wanted, tolerance);
            for (pixel, index) in column.iter().zip(&row) {
                put(&mut layers[*index], (x, y), *pixel, (width, height));
            }
        }
    }
    Ok(LayerStack::new(width, height, layers).expect("layers grow to the canvas at most"))
}

/// Changes one pixel of the canvas. The lowest layer grows to all of it where it has to show what no other layer reaches;
/// the others only change where they have been seen.
fn put(layer: &mut Layer, (x, y): (u32, u32), pixel: [u8; 4], canvas: (u32, u32)) {
    if pixel == layer.pixel_at(x, y).0 {
        return;
    }
    if layer.rect().intersection(Rect { x, y, width: 1, height: 1 }).is_none() {
        layer.grow(Rect::whole(canvas.0, canvas.1));
    }
    layer.pixels.put_pixel(x - layer.x, y - layer.y, Rgba(pixel));
}

/// `column` are the layers' pixels at one place, the lowest first.
fn solve_pixel(column: &mut [[u8; 4]], wanted: [u8; 4], tolerance: u8) {
    let kept = column.to_vec();
    recolour(column, wanted);
    if fits(column, wanted, tolerance) {
        return;
    }
    if fits(&kept, wanted, 1) {
        // Rounding leaves nothing nearer without a change of alpha.
        column.copy_from_slice(&kept);
        return;
    }
    if fits(column, wanted, 1) {
        return;
    }
    column.copy_from_slice(&kept);
    let main = largest_share(column);
    if fill(column, main, wanted) && fits(column, wanted, 1) {
        return;
    }
    column.copy_from_slice(&kept);
    for (index, pixel) in column.iter_mut().enumerate() {
        if index == main {
            *pixel = wanted;
        } else if index > main || wanted[3] < 255 {
            // Below an opaque pixel, what is hidden may stay.
            pixel[3] = 0;
        }
    }
}

/// Whether the composite is the wanted pixel within `tolerance` steps per premultiplied channel,
/// for those who round it to a picture and for those who do not.
fn fits(column: &[[u8; 4]], wanted: [u8; 4], tolerance: u8) -> bool {
    let [r, g, b, alpha] = composite(column);
    let opacity = f32::from(wanted[3]) / 255.0;
    let near = |found: f32, wanted: f32| (found - wanted).abs() <= f32::from(tolerance).max(0.5);
    let colours = [r, g, b].into_iter().zip(wanted).all(|(a, b)| near(a, opacity * f32::from(b)));
    let unrounded = colours && near(255.0 * alpha, f32::from(wanted[3]));
    let found = premultiply(Rgba(straight([r, g, b, alpha]))).0;
    let rounded = found.into_iter().zip(premultiply(Rgba(wanted)).0).all(|(a, b)| a.abs_diff(b) <= tolerance);
    unrounded && rounded
}

/// Premultiplied: colours 0 to 255, alpha 0 to 1.
fn composite(column: &[[u8; 4]]) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for pixel in column {
        blend(&mut sum, *pixel, 1.0);
    }
    sum
}

/// How much of each layer is seen, 0 to 1.
fn shares(column: &[[u8; 4]]) -> Vec<f32> {
    let mut through = 1.0;
    let mut shares = vec![0.0; column.len()];
    for (share, pixel) in shares.iter_mut().zip(column).rev() {
        let alpha = f32::from(pixel[3]) / 255.0;
        *share = alpha * through;
        through *= 1.0 - alpha;
    }
    shares
}

/// The layer that one sees most of; the lowest where one sees nothing.
fn largest_share(column: &[[u8; 4]]) -> usize {
    let shares = shares(column);
    (0..column.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]).then(b.cmp(a))).unwrap_or(0)
}

/// Spreads the residual over the colours, by least squares within 0 to 255.
fn recolour(column: &mut [[u8; 4]], wanted: [u8; 4]) {
    let shares = shares(column);
    let alpha = f32::from(wanted[3]) / 255.0;
    for channel in 0..3 {
        let mut values: Vec<f32> = column.iter().map(|pixel| f32::from(pixel[channel])).collect();
        // Each round fixes at least one channel at its limit, or is the last.
        let mut free: Vec<bool> = shares.iter().map(|share| *share > 0.0).collect();
        for _ in 0..=column.len() {
            let now: f32 = values.iter().zip(&shares).map(|(value, share)| value * share).sum();
            let residual = f32::from(wanted[channel]) * alpha - now;
            let power: f32 = shares.iter().zip(&free).filter(|(_, free)| **free).map(|(share, _)| share * share).sum();
            if power <= 0.0 || residual.abs() < 1e-3 {
                break;
            }
            for ((value, share), free) in values.iter_mut().zip(&shares).zip(&mut free) {
                if *free {
                    let moved = *value + residual * share / power;
                    *free = (0.0..=255.0).contains(&moved);
                    *value = moved.clamp(0.0, 255.0);
                }
            }
        }
        for (pixel, value) in column.iter_mut().zip(values) {
            pixel[channel] = value.round() as u8;
        }
    }
}

/// Gives layer `main` the alpha and colour that make the composite right, if
/// there are such within 0 to 255. Layers below and above stay.
fn fill(column: &mut [[u8; 4]], main: usize, wanted: [u8; 4]) -> bool {
    let below = composite(&column[..main]);
    let above = composite(&column[main + 1..]);
    let through = 1.0 - above[3];
    if through < 1.0 / 255.0 {
        return false;
    }
    // What must come out of the layers up to `main`, premultiplied.
    let alpha = f32::from(wanted[3]) / 255.0;
    let target = |channel: usize| (f32::from(wanted[channel]) * alpha - above[channel]) / through;
    let target_alpha = (alpha - above[3]) / through;
    // An opaque ground below leaves the alpha free: then the layer covers it.
    let own = if below[3] > 0.999 { 1.0 } else { 1.0 - (1.0 - target_alpha) / (1.0 - below[3]) };
    if !(0.5 / 255.0..=1.001).contains(&own) {
        return false;
    }
    let own = own.min(1.0);
    let mut pixel = [0, 0, 0, (own * 255.0).round() as u8];
    for (channel, value) in pixel.iter_mut().enumerate().take(3) {
        let colour = (target(channel) - below[channel] * (1.0 - own)) / own;
        *value = colour.round().clamp(0.0, 255.0) as u8;
    }
    column[main] = pixel;
    true
}

#[cfg(test)]
mod tests;
