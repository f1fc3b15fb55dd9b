//! The written layers: 8-bit colours and alphas whose composite is the input.

use image::{Rgba, RgbaImage};
use rayon::prelude::*;

use crate::layer_count::DraftLayer;
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Plane, Rgb8};

/// Largest difference in 1/255 from the picture that may remain where a layer is transparent: rounding to 8 bits.
const TOLERANCE: f32 = 0.51;

/// A picture and the layers that have to reproduce it: `background` below `layers`, lowest first.
pub(crate) struct Problem<'a> {
    pub input: &'a RgbaImage,
    pub background: &'a Rgb8,
    /// Opacity of the background where the input has transparency.
    pub background_alpha: Option<&'a Plane<u8>>,
    pub layers: &'a [DraftLayer],
}

/// Straight-alpha layers, the background first: one more than `problem.layers`.
///
/// Their float composite is within 0.51/255 of the input in every channel, for
/// every input: bottom-up, each alpha is raised to the least with which a colour
/// in range gives the intended composite, rounded up to 8 bits, and the colour is
/// solved against the composite of the layers as they are written.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn solve(problem: &Problem, monitor: &Monitor) -> Result<Vec<RgbaImage>, Stopped> {
    let (width, height) = problem.input.dimensions();
    let count = problem.layers.len() + 1;
    let mut buffers: Vec<Vec<u8>> = vec![vec![0; width as usize * height as usize * 4]; count];
    let row_bytes = width as usize * 4;
    // Transposes "layers of rows" to "rows of layers", so that rows go in parallel.
    let mut rows: Vec<Vec<&mut [u8]>> = (0..height).map(|_| Vec::with_capacity(count)).collect();
    for buffer in &mut buffers {
        for (row, chunk) in rows.iter_mut().zip(buffer.chunks_mut(row_bytes)) {
            row.push(chunk);
        }
    }
    rows.into_par_iter().enumerate().try_for_each(|(y, mut row)| {
        monitor.check()?;
        let mut pixels = vec![[0u8; 4]; count];
        for x in 0..width as usize {
            pixels.iter_mut().for_each(|p| *p = [0; 4]);
            solve_pixel(problem, x, y, &mut pixels);
            for (target, pixel) in row.iter_mut().zip(&pixels) {
                target[4 * x..4 * x + 4].copy_from_slice(pixel);
            }
        }
        Ok(())
    })?;
    let image = |data| RgbaImage::from_raw(width, height, data).expect("four bytes for each pixel");
    Ok(buffers.into_iter().map(image).collect())
}

fn solve_pixel(problem: &Problem, x: usize, y: usize, pixels: &mut [[u8; 4]]) {
    let Rgba([r, g, b, alpha]) = *problem.input.get_pixel(x as u32, y as u32);
    if alpha == 0 {
        return;
    }
    let index = y * problem.background.width + x;
    if alpha < 255 {
        // One layer owns a translucent pixel: alphas of several would have to
        // multiply to it, which 8 bits cannot.
        let owner = problem.layers.iter().rposition(|layer| layer.alpha.data[index] >= 128).map_or(0, |k| k + 1);
        pixels[owner] = [r, g, b, alpha];
        return;
    }
    let wanted = [r, g, b].map(f32::from);
    let mut composite = lay_background(problem, index, [r, g, b], &mut pixels[0]);
    for (k, layer) in problem.layers.iter().enumerate() {
        let target = if k + 1 == problem.layers.len() { wanted } else { layer.above.data[index].map(f32::from) };
        let opaque_below = composite.is_some();
        composite = match composite {
            Some(below) => {
                let (pixel, above) = lay(target, below, layer.alpha.data[index]);
                pixels[k + 1] = pixel;
                Some(above)
            }
            None if layer.alpha.data[index] > 0 => {
                let solid = target.map(|v| v as u8);
                pixels[k + 1] = [solid[0], solid[1], solid[2], 255];
                Some(target)
            }
            None => None,
        };
        debug_assert!(composite.is_some() || !opaque_below);
    }
    let reached = composite.is_some_and(|c| difference(c, wanted) <= TOLERANCE);
    if !reached {
        let owner = pixels.iter().rposition(|p| p[3] > 0).unwrap_or(0);
        pixels[owner] = [r, g, b, 255];
    }
}

/// Writes the background's pixel; `None` where nothing opaque lies there.
fn lay_background(problem: &Problem, index: usize, input: [u8; 3], pixel: &mut [u8; 4]) -> Option<[f32; 3]> {
    let covered = problem.layers.iter().any(|layer| layer.alpha.data[index] > 0);
    // Also where every layer is still transparent: the rest of a layer's edge belongs to that layer, which then gets
    // the least opacity that reproduces it.
    let colour = if problem.layers.is_empty() { input } else { problem.background.data[index] };
    if covered && problem.background_alpha.is_some_and(|alpha| alpha.data[index] < 255) {
        return None;
    }
    *pixel = [colour[0], colour[1], colour[2], 255];
    Some(colour.map(f32::from))
}

/// One layer over `below` (0 to 255) so that the composite is `target`: the
/// pixel and the composite it gives.
fn lay(target: [f32; 3], below: [f32; 3], alpha: u8) -> ([u8; 4], [f32; 3]) {
    if alpha == 0 && difference(target, below) <= TOLERANCE {
        return ([0; 4], below);
    }
    let mut least = f32::from(alpha) / 255.0;
    for c in 0..3 {
        let change = target[c] - below[c];
        let room = if change > 0.0 { 255.0 - below[c] } else { below[c] };
        least = least.max(change.abs() / room.max(0.01));
    }
    let steps = (least * 255.0 - 1e-3).ceil().clamp(1.0, 255.0);
    let opacity = steps / 255.0;
    let mut pixel = [0, 0, 0, steps as u8];
    let mut above = [0.0; 3];
    for c in 0..3 {
        let colour = ((target[c] - (1.0 - opacity) * below[c]) / opacity).round().clamp(0.0, 255.0);
        pixel[c] = colour as u8;
        above[c] = colour * opacity + below[c] * (1.0 - opacity);
    }
    (pixel, above)
}

fn difference(a: [f32; 3], b: [f32; 3]) -> f32 {
    crate::colour::max_difference(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_count::DraftLayer;
    use crate::random::Random;

    /// Remains of a letter's edge do not show in the layers below it.
    #[test]
    fn residues_stay_in_the_layer_that_left_them() {
        let input = RgbaImage::from_pixel(1, 1, Rgba([255, 219, 90, 255]));
        let background = Plane::new(1, 1, [253, 221, 43]);
        let layer = |above: [u8; 3]| DraftLayer {
            above: Plane::new(1, 1, above),
            alpha: Plane::new(1, 1, 0),
            kind: layers::Kind::Object,
            name: String::new(),
            text: None,
            lines: Vec::new(),
        };
        let layers = [layer([253, 221, 43]), layer([255, 219, 90])];
        let problem = Problem { input: &input, background: &background, background_alpha: None, layers: &layers };
        let (monitor, _reporter) = crate::monitor::monitor();
        let layers = solve(&problem, &monitor).expect("nobody stops it");
        assert_eq!((layers[0].get_pixel(0, 0).0, layers[1].get_pixel(0, 0)[3]), ([253, 221, 43, 255], 0));
        assert!(layers[2].get_pixel(0, 0)[3] > 0);
        assert_eq!(crate::check::worst_difference(&input, &layers), 0);
    }

    /// The composite is the input even if every estimate is noise.
    #[test]
    fn noise_in_every_estimate_still_gives_the_input() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let (width, height) = (1 + random.below(12), 1 + random.below(12));
            let mut byte = move || random.below(256) as u8;
            let mut input = RgbaImage::new(width as u32, height as u32);
            for pixel in input.pixels_mut() {
                let alpha = if seed % 2 == 0 { 255 } else { [0, 255, byte()][byte() as usize % 3] };
                *pixel = Rgba([byte(), byte(), byte(), alpha]);
            }
            let mut noise =
                || Plane { width, height, data: (0..width * height).map(|_| [byte(), byte(), byte()]).collect() };
            let background = noise();
            let layers: Vec<DraftLayer> = (0..seed % 5)
                .map(|_| {
                    let above = noise();
                    let alpha = noise().map(|p| if p[1] < 90 { 0 } else { p[0] });
                    DraftLayer {
                        above,
                        alpha,
                        kind: layers::Kind::Object,
                        name: String::new(),
                        text: None,
                        lines: Vec::new(),
                    }
                })
                .collect();
            let background_alpha = (seed % 3 == 1).then(|| noise().map(|p| p[0]));
            let problem = Problem {
                input: &input,
                background: &background,
                background_alpha: background_alpha.as_ref(),
                layers: &layers,
            };
            let (monitor, _reporter) = crate::monitor::monitor();
            let layers = solve(&problem, &monitor).expect("nobody stops it");
            assert_eq!(crate::check::worst_difference(&input, &layers), 0, "seed {seed}");
        }
    }
}
