//! What texture around a hole typically looks like: medians, which a few bright or dark things do not change.

use crate::fill::membrane::membrane;
use crate::filter::resize_linear;
use crate::numeric::quantile;
use crate::plane::{Colour, Mask, Plane};

/// Side of the squares in which medians are taken, and how many pixels around a square count as well, so that the
/// texture's own details are small against it.
const SQUARE: usize = 16;
const OVERLAP: usize = 16;
/// Share of the pixels that must be known for a median.
const LEAST_KNOWN: f32 = 0.12;

/// `image` (any range) with the pixels of `wanted` set to the medians of the `known` pixels around them, varying
/// smoothly from place to place. As it is where too little is known.
pub(crate) fn typical(image: &Colour, known: &Mask, wanted: &Mask) -> Colour {
    let Some(bounds) = wanted.bounds() else { return image.clone() };
    let rect = bounds.padded(3 * SQUARE, image.width, image.height);
    let (across, down) = (rect.width().div_ceil(SQUARE), rect.height().div_ceil(SQUARE));
    let medians = Plane::from_fn(across, down, |x, y| {
        let (x, y) = (rect.x0 + x * SQUARE, rect.y0 + y * SQUARE);
        let (left, right) = (x.saturating_sub(OVERLAP), (x + SQUARE + OVERLAP).min(image.width));
        let rows = y.saturating_sub(OVERLAP)..(y + SQUARE + OVERLAP).min(image.height);
        median(image, known, left..right, rows)
    });
    let valid = medians.map(|median| median.is_some());
    if !valid.any() {
        return image.clone();
    }
    let smooth = membrane(&medians.map(|median| median.unwrap_or_default()), &valid, 8);
    let smooth = resize_linear(&smooth, across * SQUARE, down * SQUARE);
    let mut out = image.clone();
    for y in rect.y0..rect.y1 {
        for x in (rect.x0..rect.x1).filter(|&x| wanted.at(x, y)) {
            out.set(x, y, smooth.at(x - rect.x0, y - rect.y0));
        }
    }
    out
}

/// The median of each channel of the known pixels.
fn median(
    image: &Colour,
    known: &Mask,
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
) -> Option<[f32; 3]> {
    let all = columns.len() * rows.len();
    let places = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    let colours: Vec<[f32; 3]> = places.filter(|&(x, y)| known.at(x, y)).map(|(x, y)| image.at(x, y)).collect();
    (colours.len() as f32 > LEAST_KNOWN * all as f32).then(|| {
        std::array::from_fn(|c| quantile(&mut colours.iter().map(|colour| colour[c]).collect::<Vec<_>>(), 0.5))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_few_stars_do_not_change_what_the_sky_looks_like() {
        let mut random = Random::new(5);
        let data = (0..160 * 160).map(|_| if random.below(8) == 0 { [0.9; 3] } else { [0.05, 0.05, 0.1] }).collect();
        let sky = Plane { width: 160, height: 160, data };
        let hole = Plane::from_fn(160, 160, |x, y| (50..110).contains(&x) && (50..110).contains(&y));
        let seen = typical(&sky.with(&sky.map(|_| [1.0; 3]), &hole), &hole.not(), &hole);
        assert!((seen.at(80, 80)[0] - 0.05).abs() < 0.01, "{:?}", seen.at(80, 80));
        assert_eq!(seen.at(10, 10), sky.at(10, 10));
    }
}
