//! The colour of a shadow or glow: where the colours right beside a shape go from what is behind.

use super::{Bearing, MIN_SAMPLES};
use crate::numeric::quantile;

/// Rings right at the shape, beyond its soft edge, whose change of colour gives the colour of the shade.
const AT_SHAPE: std::ops::Range<usize> = 3..9;
/// Change of the colour there from which it has a direction,
const MIN_CHANGE: f32 = 0.08;
/// the share of it by which it may typically leave that direction, as texture and shadows to one side do more,
const STEADY: f32 = 0.4;
/// the share of it that three quarters of the surroundings have at least,
const ON_ALL_SIDES: f32 = 0.25;
/// and the cosine of the angle to black up to which the shade is not black.
const COLOURED: f32 = 0.93;
/// The same to white alone, which warm and cold glows come close to.
const WHITE: f32 = 0.985;

/// Colours right beside one group, and how they differ from what is behind.
#[derive(Clone, Default)]
pub(super) struct Beside {
    behind: [Vec<f32>; 3],
    change: [Vec<f32>; 3],
}

impl Beside {
    pub(super) fn add(&mut self, bearing: &Bearing, image: [f32; 3], behind: [f32; 3]) {
        if AT_SHAPE.contains(&((bearing.distance + 0.5) as usize)) {
            for c in 0..3 {
                self.behind[c].push(behind[c]);
                self.change[c].push(image[c] - behind[c]);
            }
        }
    }

    /// The colour of a shade that is neither black nor white: the farthest one in the direction of the change.
    pub(super) fn colour(mut self) -> Option<[f32; 3]> {
        if self.change[0].len() < MIN_SAMPLES {
            return None;
        }
        let behind: [f32; 3] = std::array::from_fn(|c| quantile(&mut self.behind[c], 0.5));
        let original = self.change.clone();
        let change: [f32; 3] = std::array::from_fn(|c| quantile(&mut self.change[c], 0.5));
        let length = |v: [f32; 3]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let along = |end: f32| {
            let way = behind.map(|b| end - b);
            (0..3).map(|c| way[c] * change[c]).sum::<f32>() / (length(way) * length(change)).max(1e-6)
        };
        if length(change) < MIN_CHANGE || along(0.0) > COLOURED || along(1.0) > WHITE {
            return None;
        }
        // A glow is of one colour, is on all sides, and is stronger between strokes than beside them.
        let glow = change.iter().sum::<f32>() > 0.0;
        let places = 0..original[0].len();
        let along = |k: usize| (0..3).map(|c| original[c][k] * change[c]).sum::<f32>() / length(change).powi(2);
        let mut shares: Vec<f32> = places.clone().map(along).collect();
        let off = |k: usize| {
            let expected = if glow { along(k).max(0.0) } else { 1.0 };
            length(std::array::from_fn(|c| original[c][k] - expected * change[c]))
        };
        let mut off: Vec<f32> = places.map(off).collect();
        if quantile(&mut off, 0.75) > STEADY * length(change) || quantile(&mut shares, 0.25) < ON_ALL_SIDES {
            return None;
        }
        let room = |c: usize| if change[c] > 0.0 { 1.0 - behind[c] } else { behind[c] };
        let far =
            (0..3).filter(|&c| change[c].abs() > 1e-3).map(|c| room(c) / change[c].abs()).fold(f32::INFINITY, f32::min);
        (far > 1.0).then(|| std::array::from_fn(|c| (behind[c] + far * change[c]).clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(change: impl Fn(usize) -> [f32; 3]) -> Option<[f32; 3]> {
        let mut beside = Beside::default();
        let behind = [0.05, 0.05, 0.1];
        for k in 0..200 {
            let change = change(k);
            let bearing = Bearing { place: 0, distance: 5.0, outward: [1.0, 0.0] };
            beside.add(&bearing, std::array::from_fn(|c| behind[c] + change[c]), behind);
        }
        beside.colour()
    }

    #[test]
    fn a_glow_has_its_colour_however_strong_it_is_and_texture_has_none() {
        let strength = |k: usize| 0.1 + 0.4 * (k % 5) as f32 / 5.0;
        let glow = beside(|k| [0.2 * strength(k), 0.6 * strength(k), 0.9 * strength(k)]).expect("a colour");
        assert!((glow[0] - 0.25).abs() < 0.01 && (glow[1] - 0.65).abs() < 0.01 && glow[2] > 0.99, "{glow:?}");
        let texture = beside(|k| [[0.4, 0.0, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 0.4], [0.2; 3]][k % 4]);
        assert_eq!(texture, None);
    }
}
