//! The written layers: 8-bit colours and alphas whose composite is the input.

use image::RgbaImage;
use rayon::prelude::*;

use crate::layer::Sheet;
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Plane, Rgb8};

/// Largest difference in 1/255 from the picture that may remain where a layer is transparent: rounding to 8 bits.
pub(crate) const TOLERANCE: f32 = 0.51;

/// A picture, and the background and the sheets that have to reproduce it. They are solved in place: no picture of the
/// whole size is needed beside them.
pub(crate) struct Problem<'a> {
    pub input: &'a RgbaImage,
    pub background: &'a mut Rgb8,
    /// Opacity of the background where the input has transparency; elsewhere it is opaque.
    pub background_alpha: Option<&'a mut Plane<u8>>,
    /// Lowest first.
    pub sheets: Vec<&'a mut Sheet>,
}

/// One pixel of what is solved; of a row, see [`Row`].
struct Pixel<'a> {
    input: [u8; 4],
    background: &'a mut [u8; 3],
    background_alpha: Option<&'a mut u8>,
}

/// A row of what is solved.
struct Row<'a> {
    background: &'a mut [[u8; 3]],
    background_alpha: Option<&'a mut [u8]>,
    /// Colours and opacities.
    sheets: Vec<(&'a mut [[u8; 3]], &'a mut [u8])>,
}

/// Turns the pictures `above` and the opacities of the sheets into what is written: straight colours and alphas, the
/// background's too.
///
/// Their float composite is within 0.51/255 of the input in every channel, for
/// every input: bottom-up, each alpha is raised to the least with which a colour
/// in range gives the intended composite, rounded up to 8 bits, and the colour is
/// solved against the composite of the sheets as they are written.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn solve(problem: Problem<'_>, monitor: &Monitor) -> Result<(), Stopped> {
    let Problem { input, background, background_alpha, sheets } = problem;
    let width = background.width.max(1);
    let mut rows: Vec<Row> = background
        .data
        .chunks_mut(width)
        .map(|background| Row { background, background_alpha: None, sheets: Vec::new() })
        .collect();
    if let Some(alpha) = background_alpha {
        for (row, chunk) in rows.iter_mut().zip(alpha.data.chunks_mut(width)) {
            row.background_alpha = Some(chunk);
        }
    }
    for sheet in sheets {
        let chunks = sheet.above.data.chunks_mut(width).zip(sheet.alpha.data.chunks_mut(width));
        for (row, chunk) in rows.iter_mut().zip(chunks) {
            row.sheets.push(chunk);
        }
    }
    rows.into_par_iter().zip(input.as_raw().par_chunks(4 * width)).try_for_each(|(mut row, input)| {
        monitor.check()?;
        let mut solved = vec![[0u8; 4]; row.sheets.len()];
        for x in 0..row.background.len() {
            let pixel = Pixel {
                input: [input[4 * x], input[4 * x + 1], input[4 * x + 2], input[4 * x + 3]],
                background: &mut row.background[x],
                background_alpha: row.background_alpha.as_mut().map(|alpha| &mut alpha[x]),
            };
            let wanted = |k: usize| (row.sheets[k].0[x], row.sheets[k].1[x]);
            solve_pixel(pixel, &wanted, &mut solved);
            for ((colour, alpha), &[r, g, b, a]) in row.sheets.iter_mut().zip(&solved) {
                (colour[x], alpha[x]) = ([r, g, b], a);
            }
        }
        Ok(())
    })
}

/// Solves one pixel; `wanted` gives the picture with a sheet and all below it, and the least opacity of that sheet.
fn solve_pixel(pixel: Pixel<'_>, wanted: &dyn Fn(usize) -> ([u8; 3], u8), solved: &mut [[u8; 4]]) {
    let Pixel { input: [r, g, b, alpha], background, background_alpha } = pixel;
    let count = solved.len();
    solved.fill([0; 4]);
    // What is written for the background: as it is, or nothing.
    let lowest = |background: &mut [u8; 3], background_alpha: Option<&mut u8>, [r, g, b, a]: [u8; 4]| {
        *background = [r, g, b];
        if let Some(alpha) = background_alpha {
            *alpha = a;
        }
    };
    if alpha < 255 {
        // One layer owns a translucent pixel: alphas of several would have to
        // multiply to it, which 8 bits cannot.
        let owner = if alpha == 0 { None } else { (0..count).rev().find(|&k| wanted(k).1 >= 128) };
        if let Some(k) = owner {
            solved[k] = [r, g, b, alpha];
        }
        let rest = if owner.is_some() || alpha == 0 { [0; 4] } else { [r, g, b, alpha] };
        return lowest(background, background_alpha, rest);
    }
    let target = [r, g, b].map(f32::from);
    let covered = (0..count).any(|k| wanted(k).1 > 0);
    // Behind what is covered, the background may be transparent.
    let open = covered && background_alpha.as_ref().is_some_and(|alpha| **alpha < 255);
    // Its colour stays also where every sheet is still transparent: the rest of a layer's edge belongs to that layer,
    // which then gets the least opacity that reproduces it.
    let colour = if count == 0 { [r, g, b] } else { *background };
    let mut ground = if open { [0; 4] } else { [colour[0], colour[1], colour[2], 255] };
    let mut composite = (!open).then(|| colour.map(f32::from));
    for k in 0..count {
        let (above, alpha) = wanted(k);
        let target = if k + 1 == count { target } else { above.map(f32::from) };
        composite = match composite {
            Some(below) => {
                let (pixel, above) = lay(target, below, alpha);
                solved[k] = pixel;
                Some(above)
            }
            None if alpha > 0 => {
                let [r, g, b] = target.map(|v| v as u8);
                solved[k] = [r, g, b, 255];
                Some(target)
            }
            None => None,
        };
    }
    let reached = composite.is_some_and(|c| difference(c, target) <= TOLERANCE);
    if !reached {
        match solved.iter().rposition(|p| p[3] > 0) {
            Some(k) => solved[k] = [r, g, b, 255],
            None => ground = [r, g, b, 255],
        }
    }
    lowest(background, background_alpha, ground);
}

/// One layer over `below` (0 to 255) so that the composite is `target`: the
/// pixel and the composite it gives.
pub(crate) fn lay(target: [f32; 3], below: [f32; 3], alpha: u8) -> ([u8; 4], [f32; 3]) {
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

pub(crate) fn difference(a: [f32; 3], b: [f32; 3]) -> f32 {
    crate::colour::max_difference(a, b)
}

#[cfg(test)]
mod tests {
    use image::Rgba;
    use layers::Kind;

    use super::*;
    use crate::layer::Part;
    use crate::random::Random;

    fn sheet(above: Rgb8, alpha: Plane<u8>) -> Sheet {
        Sheet::whole(Part::new(Kind::Object), alpha, above)
    }

    fn picture(colours: &Rgb8, alpha: &dyn Fn(usize) -> u8) -> RgbaImage {
        let bytes = colours.data.iter().enumerate().flat_map(|(k, &[r, g, b])| [r, g, b, alpha(k)]);
        RgbaImage::from_raw(colours.width as u32, colours.height as u32, bytes.collect()).expect("four bytes a pixel")
    }

    /// What is written, the background first.
    fn solved(
        input: &RgbaImage,
        mut background: Rgb8,
        mut background_alpha: Option<Plane<u8>>,
        mut sheets: Vec<Sheet>,
    ) -> Vec<RgbaImage> {
        let (monitor, _reporter) = crate::monitor::monitor();
        let problem = Problem {
            input,
            background: &mut background,
            background_alpha: background_alpha.as_mut(),
            sheets: sheets.iter_mut().collect(),
        };
        solve(problem, &monitor).expect("nobody stops it");
        let ground = |k: usize| background_alpha.as_ref().map_or(255, |alpha| alpha.data[k]);
        let mut pictures = vec![picture(&background, &ground)];
        pictures.extend(sheets.iter().map(|sheet| picture(&sheet.above, &|k| sheet.alpha.data[k])));
        pictures
    }

    /// Remains of a letter's edge do not show in the layers below it.
    #[test]
    fn residues_stay_in_the_layer_that_left_them() {
        let input = RgbaImage::from_pixel(1, 1, Rgba([255, 219, 90, 255]));
        let background = Plane::new(1, 1, [253, 221, 43]);
        let layer = |above: [u8; 3]| sheet(Plane::new(1, 1, above), Plane::new(1, 1, 0));
        let layers = solved(&input, background, None, vec![layer([253, 221, 43]), layer([255, 219, 90])]);
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
            let sheets: Vec<Sheet> = (0..seed % 5)
                .map(|_| {
                    let above = noise();
                    sheet(above, noise().map(|p| if p[1] < 90 { 0 } else { p[0] }))
                })
                .collect();
            // As the engine makes it: never without one where the input is transparent.
            let has_alpha = input.pixels().any(|pixel| pixel[3] < 255);
            let background_alpha = (has_alpha || seed % 3 == 1).then(|| noise().map(|p| p[0]));
            let layers = solved(&input, background, background_alpha, sheets);
            assert_eq!(crate::check::worst_difference(&input, &layers), 0, "seed {seed}");
        }
    }
}
