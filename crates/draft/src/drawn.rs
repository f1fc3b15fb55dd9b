//! Drawn pieces on a photograph: evenly filled regions with sharp edges on a background with grain.
//!
//! The limits were chosen on the tuning posters of `synth` and checked by eye on real ones.

use crate::colour::{distance_squared, oklab};
use crate::morphology::{NOWHERE, close, components, dilate, nearest};
use crate::plane::{Mask, Plane, Rgb8};

/// Largest step to the next pixel, in 1/255, within an even filling.
const EVEN_STEP: u8 = 2;
/// Distance in pixels at which a piece is compared with its surroundings.
const SURROUNDINGS: usize = 4;
/// Oklab distance to the surroundings from which an edge is sharp.
const SHARP_DISTANCE: f32 = 0.1;
/// Least share of a drawn piece's edge that is sharp.
const SHARP_SHARE: f32 = 0.85;
/// The same for pieces of pure white or black, which may be where a photograph is overexposed.
const EXTREME_SHARP_SHARE: f32 = 0.97;
/// Largest share of even pixels that a photograph has beside its drawn pieces.
const GRAINY_EVEN_SHARE: f32 = 0.3;
/// Share of even pixels from which the picture is hardly a photograph.
const FLAT_EVEN_SHARE: f32 = 0.85;

/// The drawn pieces of at least `speck` pixels; `None` if there are none, or if the background is even as well.
pub(crate) fn find(image: &Rgb8, speck: usize) -> Option<Mask> {
    let even = even(image);
    if even.share() > FLAT_EVEN_SHARE {
        return None;
    }
    let parts = components(&even);
    let large: Vec<bool> = parts.areas.iter().map(|&area| area >= speck).collect();
    let candidates = parts.select(&large);
    if !candidates.any() {
        return None;
    }
    let (mut edge, mut sharp) = (vec![0usize; parts.areas.len()], vec![0usize; parts.areas.len()]);
    let extreme = parts.count_in(&image.map(|p| p.iter().all(|&v| v > 250) || p.iter().all(|&v| v < 5)));
    let beside = dilate(&candidates, SURROUNDINGS).minus(&dilate(&candidates, SURROUNDINGS - 1));
    let places = nearest(&candidates);
    for index in (0..beside.data.len()).filter(|&index| beside.data[index]) {
        let place = places.data[index];
        if place == NOWHERE {
            continue;
        }
        let piece = parts.labels.data[place as usize] as usize;
        edge[piece] += 1;
        let distance = distance_squared(oklab(image.data[index]), oklab(image.data[place as usize]));
        sharp[piece] += usize::from(distance > SHARP_DISTANCE * SHARP_DISTANCE);
    }
    let keep: Vec<bool> = (0..parts.areas.len())
        .map(|k| {
            let least = if extreme[k] * 2 > parts.areas[k] { EXTREME_SHARP_SHARE } else { SHARP_SHARE };
            large[k] && sharp[k] as f32 > least * edge[k].max(1) as f32
        })
        .collect();
    let pieces = parts.select(&keep);
    if !pieces.any() {
        return None;
    }
    let outside = dilate(&pieces, SURROUNDINGS).not();
    let grainy = (even.and(&outside).count() as f32) < GRAINY_EVEN_SHARE * outside.count() as f32;
    // Even filling ends at the anti-aliased edge; closing joins the colours of one piece.
    grainy.then(|| close(&dilate(&pieces, 1), 3))
}

/// Pixels that hardly differ from their four neighbours.
fn even(image: &Rgb8) -> Mask {
    let (width, height) = (image.width, image.height);
    let near = |a: [u8; 3], b: [u8; 3]| (0..3).all(|c| a[c].abs_diff(b[c]) <= EVEN_STEP);
    Plane::from_fn(width, height, |x, y| {
        let here = image.at(x, y);
        near(here, image.at(x.saturating_sub(1), y))
            && near(here, image.at((x + 1).min(width - 1), y))
            && near(here, image.at(x, y.saturating_sub(1)))
            && near(here, image.at(x, (y + 1).min(height - 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::mix;

    fn disk(x: usize, y: usize) -> bool {
        x.abs_diff(120).pow(2) + y.abs_diff(90).pow(2) < 50 * 50
    }

    #[test]
    fn a_plain_disk_on_grain_is_a_piece_and_on_a_plain_background_it_is_not() {
        let grain = |x: usize, y: usize| 100 + (mix((y * 300 + x) as u64) % 30) as u8;
        let busy = Plane::from_fn(240, 180, |x, y| if disk(x, y) { [220, 40, 40] } else { [grain(x, y); 3] });
        let found = find(&busy, 60).expect("a piece");
        let wrong =
            (0..180).flat_map(|y| (0..240).map(move |x| (x, y))).filter(|&(x, y)| found.at(x, y) != disk(x, y)).count();
        assert!(wrong < 200, "{wrong}");
        let plain = busy.map(|pixel| if pixel[0] == 220 { pixel } else { [110; 3] });
        assert!(find(&plain, 60).is_none());
        let noise = Plane::from_fn(240, 180, |x, y| [grain(x, y); 3]);
        assert!(find(&noise, 60).is_none());
    }
}
