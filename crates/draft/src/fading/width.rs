//! How far shadows and glows reach: from the median slopes of the colour around a shape.

use super::{Bearing, Groups, bearing};
use crate::numeric::quantile;
use crate::plane::{Colour, Mask, Plane};

/// Distance from the shape in pixels from which a sudden change is another thing.
const FIRST_EDGE: usize = 5;
/// Slopes that say the same as their neighbours, in texture, and how many errors of the medians are no shadow.
const ALIKE_SLOPES: f32 = 6.0;
const NOISE: f32 = 2.5;
/// Share of the rings, from the shape on, beyond which colours are taken to change by nothing but texture, and how many
/// times the largest change there is no shadow.
const BEYOND_SHADE: f32 = 0.5;
const UNSTEADY: f32 = 2.0;
/// Rings beyond a ring that say whether there is more of a shadow, besides as many as there are up to it.
const REST: usize = 16;

/// How far outside each group of the shape its shadow, glow or anti-aliasing reaches, at most as far as the group
/// says: from the median outward colour slopes. Each quarter of the directions counts by
/// itself, as shadows fall to one side; what slope there is far outside belongs to the
/// background. `places` holds the nearest pixel of the shape for each pixel.
/// Only pixels `around` count.
pub(crate) fn widths(image: &Colour, around: &Mask, places: &Plane<u32>, groups: &Groups) -> Vec<Option<usize>> {
    let (width, height) = (image.width, image.height);
    let rings = |reach: usize| vec![std::array::from_fn::<Vec<f32>, 3, _>(|_| Vec::new()); reach + 1];
    let mut quarters: Vec<[Rings; 4]> =
        groups.reaches.iter().map(|&reach| std::array::from_fn(|_| rings(reach))).collect();
    // A sample of the pixels is enough for medians.
    let step = (image.data.len() / 800_000).max(1);
    for index in (0..image.data.len()).step_by(step) {
        let Some(Bearing { place, distance, outward: [ux, uy] }) = bearing(places, index) else { continue };
        let group = usize::from(groups.of.data[place]);
        let ring = (distance + 0.5) as usize;
        if distance < 1.4 || ring > groups.reaches[group] || !around.data[index] {
            continue;
        }
        let (x, y) = (index % width, index / width);
        let (left, right) = (image.at(x.saturating_sub(1), y), image.at((x + 1).min(width - 1), y));
        let (up, down) = (image.at(x, y.saturating_sub(1)), image.at(x, (y + 1).min(height - 1)));
        let quarter = usize::from(ux > 0.0) + 2 * usize::from(uy > 0.0);
        for c in 0..3 {
            quarters[group][quarter][ring][c].push(0.5 * ((right[c] - left[c]) * ux + (down[c] - up[c]) * uy));
        }
    }
    let width = |quarters: &mut [Rings; 4]| {
        // Where one side does not settle, such as at the edge of the picture, the others tell.
        quarters.iter_mut().filter_map(|slopes| width_of(slopes)).max()
    };
    quarters.iter_mut().map(width).collect()
}

/// Slopes of each channel at each distance.
type Rings = Vec<[Vec<f32>; 3]>;

/// From which ring on the colour stays what it is, by the slopes of the rings.
fn width_of(slopes: &mut [[Vec<f32>; 3]]) -> Option<usize> {
    let reach = slopes.len() - 1;
    let medians: Vec<[f32; 3]> = slopes
        .iter_mut()
        .map(|rings| std::array::from_fn(|c| if rings[c].len() > 30 { quantile(&mut rings[c], 0.5) } else { 0.0 }))
        .collect();
    let outer = &medians[reach - reach / 3..];
    let background: [f32; 3] =
        std::array::from_fn(|c| quantile(&mut outer.iter().map(|m| m[c]).collect::<Vec<_>>(), 0.5));
    // How far sums of these medians are off where there is texture.
    let errors: Vec<f32> = slopes.iter().zip(&medians).map(|(rings, medians)| squared_error(rings, medians)).collect();
    let noise = |from: usize, to: usize| NOISE * errors[from..to].iter().sum::<f32>().sqrt();
    let change = |rings: &[[f32; 3]]| {
        let sum = |c: usize| rings.iter().map(|m| m[c] - background[c]).sum::<f32>().abs();
        sum(0).max(sum(1)).max(sum(2))
    };
    // A shadow fades. What changes at once, with nothing before it, is the edge of a plate that the shape stands on.
    let edge = (FIRST_EDGE..medians.len().saturating_sub(2)).find(|&k| {
        change(&medians[k..k + 3]) > (8.0 / 255.0f32).max(noise(k, k + 3)) && change(&medians[2..k]) < 5.0 / 255.0
    });
    let end = edge.unwrap_or(medians.len());
    // What is left of a shadow goes within about the way that it has come; beyond, only errors add up.
    let rest = |k: usize| k..end.min(2 * k + REST);
    // Slopes of grain cancel out over many rings, so their errors do not add up: far outside, where there is no shadow
    // any more, one sees how much is noise at most.
    let outside = (BEYOND_SHADE * reach as f32) as usize..end;
    let unsteady = outside.map(|k| change(&medians[rest(k)])).fold(0.0, f32::max);
    let limit = if unsteady > 0.0 { UNSTEADY * unsteady } else { f32::INFINITY };
    (1..end)
        .find(|&k| change(&medians[rest(k)]) < (5.0 / 255.0f32).max(noise(k, rest(k).end).min(limit)))
        .or(Some(end).filter(|&end| end < medians.len()))
}

/// Squared error of the medians of one ring, the largest of the channels.
fn squared_error(rings: &[Vec<f32>; 3], medians: &[f32; 3]) -> f32 {
    let mut largest = 0.0f32;
    for (values, median) in rings.iter().zip(medians) {
        let mut off: Vec<f32> = values.iter().map(|value| (value - median).abs()).collect();
        // The median of the distances is 0.67 of the deviation; the error of a median is 1.25 of that of a mean.
        let deviation = quantile(&mut off, 0.5) / 0.67;
        largest = largest.max(1.57 * deviation * deviation * ALIKE_SLOPES / values.len().max(1) as f32);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::nearest;

    #[test]
    fn each_group_has_its_own_width_and_the_edge_of_a_plate_is_none() {
        // A bar with a shadow above, one without on a plate that ends twelve pixels below it.
        let upper = |y: usize| (40..60).contains(&y);
        let mask = Plane::from_fn(300, 240, |x, y| (50..250).contains(&x) && (upper(y) || (150..170).contains(&y)));
        let places = nearest(&mask);
        let distance = crate::morphology::distance_to(&mask);
        let image = Plane::from_fn(300, 240, |x, y| {
            let shade = if y < 105 { 0.5 * (1.0 - distance.at(x, y) / 14.0).max(0.0) } else { 0.0 };
            [if y > 182 { 0.75 } else { 0.85 } * (1.0 - shade); 3]
        });
        let of = Plane::from_fn(300, 240, |_, y| u16::from(y > 105));
        let found = widths(&image, &mask.map(|_| true), &places, &Groups { of, reaches: vec![30, 30] });
        assert!(found[0].is_some_and(|width| (9..16).contains(&width)), "{found:?}");
        assert!(found[1].is_some_and(|width| width < 5), "{found:?}");
    }
}
