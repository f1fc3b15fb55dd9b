//! What clings to the edge of a lifted shape: its soft edge, its halo, and what compression smeared of it. Left in the
//! background, it draws the shape's outline there.

use crate::colour::max_difference;
use crate::fill::membrane::{halved, membrane, sample_double};
use crate::filter::gaussian_at;
use crate::morphology::{NOWHERE, components, dilate, erode, nearest};
use crate::plane::{Colour, Gray, Mask, Plane};

/// How far around the known halo is looked, in pixels.
const REACH: usize = 5;
/// Share of the shape's colour in a pixel from which it clings to the shape,
const SHARE: f32 = 0.18;
/// if that colour is this far (length over three channels, 0 to 1) from the background's,
const APART: f32 = 0.2;
/// and the pixel no further from the line between the two than this share of it.
const BESIDE_LINE: f32 = 0.25;
/// Share of shade from which nothing can be seen through it,
const DEEP_SHADE: f32 = 0.25;
/// and from which nothing is worth being seen where the background is calm: what is left of a shade is seen there.
const FAINT_SHADE: f32 = 0.01;
/// Mean colour step (0 to 1) to the next pixel up to which a background is calm.
const CALM: f32 = 3.5 / 255.0;

/// `near`, grown within `hole` by pixels that look more like the shape `mask` than like what is `behind`, and by deep
/// shade (`shade`: its share, 0 to 1).
pub(crate) fn grown(image: &Colour, behind: &Colour, mask: &Mask, near: &Mask, hole: &Mask, shade: &Gray) -> Mask {
    let around = dilate(near, REACH).minus(near).and(hole);
    if !around.any() {
        return near.clone();
    }
    let core = erode(mask, 1);
    let core = if core.any() { core } else { mask.clone() };
    let sources = nearest(&core);
    let of_shape = |x: usize, y: usize| match sources.at(x, y) {
        NOWHERE => image.at(x, y),
        place => image.data[place as usize],
    };
    let front = gaussian_at(of_shape, 1.5, &around);
    let clinging = Plane::from_fn(near.width, near.height, |x, y| {
        around.at(x, y) && {
            let (i, b, f) = (image.at(x, y), behind.at(x, y), front.at(x, y));
            clings(i, b, f)
        }
    });
    let deep = too_deep(image, hole, shade);
    let together = near.or(&clinging).or(&deep);
    // Only what hangs together with the shape: what looks like it elsewhere is background.
    let parts = components(&together);
    let touching: Vec<bool> = parts.count_in(near).iter().map(|&count| count > 0).collect();
    parts.select(&touching)
}

/// Where the shade hides more than it shows.
fn too_deep(image: &Colour, hole: &Mask, shade: &Gray) -> Mask {
    if !shade.data.iter().any(|&share| share > 0.0) {
        return hole.same_size(false);
    }
    let step = |x: usize, y: usize| {
        let known = x > 0 && y > 0 && !hole.at(x, y) && !hole.at(x - 1, y) && !hole.at(x, y - 1);
        let here = image.at(x, y);
        let step = || max_difference(here, image.at(x - 1, y)).max(max_difference(here, image.at(x, y - 1)));
        known.then(|| [step()])
    };
    // What is spread is smooth: half the size is enough.
    let (steps, known) = halved(image.width, image.height, step);
    let steps = membrane(&steps, &known, 2);
    Plane::from_fn(image.width, image.height, |x, y| {
        hole.at(x, y) && {
            let least = if sample_double(&steps, x, y)[0] < CALM { FAINT_SHADE } else { DEEP_SHADE };
            shade.at(x, y) > least
        }
    })
}

fn clings(image: [f32; 3], behind: [f32; 3], front: [f32; 3]) -> bool {
    let (mut square, mut along, mut change) = (0.0f32, 0.0f32, 0.0f32);
    for c in 0..3 {
        let (whole, part) = (front[c] - behind[c], image[c] - behind[c]);
        square += whole * whole;
        along += whole * part;
        change += part * part;
    }
    if square < APART * APART {
        return false;
    }
    let share = along / square;
    let off = (change - share * along).max(0.0);
    share > SHARE && off < BESIDE_LINE * BESIDE_LINE * square
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halo_of_the_shape_clings_to_it_and_another_colour_does_not() {
        let inside =
            |x: usize, y: usize, pad: usize| (20 - pad..40 + pad).contains(&x) && (20 - pad..40 + pad).contains(&y);
        // A white square whose edge is smeared over four pixels, beside a red bar.
        let image = Plane::from_fn(60, 60, |x, y| match (inside(x, y, 0), inside(x, y, 4), y < 17) {
            (true, ..) => [1.0; 3],
            (_, _, true) => [0.7, 0.1, 0.1],
            (_, true, _) => [0.4; 3],
            _ => [0.1; 3],
        });
        let behind = Plane::from_fn(60, 60, |_, y| if y < 17 { [0.6, 0.1, 0.1] } else { [0.1; 3] });
        let mask = Plane::from_fn(60, 60, |x, y| inside(x, y, 0));
        let (near, hole) = (dilate(&mask, 2), dilate(&mask, 9));
        let none = mask.map(|_| 0.0);
        let found = grown(&image, &behind, &mask, &near, &hole, &none);
        assert!(found.at(43, 30) && found.at(30, 43));
        assert!(!found.at(46, 30) && !found.at(30, 16));
        let shaded = hole.map(|inside| if inside { 0.5 } else { 0.0 });
        assert!(grown(&image, &behind, &mask, &near, &hole, &shaded).at(30, 46));
    }
}
