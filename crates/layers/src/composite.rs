use image::{Rgba, RgbaImage};

use crate::{LayerStack, SizeMismatch};

/// Composites the stack with `over`, bottom first, over nothing. A layer is transparent where it has no pixels.
///
/// This is the product's definition of the composite: every layer has 8-bit
/// straight alpha, the sum is kept in premultiplied `f32` and rounded once at
/// the end. With colour `c` and alpha `a` in 0..=1 (Porter and Duff 1984):
///
/// `a = a_s + a_b (1 - a_s)`, `c a = c_s a_s + c_b a_b (1 - a_s)`
///
/// A pixel with alpha 0 comes out as `[0, 0, 0, 0]`.
///
/// ```
/// use image::{Rgba, RgbaImage};
/// use layers::{Kind, Layer, LayerStack, flatten};
///
/// let blue = Layer::new("Background", Kind::Background, RgbaImage::from_pixel(2, 1, Rgba([0, 0, 255, 255])));
/// let half_red = Layer::new("Tint", Kind::Object, RgbaImage::from_pixel(2, 1, Rgba([255, 0, 0, 128])));
/// let stack = LayerStack::new(2, 1, vec![blue, half_red])?;
/// assert_eq!(flatten(&stack).get_pixel(0, 0).0, [128, 0, 127, 255]);
/// # Ok::<(), layers::StackError>(())
/// ```
pub fn flatten(stack: &LayerStack) -> RgbaImage {
    let rows = stack.iter().map(|layer| move |y| (layer.x, layer.row(y)));
    sum(stack.width(), stack.height(), &rows.collect::<Vec<_>>())
}

/// [`flatten`] of bare pictures, the lowest first, all `width` x `height` pixels.
///
/// # Errors
/// When a picture has another size.
pub fn flatten_pictures(width: u32, height: u32, pictures: &[&RgbaImage]) -> Result<RgbaImage, SizeMismatch> {
    match pictures.iter().find(|picture| picture.dimensions() != (width, height)) {
        Some(other) => Err(SizeMismatch { a: other.dimensions(), b: (width, height) }),
        None => {
            let length = width as usize;
            let rows = pictures.iter().map(|picture| {
                let pixels = picture.as_raw().as_chunks::<4>().0;
                move |y: u32| (0, &pixels[y as usize * length..][..length])
            });
            Ok(sum(width, height, &rows.collect::<Vec<_>>()))
        }
    }
}

/// The composite of layers, the lowest first. Each gives the pixels that it has in a row, and the column of the first, all
/// of them on the canvas of `width` x `height` pixels.
fn sum<'a>(width: u32, height: u32, layers: &[impl Fn(u32) -> (u32, &'a [[u8; 4]])]) -> RgbaImage {
    let mut out = RgbaImage::new(width, height);
    if width == 0 || height == 0 {
        return out;
    }
    let mut sum = vec![[0_f32; 4]; width as usize];
    for (y, out_row) in (0..).zip(out.chunks_exact_mut(width as usize * 4)) {
        sum.fill([0.0; 4]);
        for (x, row) in layers.iter().map(|layer| layer(y)) {
            for (below, pixel) in sum[x as usize..].iter_mut().zip(row) {
                blend(below, *pixel, 1.0);
            }
        }
        for (out, sum) in out_row.as_chunks_mut::<4>().0.iter_mut().zip(&sum) {
            *out = straight(*sum);
        }
    }
    out
}

/// One pixel over another, both straight, rounded to 8 bits.
pub fn over(top: Rgba<u8>, below: Rgba<u8>) -> Rgba<u8> {
    match top[3] {
        0 if below[3] == 0 => Rgba([0; 4]),
        0 => below,
        255 => top,
        _ => {
            let mut sum = [0.0; 4];
            blend(&mut sum, below.0, 1.0);
            blend(&mut sum, top.0, 1.0);
            Rgba(straight(sum))
        }
    }
}

/// The picture over a backdrop of one colour; opaque.
pub fn over_colour(picture: &RgbaImage, backdrop: [u8; 3]) -> image::RgbImage {
    let [r, g, b] = backdrop;
    let mut out = image::RgbImage::new(picture.width(), picture.height());
    for (out, pixel) in out.pixels_mut().zip(picture.pixels()) {
        let Rgba([r, g, b, _]) = over(*pixel, Rgba([r, g, b, 255]));
        out.0 = [r, g, b];
    }
    out
}

/// Puts `pixel` over `below`, which is premultiplied: colours 0..=255, alpha
/// 0..=1. `opacity` scales the pixel's alpha.
pub(crate) fn blend(below: &mut [f32; 4], pixel: [u8; 4], opacity: f32) {
    if pixel[3] == 0 {
        return;
    }
    let alpha = f32::from(pixel[3]) / 255.0 * opacity;
    let rest = 1.0 - alpha;
    for channel in 0..3 {
        below[channel] = f32::from(pixel[channel]) * alpha + below[channel] * rest;
    }
    below[3] = alpha + below[3] * rest;
}

/// Premultiplied back to straight 8 bit, rounded to nearest.
pub(crate) fn straight(sum: [f32; 4]) -> [u8; 4] {
    let alpha = (sum[3] * 255.0).round();
    if alpha <= 0.0 {
        return [0; 4];
    }
    let colour = |value: f32| (value / sum[3]).round() as u8;
    [colour(sum[0]), colour(sum[1]), colour(sum[2]), alpha as u8]
}

/// Colour times alpha in 8 bit, rounded to nearest: `round(c a / 255)`.
pub fn premultiply(pixel: Rgba<u8>) -> Rgba<u8> {
    let Rgba([r, g, b, a]) = pixel;
    let scale = |value: u8| {
        let product = u32::from(value) * u32::from(a) + 127;
        (product / 255) as u8
    };
    Rgba([scale(r), scale(g), scale(b), a])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Layer};
    use proptest::prelude::*;

    fn one_pixel(pixels: &[[u8; 4]]) -> LayerStack {
        let layers = pixels
            .iter()
            .map(|pixel| Layer::new("", Kind::Unknown, RgbaImage::from_pixel(1, 1, Rgba(*pixel))))
            .collect();
        LayerStack::new(1, 1, layers).unwrap()
    }

    /// Rounds after every layer, as an editor with 8-bit buffers does.
    fn flatten_sequential(stack: &LayerStack) -> RgbaImage {
        let mut out = RgbaImage::new(stack.width(), stack.height());
        for layer in stack {
            for (below, pixel) in out.pixels_mut().zip(layer.pixels.pixels()) {
                *below = over(*pixel, *below);
            }
        }
        out
    }

    #[test]
    fn pictures_of_another_size_are_refused() {
        let (small, large) = (RgbaImage::new(2, 2), RgbaImage::new(3, 2));
        assert!(flatten_pictures(2, 2, &[&small]).is_ok());
        let mismatch = SizeMismatch { a: (3, 2), b: (2, 2) };
        assert_eq!(flatten_pictures(2, 2, &[&small, &large]), Err(mismatch));
    }

    fn flat(pixels: &[[u8; 4]]) -> [u8; 4] {
        flatten(&one_pixel(pixels)).get_pixel(0, 0).0
    }

    #[test]
    fn half_red_over_blue() {
        // 255 * 128/255 = 128 red, 255 * 127/255 = 127 blue
        assert_eq!(flat(&[[0, 0, 255, 255], [255, 0, 0, 128]]), [128, 0, 127, 255]);
    }

    #[test]
    fn half_over_half_is_three_quarters() {
        // a = 128/255 + 128/255 * 127/255 = 0.75196; red = 0.5020 * 255 / 0.75196 = 170.2
        assert_eq!(flat(&[[0, 0, 255, 128], [255, 0, 0, 128]]), [170, 0, 85, 192]);
    }

    #[test]
    fn nothing_is_transparent_black() {
        assert_eq!(flat(&[]), [0; 4]);
        assert_eq!(flat(&[[9, 9, 9, 0]]), [0; 4]);
    }

    #[test]
    fn premultiplying_rounds_to_nearest() {
        for value in 0..=255_u8 {
            for alpha in 0..=255_u8 {
                let exact = (f64::from(value) * f64::from(alpha) / 255.0).round() as u8;
                assert_eq!(premultiply(Rgba([value, 0, 0, alpha]))[0], exact);
            }
        }
    }

    #[test]
    fn a_layer_counts_where_it_lies() {
        let ground = RgbaImage::from_fn(5, 4, |x, y| Rgba([x as u8 * 40, y as u8 * 60, 7, 255]));
        let veil = RgbaImage::from_fn(2, 3, |x, y| Rgba([200, 10 * y as u8, 90, 100 + 50 * x as u8]));
        let layers =
            vec![Layer::new("", Kind::Background, ground), Layer { x: 3, y: 1, ..Layer::new("", Kind::Object, veil) }];
        let placed = LayerStack::new(5, 4, layers).unwrap();
        let whole: Vec<RgbaImage> = placed.iter().map(|layer| layer.on_canvas(5, 4).into_owned()).collect();
        let flat = flatten(&placed);
        assert_eq!(flat, flatten_pictures(5, 4, &whole.iter().collect::<Vec<_>>()).unwrap());
        assert_ne!(flat, whole[0]);
    }

    proptest! {
        #[test]
        fn a_single_layer_is_itself(pixel: [u8; 4]) {
            let expected = if pixel[3] == 0 { [0; 4] } else { pixel };
            prop_assert_eq!(flat(&[pixel]), expected);
        }

        #[test]
        fn an_opaque_layer_hides_what_is_below(below: [u8; 4], colour: [u8; 3]) {
            let top = [colour[0], colour[1], colour[2], 255];
            prop_assert_eq!(flat(&[below, top]), top);
        }

        #[test]
        fn a_transparent_layer_changes_nothing(a: [u8; 4], b: [u8; 4], colour: [u8; 3]) {
            let clear = [colour[0], colour[1], colour[2], 0];
            prop_assert_eq!(flat(&[a, clear, b, clear]), flat(&[a, b]));
        }

        #[test]
        fn the_result_lies_between_its_parts(a: [u8; 4], b: [u8; 4]) {
            prop_assume!(a[3] > 0 && b[3] > 0);
            let out = flat(&[a, b]);
            for channel in 0..3 {
                let (low, high) = (a[channel].min(b[channel]), a[channel].max(b[channel]));
                prop_assert!((low..=high).contains(&out[channel]));
            }
            prop_assert!(out[3] >= a[3].max(b[3]));
        }

        #[test]
        fn f32_rounds_as_f64_does(pixels in prop::collection::vec(any::<[u8; 4]>(), 1..12)) {
            let mut sum = [0.0_f64; 4];
            for pixel in &pixels {
                let alpha = f64::from(pixel[3]) / 255.0;
                for channel in 0..3 {
                    sum[channel] = f64::from(pixel[channel]) * alpha + sum[channel] * (1.0 - alpha);
                }
                sum[3] = alpha + sum[3] * (1.0 - alpha);
            }
            let out = flat(&pixels);
            prop_assert!((f64::from(out[3]) - sum[3] * 255.0).abs() <= 0.5 + 1e-3);
            if out[3] > 0 {
                for channel in 0..3 {
                    prop_assert!((f64::from(out[channel]) - sum[channel] / sum[3]).abs() <= 0.5 + 1e-3);
                }
            }
        }

        #[test]
        fn rounding_at_every_layer_stays_close(pixels in prop::collection::vec(any::<[u8; 3]>(), 1..6), alphas: [u8; 6]) {
            // Over an opaque ground each rounding adds at most half a step, and later layers only shrink it.
            let mut stack = vec![[7, 130, 250, 255]];
            stack.extend(pixels.iter().zip(alphas).map(|(c, a)| [c[0], c[1], c[2], a]));
            let once = flat(&stack);
            let each = flatten_sequential(&one_pixel(&stack)).get_pixel(0, 0).0;
            let most = (pixels.len() as f64 * 0.5 + 0.5).ceil() as u8;
            for channel in 0..4 {
                prop_assert!(once[channel].abs_diff(each[channel]) <= most);
            }
        }
    }
}
