//! What among the letters is a light: letters end sharply, stars and lights fade.

use crate::colour::distance_squared;
use crate::filter::{gaussian, gradient};
use crate::morphology::{Components, NOWHERE, distance_to, nearest};
use crate::numeric::quantile;
use crate::plane::{Colour, Mask};

/// How far from an edge, in pixels, the colour is seen that a component stands on.
const BEYOND: (usize, usize) = (4, 7);
/// Pixels of a component from which its edge can be judged.
const LEAST: usize = 12;
/// Oklab distance between the two from which an edge can be judged: white letters on a cloud have none.
const CONTRAST: f32 = 0.2;
/// Share of the line's typical sharpness below which an edge is soft.
const SOFT: f32 = 0.5;

/// Which components fade outwards, against the typical one of those in `own`, the letters found before. An edge is as
/// sharp as its steepest step is against the whole way from the colour inside to the one beyond, so that letters on
/// light and on dark count alike.
pub(super) fn soft_parts(parts: &Components, lab: &Colour, own: &Mask) -> Vec<bool> {
    let sharp = sharpness(parts, lab);
    let in_own = parts.count_in(own);
    let mut letters: Vec<(f32, usize)> = (1..sharp.len())
        .filter(|&k| in_own[k] * 2 > parts.areas[k])
        .filter_map(|k| Some((sharp[k]?, parts.areas[k])))
        .collect();
    letters.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The median of the pixels, not of the components: there may be more lights than letters.
    let half = letters.iter().map(|(_, area)| area).sum::<usize>() / 2;
    let mut seen = 0;
    let typical = letters.iter().find(|(_, area)| {
        seen += area;
        seen >= half
    });
    let Some(&(typical, _)) = typical else { return vec![false; sharp.len()] };
    sharp.into_iter().map(|sharp| sharp.is_some_and(|sharp| sharp < SOFT * typical)).collect()
}

/// The steepest step at the edge of each component as a share of its contrast; `None` for small ones, and for those that
/// can hardly be told from what is around them.
fn sharpness(parts: &Components, lab: &Colour) -> Vec<Option<f32>> {
    let edges = gradient(&gaussian(lab, 0.8));
    let mask = parts.labels.map(|label| label != 0);
    let depth = distance_to(&mask.not());
    let count = parts.areas.len();
    let (width, height) = (lab.width, lab.height);
    let (mut rim, mut cores, mut beyond) = (vec![Vec::new(); count], vec![Vec::new(); count], vec![Vec::new(); count]);
    let mut deepest = vec![0.0f32; count];
    for (&label, &depth) in parts.labels.data.iter().zip(&depth.data).filter(|(label, _)| **label != 0) {
        deepest[label as usize] = deepest[label as usize].max(if depth.is_finite() { depth } else { 0.0 });
    }
    for (i, &label) in parts.labels.data.iter().enumerate().filter(|(_, label)| **label != 0) {
        let label = label as usize;
        if depth.data[i] <= 1.0 {
            let (x, y) = (i % width, i / width);
            let around = |y: usize| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| (x, y));
            let steepest = (y.saturating_sub(1)..(y + 2).min(height)).flat_map(around);
            rim[label].push(steepest.map(|(x, y)| edges.at(x, y)).fold(0.0, f32::max));
        }
        if depth.data[i] * 2.0 >= deepest[label] {
            cores[label].push(lab.data[i]);
        }
    }
    for (i, &place) in nearest(&mask).data.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
        let place = place as usize;
        let (dx, dy) = ((place % width).abs_diff(i % width), (place / width).abs_diff(i / width));
        if (BEYOND.0.pow(2)..BEYOND.1.pow(2)).contains(&(dx * dx + dy * dy)) {
            beyond[parts.labels.data[place] as usize].push(lab.data[i]);
        }
    }
    let typical = |colours: &[[f32; 3]]| -> [f32; 3] {
        std::array::from_fn(|c| quantile(&mut colours.iter().map(|colour| colour[c]).collect::<Vec<f32>>(), 0.5))
    };
    (0..count)
        .map(|k| {
            if k == 0 || parts.areas[k] < LEAST || beyond[k].is_empty() {
                return None;
            }
            let contrast = distance_squared(typical(&cores[k]), typical(&beyond[k])).sqrt();
            (contrast > CONTRAST).then(|| quantile(&mut rim[k], 0.5) / contrast)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::components;
    use crate::plane::Plane;

    #[test]
    fn lights_fade_and_letters_on_light_and_dark_do_not() {
        // Letters on black and, further right, on grey; between them a light that fades over twelve pixels.
        let shade = |x: usize, y: usize| -> f32 {
            let behind = if x < 200 { 0.1 } else { 0.7 };
            let letter = (20..60).contains(&y) && (x % 60 < 10) && !(100..160).contains(&x);
            let (dx, dy) = (x as f32 - 130.0, y as f32 - 40.0);
            let light = (1.0 - ((dx * dx + dy * dy).sqrt() - 4.0) / 12.0).clamp(0.0, 1.0);
            if letter { 1.0 } else { behind + light * (1.0 - behind) }
        };
        let lab = Plane::from_fn(300, 80, |x, y| [shade(x, y), 0.0, 0.0]);
        let mask = lab.map(|colour| colour[0] > 0.85);
        let parts = components(&mask);
        let soft = soft_parts(&parts, &lab, &mask);
        let at = |x: usize, y: usize| soft[parts.labels.at(x, y) as usize];
        assert!(at(130, 40), "the light");
        assert!(!at(5, 40) && !at(65, 40) && !at(245, 40), "the letters");
    }
}
