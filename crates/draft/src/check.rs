//! The exactness guarantee, computed independently of the solver: for tests and debug builds.

use image::RgbaImage;

/// Largest difference over the premultiplied channels and alpha, in 1/255 beyond
/// the guaranteed 1, between `input` and the float composite of `layers`, the lowest
/// first; 0 if the guarantee holds.
pub fn worst_difference(input: &RgbaImage, layers: &[RgbaImage]) -> u32 {
    let mut worst = 0.0f64;
    for (x, y, wanted) in input.enumerate_pixels() {
        let mut composite = [0.0f64; 4];
        for layer in layers {
            let pixel = layer.get_pixel(x, y).0.map(|v| f64::from(v) / 255.0);
            for (c, value) in composite.iter_mut().enumerate() {
                let source = if c < 3 { pixel[c] * pixel[3] } else { pixel[3] };
                *value = source + *value * (1.0 - pixel[3]);
            }
        }
        let wanted = wanted.0.map(|v| f64::from(v) / 255.0);
        for c in 0..4 {
            let value = if c < 3 { wanted[c] * wanted[3] } else { wanted[3] };
            worst = worst.max((composite[c] - value).abs() * 255.0);
        }
    }
    (worst - 1.0).max(0.0).ceil() as u32
}
